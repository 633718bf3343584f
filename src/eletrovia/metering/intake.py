"""The one path behind all gateways: validate, batch, commit, and only then say what became of each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np
import psycopg
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError, Overloaded, Unavailable
from eletrovia.metering.reading import FIRST_AT_US, MOST_ENERGY_WH, Fate, Readings, Source, epoch_us
from eletrovia.metering.roster import Roster

_log = structlog.get_logger(__name__)

Sender = int | NDArray[np.int32]

SETTLED: Final = Fate.CONFLICT
"""Fates up to this one are settled for good."""

Done = TypeVar("Done")

PASSES: Final = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)
"""What PostgreSQL says when it may well do the same thing later: a server whose disk is full, or that is
becoming a standby, may be made read-only for a while, and an administrator may cancel anything."""


class Sink(Protocol):
    """Where readings are committed; ``ReadingStore`` is one."""

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        """Commit and say what became of each; repeating it is harmless."""
        ...


class Observer(Protocol):
    """Hears what became of readings."""

    def settled(self, source: Source, fates: NDArray[np.int8]) -> None:
        """These readings, of one source, were dealt with."""
        ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an intake takes.

    Units: readings; ``future_s`` is how far a meter's clock may go ahead of ours.
    """

    future_s: float = 600.0
    flight: int = 10_000
    """Readings in one transaction, at most."""
    in_flight: int = 2
    """Transactions at once."""
    room: int = 500_000
    """Readings waiting before senders are made to wait."""


