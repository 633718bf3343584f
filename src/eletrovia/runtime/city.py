"""A whole city on one machine: three operators that know each other, their stations, one driver."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import aiohttp
import msgspec

from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.base.ids import new_secret
from eletrovia.base.private import write_private
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import plain
from eletrovia.runtime.cityfile import CITY_FILE, CityServer, Login
from eletrovia.runtime.config import Config
from eletrovia.runtime.doors import listener_on, why_taken
from eletrovia.runtime.fleet import Fleet, Member, only_one
from eletrovia.runtime.staff import Staff, staff_login

_DRIVER = "driver@city.example"
_SETTLE_S = 30.0

Say = Callable[[str], None]


class CityFile(msgspec.Struct, frozen=True):
    """What the command line finds the city by; its passwords were made at run time."""

    servers: tuple[CityServer, ...]
    driver: Login
    staff: dict[str, Login]


def members(data: Path, first_port: int) -> list[Member]:
    """The demo's three operators as servers of a fleet."""
    made = []
    for number, (operator_id, name) in enumerate(DEMO_OPERATORS.items()):
        folder = data / plain(operator_id).lower()
        port = first_port + number
        settings = {
            "operator.id": operator_id,
            "operator.name": name,
            "http.port": port,
            "bus.nats_port": 0,
            "bus.mqtt_port": 0,
            "bus.websocket_port": 0,
            "log.format": "json",
        }
        arguments = ["serve", "--data", str(folder)]
        for key, value in settings.items():
            arguments += ["--set", f"{key}={value}"]
        made.append(
            Member(name=name, data_dir=folder, url=f"http://127.0.0.1:{port}", arguments=tuple(arguments))
        )
    return made


async def check_ports(ports: Iterable[int], *, patience_s: float = 5.0) -> None:
    """Wait a moment for servers of a city that was killed to let go of their ports.

    Raises: Conflict("city.port_taken") naming who listens: another city would answer in our servers' place.
    """
    for port in ports:
        until_s = asyncio.get_running_loop().time() + patience_s
        while why := why_taken("127.0.0.1", port):
            if asyncio.get_running_loop().time() >= until_s:
                raise Conflict("city.port_taken", port=port, by=listener_on(port) or why)
            await asyncio.sleep(0.1)


class City:
    """The running city: what its staff does once, through the servers' own API."""

    def __init__(self, data: Path, fleet: Fleet, session: aiohttp.ClientSession) -> None:
        self.data = data
        self.fleet = fleet
        self._ids = list(DEMO_OPERATORS)
        urls = dict(zip(self._ids, (member.url for member in fleet.members), strict=True))
        self._staff = Staff(urls, session)

    async def settle(self) -> CityFile:
        """Stations in place, partners joined, a driver registered; what is done already stays."""
        folders = (member.data_dir for member in self.fleet.members)
        logins = {
            operator_id: staff_login(folder) for operator_id, folder in zip(self._ids, folders, strict=True)
        }
        await self._staff.sign_in(logins)
        await asyncio.gather(*(self._furnish(operator_id) for operator_id in self._ids))
        await self._staff.introduce_all()
        driver = await self._driver()
        known = CityFile(
            servers=tuple(
                CityServer(operator_id, name, self._staff.urls[operator_id])
                for operator_id, name in DEMO_OPERATORS.items()
            ),
            driver=driver,
            staff=logins,
        )
        write_private(self.data / CITY_FILE, msgspec.json.encode(known).decode())
        await self._staff.until_all_are_seen(_SETTLE_S)
        return known

    async def _furnish(self, operator_id: str) -> None:
        locations, tariffs = demo_network(operator_id)
        for path, verb, key, items in (
            ("/tariffs", "PUT", "tariffs", tariffs),
            ("/stations", "POST", "locations", locations),
        ):
            answer = await self._staff.ask(operator_id, verb, path, {key: items})
            if answer["refused"]:
                raise Unavailable("city.refused", operator_id=operator_id, items=answer["items"][:3])

    async def _driver(self) -> Login:
        known = self.data / CITY_FILE
        if known.exists():
            return msgspec.json.decode(known.read_bytes(), type=CityFile).driver
        driver = Login(_DRIVER, new_secret(18))
        body = {"email": driver.email, "password": driver.password, "name": "Demo driver"}
        for operator_id in self._ids:
            await self._staff.ask(operator_id, "POST", "/drivers", body)
        return driver


async def demo(
    config: Config,
    *,
    first_port: int = 8001,
    ready: Callable[[], None] = lambda: None,
    stay: bool = True,
    say: Say = lambda line: print(line, flush=True),
) -> None:
    """Start the city, call ``ready`` when a driver could ask, and stay up until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    data = config.data.path
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(data / "city.lock"):
        fleet = Fleet(members(data, first_port))
        await check_ports(range(first_port, first_port + len(DEMO_OPERATORS)))
        names = ", ".join(member.name for member in fleet.members)
        say(f"· starting {names}: each with its own PostgreSQL and NATS")
        began_s = loop.time()
        starting = asyncio.create_task(fleet.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        try:
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            starting.result()
            async with aiohttp.ClientSession() as session:
                city = City(data, fleet, session)
                say("· stations, partners and a driver")
                await city.settle()
            say(f"· the city is up after {loop.time() - began_s:.1f} s")
            await asyncio.to_thread(ready)
            if stay and not stop.is_set():
                for member in fleet.members:
                    say(f"  {member.name:<10} {member.url}  (API: {member.url}/api/docs)")
                say("· staying up; Ctrl-C ends the city, its data stay in " + str(data))
                await stopping
        finally:
            stopping.cancel()
            say("· stopping")
            await fleet.stop()
