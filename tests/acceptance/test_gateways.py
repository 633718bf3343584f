"""Gateways as processes: killed, beside each other, as a server's child; what was acknowledged is stored."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psycopg
import pytest

from eletrovia.base.private import write_private
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.frame import RECORD
from eletrovia.metering.reading import NO_POWER
from eletrovia.metering.sender import Link, Rests, Sender, TcpLink, UdpLink
from eletrovia.runtime.childgateway import READY_FILE
from eletrovia.store.embedded import standing_url
from eletrovia.store.pool import Store
from eletrovia.store.postmaster import is_alive

SECRET = "a secret of this test, long enough for all of it"
KEYS = DeviceKeys(SECRET.encode())
METERS = 8
QUICK = Rests(first_s=0.1, most_s=0.5)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """Starts our commands, and leaves none of them behind."""

    def __init__(self, data: Path, stack: ExitStack) -> None:
        self.data = data
        self._stack = stack
        write_private(data / "meter.key", SECRET)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "eletrovia", *arguments, "--data", str(self.data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "ELETROVIA_LOG_FORMAT": "json", **environment},
            cwd=self.data,
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    process.communicate()


async def up(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The ports that a gateway has opened."""
    assert process.stdout is not None
    line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
    assert line, process.communicate()[1]
    ports: dict[str, Any] = json.loads(line)
    return ports


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


