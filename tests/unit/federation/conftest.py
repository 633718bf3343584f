"""Two operators that are real but for what they sell: databases, servers on loopback, credentials."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files

import aiohttp
import msgspec
import psycopg
import pytest
import uvicorn
from litestar import Litestar

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Denied, EletroviaError
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldReply, HoldRequest, Outcome, Ticket
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.charging.live import StationState, station_state
from eletrovia.charging.location import (
    Connector,
    ConnectorStandard,
    Evse,
    Location,
    PowerType,
    split_operator_id,
)
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension
from eletrovia.federation.caller import Call, Patience
from eletrovia.federation.circuit import Reach
from eletrovia.federation.client import FederationClient
from eletrovia.federation.directory import Directory
from eletrovia.federation.live import LivePublisher
from eletrovia.federation.server import router
from eletrovia.federation.wire import Card
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.pool import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ShiftedClock(SystemClock):
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class OneWindow:
    """Keeps holds as simply as can be: a window once taken is taken, and only its home moves it."""

    def __init__(self) -> None:
        self.taken: dict[HoldKey, HoldRequest] = {}
        self.applied: list[Decision] = []
        self.batches: list[int] = []
        self.pause_s = 0.0
        self.fail: Exception | None = None

    async def hold(self, caller: str, requests: Sequence[HoldRequest]) -> list[HoldReply | EletroviaError]:
        self.batches.append(len(requests))
        await asyncio.sleep(self.pause_s)
        if self.fail is not None:
            raise self.fail
        return [self._hold(request) for request in requests]

    def _hold(self, request: HoldRequest) -> HoldReply | EletroviaError:
        if request.evse_uid == "cursed":
            return Conflict("hold.key_reused", hold=str(request.key))
        for other in self.taken.values():
            same_evse = other.key != request.key and other.evse_uid == request.evse_uid
            if same_evse and other.window.overlaps(request.window):
                return HoldReply(
                    key=request.key, outcome=Outcome.REFUSED, reason="taken", busy=(other.window,)
                )
        self.taken[request.key] = request
        return HoldReply(key=request.key, outcome=Outcome.HELD, left_s=request.ttl_s)

    async def apply(self, caller: str, decisions: Sequence[Decision]) -> list[EletroviaError | None]:
        answers: list[EletroviaError | None] = []
        for decision in decisions:
            homes = {hold.home for key, hold in self.taken.items() if key.attempt_key == decision.key}
            if homes <= {caller}:
                self.applied.append(decision)
                answers.append(None)
            else:
                answers.append(Denied("hold.not_the_home"))
        return answers

    async def cancel(self, caller: str, cancellations: Sequence[Cancellation]) -> list[EletroviaError | None]:
        return [None for _ in cancellations]

    async def arrive(self, caller: str, arrivals: Sequence[Arrival]) -> list[EletroviaError | None]:
        return [None for _ in arrivals]


class FirstWriter:
    """A register in a dict."""

    def __init__(self) -> None:
        self.stands: dict[AttemptKey, Decision] = {}

    async def propose_all(self, proposals: Sequence[Proposal]) -> list[Decision | EletroviaError]:
        return [
            self.stands.setdefault(
                proposal.key, Decision(key=proposal.key, verdict=proposal.verdict, by=proposal.by)
            )
            for proposal in proposals
        ]

    async def read(self, key: AttemptKey) -> Decision | None:
        return self.stands.get(key)


class FewStations:
    """Stations in a dict, with the windows that are taken at them."""

    def __init__(self, operator_id: str) -> None:
        self.locations: dict[str, Location] = {}
        self.tariffs = [
            Tariff(id="t1", components=(PriceComponent(type=TariffDimension.ENERGY, price=Decimal("1.90")),))
        ]
        self.busy: dict[str, list[Window]] = {}
        self._operator_id = operator_id

    def add(self, location_id: str, updated: datetime = NOON) -> None:
        country_code, party_id = split_operator_id(self._operator_id)
        connector = Connector(
            id="1",
            standard=ConnectorStandard.CCS2,
            power_type=PowerType.DC,
            max_electric_power_w=60_000,
            tariff_ids=("t1",),
        )
        self.locations[location_id] = Location(
            country_code=country_code,
            party_id=party_id,
            id=location_id,
            name=location_id,
            city="Recife",
            coordinates=Point(-8.05, -34.9),
            evses=(
                Evse(uid=location_id, evse_id=f"{self._operator_id}*E{location_id}", connectors=(connector,)),
            ),
            simulated=True,
            last_updated=updated,
        )

    async def own_locations(self) -> list[Location]:
        return list(self.locations.values())

    async def own_tariffs(self) -> list[Tariff]:
        return self.tariffs

    def location_ids(self) -> list[str]:
        return list(self.locations)

    def state(self, location_id: str, sequence: int) -> StationState | None:
        location = self.locations.get(location_id)
        if location is None:
            return None
        return station_state(location, self.busy, sequence=sequence, at=NOON)


def _listen(port: int) -> socket.socket:
    """Answers leave at once: asyncio's own loop sets this only on sockets it made itself."""
    made = socket.create_server(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Side:
    """One operator's federation room with its own database and its own server."""

    def __init__(self, operator_id: str, store: Store) -> None:
        self.operator_id = operator_id
        self.clock = ShiftedClock()
        self.holds = OneWindow()
        self.decisions = FirstWriter()
        self.stations = FewStations(operator_id)
        self.published: list[tuple[str, bytes]] = []
        self.calls: list[Call] = []
        self.reaches: list[tuple[str, Reach]] = []
        self._socket = _listen(0)
        port = self._socket.getsockname()[1]
        card = Card(
            operator_id=operator_id,
            name=operator_id,
            base_url=f"http://127.0.0.1:{port}",
            mqtt_url="mqtt://127.0.0.1:1",
        )
        self.port = port
        self.directory = Directory(store, card, self.clock)
        self.live = LivePublisher(operator_id, self.stations, self._publish, self.clock, every_s=0.02)
        self.client = FederationClient(
            self.directory,
            self.clock,
            patience=Patience(connect_s=0.5, batch_s=0.6, read_s=2.0),
            on_call=self.calls.append,
            on_reach=lambda operator, reach: self.reaches.append((operator, reach)),
        )
        self._serving: asyncio.Task[None] | None = None
        self._server: uvicorn.Server | None = None

    async def _publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    @property
    def url(self) -> str:
        return self.directory.own.base_url

    def live_at(self, mqtt_url: str) -> None:
        """Say so on the card."""
        self.directory.own = msgspec.structs.replace(self.directory.own, mqtt_url=mqtt_url)

    async def serve(self) -> None:
        routes = router(self.directory, self.holds, self.decisions, self.stations, self.live)
        app = Litestar([routes], openapi_config=None)
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        if self._socket.fileno() < 0:
            self._socket = _listen(self.port)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        async with asyncio.timeout(5):
            while not self._server.started:
                await asyncio.sleep(0.01)

    async def fall_silent(self) -> None:
        """Nobody listens at our port any more."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        self._socket.close()
        self._server = None

    async def close(self) -> None:
        await self.client.close()
        await self.fall_silent()
        self._socket.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    async def start() -> EmbeddedPostgres:
        return await EmbeddedPostgres.start(
            tmp_path_factory.mktemp("federation"), settings={"fsync": "off"}, revive=False
        )

    server = asyncio.run(start())
    yield server
    asyncio.run(server.stop())


MIGRATION = files("eletrovia.store").joinpath("migrations/0040_federation.sql")


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> list[str]:
    """URLs of three databases that have our tables; a test finds them empty."""

    def make(name: str) -> str:
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} OWNER eletrovia")  # our own name
        with psycopg.connect(postgres.url_of(name), autocommit=True) as database:
            database.execute(MIGRATION.read_bytes())
        return postgres.url_of(name)

    return [make(f"side_{number}") for number in (1, 2, 3)]


@pytest.fixture
async def make_side(databases: list[str]) -> AsyncIterator[Callable[[str], Awaitable[Side]]]:
    async with AsyncExitStack() as stack:
        free = list(databases)
        made: list[Side] = []

        async def make(operator_id: str) -> Side:
            store = await stack.enter_async_context(await Store.open(free.pop(), size=2))
            async with store.connection() as connection:
                await connection.execute(
                    "TRUNCATE federation_operators, federation_tokens, federation_invitations"
                )
            side = Side(operator_id, store)
            made.append(side)
            await side.directory.load()
            await side.serve()
            return side

        yield make
        await asyncio.gather(*(side.close() for side in made))


@pytest.fixture
async def car(make_side) -> Side:
    return await make_side("BR*CAR")


@pytest.fixture
async def man(make_side) -> Side:
    return await make_side("BR*MAN")


@pytest.fixture
async def partners(car: Side, man: Side) -> tuple[Side, Side]:
    """Carcará has invited, Mandacaru has joined."""
    await man.directory.join(car.url, await car.directory.invite(60))
    return car, man


@pytest.fixture
def request_of() -> Callable[..., HoldRequest]:
    """A hold request of a home for one window; ``number`` makes it another trip."""

    def make(home: str, number: int = 1, *, evse_uid: str = "E1", hour: int = 0) -> HoldRequest:
        trip_id = f"trip_{number}"
        starts_at = NOON + timedelta(hours=hour)
        return HoldRequest(
            key=HoldKey(trip_id, 1, 0),
            home=home,
            evse_uid=evse_uid,
            window=Window(starts_at, starts_at + timedelta(hours=1)),
            ticket=Ticket(NOON, trip_id),
            ttl_s=10,
            energy_wh=20_000,
            charging_s=1800,
            price=Decimal("38.00"),
        )

    return make


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Wait until something is so, or fail after a while."""

    async def wait(true: Callable[[], bool], within_s: float = 5.0) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not true():
                    await asyncio.sleep(0.01)
        assert true()

    return wait
