"""One operator's API on a loopback port: real people, real desk and keeper, a ledger in memory.

The planner alone is made for these tests: it proposes the same EVSE always, or raises what it was told to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import uvicorn
from litestar import Router, post
from litestar.params import JSONBody
from prometheus_client import CollectorRegistry

from eletrovia.api.app import create_app
from eletrovia.api.desks import OperatorCard, Reach
from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.base.geo import Point
from eletrovia.base.ids import Ids, new_secret
from eletrovia.base.rng import Rng
from eletrovia.base.window import Window
from eletrovia.booking.board import Board
from eletrovia.booking.desk import Desk
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.switchboard import Switchboard
from eletrovia.booking.trip import Itinerary, Place, Stop, TripAsk
from eletrovia.charging.location import Connector, ConnectorStandard, Evse, Location, PowerType
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension
from eletrovia.people.people import People
from eletrovia.people.token import AccessTokens
from eletrovia.planning.catalogue import Catalogue
from eletrovia.planning.gazetteer import Gazetteer
from eletrovia.runtime.world import CarModels, PlaceNames
from eletrovia.sim.ledger import MemoryLedger
from eletrovia.store.pool import Store

OWN = "BR*CAR"
PRICE = Decimal("42.00")


class OneEvsePlanner:
    """Proposes E1 at the departure, taken or not; ``surprise`` is raised instead where it is set."""

    def __init__(self) -> None:
        self.surprise: BaseException | None = None
        self.asked: list[TripAsk] = []

    async def plan(
        self, ask: TripAsk, *, without: frozenset[str] = frozenset(), alternatives: bool = False
    ) -> list[Itinerary]:
        self.asked.append(ask)
        if self.surprise is not None:
            raise self.surprise
        ends = [
            place if isinstance(place, Point) else GAZETTEER.find(place).point
            for place in (ask.origin, ask.destination)
        ]
        departs_at = ask.departs_at or datetime.now(UTC).replace(microsecond=0)
        window = Window(departs_at, departs_at + timedelta(minutes=30))
        stop = Stop(
            operator_id=OWN, location_id="recife-1", location_name="Recife 1", city="Recife",
            coordinates=Point(-8.05, -34.9), evse_uid="E1", evse_id="BR*CAR*E1", power_w=60_000,
            arrives_at=departs_at, starts_at=window.starts_at, ends_at=window.ends_at, window=window,
            arrival_soc=0.2, departure_soc=0.8, energy_wh=30_000, distance_km=120.0,
            drive_s=5400, price=PRICE,
        )  # fmt: skip
        way = Itinerary(
            origin=Place("here", ends[0]), destination=Place("there", ends[1]), vehicle_id="demo-compact",
            vehicle_name="Demo", departs_at=departs_at, arrives_at=departs_at + timedelta(hours=3),
            soc=ask.soc, arrival_soc=0.3, reserve_soc=ask.reserve_soc, distance_km=240.0, drive_s=9000,
            wait_s=0, charge_s=1800, last_leg_km=120.0, last_leg_s=3600, price=PRICE, currency="BRL",
            stops=(stop,),
        )  # fmt: skip
        return [way, way] if alternatives else [way]


class Nobody:
    """A federation of one: no partner ever answers."""

    def __getattr__(self, _: str) -> Callable[..., Any]:
        async def silent(operator_id: str, *_: Any) -> Any:
            raise Unavailable("operator.unreachable", operator_id=operator_id)

        return silent


class FlatOffer:
    def price(self, evse_uid: str, energy_wh: int, charging_s: int) -> Decimal | None:
        return PRICE


RECIFE = Location(
    country_code="BR",
    party_id="CAR",
    id="recife-1",
    name="Recife 1",
    city="Recife",
    coordinates=Point(-8.05, -34.9),
    time_zone="America/Recife",
    evses=(
        Evse(
            uid="E1",
            evse_id="BR*CAR*E1",
            connectors=(
                Connector(
                    id="1",
                    standard=ConnectorStandard.CCS2,
                    power_type=PowerType.DC,
                    max_electric_power_w=60_000,
                    tariff_ids=("normal",),
                ),
            ),
        ),
    ),
    last_updated=datetime(2026, 3, 1, tzinfo=UTC),
)


NORMAL = Tariff(id="normal", components=(PriceComponent(type=TariffDimension.ENERGY, price=Decimal("1.95")),))
GAZETTEER = Gazetteer.load()
CATALOGUE = Catalogue.load()


class Operator:
    """The server, what is behind it, and a client."""

    def __init__(self, store: Store) -> None:
        self.clock = SystemClock()
        self.ids = Ids(self.clock)
        self.secret = new_secret().encode()
        self.access = AccessTokens(self.secret, OWN, self.clock)
        self.people = People(store, self.access, clock=self.clock, ids=self.ids)
        self.planner = OneEvsePlanner()
        self.stations = Stations(OWN, self.clock)
        self.board = Board()
        rules = Rules(attempts=2, deadline_s=5.0, book_ahead_s=100 * 366 * 86_400)
        ledger = MemoryLedger(OWN)
        register = LedgerRegister(OWN, ledger)
        partner = Switchboard(OWN, register, Nobody())
        self.keeper = Keeper(
            OWN,
            ledger=ledger,
            homes=partner,
            offer=FlatOffer(),
            board=self.board,
            clock=self.clock,
            rules=rules,
        )
        partner.connect(self.keeper)
        self.outbox = Outbox(ledger, partner)
        self.desk = Desk(
            OWN, ledger=ledger, register=register, partner=partner, outbox=self.outbox, planner=self.planner,
            board=self.board, clock=self.clock, ids=self.ids, draw=Rng(1).stream("desk"),
            rules=rules,
        )  # fmt: skip
        self.registry = CollectorRegistry()
        self.broken_part = False
        self.app = create_app(
            desk=self.desk,
            people=self.people,
            stations=self.stations,
            gazetteer=PlaceNames(GAZETTEER),
            catalogue=CarModels(CATALOGUE),
            operator=OperatorCard(operator_id=OWN, name="Carcará", url="http://127.0.0.1"),
            clock=self.clock,
            ids=self.ids,
            registry=self.registry,
            taken=self.board.busy,
            reach=lambda _: Reach(up=True, since=self.clock.now()),
            federation_router=Router("/federation/v1", route_handlers=[_partner_door()]),
            parts={"store": self._part},
            cors_origins=["http://localhost:5173"],
        )
        self.url = ""
        self.client: aiohttp.ClientSession

    async def _part(self) -> None:
        if self.broken_part:
            raise ConnectionError("refused at 10.0.0.1 with password hunter2")

    async def driver(self, email: str = "driver@example.org", *, staff: bool = False) -> dict[str, str]:
        """Registers somebody and gives the headers to ask with."""
        await self.people.register(email=email, password="a long sentence", name="Driver")
        if staff:
            await self.people.make_staff(email)
        pair = await self.people.log_in(email=email, password="a long sentence")
        return {"Authorization": f"Bearer {pair.access_token}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, JSON and the response itself."""
        async with self.client.request(method, self.url + path, **options) as response:
            body = await response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, (await response.json(content_type=None) if is_json else body), response


def _partner_door() -> Any:
    @post("/door", status_code=200)
    async def door(data: JSONBody[Any]) -> dict[str, str]:
        raise Conflict("hold.taken", evse_uid="E1")

    return door


@pytest.fixture
async def operator(store: Store) -> AsyncIterator[Operator]:
    world = Operator(store)
    listener = socket.create_server(("127.0.0.1", 0))
    world.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        world.app,
        log_level="critical",
        access_log=False,
        http="httptools",
        loop="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await world.stations.put_own([RECIFE], [NORMAL])
    await world.keeper.recover()
    await world.desk.recover()
    keeping = asyncio.create_task(world.keeper.run())
    async with aiohttp.ClientSession() as world.client:
        yield world  # the port listens already: the first request just waits for the start
    server.should_exit = True
    await serving
    keeping.cancel()
    await world.desk.close()
    await world.outbox.close()


@pytest.fixture
def trip() -> dict[str, Any]:
    """A trip that can be had, once for each departure."""
    return {
        "origin": "Joao Pessoa",
        "destination": "Recife",
        "vehicle": "demo-compact",
        "soc": 0.6,
        "departs_at": "2030-03-01T08:00:00-03:00",
    }
