"""Days of meters and the areas they count in, written together: sums change by what a day was and is."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.copyrows import PG_EPOCH_DAY
from eletrovia.metering.gathered import Hung
from eletrovia.metering.hours import Hours
from eletrovia.metering.usagestore import UsageStore

Rows = NDArray[Any]
_DAY_OFFSET: Final = 1 << 20


class _Days(NamedTuple):
    """Rows of usage_day that a transaction touches. Days count from 2000-01-01."""

    meter: Rows
    stretch: Rows
    day: Rows
    of_hour: Rows
    """Which of them each hour belongs to, and where in it."""
    at: Rows


async def put_days(store: UsageStore, touched: Rows, hung: Hung, hours: Hours) -> None:
    """Write hours (``rollup.HOUR``) into their meters' days, and correct the areas those count in.

    Locks: whoever calls it is the only one in this database; see ``tally``.
    """
    if not len(touched):
        return
    days = _days(touched, hours)
    old_area, old_wh, old_estimated = await store.days(days.meter, days.day)
    new_wh, new_estimated = old_wh.copy(), old_estimated.copy()
    new_wh[days.of_hour, days.at] = touched["usage_wh"]
    new_estimated[days.of_hour, days.at] = touched["estimated_wh"]
    ends = hours.first_hour[days.day + _to_2000(hours) + 1]
    new_area = hung.at(days.stretch, hours.edges_us[ends] - 1)
    differs = (old_wh != new_wh).any(axis=1) | (old_estimated != new_estimated).any(axis=1)
    differs |= (old_area != new_area) & (new_wh >= 0).any(axis=1)
    which = np.flatnonzero(differs)
    if not len(which):
        return
    day = days.day[which]
    await store.put_days(days.meter[which], day, new_area[which], new_wh[which], new_estimated[which])
    await _correct_areas(
        store,
        np.concatenate([old_area[which], new_area[which]]),
        np.concatenate([day, day]),
        np.concatenate([old_wh[which], new_wh[which]]),
        np.concatenate([old_estimated[which], new_estimated[which]]),
    )


def _days(touched: Rows, hours: Hours) -> _Days:
    number = hours.day_of(touched["hour"])
    at = touched["hour"] - hours.first_hour[number]
    key, first, of_hour = np.unique(
        touched["meter"].astype(np.int64) << 20 | number, return_index=True, return_inverse=True
    )
    day = (key & ((1 << 20) - 1)) - _to_2000(hours)
    return _Days(touched["meter"][first], touched["stretch"][first], day, of_hour, at)


async def _correct_areas(store: UsageStore, area: Rows, day: Rows, hour_wh: Rows, estimated_wh: Rows) -> None:
    """The first half of the rows leaves the sums of its areas, the second half enters."""
    sign = np.ones((len(area), 1), np.int64)
    sign[: len(area) // 2] = -1
    there = area > 0  # 0: there was no such row
    known = hour_wh >= 0
    parts = (np.where(known, hour_wh, 0) * sign, estimated_wh * sign, known * sign)
    key, where = np.unique(
        area[there].astype(np.int64) << 32 | (day[there] + _DAY_OFFSET), return_inverse=True
    )
    order = np.argsort(where, kind="stable")
    heads = np.searchsorted(where[order], np.arange(len(key)))
    sums = []
    for part in parts:
        sums.append(np.add.reduceat(part[there][order], heads) if len(key) else part[:0])
    some = np.logical_or.reduce([total.any(axis=1) for total in sums])
    if some.any():
        areas, days = key >> 32, (key & (2**32 - 1)) - _DAY_OFFSET
        await store.add_to_areas(areas[some], days[some], *(total[some] for total in sums))


def _to_2000(hours: Hours) -> int:
    """Days from where hours are counted from to where the database counts days from."""
    return PG_EPOCH_DAY - hours.day_zero.toordinal()
