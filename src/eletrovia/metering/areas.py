"""What neighbourhoods use, and the whole city: sums over many meters, never so few that one shows through."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

from eletrovia.base.errors import Denied, Invalid, NotFound
from eletrovia.base.window import Window
from eletrovia.metering.hours import Hours, moment_of
from eletrovia.metering.latest import EVERYWHERE
from eletrovia.metering.live import Hear, Live, Stop
from eletrovia.metering.reading import epoch_us
from eletrovia.metering.usage import Resolution
from eletrovia.metering.usagequery import UsageQuery

FEWEST: Final = 5
"""With fewer meters a sum says too much about each: only staff sees it."""
MOST_DAYS: Final = 3_700


class AreaSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of an area in ``[starts_at, ends_at)``, of as many meters as it is known of."""

    starts_at: datetime
    ends_at: datetime
    energy_wh: int
    estimated_wh: int
    meters: int


class AreaNow(msgspec.Struct, frozen=True, kw_only=True):
    """What an area draws: the sum over its meters that were heard within the hour; ``at``, the newest."""

    at: datetime
    power_w: int
    meters: int


class Area(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A neighbourhood. ``now`` is left out where nothing was heard, or too few meters were."""

    name: str
    usage_points: int
    now: AreaNow | None = None


class Areas:
    """Sums by neighbourhood; a None for the name is all of them together."""

    def __init__(self, query: UsageQuery, live: Live, hours: Hours) -> None:
        self._query = query
        self._live = live
        self._hours = hours

    async def areas(self, *, everything: bool) -> list[Area]:
        """All areas by name; ``everything`` shows what only staff may see."""
        keys = {name: key for key, name in (await self._query.area_names()).items()}
        return [
            Area(
                name=name,
                usage_points=points,
                now=self._now(keys[name], everything=everything) if name in keys else None,
            )
            for name, points in await self._query.areas()
        ]

    async def series(
        self, name: str | None, during: Window, resolution: Resolution, *, everything: bool
    ) -> list[AreaSlot]:
        """Hours or days that the window touches, oldest first, those that something is known of.

        Raises: NotFound; Denied for an area with too few usage points; Invalid for another resolution, or
                too long a window.
        """
        await self.check(name, everything=everything)
        if resolution not in (Resolution.HOUR, Resolution.DAY):
            raise Invalid("usage.resolution_of_areas", resolution=resolution.value)
        first = int(self._hours.of(np.array([epoch_us(during.starts_at)]))[0])
        end = int(self._hours.until(np.array([epoch_us(during.ends_at)]))[0])
        days = self._hours.day_of(np.array([first, end - 1])).tolist()
        if days[1] - days[0] >= MOST_DAYS:
            raise Invalid("usage.too_long", most=MOST_DAYS)
        sums = await self._query.area_days(name, self._hours.date_of(days[0]), self._hours.date_of(days[1]))
        fewest = 1 if everything else FEWEST
        if resolution is Resolution.DAY:
            edges = self._hours.first_hour[days[0] : days[1] + 2].tolist()
            return [
                self._slot(edges[n], edges[n + 1], int(used.sum()), int(estimated.sum()), int(meters.max()))
                for n, (used, estimated, meters) in enumerate(sums)
                if meters.max() >= fewest
            ]
        number = np.arange(first, end)
        day = self._hours.day_of(number)
        told = sums[day - days[0], :, number - self._hours.first_hour[day]].tolist()
        return [
            self._slot(hour, hour + 1, *values)
            for hour, values in zip(number.tolist(), told, strict=True)
            if values[2] >= fewest
        ]

    async def follow(self, name: str | None, hear: Hear, *, everything: bool) -> tuple[Stop, AreaNow | None]:
        """Calls ``hear`` with the area's new totals until stopped; and the one that stands.

        Raises: NotFound, Denied as ``series``.
        """
        await self.check(name, everything=everything)
        key = EVERYWHERE
        if name is not None:
            keys = {known: key for key, known in (await self._query.area_names()).items()}
            if name not in keys:
                raise NotFound("area.unheard", area=name)
            key = keys[name]
        return self._live.follow_area(key, hear), self._now(key, everything=everything)

    async def check(self, name: str | None, *, everything: bool) -> None:
        """Raises: NotFound where there is no such area; Denied where it is too small to be shown."""
        if name is None:
            return
        points = await self._query.points_in(name)
        if not points:
            raise NotFound("area.unknown", area=name)
        if points < FEWEST and not everything:
            raise Denied("area.too_small", least=FEWEST)

    def _now(self, key: int, *, everything: bool) -> AreaNow | None:
        total = self._live.total_of(key)
        return None if total is None else now_of(total, everything=everything)

    def _slot(self, first: int, end: int, used: int, estimated: int, meters: int) -> AreaSlot:
        return AreaSlot(
            starts_at=self._hours.starts_at(first),
            ends_at=self._hours.starts_at(end),
            energy_wh=used,
            estimated_wh=estimated,
            meters=meters,
        )


def now_of(total: Any, *, everything: bool) -> AreaNow | None:
    """A total as people read it; None where too few meters are in it."""
    if total["meters"] < (1 if everything else FEWEST):
        return None
    return AreaNow(
        at=moment_of(int(total["at_us"])), power_w=int(total["power_w"]), meters=int(total["meters"])
    )
