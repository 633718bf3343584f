"""One operator's server, put together from its settings, started, and stopped in good order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import nkeys
import structlog
import uvicorn
from litestar import Litestar
from prometheus_client import CollectorRegistry

from eletrovia.api.app import create_app
from eletrovia.api.desks import OperatorCard, Reach
from eletrovia.api.mqtt import TripsOverMqtt
from eletrovia.base.clock import Clock, SystemClock
from eletrovia.base.errors import Conflict, Denied, Invalid
from eletrovia.base.ids import Ids, new_secret
from eletrovia.base.rng import Rng
from eletrovia.booking.board import Board
from eletrovia.booking.desk import Desk, TripPlanner
from eletrovia.booking.holdstore import HoldStore
from eletrovia.booking.homestore import HomeStore
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.offer import StationOffer
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.planner import RoadPlanner
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.shopwindow import PartnerWindow, ShopWindow
from eletrovia.booking.switchboard import Switchboard
from eletrovia.bus.bus import Bus
from eletrovia.bus.callout import Callout, Grant, Knocker
from eletrovia.bus.embedded import CalloutAccess, EmbeddedNats
from eletrovia.bus.layout import CITY_ACCOUNT, BusPorts, Guests
from eletrovia.bus.secret import public_key
from eletrovia.charging.live import StationState
from eletrovia.charging.location import Location, plain
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.client import FederationClient
from eletrovia.federation.directory import Directory
from eletrovia.federation.feed import PartnerFeed
from eletrovia.federation.live import LivePublisher, partner_grant
from eletrovia.federation.server import router as federation_router
from eletrovia.federation.wire import Card
from eletrovia.people.people import People
from eletrovia.people.token import AccessTokens
from eletrovia.runtime.config import BusSection, Config
from eletrovia.runtime.fleet import tether_ends
from eletrovia.runtime.metrics import BookingMetrics
from eletrovia.runtime.secret import kept_secret, write_private
from eletrovia.runtime.world import CarModels, PlaceNames, World, load_world
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)

STAFF_FILE = "staff.json"


class StaffLogin(msgspec.Struct, frozen=True):
    """The account that a new server is given, so that somebody can get in."""

    email: str
    password: str


class Operator:
    """One operator's parts, wired; ``running`` starts and stops them."""

    def __init__(
        self,
        config: Config,
        *,
        world: World,
        store: Store,
        bus: Bus,
        stations: Stations,
        own: Card,
        token_secret: str,
        clock: Clock,
        planner: Callable[[Operator], TripPlanner] | None = None,
        driver_ref: Callable[[str], str] = lambda driver_id: "",
    ) -> None:
        operator_id = config.operator.id
        self.config = config
        self.clock = clock
        self.ids = Ids(clock)
        self.store = store
        self.bus = bus
        self.stations = stations
        self.registry = CollectorRegistry()
        self.board = Board()
        observer = BookingMetrics(self.registry)
        rules = _rules(config)
        self.people = People(
            store, AccessTokens(token_secret.encode(), operator_id, clock), clock=clock, ids=self.ids
        )
        self.directory = Directory(store, own, clock)
        self.client = FederationClient(self.directory, clock)
        self.homes = HomeStore(operator_id, store, clock)
        self.holds = HoldStore(store, clock)
        self.register = LedgerRegister(operator_id, self.homes, observer)
        partner = Switchboard(operator_id, self.register, self.client)
        window = ShopWindow(stations, self.board, clock)
        self.publisher = LivePublisher(operator_id, window, bus.publish, clock)

        def changed(evse_uid: str) -> None:
            location_id = window.location_of(evse_uid)
            if location_id is not None:
                self.publisher.touch(location_id)

        self.keeper = Keeper(
            operator_id,
            ledger=self.holds,
            homes=partner,
            offer=StationOffer(stations, operator_id),
            board=self.board,
            clock=clock,
            rules=rules,
            observer=observer,
            changed=changed,
        )
        partner.connect(self.keeper)
        self.outbox = Outbox(self.homes, partner, observer=observer)
        self.planner = RoadPlanner(
            stations=stations,
            board=self.board,
            roads=world.roads,
            gazetteer=world.gazetteer,
            catalogue=world.catalogue,
            clock=clock,
            is_up=self.is_up,
            margins=world.margins,
        )
        self.desk = Desk(
            operator_id,
            ledger=self.homes,
            register=self.register,
            partner=partner,
            outbox=self.outbox,
            planner=planner(self) if planner is not None else self.planner,
            board=self.board,
            clock=clock,
            ids=self.ids,
            draw=Rng().stream("desk"),
            rules=rules,
            observer=observer,
            driver_ref=driver_ref,
        )
        self._told = PartnerWindow(stations, self.board)
        self._asked_about: set[tuple[str, str]] = set()
        self.feed = PartnerFeed(
            self.directory,
            self.client,
            operator_id,
            on_offer=self._offered,
            on_state=self._heard,
        )
        self.app = create_app(
            desk=self.desk,
            people=self.people,
            stations=stations,
            gazetteer=PlaceNames(world.gazetteer),
            catalogue=CarModels(world.catalogue),
            operator=OperatorCard(operator_id=operator_id, name=own.name, url=own.base_url),
            clock=clock,
            ids=self.ids,
            registry=self.registry,
            taken=self.board.busy,
            directory=self.directory,
            reach=self._reach,
            federation_router=federation_router(
                self.directory, self.keeper, self.register, stations, self.publisher
            ),
            parts={"store": self._check_store, "bus": self._check_bus},
        )

    # -- what parts ask of each other -------------------------------------------------------------------

    def is_up(self, operator_id: str) -> bool:
        """Whether a trip may be planned over this operator's stations."""
        if operator_id == self.config.operator.id:
            return True
        active = any(peer.operator_id == operator_id for peer in self.directory.active())
        return active and self.client.reach(operator_id).up

    def _reach(self, operator_id: str) -> Reach | None:
        reach = self.client.reach(operator_id)
        return Reach(up=reach.up, since=reach.since)

    async def _offered(
        self, operator_id: str, locations: Sequence[Location], tariffs: Sequence[Tariff]
    ) -> None:
        await self.stations.put_partner(operator_id, locations, tariffs)

    def _heard(self, operator_id: str, state: StationState) -> None:
        self._told.heard(operator_id, state)
        key = (operator_id, state.location_id)
        if key in self._asked_about or self.stations.knows(*key):
            return
        # A station that is new there: what it is comes by pulling. Once each, or one that we refused to take
        # in would be asked for at every word about it.
        self._asked_about.add(key)
        self.feed.refresh(operator_id)

    async def _check_store(self) -> None:
        async with self.store.connection() as connection:
            await connection.execute("select 1")

    async def _check_bus(self) -> None:
        await self.bus.flush(timeout_s=1.5)

    async def authorise(self, username: str, password: str, knocker: Knocker) -> Grant | None:
        """Who may do what at our broker: partners hear our stations, drivers ask for trips."""
        try:
            who = self.people.authenticate(password)
        except Denied:
            return partner_grant(self.directory, self.config.operator.id, username, password)
        return Grant(
            name=who.account_id,
            publish=("trips.request",),
            subscribe=(f"trips.reply.{who.account_id}",),
        )

    # -- life -------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recovered and at work until the block ends."""
        await self.directory.load()
        await self.keeper.recover()
        await self.desk.recover()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.holds.close)
            stack.push_async_callback(self.homes.close)
            stack.push_async_callback(self.client.close)
            stack.push_async_callback(self.outbox.close)
            stack.push_async_callback(self.desk.close)
            workers = [
                asyncio.create_task(work)
                for work in (self.desk.run(), self.keeper.run(), self.publisher.run(), self.feed.run())
            ]
            stack.push_async_callback(_cancelled, workers)
            mqtt = await TripsOverMqtt(self.bus, self.desk, self.people).start()
            stack.push_async_callback(mqtt.close)
            yield


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _rules(config: Config) -> Rules:
    booking = config.booking
    return Rules(
        hold_ttl_s=booking.hold_ttl_s,
        ask_s=booking.ask_timeout_s,
        attempts=booking.attempts,
        deadline_s=booking.deadline_s,
        max_ticket_age_s=booking.max_ticket_age_s,
        no_show_grace_s=booking.no_show_grace_s,
        cancel_free_s=booking.cancel_free_s,
        cancel_fee_share=Decimal(str(booking.cancel_fee_share)),
    )


