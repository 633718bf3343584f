"""What other parts ask about usage: registers from the readings themselves, series from what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.metering.hours import Hours, moment_of
from eletrovia.metering.markstore import MarkStore
from eletrovia.metering.reading import epoch_us
from eletrovia.metering.register import LONG_US, Unrolled, on_the_line, unroll
from eletrovia.metering.usage import Mark, MarkKind, RegisterAt, Resolution, Slot
from eletrovia.metering.usagequery import Latest, MeterReadings, UsageQuery
from eletrovia.store.pool import Store

MOST_SLOTS: Final = 100_000
"""Longer series are asked for in pieces."""


class StoredUsage:
    """Usage of single meters; ``usage.UsageBook`` says what each answer means.

    Registers and single readings are as of now. Hours, days and months lag behind them by a moment: as long
    as it takes whoever works them out (``tally.Tally``).
    """

    def __init__(self, store: Store, hours: Hours) -> None:
        self._query = UsageQuery(store)
        self._marks = MarkStore(store)
        self._hours = hours

    async def registers_at(self, meter: int, moments: Sequence[datetime]) -> list[RegisterAt]:
        """The unrolled register at each moment, in their order; empty for a meter without readings."""
        if not moments:
            return []
        asked = np.array([epoch_us(moment) for moment in moments])
        readings = await self._query.readings(meter, int(asked.min()), int(asked.max()))
        if not len(readings.at_us):
            return []
        registers, exact = on_the_line(_unrolled(readings), readings.at_us, asked)
        # From the first reading's own value on, so that numbers look like the register they are about.
        return [
            RegisterAt(
                at=moment,
                energy_wh=register + int(readings.energy_wh[0]),
                measured=measured,
                before_first=at_us < int(readings.at_us[0]),
            )
            for moment, at_us, register, measured in zip(
                moments, asked.tolist(), registers.tolist(), exact.tolist(), strict=True
            )
        ]

    async def series(self, meter: int, during: Window, resolution: Resolution) -> list[Slot]:
        """Usage in slots of that resolution, oldest first; slots nothing is known of are left out.

        Every slot that the window touches, whole. Raises: Invalid when there are too many.
        """
        if resolution is Resolution.READING:
            return await self._by_reading(meter, during)
        first = self._hours.of(np.array([epoch_us(during.starts_at)]))[0]
        end = self._hours.until(np.array([epoch_us(during.ends_at)]))[0]
        days = self._hours.day_of(np.array([first, end - 1]))
        if resolution is Resolution.MONTH:
            days = np.array([self._month_start(days[0]), self._month_start(days[1], later=1) - 1])
        if resolution is not Resolution.HOUR:
            first, end = self._hours.first_hour[days[0]], self._hours.first_hour[days[1] + 1]
        if end - first > 24 * MOST_SLOTS or (resolution is Resolution.HOUR and end - first > MOST_SLOTS):
            raise Invalid("usage.too_long", most=MOST_SLOTS)
        usage, estimated, known = await self._by_hour(meter, int(first), int(end), days)
        return self._slots(resolution, int(first), usage, estimated, known)

    async def marks(self, meter: int, during: Window) -> list[Mark]:
        """Marks that touch the window, oldest first."""
        found = await self._marks.of_meter(meter, during)
        found += [_estimated(meter, run) for run in await self._query.estimates(meter, during)]
        return sorted(found, key=lambda mark: (mark.starts_at, mark.ends_at, mark.kind))

    async def latest(self, meter: int) -> Latest | None:
        """The meter's last reading that counts."""
        return await self._query.latest(meter)

    # -- below --------------------------------------------------------------------------------------------

    async def _by_reading(self, meter: int, during: Window) -> list[Slot]:
        readings = await self._query.readings(
            meter, epoch_us(during.starts_at), epoch_us(during.ends_at) - 1, most=MOST_SLOTS + 2
        )
        if len(readings.at_us) > MOST_SLOTS + 1:
            raise Invalid("usage.too_long", most=MOST_SLOTS)
        unrolled = _unrolled(readings)
        used = np.diff(unrolled.register_wh).tolist()
        estimated = np.diff(unrolled.estimated_wh).tolist()
        moments = [moment_of(at_us) for at_us in readings.at_us.tolist()]
        return [
            Slot(starts_at=start, ends_at=end, energy_wh=energy_wh, estimated_wh=estimated_wh)
            for start, end, energy_wh, estimated_wh in zip(
                moments, moments[1:], used, estimated, strict=False
            )
        ]

    async def _by_hour(
        self, meter: int, first: int, end: int, days: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        usage = np.zeros(end - first, np.int64)
        estimated = np.zeros(end - first, np.int64)
        known = np.zeros(end - first, np.bool_)
        starts = self._hours.first_hour
        rows = await self._query.days(
            meter, self._hours.date_of(int(days[0])), self._hours.date_of(int(days[1]))
        )
        for day, hour_wh, estimated_wh in rows:
            number = self._hours.day_number(day)
            begin, stop = max(int(starts[number]), first), min(int(starts[number + 1]), end)
            there, own = (
                slice(begin - first, stop - first),
                slice(begin - starts[number], stop - starts[number]),
            )
            values = np.array(hour_wh[own], np.int64)
            known[there] = values >= 0
            usage[there] = np.maximum(values, 0)
            if estimated_wh is not None:
                estimated[there] = estimated_wh[own]
        edges = self._hours.edges_us[first : end + 1]
        for gap in await self._marks.long_gaps(
            meter, Window(moment_of(int(edges[0])), moment_of(int(edges[-1]))), LONG_US / 1e6
        ):
            added = _straight(gap, edges)
            usage += added
            estimated += added
            known |= (edges[1:] > epoch_us(gap.starts_at)) & (edges[:-1] < epoch_us(gap.ends_at))
        return usage, estimated, known

    def _slots(
        self,
        resolution: Resolution,
        first: int,
        usage: NDArray[np.int64],
        estimated: NDArray[np.int64],
        known: NDArray[np.bool_],
    ) -> list[Slot]:
        number = np.arange(first, first + len(usage))
        if resolution is Resolution.HOUR:
            starts = np.arange(len(usage))
        else:
            day = self._hours.day_of(number)
            part = day
            if resolution is Resolution.MONTH:
                firsts, of_hour = np.unique(day, return_inverse=True)
                part = np.array([self._month_start(one) for one in firsts])[of_hour]
            starts = np.flatnonzero(np.r_[True, part[1:] != part[:-1]])
        ends = np.append(number[starts], first + len(usage))
        edges = [moment_of(edge) for edge in self._hours.edges_us[ends].tolist()]
        used, doubtful = np.add.reduceat(usage, starts).tolist(), np.add.reduceat(estimated, starts).tolist()
        any_known = np.logical_or.reduceat(known, starts).tolist()
        return [
            Slot(
                starts_at=edges[n],
                ends_at=edges[n + 1],
                energy_wh=used[n],
                estimated_wh=doubtful[n],
            )
            for n in range(len(starts))
            if any_known[n]
        ]

    def _month_start(self, day: int, *, later: int = 0) -> int:
        """The number of the first day of its month, or of a month after it."""
        first = self._hours.date_of(int(day)).replace(day=1)
        for _ in range(later):
            first = (first + timedelta(days=32)).replace(day=1)
        return self._hours.day_number(first)


def _unrolled(readings: MeterReadings) -> Unrolled:
    return unroll(
        np.array([0, len(readings.at_us)]),
        readings.at_us,
        readings.energy_wh,
        readings.estimated,
        readings.accepted,
        np.array([readings.rolls_over_at_wh]),
        np.array([readings.max_power_w]),
        np.array([readings.interval_s]),
    )


def _straight(gap: Mark, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a gap that counts adds to each hour: the line that registers are on."""
    ends = np.array([epoch_us(gap.starts_at), epoch_us(gap.ends_at)])
    line = Unrolled(
        np.array([0, gap.energy_wh]), np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.uint8)
    )
    added: NDArray[np.int64] = np.diff(on_the_line(line, ends, edges)[0])
    return added


def _estimated(meter: int, run: tuple[datetime, datetime]) -> Mark:
    return Mark(meter=meter, kind=MarkKind.ESTIMATED, starts_at=run[0], ends_at=run[1], energy_wh=0)
