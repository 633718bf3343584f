"""A city to measure: three real servers as child processes, with room for many drivers."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg

from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import new_secret
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import Evse, Location, plain
from eletrovia.runtime.city import members
from eletrovia.runtime.fleet import Fleet
from eletrovia.runtime.staff import Staff, staff_login
from eletrovia.store.folder import ADMIN, OWNER, StoreFolder
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store
from eletrovia.store.postmaster import read_postmaster

OPERATORS = tuple(DEMO_OPERATORS)
SCRATCH = "bench"


def free_ports(how_many: int) -> int:
    """The first of so many ports in a row that nobody uses now, below those that outgoing calls are given."""
    for step in range(100):
        first = 20_000 + (os.getpid() * 10 + step * 510) % 12_000
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + how_many):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise OSError("no free ports in a row")


def _widened(location: Location, room: int) -> Location:
    more = [
        msgspec.structs.replace(evse, uid=f"{evse.uid}x{copy}", evse_id=f"{evse.evse_id}X{copy}")
        for copy in range(1, room)
        for evse in location.evses
    ]
    return msgspec.structs.replace(location, evses=(*location.evses, *more))


class Measured:
    """The running city: who answers where, its processes, its databases."""

    def __init__(self, data: Path, fleet: Fleet, staff: Staff) -> None:
        self.data = data
        self._fleet = fleet
        self._staff = staff
        self._driver = {"email": "driver@bench.example", "password": new_secret(18)}

    async def settle(self, room: int) -> None:
        """Stations with ``room`` times the demo's EVSEs, partners joined, a driver registered everywhere."""
        folders = zip(OPERATORS, self._fleet.members, strict=True)
        await self._staff.sign_in({one: staff_login(member.data_dir) for one, member in folders})
        for operator_id in OPERATORS:
            locations, tariffs = demo_network(operator_id)
            await self._staff.ask(operator_id, "PUT", "/tariffs", {"tariffs": tariffs})
            await self.put_stations(operator_id, [_widened(location, room) for location in locations])
            await self._staff.ask(operator_id, "POST", "/drivers", {**self._driver, "name": "Bench"})
        await self._staff.introduce_all()
        await self._staff.until_all_are_seen(30.0)

    async def put_stations(self, operator_id: str, locations: Sequence[Location]) -> None:
        """More stations of an operator's own, through the staff's API."""
        answer = await self._staff.ask(operator_id, "POST", "/stations", {"locations": locations})
        if answer["refused"]:
            raise RuntimeError(f"{operator_id} refused {answer['items'][:3]}")

    def url(self, operator_id: str) -> str:
        return self._staff.urls[operator_id]

    def pid(self, operator_id: str) -> int:
        """The operator's server process; PostgreSQL and NATS are its children."""
        return self._fleet.pid(DEMO_OPERATORS[operator_id])

    async def driver_token(self, operator_id: str) -> str:
        """An access token of the city's driver at an operator."""
        tokens = await self._staff.ask(operator_id, "POST", "/tokens", self._driver)
        return str(tokens["access_token"])

    def store_url(self, operator_id: str, role: str = OWNER, database: str = OWNER) -> str:
        """The operator's PostgreSQL."""
        folder = StoreFolder(self.data / plain(operator_id).lower() / "postgresql")
        standing = read_postmaster(folder.cluster)
        if standing is None or standing.socket_folder is None:
            raise RuntimeError(f"the PostgreSQL of {operator_id} is gone")
        return folder.url(standing.socket_folder, role, database)

    async def sql(self, operator_id: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from an operator's database."""
        async with await psycopg.AsyncConnection.connect(self.store_url(operator_id)) as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

    async def scratch(self, operator_id: str) -> str:
        """A second, empty database with our tables on the operator's PostgreSQL: a yardstick's own place."""
        admin_url = self.store_url(operator_id, ADMIN, ADMIN)
        async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as admin:
            await admin.execute(f"create database {SCRATCH} owner {OWNER}")
        url = self.store_url(operator_id, OWNER, SCRATCH)
        async with await Store.open(url, size=1) as store:
            await migrate(store, now=SystemClock().now())
        return url

    async def durable(self) -> str:
        """What PostgreSQL says of its care: the figures count only with everything on."""
        names = ("fsync", "synchronous_commit", "full_page_writes")
        return " ".join([f"{name}={(await self.sql(OPERATORS[0], f'show {name}'))[0][0]}" for name in names])


@contextlib.asynccontextmanager
async def running_city(*, room: int = 1) -> AsyncIterator[Measured]:
    """Three operators that know each other, on ports and data of their own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        data = Path(folder)
        fleet = Fleet(members(data, free_ports(len(OPERATORS))))
        await fleet.start()
        try:
            async with aiohttp.ClientSession() as session:
                urls = dict(zip(OPERATORS, (member.url for member in fleet.members), strict=True))
                city = Measured(data, fleet, Staff(urls, session))
                await city.settle(room)
                yield city
        finally:
            await fleet.stop()


def bench_location(operator_id: str, number: int, evses: int, like: Location) -> Location:
    """One more station, so that a bench has windows of its own."""
    first = like.evses[0]
    return msgspec.structs.replace(
        like,
        id=f"bench-{number:03}",
        name=f"Bench {number}",
        evses=tuple(
            Evse(
                uid=f"bench-{number:03}-{place}",
                evse_id=f"{operator_id}*EB{number:03}X{place}",
                connectors=first.connectors,
            )
            for place in range(evses)
        ),
    )