@contextlib.asynccontextmanager
async def opened(
    config: Config,
    *,
    world: World | None = None,
    guests: Guests | None = None,
    driver_ref: Callable[[str], str] = lambda driver_id: "",
) -> AsyncIterator[tuple[Operator, socket.socket]]:
    """An operator on its database and broker, ours or the user's, with the port it will answer on.

    ``guests`` opens the embedded broker to clients without credentials; ``driver_ref`` is the desk's.
    """
    clock = SystemClock()
    data = config.data.path
    async with contextlib.AsyncExitStack() as stack:
        listener = listen(config.http.host, config.http.port)
        stack.callback(listener.close)
        # Three slow starts that need nothing of each other.
        world_ready = asyncio.create_task(asyncio.to_thread(lambda: world or load_world(config.planning)))
        store_ready = asyncio.create_task(_open_store(config, data, stack))
        nats_ready = asyncio.create_task(_open_bus(config, data, stack, guests))
        starts = (world_ready, store_ready, nats_ready)
        try:
            await asyncio.gather(*starts)
        except BaseException:
            await asyncio.gather(*starts, return_exceptions=True)
            raise
        store, (bus, nats) = store_ready.result(), nats_ready.result()
        await migrate(store, now=clock.now())
        host, port = listener.getsockname()[:2]
        mqtt_port = nats.ports.mqtt if nats is not None else config.bus.mqtt_port
        own = Card(
            operator_id=config.operator.id,
            name=config.operator.name,
            base_url=config.operator.public_url.rstrip("/") or f"http://{host}:{port}",
            mqtt_url=f"mqtt://{config.bus.mqtt_public_host}:{mqtt_port}",
        )
        operator = Operator(
            config,
            world=world_ready.result(),
            store=store,
            bus=bus,
            stations=await Stations.open(config.operator.id, clock, store),
            own=own,
            token_secret=kept_secret(data / "token.key"),
            clock=clock,
            driver_ref=driver_ref,
        )
        access = nats.callout if nats is not None else _callout_of(config.bus)
        if access is not None:
            callout = await Callout.start(access, operator.authorise, clock=clock)
            stack.push_async_callback(callout.close)
            if access.system_url is not None:
                operator.directory.watch(_expelling(operator, callout))
        await _first_staff(operator, data)
        await stack.enter_async_context(operator.running())
        yield operator, listener


