"""One operator's server, put together from its settings, started, and stopped in good order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from decimal import Decimal

import structlog
from prometheus_client import CollectorRegistry

from eletrovia.api.app import create_app
from eletrovia.api.desks import OperatorCard, Reach
from eletrovia.api.mqtt import TripsOverMqtt
from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied
from eletrovia.base.ids import Ids
from eletrovia.base.rng import Rng
from eletrovia.booking.board import Board
from eletrovia.booking.desk import Desk
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
from eletrovia.bus.callout import Grant, Knocker
from eletrovia.charging.live import StationState
from eletrovia.charging.location import Location
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.client import FederationClient
from eletrovia.federation.directory import Directory
from eletrovia.federation.feed import PartnerFeed
from eletrovia.federation.live import LivePublisher, partner_grant
from eletrovia.federation.server import router as federation_router
from eletrovia.federation.wire import Card
from eletrovia.people.people import People
from eletrovia.people.token import ACCESS_TTL, AccessTokens
from eletrovia.runtime.config import Config
from eletrovia.runtime.metering import Metering
from eletrovia.runtime.metrics import BookingMetrics
from eletrovia.runtime.world import CarModels, PlaceNames, World
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)


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
            planner=self.planner,
            board=self.board,
            clock=clock,
            ids=self.ids,
            draw=Rng().stream("desk"),
            rules=rules,
            observer=observer,
            driver_ref=driver_ref,
            outdated=lambda partner_id: self.feed.refresh(partner_id),
        )
        self.metering = Metering(
            config,
            store=store,
            bus=bus,
            people=self.people,
            clock=clock,
            ids=self.ids,
            registry=self.registry,
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
            more_routes=self.metering.routes(),
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
        """Who may do what at our broker: partners hear our stations, drivers ask for trips, customers hear
        their alerts, meters tell."""
        try:
            who = self.people.authenticate(password)
        except Denied:
            partner = partner_grant(self.directory, self.config.operator.id, username, password)
            return partner or await self.metering.devices.grant(username, password)
        return Grant(
            name=who.account_id,
            publish=("trips.request",),
            subscribe=(f"trips.reply.{who.account_id}", *await self.metering.hears(who)),
            lifetime_s=int(ACCESS_TTL.total_seconds()),  # or whoever came in once would listen for good
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
                asyncio.create_task(_kept_at_work(name, work))
                for name, work in (
                    ("desk", self.desk.run),
                    ("keeper", self.keeper.run),
                    ("publisher", self.publisher.run),
                    ("feed", self.feed.run),
                )
            ]
            stack.push_async_callback(_cancelled, workers)
            await stack.enter_async_context(self.metering.running())
            mqtt = await TripsOverMqtt(self.bus, self.desk, self.people).start()
            stack.push_async_callback(mqtt.close)
            yield


async def _kept_at_work(name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run ``work`` until cancelled; what it did not foresee ends one turn of it, never the work."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("worker.stumbled", worker=name)
        await asyncio.sleep(1.0)


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
