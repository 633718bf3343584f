"""What a customer may ask: everything kept about them, and to be forgotten (LGPD art. 18 II, V, VI)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import NotFound
from eletrovia.base.window import Window
from eletrovia.metering import erasure
from eletrovia.metering.customer import Stay
from eletrovia.metering.customerstore import CustomerStore
from eletrovia.metering.meters import Meters
from eletrovia.metering.section import Kept, Section
from eletrovia.metering.usage import Resolution, UsageBook
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)


class DayOfUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of one day of the utility's time zone. Units: Wh."""

    day: date
    energy_wh: int
    estimated_wh: int


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """An erased customer. ``kept`` is what stays of them, and the law that makes us keep it."""

    customer_id: str
    erased_at: datetime
    readings_dropped: int
    kept: list[Kept]


class Privacy:
    """Tells and erases what is kept about a customer; other parts of metering add their sections."""

    def __init__(
        self, store: Store, meters: Meters, *, clock: Clock, zone: ZoneInfo, usage: UsageBook | None = None
    ) -> None:
        self._store = store
        self._rows = CustomerStore(store)
        self._meters = meters
        self._clock = clock
        self._zone = zone
        self._usage = usage
        self._sections: list[Section] = []

    def add(self, section: Section) -> None:
        """Another part has something to tell and to erase; those that were added first are asked first."""
        self._sections.append(section)

    async def export(self, customer_id: str) -> dict[str, Any]:
        """Everything kept about a customer, and nothing about whoever lived there before or after them.

        Raises: NotFound.
        """
        customer = await self._rows.customer(customer_id)
        if customer is None:
            raise NotFound("customer.unknown", customer_id=customer_id)
        now = self._clock.now()
        stays = await self._rows.stays_of(customer_id)
        document: dict[str, Any] = {
            "made_at": now,
            "customer": customer,
            "usage_points": [await self._told(stay, now) for stay in stays],
        }
        for section in self._sections:
            document[section.name] = await section.export(customer_id)
        return document

    async def erase(self, customer_id: str) -> Erased:
        """Nothing personal is left, in one transaction; asked again it drops nothing more.

        Raises: NotFound; Conflict when a part has to finish something first: then nothing has changed.
        """
        for section in self._sections:
            await section.settle(customer_id)
        now = self._clock.now()
        kept: list[Kept] = []
        async with self._store.transaction() as connection:
            known, erased_at = await erasure.lock(connection, customer_id)
            if not known:
                raise NotFound("customer.unknown", customer_id=customer_id)
            if erased_at is not None:
                return Erased(customer_id=customer_id, erased_at=erased_at, readings_dropped=0, kept=[])
            if stays := await erasure.end_stays(connection, customer_id, now):
                kept.append(Kept(what="stays", count=stays))
            dropped = await erasure.thin_readings(connection, customer_id, self._zone, now)
            for section in self._sections:
                kept += await section.erase(connection, customer_id, now)
            await erasure.forget_person(connection, customer_id, now)
        _log.info("customer.erased", customer_id=customer_id, readings_dropped=dropped)
        return Erased(customer_id=customer_id, erased_at=now, readings_dropped=dropped, kept=kept)

    async def _told(self, stay: Stay, now: datetime) -> dict[str, Any]:
        until_at = stay.until_at or now
        stretches = (
            await self._meters.stretches(stay.usage_point_id, Window(stay.from_at, until_at))
            if until_at > stay.from_at
            else []
        )
        days: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0])
        for one in stretches:
            for at, energy_wh, estimated_wh in await self._by_day(one.meter, one.during):
                total = days[at.astimezone(self._zone).date()]
                total[0] += energy_wh
                total[1] += estimated_wh
        return {
            "usage_point_id": stay.usage_point_id,
            "area": stay.area,
            "from_at": stay.from_at,
            "until_at": stay.until_at,
            "meters": [
                {
                    "meter_id": one.meter_id,
                    "from_at": one.during.starts_at,
                    "until_at": one.during.ends_at,
                    "start_wh": one.start_wh,
                    "end_wh": one.end_wh,
                }
                for one in stretches
            ],
            "usage_by_day": [
                DayOfUsage(day=day, energy_wh=energy_wh, estimated_wh=estimated_wh)
                for day, (energy_wh, estimated_wh) in sorted(days.items())
            ],
        }

    async def _by_day(self, meter: int, during: Window) -> list[tuple[datetime, int, int]]:
        """When each day begins, with its usage; of a day that is not all theirs, their part alone."""
        if self._usage is None:
            return []
        found = []
        for slot in await self._usage.series(meter, during, Resolution.DAY):
            starts_at, ends_at = max(slot.starts_at, during.starts_at), min(slot.ends_at, during.ends_at)
            energy_wh = slot.energy_wh
            if (starts_at, ends_at) != (slot.starts_at, slot.ends_at):
                first, last = await self._usage.registers_at(meter, [starts_at, ends_at])
                energy_wh = last.energy_wh - first.energy_wh
            found.append((starts_at, energy_wh, min(slot.estimated_wh, energy_wh)))
        return found
