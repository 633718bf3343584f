"""Two who work out usage at once, and one that is killed in the middle; each shows first that it can fail."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.metering.hours import hours_of
from eletrovia.metering.reading import Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.tally import Pace, Tally
from eletrovia.metering.usagestore import UsageStore
from eletrovia.store.pool import Connection, Store

ZONE = ZoneInfo("America/Recife")
START_US = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
METERS = 150
# Few stretches in a transaction, so that rivals meet often and a kill comes in the middle of a turn.
SMALL = Pace(stretches=20, look_s=0.01, stand_by_s=0.02)

WORKER = """
import asyncio, sys
from zoneinfo import ZoneInfo
from eletrovia.base.clock import SystemClock
from eletrovia.metering.hours import hours_of
from eletrovia.metering.tally import Pace, Tally
from eletrovia.store.pool import Store

async def main():
    async with await Store.open(sys.argv[1], size=2) as store:
        pace = Pace(stretches=20, look_s=0.01, stand_by_s=0.02)
        await Tally(store, SystemClock(), hours_of(ZoneInfo("America/Recife")), pace=pace).run()

asyncio.run(main())
"""


class Careless(Tally):
    """Does not care who else works."""

    @asynccontextmanager
    async def _alone(self, connection: Connection) -> AsyncIterator[bool]:
        yield True


async def _meters(store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "insert into meter (id, registered_at) select 'M' || n, now() from generate_series(1, %s) n",
            (METERS,),
        )


def _round(seed: int) -> list[Readings]:
    """Quarters of an hour in any order, some of them twice, some with gaps."""
    chance = np.random.default_rng(seed)
    meter = np.repeat(np.arange(1, METERS + 1, dtype=np.int32), 8)
    quarter = chance.integers(0, 200, len(meter))
    order = chance.permutation(len(meter))
    return [
        Readings(
            Source.TCP,
            meter[some],
            START_US + quarter[some] * 900_000_000,
            quarter[some] * 50 * (meter[some] % 7 + 1),
        )
        for some in np.array_split(order, 12)
    ]


async def _sums(store: Store) -> tuple[Any, Any, Any]:
    """By area as it is kept, by area as meters' days add up, and what registers say."""
    async with store.connection() as connection:
        rows = await connection.execute(
            "select (select coalesce(sum(x), 0) from area_hour, unnest(hour_wh) x),"
            " (select coalesce(sum(x), 0) from usage_day, unnest(hour_wh) x where x > 0),"
            " (select sum(used) from"
            " (select max(energy_wh) - min(energy_wh) as used from reading group by meter) of_one)"
        )
        row = await rows.fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def _waiting(store: Store) -> int:
    async with store.connection() as connection:
        row = await (await connection.execute("select count(*) from arrival")).fetchone()
    assert row is not None
    return int(row[0])


async def _rivals(url: str) -> None:
    """Three at work while readings come in."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(await Store.open(url, size=2)) for _ in range(3)]
        await _meters(stores[0])
        sink = ReadingStore(stores[0], clock)
        work = [
            asyncio.create_task(Tally(store, clock, hours_of(ZONE), pace=SMALL).run()) for store in stores[1:]
        ]
        for seed in range(4):
            for readings in _round(seed):
                await sink.merge(readings)
        while await _waiting(stores[0]):
            await asyncio.sleep(0.01)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def test_canary_two_at_once_get_the_sums_of_areas_wrong(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = asyncio.Barrier(2)

    def together(look: Any) -> Any:
        """Both have read the same before either writes."""

        async def meet(self: UsageStore, *asked: Any) -> Any:
            found = await look(self, *asked)
            async with asyncio.timeout(30):
                await both.wait()
            return found

        return meet

    monkeypatch.setattr(UsageStore, "arrivals", together(UsageStore.arrivals))
    monkeypatch.setattr(UsageStore, "days", together(UsageStore.days))
    await _meters(store)
    meter = np.repeat(np.arange(1, METERS + 1, dtype=np.int32), 8)
    quarter = np.tile(np.arange(8), METERS)
    plain = Readings(Source.TCP, meter, START_US + quarter * 900_000_000, quarter * 50)
    await ReadingStore(store, SystemClock()).merge(plain)
    async with await Store.open(database_url, size=2) as other:
        rivals = (Careless(one, SystemClock(), hours_of(ZONE), pace=SMALL) for one in (store, other))
        await asyncio.gather(*(rival.catch_up() for rival in rivals))
    kept, added_up, _ = await _sums(store)
    assert kept != added_up


async def test_one_works_and_the_others_stand_by(database_url: str, store: Store) -> None:
    await _rivals(database_url)
    kept, added_up, told = await _sums(store)
    assert kept == added_up == told > 0


async def _everything(store: Store) -> list[Any]:
    async with store.connection() as connection:
        found = []
        for statement in (
            "select meter, day, area, hour_wh, estimated_wh from usage_day order by meter, day",
            "select * from area_hour where 0 < any (meters) order by area, day",
            "select meter, at, energy_wh, power_w, area from meter_latest order by meter",
            "select meter, at, kind, starts_at, energy_wh from mark where cleared_at is null order by 2, 1",
        ):
            found.append(await (await connection.execute(statement)).fetchall())
    return found


async def _from_scratch(store: Store) -> None:
    """All arrivals again, onto nothing."""
    async with store.connection() as connection:
        await connection.execute("truncate usage_day, area_hour, meter_latest, mark")
        rows = await connection.execute(
            "select meter, array_agg((extract(epoch from at) * 1000000)::bigint), array_agg(energy_wh)"
            " from reading group by meter"
        )
        meters = await rows.fetchall()
        await connection.execute("truncate reading")
    sink = ReadingStore(store, SystemClock())
    for meter, moments, values in meters:
        of_one = np.full(len(moments), meter, np.int32)
        await sink.merge(Readings(Source.FILE, of_one, np.array(moments), np.array(values)))
    await Tally(store, SystemClock(), hours_of(ZONE)).catch_up()


async def _killed_again_and_again(url: str, store: Store) -> int:
    """Readings come in while whoever works is killed; how often that was before everything was done."""
    await _meters(store)
    sink = ReadingStore(store, SystemClock())
    kills = 0
    for seed in range(3):
        for readings in _round(seed):
            await sink.merge(readings)
        left = await _waiting(store)
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url)
        # It has begun to write, and is not done: each turn forgets its arrivals last.
        written = await _written(store)
        while await _written(store) == written and await _waiting(store) == left:
            await asyncio.sleep(0.002)
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
        kills += await _waiting(store) > 0
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url)
    while await _waiting(store):
        await asyncio.sleep(0.01)
    worker.kill()
    await worker.wait()
    return kills


async def _written(store: Store) -> Any:
    async with store.connection() as connection:
        return await (
            await connection.execute("select count(*), sum(xmin::text::bigint) from usage_day")
        ).fetchone()


async def test_killed_in_the_middle_it_comes_to_the_same_as_from_scratch(
    database_url: str, store: Store
) -> None:
    assert await _killed_again_and_again(database_url, store) > 0
    kept, added_up, told = await _sums(store)
    assert kept == added_up == told > 0
    found = await _everything(store)
    await _from_scratch(store)
    assert await _everything(store) == found
