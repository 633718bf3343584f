"""Old readings leave, what they came to stays; live news crosses from one process to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.window import Window
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.metering.hours import hours_of
from eletrovia.metering.latest import EVERYWHERE
from eletrovia.metering.live import Live
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.retention import Retention
from eletrovia.metering.tally import Pace, Tally
from eletrovia.metering.usage import Resolution
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.usagequery import UsageQuery
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Recife")
START = datetime(2026, 1, 30, 3, tzinfo=UTC)
ALL = Window(START - timedelta(days=10), START + timedelta(days=60))


class HandClock(SystemClock):
    """Its days are the test's."""

    at = datetime(2026, 5, 20, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


async def meter(store: Store) -> int:
    async with store.connection() as connection:
        row = await (
            await connection.execute(
                "insert into meter (id, registered_at) values ('m', now()) returning key"
            )
        ).fetchone()
    assert row is not None
    return int(row[0])


async def tell(store: Store, key: int, values: list[tuple[datetime, int]]) -> None:
    readings = [Reading(meter=key, at=at, energy_wh=energy_wh) for at, energy_wh in values]
    await ReadingStore(store, SystemClock()).merge(Readings.of(Source.HTTP, readings))


async def tables(store: Store) -> set[str]:
    async with store.connection() as connection:
        rows = await connection.execute(
            "select relname from pg_class where relkind = 'r' and relname ~ '^reading_2'"
        )
        return {str(name) for (name,) in await rows.fetchall()}


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


QUARTERS = [(START + timedelta(minutes=15 * n, seconds=7), 1000 + 10 * n) for n in range(4 * 24 * 40)]


async def test_old_tables_go_and_usage_stays(store: Store) -> None:
    key, hours = await meter(store), hours_of(ZONE)
    await tell(store, key, QUARTERS)
    tally, book = Tally(store, SystemClock(), hours), StoredUsage(store, hours)
    retention = Retention(store, HandClock(), 3)
    assert await tables(store) == {"reading_2026_01", "reading_2026_02", "reading_2026_03"}
    waits = await retention.prune()
    assert (waits.waits_for, [part.name for part in waits.stay]) == ("arrivals", ["reading_2026_01"])
    await tally.catch_up()
    before = await book.series(key, ALL, Resolution.HOUR)
    looked = await retention.prune(dry_run=True)
    assert [part.name for part in looked.dropped] == ["reading_2026_01"]
    assert len(await tables(store)) == 3
    done = await retention.prune()
    assert (done.waits_for, [part.name for part in done.dropped]) == ("", ["reading_2026_01"])
    assert await tables(store) == {"reading_2026_02", "reading_2026_03"}
    assert (await retention.prune()).dropped == []
    assert await book.series(key, ALL, Resolution.HOUR) == before
    # A late reading next to what is gone: hours whose readings are only half there are not touched.
    await tell(store, key, [(datetime(2026, 2, 1, 0, 4, tzinfo=UTC), QUARTERS[4 * 45 + 1][1])])
    await tally.catch_up()
    after = await book.series(key, ALL, Resolution.HOUR)
    changed = [old.starts_at for old, new in zip(before, after, strict=True) if old != new]
    assert all(at > datetime(2026, 1, 31, 23, tzinfo=UTC) for at in changed)
    assert len(after) == len(before)


async def test_what_somebody_needs_waits_and_what_was_left_half_done_is_finished(store: Store) -> None:
    key = await meter(store)
    await tell(store, key, QUARTERS[::96])
    await Tally(store, SystemClock(), hours_of(ZONE)).catch_up()
    february = datetime(2026, 2, 15, tzinfo=UTC)

    async def billed_until(before: datetime) -> bool:
        return before > february

    waits = await Retention(store, HandClock(), 1, still_needed=billed_until).prune()
    assert (waits.waits_for, [part.name for part in waits.dropped]) == ("still_needed", ["reading_2026_01"])
    assert [part.name for part in waits.stay] == ["reading_2026_02", "reading_2026_03"]
    async with store.connection() as connection:  # as if the plug had been pulled between the two
        await connection.execute("alter table reading detach partition reading_2026_02")
    assert [part.name for part in (await Retention(store, HandClock(), 1).prune()).dropped] == [
        "reading_2026_02", "reading_2026_03"
    ]  # fmt: skip
    assert await tables(store) == set()
    assert (await Retention(store, HandClock(), 0).prune()).keep_from is None


@pytest.mark.parametrize("months", [1, 5, 12, 13])
def test_whole_months_are_kept(store: Store, months: int) -> None:
    kept = Retention(store, HandClock(), months).keep_from()
    assert kept is not None
    assert (2026 * 12 + 4) - (kept.year * 12 + kept.month - 1) == months
    assert (kept.day, kept.hour) == (1, 0)


async def test_news_reaches_listeners_in_other_processes(store: Store, tmp_path: Path) -> None:
    key, clock, hours = await meter(store), SystemClock(), hours_of(ZONE)
    broker = await EmbeddedNats.start(tmp_path / "bus")
    here, there = await Bus.connect(broker.url), await Bus.connect(broker.url)
    query = UsageQuery(store)
    leader, other = Live(query, clock, b"leader__", here), Live(query, clock, b"another_", there)
    tally = Tally(store, clock, hours, audience=leader, pace=Pace(look_s=0.01))
    heard: dict[str, list[Any]] = {"here": [], "there": [], "city": []}
    leader.follow_meter(key, heard["here"].append)
    stop = other.follow_meter(key, heard["there"].append)
    other.follow_area(EVERYWHERE, heard["city"].append)
    tasks = [asyncio.create_task(work) for work in (leader.run(), other.run())]
    try:
        await until(lambda: other.hears and leader.hears)
        await there.flush()
        tasks.append(asyncio.create_task(tally.run()))
        now = clock.now().replace(microsecond=0)
        await tell(store, key, [(now - timedelta(minutes=6), 100), (now, 160)])
        await until(lambda: heard["there"] and heard["city"] and heard["city"][-1]["power_w"])
        assert [(int(one["energy_wh"]), int(one["power_w"])) for one in heard["there"]] == [(160, 600)]
        assert np.array_equal(heard["here"], heard["there"])
        assert (int(heard["city"][-1]["meters"]), int(heard["city"][-1]["power_w"])) == (1, 600)
        stop()
        await tell(store, key, [(now + timedelta(minutes=6), 220)])
        await until(lambda: len(heard["here"]) == 2)
        assert len(heard["there"]) == 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await here.close()
        await there.close()
        await broker.stop()
