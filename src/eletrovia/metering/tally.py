"""The one who works out usage: arrivals in, hours, marks and latest values out.

One for a database, by a session lock: sums of areas are corrected by differences, and two who read the same
old row would both correct it. Whoever does not get the lock stands by. Everything is worked out anew from
readings, so a turn that dies half way, or runs twice, changes nothing: its arrivals are forgotten last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import psycopg
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.copyrows import PG_EPOCH_DAY, TooWide
from eletrovia.metering.hours import Hours
from eletrovia.metering.latest import CHANGE
from eletrovia.metering.markstore import put_conflicts, put_marks
from eletrovia.metering.register import places
from eletrovia.metering.rollup import (
    Worked,
    first_look,
    lacking,
    pieces,
    starts_of,
    touched_hours,
    work_out,
)
from eletrovia.metering.usagestore import LOCK, UsageStore
from eletrovia.store.pool import Connection, Store

_log = structlog.get_logger(__name__)

Rows = NDArray[Any]


class Audience(Protocol):
    """Who is told what came of it; ``live.Live`` is one."""

    async def led(self) -> None:
        """This process is the one, from now on."""
        ...

    def tell(self, changes: Rows) -> None:
        """New latest values (``latest.CHANGE``), committed."""
        ...

    def stepped_down(self) -> None:
        """And no more."""
        ...


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done at once."""

    spans: int = 1_000_000
    """Touched stretches taken in one turn: the more wait, the more of one meter's come together."""
    stretches: int = 10_000
    """In one transaction."""
    readings: int = 300_000
    """Likewise, as far as that can be told beforehand."""
    most_readings: int = 3_000_000
    """In memory; a transaction that needs more is split."""
    look_s: float = 0.2
    """How long readings of another process may wait unseen."""
    stand_by_s: float = 1.0


class _Days(NamedTuple):
    """Rows of usage_day that a transaction touches. Days count from 2000-01-01."""

    meter: Rows
    stretch: Rows
    day: Rows
    of_hour: Rows
    """Which of them each hour belongs to, and where in it."""
    at: Rows


