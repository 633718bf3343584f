"""A utility that bills: real meters, readings and usage on a real database, its clock in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eletrovia.base.ids import Ids
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract
from eletrovia.metering.hours import Hours
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoices import Invoices
from eletrovia.metering.prices import Prices
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.tariff import TariffBook
from eletrovia.metering.tariffbook import SECTIONS, records_of
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Fortaleza")
BOOK = """
[[distributor]]
id = "acme"
name = "Acme"
source = "made up"

[[tax]]
id = "icms"
name = "ICMS"
base = "price"
source = "made up"
rate = [{ from = 2000-01-01, share = 0.20, source = "made up" }]

[[tariff]]
id = "plain"
name = "Plain"
distributor = "acme"
kind = "flat"
source = "made up"
price = [{ from = 2000-01-01, kwh = 0.5, source = "made up" }]

[[tariff]]
id = "taxed"
name = "Taxed"
distributor = "acme"
kind = "flat"
taxes = ["icms"]
source = "made up"
price = [{ from = 2000-01-01, kwh = 0.8, source = "made up" }]
"""
ISSUER = Issuer(
    operator_id="BR*CAR",
    name="Carcará",
    contact="atendimento@carcara.example",
    regulator="ANEEL, 167",
    pix_key="pagamentos@carcara.example",
    pix_city="João Pessoa",
)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 10, 1, 15, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def is_day(self, year: int, month: int, day: int) -> None:
        """It is noon of that day."""
        self.at = datetime(year, month, day, 15, tzinfo=UTC)


def made_up_book() -> TariffBook:
    """Two tariffs: one without taxes, one with."""
    fields: dict[str, dict[str, Any]] = {}
    for record in records_of(BOOK, "made up"):
        fields.setdefault(SECTIONS[record.section][0], {})[record.body.id] = record.body
    return TariffBook(**fields)


def _midnight(year: int, month: int, day: int = 1) -> datetime:
    """When a day of the utility begins."""
    return datetime(year, month, day, tzinfo=ZONE).astimezone(UTC)


class Biller:
    """All that is needed to bill."""

    def __init__(self, store: Store, *, batch: int = 100) -> None:
        self.store = store
        self.clock = HandClock()
        self.ids = Ids(self.clock)
        self.book: TariffBook = made_up_book()
        self.usage = StoredUsage(store, Hours(ZONE))
        self.prices = Prices(lambda: self.book, ZONE)
        self.readings = ReadingStore(store, self.clock)
        self.invoices = Invoices(
            store, self.usage, self.prices, ISSUER, clock=self.clock, ids=self.ids, batch=batch
        )

    async def sql(self, query: str, *values: Any) -> list[Any]:
        async with self.store.connection() as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def customer(self, customer_id: str, *, language: str = "pt-BR", account: str | None = None) -> str:
        await self.sql(
            "insert into customer (id, account_id, name, tax_id, address, language, created_at)"
            " values (%s, %s, %s, '12345678000195', 'Rua das Acácias, 120', %s, %s)",
            customer_id, account, f"Padaria {customer_id}", language, self.clock.now(),
        )  # fmt: skip
        return customer_id

    async def home(
        self,
        point: str,
        *,
        customer: str | None = None,
        since: date = date(2026, 1, 1),
        tariff: str = "plain",
        interval_s: int = 86_400,
        **more: Any,
    ) -> int:
        """A usage point with a meter, a customer and a contract; the meter's key."""
        at = _midnight(since.year, since.month, since.day)
        await self.sql("insert into usage_point (id, created_at) values (%s, %s)", point, at)
        if customer is not None:
            await self.live(point, customer, at)
        await self.invoices.set_contract(
            Contract(usage_point_id=point, valid_from=since, terms=Terms(tariff_id=tariff), **more), by="test"
        )
        return await self.fit(point, f"m-{point}", at, interval_s=interval_s)

    async def live(self, point: str, customer: str, since: datetime, until: datetime | None = None) -> None:
        await self.sql(
            "insert into occupancy values (%s, default, %s, %s, %s)", point, customer, since, until
        )

    async def fit(self, point: str, meter_id: str, since: datetime, *, interval_s: int = 86_400) -> int:
        ((key,),) = await self.sql(
            "insert into meter (id, interval_s, registered_at) values (%s, %s, %s) returning key",
            meter_id, interval_s, since,
        )  # fmt: skip
        await self.sql("insert into fitting values (%s, %s, %s, null, 0, null)", point, key, since)
        return int(key)

    async def read(self, meter: int, values: Sequence[tuple[datetime, int]]) -> None:
        """Readings that are stored."""
        readings = [Reading(meter=meter, at=at, energy_wh=wh) for at, wh in values]
        await self.readings.merge(Readings.of(Source.HTTP, readings))

    async def daily(self, meter: int, start: datetime, days: int, *, wh: int = 10_000, begin: int = 0) -> int:
        """A reading each midnight, both ends included; the last register."""
        await self.read(meter, [(start + timedelta(days=n), begin + n * wh) for n in range(days + 1)])
        return begin + days * wh


@pytest.fixture
def biller(store: Store) -> Biller:
    return Biller(store)


@pytest.fixture
def midnight() -> Callable[..., datetime]:
    """``midnight(2026, 9, 5)``: when that day of the utility begins."""
    return _midnight


@pytest.fixture
def biller_on() -> type[Biller]:
    """Makes more billers: ``biller_on(store)``."""
    return Biller