async def _open_store(config: Config, data: Path, stack: contextlib.AsyncExitStack) -> Store:
    url = config.store.url
    if not url:
        postgres = await EmbeddedPostgres.start(data / "postgresql")
        stack.push_async_callback(postgres.stop)
        url = postgres.url
    store = await Store.open(url, size=config.store.pool_size)
    stack.push_async_callback(store.close)
    return store


async def _open_bus(
    config: Config, data: Path, stack: contextlib.AsyncExitStack, guests: Guests | None
) -> tuple[Bus, EmbeddedNats | None]:
    settings, nats, url = config.bus, None, config.bus.url
    name = plain(config.operator.id)
    if not url:
        ports = BusPorts(nats=settings.nats_port, mqtt=settings.mqtt_port, websocket=settings.websocket_port)
        nats = await EmbeddedNats.start(
            data / "nats", ports=ports, host=config.http.host, server_name=name, guests=guests
        )
        stack.push_async_callback(nats.stop)
        url = nats.url
    bus = await Bus.connect(url, name=name)
    stack.push_async_callback(bus.close)
    return bus, nats


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: Conflict where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Conflict("http.port_taken", host=host, port=port, reason=error.strerror) from error


def _callout_of(settings: BusSection) -> CalloutAccess | None:
    """How a NATS of the user's asks us who may come in; None where it decides by itself.

    Raises: Invalid without a readable seed.
    """
    if not settings.callout_url:
        return None
    try:
        seed = Path(settings.callout_seed_file).read_text().strip()
        public_key(seed)
    except (OSError, ValueError, nkeys.NkeysError) as problem:
        raise Invalid(
            "bus.callout_seed_unreadable", file=settings.callout_seed_file, reason=str(problem)
        ) from problem
    return CalloutAccess(settings.callout_url, settings.system_url or None, seed, CITY_ACCOUNT)


def _expelling(operator: Operator, callout: Callout) -> Callable[[str], None]:
    """When a partner's credentials change, its old connections to our broker end."""
    running: set[asyncio.Task[int]] = set()

    def changed(operator_id: str) -> None:
        task = asyncio.get_running_loop().create_task(callout.expel(plain(operator_id)))
        running.add(task)
        task.add_done_callback(running.discard)

    return changed


async def _first_staff(operator: Operator, data: Path) -> None:
    """A new server gets one staff account, whose password only its data folder knows."""
    path = data / STAFF_FILE
    if path.exists():
        return
    login = StaffLogin(f"staff@{plain(operator.config.operator.id).lower()}.example", new_secret(18))
    with contextlib.suppress(
        Conflict
    ):  # killed between the two writes: the password is lost, ask for another
        await operator.people.register(email=login.email, password=login.password, name="Staff")
        await operator.people.make_staff(login.email)
        write_private(path, msgspec.json.encode(login).decode())


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals: we stop the parts in our order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_server(app: Litestar) -> _Server:
    """A uvicorn server for the app, quiet, with the fast parts."""
    settings = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    return _Server(settings)


Beside = Callable[[Operator], contextlib.AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def _nothing_beside(operator: Operator) -> AsyncIterator[None]:
    yield


async def serve(
    config: Config,
    *,
    world: World | None = None,
    guests: Guests | None = None,
    driver_ref: Callable[[str], str] = lambda driver_id: "",
    beside: Beside = _nothing_beside,
) -> None:
    """Run one operator until SIGINT or SIGTERM, then stop everything in order.

    ``beside`` is what else runs on the operator's parts, from before it answers to after it has stopped.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with (
        opened(config, world=world, guests=guests, driver_ref=driver_ref) as (operator, listener),
        beside(operator),
    ):
        server = http_server(operator.app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        _log.info(
            "operator.ready",
            operator_id=config.operator.id,
            url=operator.directory.own.base_url,
            mqtt=operator.directory.own.mqtt_url,
        )
        ends = [serving, asyncio.create_task(stop.wait()), asyncio.create_task(tether_ends())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        _log.info("operator.stopping", operator_id=config.operator.id)
        server.should_exit = True
        for end in ends[1:]:
            end.cancel()
        await serving