class Town:
    """Meters that tell one reading after the other, and remember which were acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[tuple[int, int]] = set()
        self.done = False

    async def lives(self, links: list[Link]) -> None:
        await asyncio.gather(
            *(self._tells(meter, links[meter % len(links)]) for meter in range(1, METERS + 1))
        )

    async def _tells(self, meter: int, link: Link) -> None:
        chance = random.Random(meter)
        sender = Sender(
            meter, KEYS.of(meter, 0), link, first_sequence=1, chance=chance, window=16, rests=QUICK
        )
        told: list[asyncio.Task[None]] = []
        number = 0
        while not self.done:
            number += 1
            record = np.array([(meter, 1_770_000_000 + number, 1_000 + number, NO_POWER)], RECORD)
            outcome = await sender.post(record)
            told.append(asyncio.create_task(self._hears(meter, number, outcome)))
            await asyncio.sleep(0.002)
        await asyncio.gather(*told)
        sender.close()

    async def _hears(self, meter: int, number: int, outcome: asyncio.Future[Any]) -> None:
        assert not (await outcome).refused
        self.acknowledged.add((meter, number))

    async def grows_by(self, many: int) -> None:
        wanted = len(self.acknowledged) + many
        async with asyncio.timeout(30):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.01)


async def stored(url: str) -> list[tuple[int, int]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(
            "select meter, energy_wh - 1000 from reading"
            " where extract(epoch from at) = 1769999000 + energy_wh"
        )
        return [(int(meter), int(number)) for meter, number in await rows.fetchall()]


async def furnish(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "insert into meter (id, registered_at) select 'M' || g, now() from generate_series(1, %s) g",
            (METERS,),
        )


async def test_gateways_killed_in_turn_lose_nothing(
    machine: Machine, store: Store, database_url: str
) -> None:
    await furnish(database_url)
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    command = ("gateway", "--udp", str(udp), "--tcp", str(tcp), "--share", "--json")

    def another() -> subprocess.Popen[str]:
        return machine.start(*command, ELETROVIA_STORE_URL=database_url)

    first, second = another(), another()
    assert (await up(first))["udp"] == (await up(second))["udp"] == udp
    # Two sockets and two connections: the kernel deals them out to whichever gateways there are.
    over_udp = [await UdpLink.open("127.0.0.1", udp) for _ in range(2)]
    over_tcp = [await TcpLink.open("127.0.0.1", tcp, chance=random.Random(n), rests=QUICK) for n in range(2)]
    town = Town()
    living = asyncio.create_task(town.lives([*over_udp, *over_tcp]))
    await town.grows_by(500)
    first.kill()
    await town.grows_by(500)  # the other one does it all
    second.kill()
    second.wait()
    third = another()
    await up(third)
    await town.grows_by(500)
    town.done = True
    await asyncio.wait_for(living, 30)
    there = await stored(database_url)
    assert town.acknowledged - set(there) == set()
    assert len(there) == len(set(there))
    for one in over_udp:
        one.close()
    for link in over_tcp:
        await link.close()
    third.terminate()
    _, said = third.communicate(timeout=30)
    assert third.returncode == 0
    assert "gateway.counted" in said


async def test_devices_post_to_a_gateway(machine: Machine, store: Store, database_url: str) -> None:
    await furnish(database_url)
    gateway = machine.start("gateway", "--http", "0", "--json", ELETROVIA_STORE_URL=database_url)
    opened = await up(gateway)
    assert opened["udp"] is opened["tcp"] is None
    url = f"http://127.0.0.1:{opened['http']}/api/v1/readings"
    rows = b'{"rows":[["M1",1770000000,1000],["M1",1770000900,1900]]}'
    async with store.connection() as connection:
        found = await (await connection.execute("select key from meter where id = 'M1'")).fetchone()
    assert found is not None
    secret = DeviceKeys(SECRET.encode()).of(found[0], 0).hex()
    async with aiohttp.ClientSession() as session:
        login = aiohttp.BasicAuth("M1", secret)
        async with session.post(url, data=rows, auth=login) as answer:
            assert answer.status == 200
            assert (await answer.json())["stored"] == 2
        async with session.post(url, data=rows, auth=aiohttp.BasicAuth("M1", "00" * 32)) as answer:
            assert answer.status == 401
    gateway.terminate()
    gateway.communicate(timeout=30)
    assert gateway.returncode == 0


async def test_a_server_has_its_gateway_beside_it(machine: Machine) -> None:
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    ports = {"http.port": 0, "bus.nats_port": 0, "bus.mqtt_port": 0, "bus.websocket_port": 0}
    settings = {**ports, "metering.udp_port": udp, "metering.tcp_port": tcp}
    server = machine.start(
        "serve", *(part for key, value in settings.items() for part in ("--set", f"{key}={value}"))
    )
    ready = machine.data / READY_FILE
    async with asyncio.timeout(60):
        while not ready.exists():
            assert server.poll() is None, server.communicate()[1]
            await asyncio.sleep(0.05)
    url = standing_url(machine.data / "postgresql")
    assert url is not None
    await furnish(url)
    over_udp = await UdpLink.open("127.0.0.1", udp)
    over_tcp = await TcpLink.open("127.0.0.1", tcp, chance=random.Random(1), rests=QUICK)
    town = Town()
    living = asyncio.create_task(town.lives([over_udp, over_tcp]))
    await town.grows_by(200)
    (child,) = children(server.pid, "gateway")
    os.kill(child, signal.SIGKILL)
    await town.grows_by(200)  # the server has started another
    town.done = True
    await asyncio.wait_for(living, 30)
    assert town.acknowledged - set(await stored(url)) == set()
    over_udp.close()
    await over_tcp.close()
    (child,) = children(server.pid, "gateway")
    server.kill()  # it has no time to tell its child
    async with asyncio.timeout(20):
        while is_alive(child):
            await asyncio.sleep(0.05)
    machine.start(
        "serve", *(part for key in ports for part in ("--set", f"{key}=0"))
    )  # takes care of the rest
    async with asyncio.timeout(60):
        while standing_url(machine.data / "postgresql") is None:
            await asyncio.sleep(0.05)


def children(pid: int, verb: str) -> list[int]:
    """The processes that ``pid`` has started to do this."""
    told = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in told.stdout.splitlines() if f" {verb} " in line]


async def test_a_gateway_waits_for_its_database_and_says_so(machine: Machine) -> None:
    process = machine.start("gateway", "--udp", "0")
    assert process.stderr is not None
    line = await asyncio.wait_for(asyncio.to_thread(process.stderr.readline), 30)
    assert json.loads(line)["event"] == "gateway.waits_for_database"
    process.terminate()
    assert process.wait(10) == 0


async def test_without_a_port_or_with_a_taken_one_it_says_what_to_do(
    machine: Machine, store: Store, database_url: str
) -> None:
    none = machine.start("gateway", ELETROVIA_STORE_URL=database_url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        other = machine.start("gateway", "--udp", str(port), "--tcp", "0", ELETROVIA_STORE_URL=database_url)
        _, said = await asyncio.to_thread(other.communicate, timeout=30)
    assert other.returncode == 5
    assert f"Port {port}" in said
    assert "--share" in said
    _, said = await asyncio.to_thread(none.communicate, timeout=30)
    assert none.returncode == 2
    assert "--udp 47808" in said
