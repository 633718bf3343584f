"""One portion of a turn: some stretches with the readings they need, and what those come to. Only reads."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.hours import Hours
from eletrovia.metering.register import places
from eletrovia.metering.rollup import (
    Worked,
    first_look,
    lacking,
    starts_of,
    touched_hours,
    work_out,
)
from eletrovia.metering.usagestore import UsageStore

Rows = NDArray[Any]


class Gathered(NamedTuple):
    """Stretches (``rollup.STRETCH``), what they come to, and where their meters hung.

    Shape:  ``hours`` are those of ``worked`` that may be written; ``silent`` are meters without any reading.
    """

    stretches: Rows
    worked: Worked
    hours: Rows
    silent: Rows
    hung: Hung


class Hung:
    """Where meters hung, when: the last place they were put by then, or else the first they ever were."""

    def __init__(self, fittings: Rows, stretches: int, nowhere: int) -> None:
        self._starts = starts_of(fittings["stretch"], stretches)
        self._from_us = np.ascontiguousarray(fittings["from_us"])
        self._area = np.append(fittings["area"], nowhere)

    def at(self, stretch: Rows, at_us: Rows) -> Rows:
        """The area of each stretch's meter at each moment."""
        stretch = stretch.astype(np.int64)
        place = places(self._starts, self._from_us, stretch, at_us)
        place = np.maximum(place, self._starts[stretch])
        has = self._starts[stretch + 1] > self._starts[stretch]
        area: Rows = self._area[np.where(has, place, -1)]
        return area


async def gather(
    store: UsageStore, spans: Rows, hours: Hours, *, kept_from_us: int | None, most_readings: int
) -> Gathered | None:
    """Look up and work out ``spans`` (``rollup.SPAN_S``); None where they are no meter's. Raises: TooWide."""
    stretches = await store.stretches(spans)
    if not len(stretches):
        return None
    hung = Hung(await store.fittings(), len(stretches), await store.nowhere())
    splits = len(spans) > 1 or bool((spans["last_s"] - spans["first_s"] > 3600).all())
    readings = await _readings(store, stretches, hours, most_readings if splits else None)
    worked = await asyncio.to_thread(work_out, stretches, readings, hours)
    return Gathered(
        stretches,
        worked,
        _still_there(stretches, readings, worked, hours, kept_from_us),
        _without_readings(stretches, readings),
        hung,
    )


async def _readings(store: UsageStore, stretches: Rows, hours: Hours, most: int | None) -> Rows:
    """Those the stretches need, in order, with verdicts applied. Raises: TooWide."""
    verdicts = await store.verdicts()
    verdicts = verdicts[np.lexsort((verdicts["at_us"], verdicts["stretch"]))]
    low, high = first_look(stretches)
    await store.touch(stretches, low, high)
    found = await store.readings(int(low.min()), int(high.max()), most)
    found = await asyncio.to_thread(_judged, found, verdicts, len(stretches))
    far = np.flatnonzero(await asyncio.to_thread(lacking, stretches, found, hours))
    if not len(far):
        return found
    # The neighbours are farther away: find them first, then all that shares an hour with them.
    await store.touch(stretches, stretches["first_us"][far], stretches["last_us"][far], far)
    near = await store.neighbours()
    near = near[np.lexsort((near["at_us"], near["stretch"]))]
    from_, end = touched_hours(stretches, near, hours)
    low, high = hours.edges_us[from_[far]], hours.edges_us[end[far]]
    await store.touch(stretches, low, high, far)
    inside = await store.readings(int(low.min()), int(high.max()), most)
    beside = await store.neighbours()
    is_far = np.zeros(len(stretches), np.bool_)
    is_far[far] = True
    found = np.concatenate([found[~is_far[found["stretch"]]], inside, beside])
    return await asyncio.to_thread(_judged, found, verdicts, len(stretches))


def _still_there(stretches: Rows, readings: Rows, worked: Worked, hours: Hours, kept: int | None) -> Rows:
    """The hours whose readings were not dropped meanwhile: what those had come to stays as it is."""
    if kept is None:
        return worked.hours
    starts = starts_of(readings["stretch"], len(stretches))
    padded = np.append(readings["at_us"], kept)
    oldest = padded[np.where(starts[1:] > starts[:-1], starts[:-1], len(readings))]
    older_were = stretches["known_first_us"] < kept
    stretch = worked.hours["stretch"]
    lost = older_were[stretch] & (hours.edges_us[worked.hours["hour"]] < oldest[stretch])
    there: Rows = worked.hours[~lost]
    return there


def _judged(readings: Rows, verdicts: Rows, stretches: int) -> Rows:
    """In order, without excluded ones, and each known to be accepted or not."""
    readings = readings[np.lexsort((readings["at_us"], readings["stretch"]))]
    if not len(verdicts) or not len(readings):
        return readings
    starts = starts_of(readings["stretch"], stretches)
    at_us = np.ascontiguousarray(readings["at_us"])
    asked = verdicts["stretch"].astype(np.int64)
    place = places(starts, at_us, asked, verdicts["at_us"])
    there = (place >= starts[asked]) & (at_us[place] == verdicts["at_us"])
    readings["accepted"][place[there & verdicts["accepted"]]] = True
    stays = np.ones(len(readings), np.bool_)
    stays[place[there & ~verdicts["accepted"]]] = False
    return readings[stays]


def _without_readings(stretches: Rows, readings: Rows) -> Rows:
    """Meters that have not a single reading."""
    starts = starts_of(readings["stretch"], len(stretches))
    newest = np.append(stretches["meter"][1:] != stretches["meter"][:-1], True)
    gone: Rows = stretches["meter"][newest & (starts[1:] == starts[:-1])]
    return gone
