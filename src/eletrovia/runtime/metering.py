"""One operator's metering, put together: readings in, usage, customers, bills, alerts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar import Router
from prometheus_client import CollectorRegistry

from eletrovia.api.routes.alerts import alerts
from eletrovia.api.routes.contracts import contracts
from eletrovia.api.routes.customers import customers
from eletrovia.api.routes.invoices import invoices
from eletrovia.api.routes.meters import meters
from eletrovia.api.routes.readings import meter_readings, readings
from eletrovia.api.routes.tariffs import home_tariffs
from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.base.ids import Ids
from eletrovia.bus.bus import Bus
from eletrovia.charging.location import plain
from eletrovia.metering.access import Access, Sight
from eletrovia.metering.billwords import said
from eletrovia.metering.customers import Customers
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.broker import BrokerGateway
from eletrovia.metering.gateways.login import DeviceLogin
from eletrovia.metering.gateways.mqtt import MqttGateway, Sorter
from eletrovia.metering.hours import hours_of
from eletrovia.metering.intake import Intake, Limits, Observer
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoices import Invoices
from eletrovia.metering.meters import Meters
from eletrovia.metering.paper import Paper
from eletrovia.metering.pricedahead import PricedAhead
from eletrovia.metering.prices import Prices
from eletrovia.metering.privacy import Privacy
from eletrovia.metering.reading import FIRST_AT_US, epoch_us
from eletrovia.metering.readinglog import ReadingLog
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.retention import Retention
from eletrovia.metering.roster import Roster
from eletrovia.metering.tariffbook import TariffShelf
from eletrovia.people.account import Who
from eletrovia.people.people import People
from eletrovia.runtime.alerting import Alerting
from eletrovia.runtime.childgateway import gateway_beside
from eletrovia.runtime.config import Config
from eletrovia.runtime.metrics import ReadingMetrics, Tallies
from eletrovia.runtime.secret import kept_secret
from eletrovia.runtime.tallying import Tallying
from eletrovia.store.pool import Store


def device_keys(config: Config) -> DeviceKeys:
    """Every meter's key, from this utility's own secret."""
    named = config.metering.master_key_file
    path = Path(named).expanduser() if named else config.data.path / "meter.key"
    return DeviceKeys(kept_secret(path).encode())


def tariffs_of(config: Config) -> TariffShelf:
    """The tariffs that homes are billed by. Raises: NotFound, Invalid for a file of the utility's own."""
    named = config.metering.tariff_file
    return TariffShelf(Path(named).expanduser() if named else None)


