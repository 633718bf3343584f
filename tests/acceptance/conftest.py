"""Three real servers as child processes, and a look into their three databases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg
import pytest
import pytest_asyncio

from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import Ids
from eletrovia.charging.demo import DEMO_OPERATORS
from eletrovia.runtime.city import City, CityFile, members
from eletrovia.runtime.fleet import Fleet
from eletrovia.runtime.metrics import KILL_FILE
from eletrovia.store.folder import OWNER, StoreFolder

OPERATORS = list(DEMO_OPERATORS)
HOLD_TTL_S = 4.0
# A hundred ports for each test process: while a server of ours is down, another process's city must not take
# its port.
_BASES = count(20_000 + os.getpid() % 120 * 100, 10)

WAY = {"origin": "João Pessoa", "destination": "Feira de Santana", "soc": 0.6}


def free_ports(how_many: int) -> int:
    """The first of so many ports in a row that nobody uses now."""
    for base in _BASES:
        try:
            for port in range(base, base + how_many):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return base
    raise AssertionError


class Answer(msgspec.Struct):
    status: int
    body: Any
    headers: dict[str, str]


class RunningCity:
    """What a test sees of the city: its HTTP, its processes, its ledgers."""

    def __init__(self, city: City, file: CityFile, session: aiohttp.ClientSession) -> None:
        self.city = city
        self.file = file
        self.session = session
        self.ids = Ids(SystemClock())
        self.tokens: dict[str, str] = {}

    def member(self, operator_id: str) -> Any:
        return self.city.fleet.members[OPERATORS.index(operator_id)]

    def url(self, operator_id: str) -> str:
        return str(self.member(operator_id).url)

    async def ask(
        self,
        operator_id: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        timeout_s: float = 60,
    ) -> Answer:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None else (None if body is None else msgspec.json.encode(body))
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self.session.request(
            method, f"{self.url(operator_id)}{path}", data=data, headers=sent, timeout=timeout
        ) as response:
            content = await response.read()
            is_json = "json" in response.content_type
            parsed = msgspec.json.decode(content) if content and is_json else content
            return Answer(response.status, parsed, dict(response.headers))

    async def token(self, operator_id: str) -> str:
        """The demo driver's access token at an operator."""
        if operator_id not in self.tokens:
            answer = await self.ask(operator_id, "POST", "/api/v1/tokens", self.file.driver)
            self.tokens[operator_id] = answer.body["access_token"]
        return self.tokens[operator_id]

    async def new_driver(self, operator_id: str) -> str:
        """A driver just registered; its access token."""
        login = {"email": f"{self.ids.new('d')}@city.example", "password": self.ids.new("pw")}
        made = await self.ask(operator_id, "POST", "/api/v1/drivers", {**login, "name": "Driver"})
        assert made.status == 201, made.body
        return str((await self.ask(operator_id, "POST", "/api/v1/tokens", login)).body["access_token"])

    async def book(
        self,
        operator_id: str,
        body: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        token: str = "",
        patience_s: float = 60,
    ) -> Answer:
        """POST a trip with one key, again and again, as a patient driver does, until it has ended."""
        token = token or await self.token(operator_id)
        key = key or self.ids.new("key")
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while True:
            try:
                answer = await self.ask(
                    operator_id, "POST", "/api/v1/trips?wait_s=10", body or WAY, token=token,
                    headers={"Idempotency-Key": key},
                )  # fmt: skip
                if answer.status not in (202, 503):
                    return answer
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass  # killed in the middle; the same words again are safe
            assert loop.time() < until, "no answer"
            await asyncio.sleep(0.1)

    def kill_after(self, operator_id: str, step: str) -> Path:
        """The operator's server will kill itself, -9, once it has passed the step."""
        file = Path(self.member(operator_id).data_dir) / "kill"
        file.write_text(step)
        return file

    async def ready(self) -> None:
        """Everybody answers."""
        for operator_id in OPERATORS:
            async with asyncio.timeout(60):
                while True:
                    try:
                        if (await self.ask(operator_id, "GET", "/healthz", timeout_s=2)).status == 200:
                            break
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        await asyncio.sleep(0.05)

    async def sql(self, operator_id: str, statement: str, *values: Any) -> Sequence[Any]:
        """Rows straight from an operator's database."""
        folder = StoreFolder(Path(self.member(operator_id).data_dir) / "postgresql")
        url = folder.url(folder.home / "socket", OWNER, OWNER)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

    async def check_invariants(self, *, settle_s: float = HOLD_TTL_S + 5.0) -> dict[str, int]:
        """I1 to I6 over all three databases, once nothing is undecided any more; how much was checked."""
        loop = asyncio.get_running_loop()
        until = loop.time() + settle_s
        while True:
            undecided = [
                row
                for operator_id in OPERATORS
                for row in await self.sql(operator_id, "select * from hold where state = 'held'")
            ]
            outbox = [
                row
                for operator_id in OPERATORS
                for row in await self.sql(operator_id, "select * from outbox")
            ]
            pending = [
                row
                for operator_id in OPERATORS
                for row in await self.sql(operator_id, "select id from trip where state = 'pending'")
            ]
            if not undecided and not outbox and not pending:
                break
            assert loop.time() < until, f"I5: {undecided[:3]} {outbox[:3]} {pending[:3]}"
            await asyncio.sleep(0.1)
        decisions = {
            (home, trip, attempt): verdict
            for home in OPERATORS
            for trip, attempt, verdict in await self.sql(
                home, "select trip_id, attempt, verdict from decision"
            )
        }
        confirmed_stops: dict[tuple[str, str, int], set[int]] = {}
        holds = 0
        blocking: set[tuple[str, str]] = set()
        for operator_id in OPERATORS:
            for home, trip, attempt, stop, state, ended_by in await self.sql(
                operator_id, "select home, trip_id, attempt, stop, state, ended_by from hold"
            ):
                holds += 1
                if state == "confirmed" and ended_by is None:
                    blocking.add((home, trip))
                assert decisions.get((home, trip, attempt)) == state, f"I2: {trip}/{attempt}/{stop} {state}"
                if state == "confirmed":
                    confirmed_stops.setdefault((home, trip, attempt), set()).add(stop)
            overlaps = await self.sql(
                operator_id,
                """select a.trip_id, b.trip_id from hold a join hold b
                   on a.evse_uid = b.evse_uid and a.during && b.during
                   and (a.home, a.trip_id, a.attempt, a.stop) < (b.home, b.trip_id, b.attempt, b.stop)
                   where a.state <> 'released' and b.state <> 'released'
                     and a.ended_by is null and b.ended_by is null""",
            )
            assert not overlaps, f"I4: {overlaps[:3]}"
            unequal = await self.sql(
                operator_id,
                """select * from hold full join charge using (home, trip_id, attempt, stop)
                   where (hold.state = 'confirmed') is distinct from (charge.amount is not null)""",
            )
            assert not unequal, f"I6: {unequal[:3]}"
        trips = 0
        for home in OPERATORS:
            for trip, state, attempt, stops in await self.sql(
                home,
                """select trip.id, state, trip.attempt, cardinality(operators) from trip
                   join intent on intent.trip_id = trip.id and intent.attempt = trip.attempt""",
            ):
                trips += 1
                assert state != "cancelled" or (home, trip) not in blocking, f"{trip} is off, yet blocks"
                got = confirmed_stops.get((home, trip, attempt), set())
                if state in ("confirmed", "cancelled"):
                    assert got == set(range(stops)), f"I3: {trip} is {state} with {got} of {stops}"
                else:
                    others = [key for key in confirmed_stops if key[1] == trip]
                    assert not others, f"I3: {trip} is {state} with {others}"
        return {"trips": trips, "holds": holds, "decisions": len(decisions)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(request: pytest.FixtureRequest) -> AsyncIterator[RunningCity]:
    """Three operators that know each other, on ports and data of their own."""
    with tempfile.TemporaryDirectory(prefix="eletrovia-city-") as folder:
        data = Path(folder)
        made = []
        for member in members(data, free_ports(3)):
            settings = {"booking.hold_ttl_s": HOLD_TTL_S, "booking.ask_timeout_s": 2.0}
            arguments = member.arguments + tuple(
                part for key, value in settings.items() for part in ("--set", f"{key}={value}")
            )
            environment = {KILL_FILE: str(member.data_dir / "kill")}
            made.append(msgspec.structs.replace(member, arguments=arguments, environment=environment))
        fleet = Fleet(made)
        await fleet.start()
        try:
            async with aiohttp.ClientSession() as session:
                running = City(data, fleet, session)
                yield RunningCity(running, await running.settle(), session)
        finally:
            await fleet.stop()


class MeterRoom:
    """``eletrovia classroom --only meters`` as the machine sees it."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int], data: Path, said: str) -> None:
        self.process = process
        self.ports = ports
        self.data = data
        self.said = said

    def pid(self) -> int:
        """The process that serves now; 0 where there is none."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and "--meters" in words:
                    return int(folder.name)
        return 0

    def kill(self) -> None:
        """End the server, -9, and return when its successor answers."""
        victim = self.pid()
        os.kill(victim, signal.SIGKILL)
        self.until(lambda: self.pid() not in (0, victim) and self.answers())

    def kill_store(self) -> None:
        """End PostgreSQL, -9, all at once; the server starts it again."""
        cluster = self.data / "meters" / "postgresql" / "cluster"
        os.kill(int((cluster / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)

    def answers(self) -> bool:
        try:
            return self.http("meter_http", "/healthz")[0] == 200
        except OSError:
            return False

    def rows(self, statement: str, *values: Any) -> list[Any]:
        folder = StoreFolder(self.data / "meters" / "postgresql")
        with psycopg.connect(folder.url(folder.home / "socket", OWNER, OWNER)) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def http(
        self, port: str, path: str, body: bytes | None = None, method: str | None = None
    ) -> tuple[int, bytes, Any]:
        """Status, octets and headers."""
        url = f"http://127.0.0.1:{self.ports[port]}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers={"Origin": "http://a.page"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def status(self) -> Any:
        return json.loads(self.http("meter_http", "/status")[1])

    def until(self, true: Callable[[], bool], patience_s: float = 30.0) -> None:
        until = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.02)


@pytest.fixture(scope="package")
def meter_room() -> Iterator[MeterRoom]:
    """The classroom's meters, on ports of the machine's choice."""
    ports = {f"meter_{name}": port for name, port in zip(("tcp", "http", "udp"), count(free_ports(3)))}
    with tempfile.TemporaryDirectory(prefix="eletrovia-meters-") as folder:
        flags = [part for name, port in ports.items() for part in ("--set", f"classroom.{name}={port}")]
        process = subprocess.Popen(
            [sys.executable, "-m", "eletrovia", "classroom", "--only", "meters", "--data", folder, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Clients may come"):
                break
        else:
            raise AssertionError(said)
        # Nobody reads on: the rest must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield MeterRoom(process, ports, Path(folder), said)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