class Intake:
    """Takes readings in from everywhere; what is answered as settled is on the disk.

    What arrives while transactions are away leaves together in the next one, so their size follows the load.
    ``oldest_us`` is asked each time: what is kept moves on while we run.
    """

    def __init__(
        self,
        sink: Sink,
        roster: Roster,
        clock: Clock,
        *,
        limits: Limits | None = None,
        observer: Observer | None = None,
        oldest_us: Callable[[], int] = lambda: FIRST_AT_US,
    ) -> None:
        self.roster = roster
        self._sink = sink
        self._clock = clock
        self._limits = limits or Limits()
        self._observer = observer
        self._oldest_us = oldest_us
        self._waiting: deque[tuple[Readings, asyncio.Future[NDArray[np.int8]]]] = deque()
        self._waiting_readings = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._roomier = asyncio.Event()
        self._closed = False
        self._stumbled_at: float | None = None

    @property
    def waiting(self) -> int:
        """Readings that have not left for the database yet."""
        return self._waiting_readings

    async def take(
        self, readings: Readings, *, sender: Sender | None = None, patient: bool = True
    ) -> NDArray[np.int8]:
        """Commit what is valid and answer with a ``Fate`` for each.

        ``sender`` is the meter's or concentrator's key that vouches for them all, or for each; None where the
        way they came has proved already who may speak for whom. A patient taker waits for room, any other is
        refused.
        Raises: Overloaded when there is no room; Unavailable when the database is gone: nothing is known then
                of any of them, and sending the same again is harmless.
        """
        if self._closed:
            raise Unavailable("intake.closed")
        while self._waiting_readings >= self._limits.room:
            if not patient:
                raise Overloaded("intake.full", waiting=self._waiting_readings)
            self._roomier.clear()
            await self._roomier.wait()
        fates = await self._checked(readings, sender)
        good = fates == Fate.STORED
        if good.all():
            fates = await self._commit(readings)
        elif good.any():
            fates[good] = await self._commit(readings.pick(good))
        if self._observer is not None:
            self._observer.settled(readings.source, fates)
        return fates

    async def take_surely(self, readings: Readings, *, sender: Sender | None = None) -> NDArray[np.int8]:
        """As ``take``, patient, until the database is there again: for senders that cannot repeat."""
        return await self.surely(lambda: self.take(readings, sender=sender))

    async def surely(self, work: Callable[[], Awaitable[Done]]) -> Done:
        """What ``work`` answers, tried again until the database is there; twice must be harmless.

        Raises: Unavailable once the intake is closed.
        """
        rest_s = 0.1
        while True:
            try:
                done = await work()
            except (Unavailable, Overloaded, *PASSES) as gone:
                if self._closed:
                    raise Unavailable("intake.closed") from gone
                self._stumbled(gone)
            else:
                self._recovered()
                return done
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, 2.0)

    def _stumbled(self, why: Exception) -> None:
        """Said once, however many wait: a database that is away for a minute is one piece of news."""
        if self._stumbled_at is None:
            self._stumbled_at = self._clock.monotonic()
            _log.warning("intake.repeats", waiting=self._waiting_readings, reason=str(why))

    def _recovered(self) -> None:
        if self._stumbled_at is not None:
            away_s, self._stumbled_at = self._clock.monotonic() - self._stumbled_at, None
            _log.info("intake.recovered", away_s=round(away_s, 1), waiting=self._waiting_readings)

    async def close(self) -> None:
        """Take nothing more, and return when everything taken is answered."""
        self._closed = True
        self._roomier.set()
        while self._flights:
            await asyncio.wait(list(self._flights))

    async def _checked(self, readings: Readings, sender: Sender | None) -> NDArray[np.int8]:
        """STORED for those that may go on, or why not."""
        fates = np.zeros(len(readings), np.int8)
        limits = self._limits
        latest_us = epoch_us(self._clock.now()) + int(limits.future_s * 1e6)
        fates[(readings.energy_wh < 0) | (readings.energy_wh > MOST_ENERGY_WH)] = Fate.IMPOSSIBLE
        fates[readings.at_us > latest_us] = Fate.FROM_THE_FUTURE
        fates[readings.at_us < max(self._oldest_us(), FIRST_AT_US)] = Fate.TOO_OLD
        known = await self.roster.known(readings.meter)
        if sender is not None and known.any():
            may = np.zeros(len(readings), np.bool_)
            who = sender if isinstance(sender, int) else sender[known]
            may[known] = self.roster.may_speak(who, readings.meter[known])
            fates[~may] = Fate.NOT_ITS_METER
        fates[~known] = Fate.UNKNOWN_METER
        return fates

    async def _commit(self, readings: Readings) -> NDArray[np.int8]:
        """In pieces of a flight at most, each with its own answer."""
        most = self._limits.flight
        if len(readings) <= most:
            return await self._put(readings)
        pieces = [
            self._put(readings.pick(np.arange(start, min(start + most, len(readings)))))
            for start in range(0, len(readings), most)
        ]
        return np.concatenate(await asyncio.gather(*pieces))

    def _put(self, readings: Readings) -> asyncio.Future[NDArray[np.int8]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[NDArray[np.int8]] = loop.create_future()
        self._waiting.append((readings, answer))
        self._waiting_readings += len(readings)
        if len(self._flights) < self._limits.in_flight:
            flight = loop.create_task(self._fly())
            self._flights.add(flight)
        return answer

    async def _fly(self) -> None:
        try:
            while self._waiting:
                await self._carry(self._board())
        finally:
            # Here, not in a done callback: what is put between the two would find no flight to take it.
            self._flights.discard(asyncio.current_task())

    def _board(self) -> list[tuple[Readings, asyncio.Future[NDArray[np.int8]]]]:
        """What leaves together: of one source, up to a flight."""
        batch = [self._waiting.popleft()]
        source, count = batch[0][0].source, len(batch[0][0])
        while self._waiting:
            readings, _ = self._waiting[0]
            if readings.source != source or count + len(readings) > self._limits.flight:
                break
            count += len(readings)
            batch.append(self._waiting.popleft())
        self._waiting_readings -= count
        self._roomier.set()
        return batch

    async def _carry(self, batch: list[tuple[Readings, asyncio.Future[NDArray[np.int8]]]]) -> None:
        try:
            fates = await self._sink.merge(_together([readings for readings, _ in batch]))
        except Exception as failure:
            if len(batch) > 1 and not isinstance(failure, (EletroviaError, *PASSES)):
                _log.warning("intake.one_by_one", takers=len(batch), reason=repr(failure))
                for one in batch:  # what is wrong with one taker's readings is no other's trouble
                    await self._carry([one])
                return
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(failure)
            return
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        start = 0
        for readings, answer in batch:
            if not answer.done():
                answer.set_result(fates[start : start + len(readings)])
            start += len(readings)


def _together(batch: list[Readings]) -> Readings:
    if len(batch) == 1:
        return batch[0]
    return Readings(
        batch[0].source,
        np.concatenate([one.meter for one in batch]),
        np.concatenate([one.at_us for one in batch]),
        np.concatenate([one.energy_wh for one in batch]),
        np.concatenate([one.power_w for one in batch]),
        np.concatenate([one.sent_kwh for one in batch]),
        np.concatenate([one.estimated for one in batch]),
    )
