"""A utility with meters and customers on a real database, its clock in the test's hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eletrovia.base.ids import Ids
from eletrovia.base.window import Window
from eletrovia.metering.access import Access
from eletrovia.metering.customer import Claimant, Stay
from eletrovia.metering.customers import Customers
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.intake import Intake
from eletrovia.metering.meter import NewMeter, Registered
from eletrovia.metering.meters import Meters
from eletrovia.metering.privacy import Privacy
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Recife")


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def pass_by(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at


class Utility:
    """All verbs of meters and customers, wired as the server wires them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.keys = DeviceKeys(b"m" * 32)
        self.roster = Roster(store, self.clock)
        self.intake = Intake(ReadingStore(store, self.clock), self.roster, self.clock)
        self.told: list[tuple[str, bytes]] = []
        self.ids = Ids(self.clock)
        self.access = Access(store)
        self.meters = Meters(store, self.keys, self.intake, clock=self.clock, tell=self.tell)
        self.customers = Customers(store, clock=self.clock, ids=self.ids)
        self.privacy = Privacy(store, self.meters, clock=self.clock, zone=ZONE)

    async def tell(self, topic: str, payload: bytes) -> None:
        self.told.append((topic, payload))

    async def meter(self, meter_id: str, **more: Any) -> Registered:
        """A registered meter."""
        (one,) = await self.meters.register([NewMeter(id=meter_id, **more)])
        assert isinstance(one, Registered), one
        return one

    async def claimed(self, account_id: str, meter_id: str, **more: Any) -> Stay:
        """A new meter, claimed by somebody."""
        one = await self.meter(meter_id, **more)
        return await self.customers.claim(claimant(account_id), meter_id, str(one.claim_code))

    async def read(self, key: int, values: Sequence[tuple[datetime, int]]) -> list[int]:
        await self.roster.refresh()
        readings = [Reading(meter=key, at=at, energy_wh=wh, power_w=wh % 3000) for at, wh in values]
        return list(await self.intake.take(Readings.of(Source.HTTP, readings)))

    async def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        async with self.store.connection() as connection:
            cursor = await connection.execute(statement, values)  # type: ignore[arg-type]
            return await cursor.fetchall()


def claimant(account_id: str) -> Claimant:
    return Claimant(
        account_id=account_id,
        name=f"Owner of {account_id}",
        email=f"{account_id}@example.org".lower(),
        language="pt-BR",
    )


@pytest.fixture
def utility(store: Store) -> Utility:
    return Utility(store)


@pytest.fixture
def ever() -> Window:
    return Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