class Tally:
    """Works out usage, alone; ``hint`` wakes it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        hours: Hours,
        *,
        pace: Pace | None = None,
        audience: Audience | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._hours = hours
        self._pace = pace or Pace()
        self._audience = audience
        self._hinted = asyncio.Event()
        self._kept_from_us: int | None = None
        self._to_2000 = PG_EPOCH_DAY - hours.day_zero.toordinal()
        self.leads = False
        """Whether it is the one, now."""
        self.turns = 0
        self.stretches = 0

    def hint(self) -> None:
        """Something has arrived: do not wait for the next look."""
        self._hinted.set()

    async def run(self) -> None:
        """Work, or stand by, until cancelled."""
        while True:
            try:
                async with self._store.connection() as connection, self._alone(connection) as alone:
                    if alone:
                        await self._lead(connection)
            except (EletroviaError, psycopg.Error) as failure:
                _log.warning("usage.stumbled", reason=str(failure))
            await asyncio.sleep(self._pace.stand_by_s)

    async def catch_up(self) -> int:
        """Work until nothing is left, if nobody else does; how many turns that took."""
        turns = 0
        async with self._store.connection() as connection, self._alone(connection) as alone:
            while alone and await self.turn(connection):
                turns += 1
        return turns

    @asynccontextmanager
    async def _alone(self, connection: Connection) -> AsyncIterator[bool]:
        """Whether nobody else has the lock; it is ours until the block ends, or the connection does."""
        row = await (await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))).fetchone()
        if row != (True,):
            yield False
            return
        self.leads = True
        try:
            yield True
            await connection.execute("select pg_advisory_unlock(%s)", (LOCK,))
        except BaseException:
            await connection.close()  # and with it the lock, whatever state it is in
            raise
        finally:
            self.leads = False
            if self._audience is not None:
                self._audience.stepped_down()

    async def _lead(self, connection: Connection) -> None:
        _log.info("usage.leads")
        if self._audience is not None:
            await self._audience.led()
        while True:
            self._hinted.clear()
            if await self.turn(connection):
                continue
            try:
                async with asyncio.timeout(self._pace.look_s):
                    await self._hinted.wait()
            except TimeoutError:
                pass

    async def turn(self, connection: Connection) -> bool:
        """Take the oldest arrivals and work them out; whether there were any."""
        store = UsageStore(connection)
        arrivals, spans = await store.arrivals(self._pace.spans)
        if not arrivals:
            return False
        self._kept_from_us = await store.kept_from_us()
        ahead = self._portions(await asyncio.to_thread(pieces, spans))
        while ahead:
            portion = ahead.pop()
            try:
                await self._portion(connection, portion, [] if ahead else arrivals)
            except TooWide:
                ahead += _halves(portion)
        self.turns += 1
        return True

    def _portions(self, spans: Rows) -> list[Rows]:
        """What is done in one transaction each, last one first."""
        weight = (spans["last_s"] - spans["first_s"]) // 900 + 8
        part = np.maximum(
            np.arange(len(spans)) // self._pace.stretches, np.cumsum(weight) // self._pace.readings
        )
        cuts = np.flatnonzero(np.diff(part)) + 1
        return list(reversed(np.split(spans, cuts)))

    async def _portion(self, connection: Connection, spans: Rows, arrivals: list[int]) -> None:
        store = UsageStore(connection)
        changes = np.empty(0, CHANGE)
        async with connection.transaction():
            await store.begin()
            stretches = await store.stretches(spans)
            if len(stretches):
                changes = await self._work(connection, store, stretches, spans)
            if arrivals:
                await store.done_with(arrivals)
        self.stretches += len(stretches)
        if self._audience is not None and len(changes):
            self._audience.tell(changes)

    async def _work(self, connection: Connection, store: UsageStore, stretches: Rows, spans: Rows) -> Rows:
        now = self._clock.now()
        hung = _Hung(await store.fittings(), len(stretches), await store.nowhere())
        readings = await self._readings(store, stretches, spans)
        worked = await asyncio.to_thread(work_out, stretches, readings, self._hours)
        await store.touch(stretches, stretches["first_us"], worked.marked_until_us)
        await put_conflicts(connection, now)
        await put_marks(connection, worked.marks, now)
        await self._put_days(store, self._still_there(stretches, readings, worked), hung)
        latest = worked.latest
        area = hung.at(latest["stretch"], latest["at_us"])
        await store.put_latest(latest, area, _without_readings(stretches, readings), stretches)
        changes = np.empty(len(latest), CHANGE)
        for name in ("meter", "at_us", "energy_wh", "power_w"):
            changes[name] = latest[name]
        changes["area"] = area
        return changes

    async def _readings(self, store: UsageStore, stretches: Rows, spans: Rows) -> Rows:
        """Those the stretches need, in order, with verdicts applied. Raises: TooWide."""
        verdicts = await store.verdicts()
        verdicts = verdicts[np.lexsort((verdicts["at_us"], verdicts["stretch"]))]
        splits = len(spans) > 1 or bool((spans["last_s"] - spans["first_s"] > 3600).all())
        most = self._pace.most_readings if splits else None
        low, high = first_look(stretches)
        await store.touch(stretches, low, high)
        found = await store.readings(int(low.min()), int(high.max()), most)
        found = _judged(found, verdicts, len(stretches))
        far = np.flatnonzero(lacking(stretches, found, self._hours))
        if not len(far):
            return found
        # The neighbours are farther away: find them first, then all that shares an hour with them.
        await store.touch(stretches, stretches["first_us"][far], stretches["last_us"][far], far)
        near = await store.neighbours()
        near = near[np.lexsort((near["at_us"], near["stretch"]))]
        from_, end = touched_hours(stretches, near, self._hours)
        low, high = self._hours.edges_us[from_[far]], self._hours.edges_us[end[far]]
        await store.touch(stretches, low, high, far)
        inside = await store.readings(int(low.min()), int(high.max()), most)
        beside = await store.neighbours()
        is_far = np.zeros(len(stretches), np.bool_)
        is_far[far] = True
        found = np.concatenate([found[~is_far[found["stretch"]]], inside, beside])
        return _judged(found, verdicts, len(stretches))

    def _still_there(self, stretches: Rows, readings: Rows, worked: Worked) -> Rows:
        """The hours whose readings were not dropped meanwhile: what those had come to stays as it is."""
        kept = self._kept_from_us
        if kept is None:
            return worked.hours
        starts = starts_of(readings["stretch"], len(stretches))
        padded = np.append(readings["at_us"], kept)
        oldest = padded[np.where(starts[1:] > starts[:-1], starts[:-1], len(readings))]
        older_were = stretches["known_first_us"] < kept
        stretch = worked.hours["stretch"]
        lost = older_were[stretch] & (self._hours.edges_us[worked.hours["hour"]] < oldest[stretch])
        there: Rows = worked.hours[~lost]
        return there

    # -- days and areas -----------------------------------------------------------------------------------

    async def _put_days(self, store: UsageStore, hours: Rows, hung: _Hung) -> None:
        if not len(hours):
            return
        days = self._days(hours)
        old_area, old_wh, old_estimated = await store.days(days.meter, days.day)
        new_wh, new_estimated = old_wh.copy(), old_estimated.copy()
        new_wh[days.of_hour, days.at] = hours["usage_wh"]
        new_estimated[days.of_hour, days.at] = hours["estimated_wh"]
        ends = self._hours.first_hour[days.day + self._to_2000 + 1]
        new_area = hung.at(days.stretch, self._hours.edges_us[ends] - 1)
        differs = (old_wh != new_wh).any(axis=1) | (old_estimated != new_estimated).any(axis=1)
        differs |= (old_area != new_area) & (new_wh >= 0).any(axis=1)
        which = np.flatnonzero(differs)
        if not len(which):
            return
        day = days.day[which]
        await store.put_days(days.meter[which], day, new_area[which], new_wh[which], new_estimated[which])
        await self._correct_areas(
            store,
            np.concatenate([old_area[which], new_area[which]]),
            np.concatenate([day, day]),
            np.concatenate([old_wh[which], new_wh[which]]),
            np.concatenate([old_estimated[which], new_estimated[which]]),
        )

    def _days(self, hours: Rows) -> _Days:
        number = self._hours.day_of(hours["hour"])
        at = hours["hour"] - self._hours.first_hour[number]
        key, first, of_hour = np.unique(
            hours["meter"].astype(np.int64) << 20 | number, return_index=True, return_inverse=True
        )
        day = (key & ((1 << 20) - 1)) - self._to_2000
        return _Days(hours["meter"][first], hours["stretch"][first], day, of_hour, at)

    @staticmethod
    async def _correct_areas(
        store: UsageStore, area: Rows, day: Rows, hour_wh: Rows, estimated_wh: Rows
    ) -> None:
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


_DAY_OFFSET: Final = 1 << 20


class _Hung:
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


def _halves(spans: Rows) -> list[Rows]:
    """Half of the stretches each; or, of a single one, half of its time."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[middle:], spans[:middle]]
    early, late = spans.copy(), spans.copy()
    early["last_s"] = late["first_s"] = (spans["first_s"] + spans["last_s"]) // 2
    return [late, early]