def time_zone(config: Config) -> ZoneInfo:
    """Where days and months begin. Raises: Invalid for a zone nobody knows."""
    try:
        return ZoneInfo(config.metering.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        raise Invalid("config.time_zone_unknown", name=config.metering.time_zone) from unknown


def issuer(config: Config) -> Issuer:
    """The utility as its bills name it."""
    metering = config.metering
    return Issuer(
        operator_id=config.operator.id,
        name=config.operator.name,
        contact=metering.contact,
        regulator=metering.regulator,
        pix_key=metering.pix_key,
        pix_name=metering.pix_name,
        pix_city=metering.pix_city,
    )


def intake_of(config: Config, store: Store, roster: Roster, clock: Clock, observer: Observer) -> Intake:
    """The path into the readings, as the settings say."""
    sink = ReadingStore(store, clock, partition=config.metering.partition)
    retention = Retention(store, clock, config.metering.keep_readings_months)

    def oldest_us() -> int:
        oldest = retention.keep_from()
        return FIRST_AT_US if oldest is None else epoch_us(oldest)

    limits = Limits(future_s=config.metering.future_s)
    return Intake(sink, roster, clock, limits=limits, observer=observer, oldest_us=oldest_us)


class Metering:
    """Metering's parts inside an operator's server; ``running`` starts and stops them."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        bus: Bus,
        people: People,
        clock: Clock,
        ids: Ids,
        registry: CollectorRegistry,
    ) -> None:
        self.config = config
        self.clock = clock
        self.ids = ids
        self.store = store
        self.bus = bus
        self.people = people
        self.zone = time_zone(config)
        self.tariffs = tariffs_of(config)
        self.keys = device_keys(config)
        self.roster = Roster(store, clock)
        self.tallying = Tallying(
            store,
            bus,
            clock,
            hours_of(self.zone),
            registry,
            keep_readings_months=config.metering.keep_readings_months,
            still_needed=self._readings_needed,
        )
        observer = self.tallying.observer(ReadingMetrics(registry))
        self.intake = intake_of(config, store, self.roster, clock, observer)
        self.devices = DeviceLogin(self.roster, self.keys)
        self.sorter = Sorter(self.intake, self.roster, clock, self.zone)
        Tallies(registry, "eletrovia_mqtt_readings", "Messages of meters over MQTT", self.sorter.counts)
        self.access = Access(store)
        self.log = ReadingLog(store)
        self.broker = _broker_of(config, self.sorter)
        tell = bus.publish if self.broker is None else self.broker.tell
        self.meters = Meters(store, self.keys, self.intake, clock=clock, tell=tell)
        self.customers = Customers(store, clock=clock, ids=ids)
        self.usage = self.tallying.book
        self.prices = Prices(self.tariffs.book, self.zone)
        self.invoices = Invoices(store, self.usage, self.prices, issuer(config), clock=clock, ids=ids)
        self.paper = Paper(self.zone, said)
        self.privacy = Privacy(store, self.meters, clock=clock, zone=self.zone, usage=self.usage)
        bills = PricedAhead(store, self.prices, self.usage)
        self.alerting = Alerting(
            config, store=store, bus=bus, clock=clock, ids=ids, zone=self.zone, registry=registry, bills=bills
        )
        self.tallying.touched = self.alerting.touched
        self.privacy.add(self.alerting.alerts)
        self.privacy.add(self.invoices.section)

    def routes(self) -> list[Router]:
        """What it answers below /api/v1."""
        return [
            readings(self.intake, self.roster, self.devices, self.people),
            meter_readings(self.log, self._sight, self.people, self.clock),
            meters(self.meters, self.customers, self.access, self.people),
            customers(self.customers, self.meters, self.privacy, self.access, self.people),
            home_tariffs(self.tariffs.book, self.today),
            invoices(self.invoices, self.paper, self.access, self.people),
            contracts(self.invoices, self.access, self.people),
            alerts(self.alerting.alerts, self.access, self.people),
            *self.tallying.routes(self._sight, self.people),
        ]

    def today(self) -> date:
        """The day it is where the meters are."""
        return self.clock.now().astimezone(self.zone).date()

    async def hears(self, who: Who) -> tuple[str, ...]:
        """What they may hear at our broker, as NATS subjects: their alerts."""
        if who.is_staff:
            return ("staff.alerts",)
        try:
            return (f"customers.{await self.access.customer_id(who.account_id)}.alerts",)
        except EletroviaError:  # no customer yet, or no database to ask: the rest of what they may stands
            return ()

    async def _readings_needed(self, before: datetime) -> bool:
        return await self.invoices.need_readings(before)

    async def _sight(self, who: Who, meter_id: str) -> Sight:
        return await self.access.sight(who.account_id, meter_id, is_staff=who.is_staff)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work until the block ends."""
        await self.roster.refresh()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.intake.close)
            workers = [asyncio.create_task(work) for work in (self.roster.run(), self.meters.run())]
            stack.push_async_callback(_cancelled, workers)
            await stack.enter_async_context(self.tallying.running())
            await stack.enter_async_context(mqtt_running(self.broker, self.bus, self.sorter))
            await stack.enter_async_context(gateway_beside(self.config))
            await stack.enter_async_context(self.alerting.running())
            yield


def _broker_of(config: Config, sorter: Sorter) -> BrokerGateway | None:
    """The meters' own broker, where the user has one."""
    if not config.metering.mqtt_url:
        return None
    return BrokerGateway(config.metering.mqtt_url, sorter, name=f"eletrovia-{plain(config.operator.id)}")


@contextlib.asynccontextmanager
async def mqtt_running(broker: BrokerGateway | None, bus: Bus, sorter: Sorter) -> AsyncIterator[None]:
    """Meters come in by MQTT until the block ends: by the bus, or by the user's own broker."""
    async with contextlib.AsyncExitStack() as stack:
        if broker is not None:
            stack.push_async_callback(_cancelled, [asyncio.create_task(broker.run())])
        else:
            gateway = await MqttGateway(bus, sorter).start()
            stack.push_async_callback(gateway.close)
        yield


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
