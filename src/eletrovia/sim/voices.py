"""The ways in which a simulated meter speaks: the courses' two, and the utility's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import aiohttp

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, EletroviaError, Invalid, NotFound, Unavailable
from eletrovia.metering.reading import Reading, epoch_us
from eletrovia.metering.sender import Sender, TcpLink, UdpLink
from eletrovia.sim.device import Device
from eletrovia.sim.meter import Heard

_COURSE_ZONE: Final = timezone(timedelta(hours=-3))
_ANSWER_OCTETS: Final = 4096
_ANSWER_S: Final = 10.0
_REST_S: Final = 1.0

Complain = Callable[[Exception], None]
"""Hears that nobody answers now; it is tried again."""


class CourseTcp:
    """The 2023 course's meters over TCP: the server gives the id, and answers each reading."""

    def __init__(self, host: str, port: int, complain: Complain, number: str = "") -> None:
        self._place = (host, port)
        self._complain = complain
        self._number = number
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> str:
        if not self._number:
            self._number = str(await self._asked({"id": 0}))
        return self._number

    async def tell(self, at: datetime, kwh: float, power_w: int | None) -> Heard:
        written = at.astimezone(_COURSE_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        told = {"id": self._number, "consumption": kwh, "datetime": written, "type": "/spent"}
        answer = await self._asked(told)
        return Heard(alert=str(answer.get("alert", "")) if isinstance(answer, dict) else "")

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _asked(self, message: dict[str, Any]) -> Any:
        octets = json.dumps(message).encode()
        while True:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if self._streams is None:
                        self._streams = await asyncio.open_connection(*self._place)
                    reader, writer = self._streams
                    writer.write(octets)
                    return await _one_value(reader)
            except (OSError, EOFError, TimeoutError, ValueError) as problem:
                self._complain(problem)
                await self.close()
            await asyncio.sleep(_REST_S)


async def _one_value(reader: asyncio.StreamReader) -> Any:
    """One JSON value, in however many pieces. Raises: EOFError; ValueError for what is none."""
    octets = b""
    while len(octets) < _ANSWER_OCTETS:
        piece = await reader.read(_ANSWER_OCTETS)
        if not piece:
            raise EOFError
        octets += piece
        with contextlib.suppress(ValueError):
            return json.loads(octets)
    raise ValueError("no answer")


class CourseUdp:
    """The 2023 course's meters over UDP: whole units, and nobody answers."""

    def __init__(self, host: str, port: int, number: int, complain: Complain) -> None:
        self._place = (host, port)
        self._number = number
        self._complain = complain
        self._socket: socket.socket | None = None

    async def open(self) -> str:
        kind = socket.AF_INET6 if ":" in self._place[0] else socket.AF_INET
        self._socket = socket.socket(kind, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(self._place)
        return f"{self._number:08}"

    async def tell(self, at: datetime, kwh: float, power_w: int | None) -> Heard:
        written = at.astimezone(_COURSE_ZONE).strftime("%d-%m-%Y %H:%M:%S")
        told = {"matricula": self._number, "consumo_atual": int(kwh), "data_hora": written}
        if self._socket is not None:
            try:
                self._socket.send(json.dumps(told).encode())
            except OSError as problem:
                self._complain(problem)
        return Heard()

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


class Compact:
    """Our compact format over UDP or TCP; it tells when the meter is cut off."""

    def __init__(
        self, host: str, port: int, device: Device, *, over: str, clock: Clock, chance: random.Random
    ) -> None:
        self._place = (host, port)
        self._device = device
        self._over = over
        self._clock = clock
        self._chance = chance
        self._link: UdpLink | TcpLink | None = None
        self._sender: Sender | None = None

    async def open(self) -> str:
        host, port = self._place
        if self._over == "udp":
            self._link = await UdpLink.open(host, port)
        else:
            self._link = await TcpLink.open(host, port, chance=self._chance)
        self._sender = Sender(
            self._device.number,
            self._device.key,
            self._link,
            # Higher than ever before, as long as this machine's clock goes forward.
            first_sequence=epoch_us(self._clock.now()),
            chance=self._chance,
        )
        return self._device.id

    async def tell(self, at: datetime, kwh: float, power_w: int | None) -> Heard:
        if self._sender is None:
            raise Unavailable("sender.closed")
        reading = Reading(meter=self._device.number, at=at, energy_wh=int(kwh * 1000), power_w=power_w)
        for outcome in await self._sender.send([reading]):
            for _, fate in outcome.refused:
                raise Invalid(f"reading.{fate.name.lower()}", meter_id=self._device.id, at=at.isoformat())
        return Heard(cut_off=self._sender.cut_off)

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        if isinstance(self._link, TcpLink):
            await self._link.close()
        elif self._link is not None:
            self._link.close()


class Http:
    """``POST /api/v1/readings`` with the device's own key. A meter is not told so whether it is cut off."""

    def __init__(self, url: str, device: Device, complain: Complain) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/readings"
        self._device = device
        self._complain = complain
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> str:
        self._session = aiohttp.ClientSession(
            auth=aiohttp.BasicAuth(self._device.id, self._device.key.hex()),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        )
        return self._device.id

    async def tell(self, at: datetime, kwh: float, power_w: int | None) -> Heard:
        told = {"at": at.isoformat(), "energy_wh": int(kwh * 1000), "power_w": power_w}
        body = {name: value for name, value in told.items() if value is not None}
        while self._session is not None:
            try:
                async with self._session.post(self._url, json=body) as response:
                    if response.status < 400:
                        return Heard()
                    if response.status < 500 and response.status != 429:
                        raise refused(response.status, await response.read())
                    self._complain(Unavailable("server.refused", url=self._url, status=response.status))
            except (aiohttp.ClientError, OSError, TimeoutError) as problem:
                self._complain(problem)
            await asyncio.sleep(_REST_S)
        raise Unavailable("sender.closed")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def refused(status: int, body: bytes) -> EletroviaError:
    """What a problem document says."""
    kind: type[EletroviaError] = {401: Denied, 403: Denied, 404: NotFound}.get(status, Invalid)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        problem = json.loads(body)
        error = kind(str(problem["code"]), **dict(problem.get("facts") or {}))
        error.add_note(str(problem.get("detail", "")))
        return error
    return kind("server.refused", status=status)
