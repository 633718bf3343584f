"""Rival gateways on one database, and a database killed under them; each shows first that it can fail."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import DeadlockDetected

from eletrovia.base.clock import Clock, SystemClock
from eletrovia.base.errors import Overloaded, Unavailable
from eletrovia.metering.intake import Intake, Limits
from eletrovia.metering.reading import Fate, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

START_US = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
METERS = 2_000
RIVALS = 4


class AsTheyCome(ReadingStore):
    """Does not put readings in order before they go in."""

    @staticmethod
    def _order(readings: Readings) -> NDArray[np.int64]:
        return np.arange(len(readings))


class Hasty(ReadingStore):
    """Answers while the commit is still on its way."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._away: set[asyncio.Task[NDArray[np.int8]]] = set()

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        self._away.add(asyncio.create_task(super().merge(readings)))
        await asyncio.sleep(0.02)
        return np.zeros(len(readings), np.int8)

    async def landed(self) -> None:
        await asyncio.gather(*self._away, return_exceptions=True)


def shuffled(seed: int, second: int) -> Readings:
    """One reading of every meter at the same moment, in an order of its own."""
    meters = np.random.default_rng(seed).permutation(METERS).astype(np.int32) + 1
    return Readings(
        Source.TCP, meters, np.full(METERS, START_US + second * 1_000_000), meters.astype(np.int64) * 10
    )


async def deadlocks(url: str, kind: type[ReadingStore], rounds: int) -> int:
    """The same readings through all rivals at once; how many transactions PostgreSQL had to end."""
    ended = 0
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(await Store.open(url, size=2)) for _ in range(RIVALS)]
        sinks = [kind(store, SystemClock()) for store in stores]
        for second in range(rounds):
            merges = (sink.merge(shuffled(100 * second + n, second)) for n, sink in enumerate(sinks))
            for answer in await asyncio.gather(*merges, return_exceptions=True):
                if isinstance(answer, DeadlockDetected):
                    ended += 1
                elif isinstance(answer, BaseException):
                    raise answer
    return ended


async def test_canary_readings_as_they_come_deadlock(database_url: str) -> None:
    assert await deadlocks(database_url, AsTheyCome, 6) > 0


async def test_rivals_with_the_same_readings_never_deadlock(database_url: str, store: Store) -> None:
    assert await deadlocks(database_url, ReadingStore, 12) == 0
    async with store.connection() as connection:
        row = await (await connection.execute("select count(*) from reading")).fetchone()
    assert row == (12 * METERS,)


async def _stored(store: Store) -> dict[int, int]:
    async with store.connection() as connection:
        rows = await connection.execute("select meter, count(*) from reading group by meter")
        return {int(meter): int(count) for meter, count in await rows.fetchall()}


async def _answers(store: Store) -> None:
    while True:
        with suppress(Unavailable, Overloaded):
            async with store.connection() as connection:
                await connection.execute("select 1")
                return
        await asyncio.sleep(0.05)


async def _send_while_it_dies(folder: Path, kind: type[ReadingStore]) -> tuple[int, int]:
    """Readings while PostgreSQL is killed again and again; how many were acknowledged, and how many stand."""
    clock = SystemClock()
    postgres = await EmbeddedPostgres.start(folder)
    try:
        async with await Store.open(postgres.url) as store:
            await migrate(store, now=clock.now())
            async with store.connection() as connection:
                await connection.execute(
                    "insert into meter (id, registered_at) "
                    "select 'M' || n, now() from generate_series(1, %s) n",
                    (METERS,),
                )
            limits = Limits(flight=2_000, in_flight=3)
            sink = kind(store, clock)
            intake = Intake(sink, await Roster.open(store, clock), clock, limits=limits)
            settled = 0
            stop = asyncio.Event()

            async def meters(seed: int) -> None:
                nonlocal settled
                second = 0
                while not stop.is_set():
                    readings = shuffled(seed, 10_000 * seed + second)
                    fates = await intake.take_surely(readings)
                    # A commit whose answer was lost comes back as a duplicate of itself.
                    assert set(fates.tolist()) <= {Fate.STORED, Fate.DUPLICATE}
                    settled += len(fates)
                    second += 1

            senders = [asyncio.create_task(meters(seed)) for seed in range(4)]
            for _ in range(4):
                before = settled
                while settled < before + 3 * METERS:
                    await asyncio.sleep(0.01)
                    for sender in senders:
                        if sender.done():
                            sender.result()
                await _answers(store)
                os.kill(postgres.pid, signal.SIGKILL)
            before = settled
            while settled < before + METERS:
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.gather(*senders)
            await intake.close()
            if isinstance(sink, Hasty):
                await sink.landed()
            return settled, sum((await _stored(store)).values())
    finally:
        await postgres.stop()


async def test_canary_an_answer_before_the_commit_loses_readings(tmp_path: Path) -> None:
    settled, stored = await _send_while_it_dies(tmp_path, Hasty)
    assert stored < settled


async def test_what_was_acknowledged_survives_the_death_of_postgresql(tmp_path: Path) -> None:
    settled, stored = await _send_while_it_dies(tmp_path, ReadingStore)
    assert stored == settled
