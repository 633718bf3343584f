"""The one who works out usage: arrivals in, hours, marks and latest values out.

One for a database, by a session lock: sums of areas are corrected by differences, and two who read the same
old row would both correct it. Whoever does not get the lock stands by. Everything is worked out anew from
readings, so a turn that dies half way, or runs twice, changes nothing: its arrivals are forgotten last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import numpy as np
import psycopg
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.copyrows import TooWide
from eletrovia.metering.daysums import put_days
from eletrovia.metering.gathered import Gathered, gather
from eletrovia.metering.hours import Hours
from eletrovia.metering.latest import CHANGE
from eletrovia.metering.markstore import put_conflicts, put_marks
from eletrovia.metering.rollup import pieces
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


class Tally:
    """Works out usage, alone; ``hint`` wakes it. Takes two connections of the store while it works."""

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
        arrivals, spans = await UsageStore(connection).arrivals(self._pace.spans)
        if not arrivals:
            return False
        kept_from_us = await UsageStore(connection).kept_from_us()
        ahead = self._portions(await asyncio.to_thread(pieces, spans))
        # Portions are written one after the other on the connection that holds the lock, each while the next
        # one is looked up on another: what that reads, no portion writes.
        written: asyncio.Task[None] | None = None
        try:
            while ahead:
                try:
                    portion = await self._gathered(ahead[-1], kept_from_us)
                except TooWide:
                    ahead += _halves(ahead.pop())
                    continue
                ahead.pop()
                if written is not None:
                    await written
                written = asyncio.create_task(self._written(connection, portion, [] if ahead else arrivals))
            if written is not None:
                await written
        except BaseException:
            if written is not None:
                written.cancel()
                await asyncio.gather(written, return_exceptions=True)
            raise
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

    async def _gathered(self, spans: Rows, kept_from_us: int | None) -> Gathered | None:
        async with self._store.transaction() as connection:
            store = UsageStore(connection)
            await store.begin()
            return await gather(
                store,
                spans,
                self._hours,
                kept_from_us=kept_from_us,
                most_readings=self._pace.most_readings,
            )

    async def _written(self, connection: Connection, portion: Gathered | None, arrivals: list[int]) -> None:
        store = UsageStore(connection)
        changes = np.empty(0, CHANGE)
        async with connection.transaction():
            await store.begin()
            if portion is not None:
                changes = await self._write(connection, store, portion)
            if arrivals:
                await store.done_with(arrivals)
        if portion is not None:
            self.stretches += len(portion.stretches)
        if self._audience is not None and len(changes):
            self._audience.tell(changes)

    async def _write(self, connection: Connection, store: UsageStore, portion: Gathered) -> Rows:
        now = self._clock.now()
        stretches, worked = portion.stretches, portion.worked
        await store.touch(stretches, stretches["first_us"], worked.marked_until_us)
        await put_conflicts(connection, now)
        await put_marks(connection, worked.marks, now)
        await put_days(store, portion.hours, portion.hung, self._hours)
        latest = worked.latest
        area = portion.hung.at(latest["stretch"], latest["at_us"])
        await store.put_latest(latest, area, portion.silent, stretches)
        changes = np.empty(len(latest), CHANGE)
        for name in ("meter", "at_us", "energy_wh", "power_w"):
            changes[name] = latest[name]
        changes["area"] = area
        return changes


def _halves(spans: Rows) -> list[Rows]:
    """Half of the stretches each; or, of a single one, half of its time."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[middle:], spans[:middle]]
    early, late = spans.copy(), spans.copy()
    early["last_s"] = late["first_s"] = (spans["first_s"] + spans["last_s"]) // 2
    return [late, early]
