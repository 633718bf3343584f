"""Public protocols, spoken for many simulated meters over few connections."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import aiohttp
import aiomqtt
import numpy as np

from eletrovia.base.clock import Clock
from eletrovia.metering.frame import RECORD
from eletrovia.metering.reading import epoch_us
from eletrovia.metering.sender import Sender, TcpLink, UdpLink
from eletrovia.sim.device import Device
from eletrovia.sim.street import Rows, Told
from eletrovia.sim.voices import refused

_COURSE_ZONE: Final = timezone(timedelta(hours=-3))
_ANSWER_S: Final = 30.0
_REST_S: Final = 1.0
_DATAGRAMS_A_TURN: Final = 64

Complain = Callable[[Exception], None]


class CompactLine:
    """Our compact format: a sender for each speaker, some links for all of them."""

    def __init__(
        self, links: Sequence[UdpLink] | Sequence[TcpLink], clock: Clock, chance: random.Random
    ) -> None:
        self._links = links
        self._clock = clock
        self._chance = chance
        self._senders: dict[int, Sender] = {}

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        sender = self._senders.get(speaker.number)
        if sender is None:
            sender = self._senders[speaker.number] = Sender(
                speaker.number,
                speaker.key,
                self._links[len(self._senders) % len(self._links)],
                first_sequence=epoch_us(self._clock.now()),
                chance=self._chance,
            )
        records = np.empty(len(rows.meters), RECORD)
        records["meter"] = [device.number for device in rows.meters]
        records["at"] = rows.at_s
        records["energy_wh"] = rows.energy_wh
        records["power_w"] = rows.power_w
        before = sender.refused
        await sender.send(records)
        return Told(sender.refused - before, sender.cut_off)

    async def close(self) -> None:
        """Forget what is not settled."""
        for sender in self._senders.values():
            sender.close()
        for link in self._links:
            if isinstance(link, TcpLink):
                await link.close()
            else:
                link.close()


class HttpLine:
    """``POST /api/v1/readings``, each speaker with its own key."""

    def __init__(self, url: str, complain: Complain, *, connections: int = 64) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/readings"
        self._complain = complain
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        )

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        body = json.dumps({"rows": _short(rows)}).encode()
        auth = aiohttp.BasicAuth(speaker.id, speaker.key.hex())
        headers = {"Content-Type": "application/json"}
        while True:
            try:
                async with self._session.post(self._url, data=body, auth=auth, headers=headers) as response:
                    answer = await response.read()
                if response.status < 400:
                    return Told(int(json.loads(answer)["refused"]))
                problem: Exception = refused(response.status, answer)
                if response.status < 500 and response.status != 429:
                    raise problem
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as silent:
                problem = silent
            self._complain(problem)
            await asyncio.sleep(_REST_S)

    async def close(self) -> None:
        await self._session.close()


class MqttLine:
    """``meters/{id}/reading``, acknowledged on ``meters/{id}/ack``: a connection for each speaker."""

    def __init__(self, host: str, port: int, complain: Complain) -> None:
        self._place = (host, port)
        self._complain = complain
        self._waiting: dict[tuple[str, int], asyncio.Future[dict[str, Any]]] = {}
        self._clients: dict[str, asyncio.Future[aiomqtt.Client]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._sequence = itertools.count(1)

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        if speaker.id not in self._clients:
            self._clients[speaker.id] = asyncio.get_running_loop().create_future()
            self._tasks.append(asyncio.create_task(self._keep(speaker)))
        sequence = next(self._sequence)
        payload = json.dumps({"rows": _short(rows), "seq": sequence})
        while True:
            answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting[speaker.id, sequence] = answered
            try:
                async with asyncio.timeout(_ANSWER_S):
                    client = await asyncio.shield(self._clients[speaker.id])
                    await client.publish(f"meters/{speaker.id}/reading", payload, qos=0)
                    answer = await answered
                # A message that cannot be read is answered with "error", and no better the next time.
                rejected = len(rows.meters) if "error" in answer else len(answer.get("refused", ()))
                return Told(rejected, answer.get("blocked"))
            except (aiomqtt.MqttError, TimeoutError) as silent:
                self._complain(silent)
            finally:
                self._waiting.pop((speaker.id, sequence), None)
            await asyncio.sleep(_REST_S)

    async def _keep(self, speaker: Device) -> None:
        """One connection, made anew whenever it breaks."""
        while True:
            try:
                async with aiomqtt.Client(
                    *self._place, username=speaker.id, password=speaker.key.hex(), identifier=speaker.id
                ) as client:
                    await client.subscribe(f"meters/{speaker.id}/ack")
                    self._clients[speaker.id].set_result(client)
                    async for message in client.messages:
                        self._heard(speaker, message.payload)
            except aiomqtt.MqttError as broken:
                self._complain(broken)
            if self._clients[speaker.id].done():
                self._clients[speaker.id] = asyncio.get_running_loop().create_future()
            await asyncio.sleep(_REST_S)

    def _heard(self, speaker: Device, payload: Any) -> None:
        try:
            answer = json.loads(payload)
            waiting = self._waiting.get((speaker.id, answer["seq"]))
        except (ValueError, TypeError, KeyError):
            return
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class CourseLine:
    """The classroom's datagrams: whole kWh, no answer. A meter's number is its registration number."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))
        self._sent = 0

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        written = (
            datetime.fromtimestamp(rows.at_s, UTC).astimezone(_COURSE_ZONE).strftime("%d-%m-%Y %H:%M:%S")
        )
        lost = 0
        for device, wh in zip(rows.meters, rows.energy_wh.tolist(), strict=True):
            told = {"matricula": device.number, "consumo_atual": wh // 1000, "data_hora": written}
            try:
                self._socket.send(json.dumps(told).encode())
            except OSError:
                lost += 1
            self._sent += 1
            if self._sent % _DATAGRAMS_A_TURN == 0:
                await asyncio.sleep(0.001)  # nobody can ask us to wait, so we do
        return Told(lost)

    async def close(self) -> None:
        self._socket.close()


def _short(rows: Rows) -> list[list[Any]]:
    return [
        [device.id, rows.at_s, wh, w]
        for device, wh, w in zip(rows.meters, rows.energy_wh.tolist(), rows.power_w.tolist(), strict=True)
    ]
