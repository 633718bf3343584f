"""A whole city on one machine: three operators that know each other, their stations, one driver."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
import msgspec

from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.base.ids import new_secret
from eletrovia.base.private import write_private
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import plain
from eletrovia.runtime import citymeters
from eletrovia.runtime.cityfile import CITY_FILE, CityServer, GatewayPorts, Login
from eletrovia.runtime.config import Config
from eletrovia.runtime.doors import listener_on, why_taken
from eletrovia.runtime.fleet import Fleet, Member, only_one
from eletrovia.runtime.staff import Staff, staff_login

_DRIVER = "driver@city.example"
_SETTLE_S = 30.0

Say = Callable[..., None]
"""Tells a key of the command line's words, with its facts."""
Act = Callable[[Callable[[], bool]], None]
"""Something shown to who watches, in a thread; what it is given tells whether they want to see no more."""


class CityFile(msgspec.Struct, frozen=True):
    """What the command line finds the city by; its passwords were made at run time."""

    servers: tuple[CityServer, ...]
    driver: Login
    staff: dict[str, Login]
    gateway: GatewayPorts | None = None


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

    def __init__(
        self,
        data: Path,
        fleet: Fleet,
        session: aiohttp.ClientSession,
        gateway: GatewayPorts | None = None,
    ) -> None:
        self.data = data
        self.fleet = fleet
        self._gateway = gateway
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
            gateway=self._gateway,
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
    trip: Act = lambda stopped: None,
    home: Act = lambda stopped: None,
    stay: bool = True,
    say: Say = lambda key, **facts: None,
) -> None:
    """Start the city, show a trip once a driver could ask for one, then a home and its meter's bills.

    Stays up until SIGINT or SIGTERM, which end it at any moment.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    data = config.data.path
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(data / "city.lock"):
        fleet = Fleet(members(data, first_port))
        await check_ports(range(first_port, first_port + len(DEMO_OPERATORS)))
        ports = citymeters.gateway_ports(data)
        utility_id, utility = next(iter(DEMO_OPERATORS)), fleet.members[0]
        street = [
            Fleet([citymeters.gateway(config, utility, ports)]),
            Fleet([citymeters.homes(data, utility_id, ports)]),
        ]
        say("demo.starting", names=[member.name for member in fleet.members])
        began_s = loop.time()
        ended = threading.Event()
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: ended.set())

        async def story() -> None:
            await fleet.start()
            async with aiohttp.ClientSession() as session:
                say("demo.settling")
                await City(data, fleet, session, ports).settle()
            say("demo.up", seconds=round(loop.time() - began_s, 1))
            await _acted(trip, ended)
            # Beside each other: the gateway takes a moment to come up, and so does a home's history.
            gateway = asyncio.create_task(street[0].start())
            try:
                await _acted(home, ended)
                await gateway
            finally:
                gateway.cancel()
                await asyncio.gather(gateway, return_exceptions=True)
            await street[1].start()
            say(
                "demo.meters",
                homes=citymeters.HOMES,
                area=citymeters.AREA,
                minutes=citymeters.INTERVAL_S // 60,
                tcp=ports.tcp,
                udp=ports.udp,
            )

        try:
            told = await _unless(stopping, story())
            if told and stay:
                for member in fleet.members:
                    say("demo.member", name=f"{member.name:<10}", url=member.url)
                say("demo.try", home=citymeters.HOME)
                say("demo.staying", data=str(data))
                await stopping
        finally:
            stopping.cancel()
            say("demo.stopping")
            await asyncio.gather(*(one.stop() for one in street))
            await fleet.stop()


async def _acted(act: Act, ended: threading.Event) -> None:
    """Shown to its end, also when we are cancelled: a thread that asks servers must not outlive them."""
    acting = asyncio.ensure_future(asyncio.to_thread(act, ended.is_set))
    try:
        await asyncio.shield(acting)
    except asyncio.CancelledError:
        ended.set()
        await asyncio.gather(acting, return_exceptions=True)
        raise


async def _unless(stopping: asyncio.Task[object], work: Awaitable[None]) -> bool:
    """Whether the work was done; it is given up when somebody stops us before. Raises: what it raises."""
    working = asyncio.ensure_future(work)
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False
    working.result()
    return True
