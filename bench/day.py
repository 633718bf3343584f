"""A day of a country: every quarter of an hour of every meter, in, worked out, and asked for.

EVBENCH_METERS=1000000 is the whole day of a million (96 million rows, 10 GB); a run of all parts takes fewer.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from bench.rawreadings import FLIGHT, merged_per_s, rows
from bench.report import Figure, figure, share_at
from eletrovia.base.clock import SystemClock
from eletrovia.base.window import Window
from eletrovia.metering.hours import Hours
from eletrovia.metering.intake import Intake, Limits
from eletrovia.metering.reading import Readings, Source, epoch_us
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.metering.tally import Tally
from eletrovia.metering.usage import Resolution
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.usagequery import UsageQuery
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

METERS_VARIABLE: Final = "EVBENCH_METERS"
SLOTS: Final = 96
SLOT_US: Final = 900 * 1_000_000
AREAS: Final = 50
ZONE: Final = ZoneInfo("America/Fortaleza")
DAY: Final = datetime(2026, 3, 2, tzinfo=ZONE).astimezone(UTC)
# A server of this size; the embedded default is for several operators on a laptop.
SETTINGS: Final = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "512MB",
    "effective_cache_size": "16GB",
}


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """Import, size, working out, and the questions that people ask."""
    meters = int(os.environ.get(METERS_VARIABLE, "20000" if quick else "100000"))
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        postgres = await EmbeddedPostgres.start(Path(folder) / "postgresql", settings=SETTINGS)
        try:
            async with await Store.open(postgres.url, size=8) as store:
                return {f"A day of {meters:,} meters": await _day(store, meters, say, broken)}
        finally:
            await postgres.stop()


async def _day(store: Store, meters: int, say: Callable[[str], None], broken: list[str]) -> list[Figure]:
    clock = SystemClock()
    await migrate(store, now=clock.now())
    await _register(store, meters)
    roster = await Roster.open(store, clock)
    limits = Limits(flight=FLIGHT, in_flight=2, room=60_000)
    intake = Intake(ReadingStore(store, clock, partition="day"), roster, clock, limits=limits)
    figures = []

    await intake.take(_whole_days(1, 2, 2))  # makes the days' partitions
    raw = await merged_per_s(store, [_raw_batch(number) for number in range(min(100, meters // 100))])
    say(f"raw merge: {raw:,.0f} rows/s")
    await _sql(store, "truncate reading, arrival")

    began_s = perf_counter()
    total = meters * SLOTS
    done = 0
    for first in range(1, meters + 1, 10_000):
        last = min(first + 10_000, meters + 1)
        step = 100  # 100 meters, 96 readings each: one flight
        await asyncio.gather(
            *(intake.take(_whole_days(one, min(one + step, last), 1)) for one in range(first, last, step))
        )
        done += (last - first) * SLOTS
        if (last - 1) % 100_000 == 0:
            say(f"{done:,} of {total:,} readings, {done / (perf_counter() - began_s):,.0f}/s")
    took_s = perf_counter() - began_s
    figures.append(
        figure(
            "a day imported, meter by meter",
            [total / took_s],
            "readings/s",
            yardstick="raw staged COPY + merge",
            against=[raw],
            note=f"{total:,} readings in {took_s:.0f} s",
        )
    )
    octets = await _number(
        store,
        "select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'reading'::regclass",
    )
    figures.append(figure("a reading's size", [octets / total], "octets", note="row and index"))

    figures += await _worked_out(store, meters, say)
    few = np.arange(1, min(1000, meters) + 1, dtype=np.int32)
    for day in range(1, 30):  # a thousand of them have a whole month
        for start in range(0, len(few), 100):
            await intake.take(_whole_days(int(few[start]), int(few[start]) + 100, 1, offset=-day))
    await _derive(store)
    figures += await _live(store, intake, meters, raw)
    figures += await _asked(store, meters, broken)
    await intake.close()
    return figures


async def _register(store: Store, meters: int) -> None:
    statement = f"""
        insert into meter (id, registered_at, max_power_w)
            select 'M' || n, '2026-01-01Z', 20000 from generate_series(1, {meters}) n;
        insert into usage_point (id, area, created_at)
            select 'M' || n, 'area-' || n % {AREAS}, '2026-01-01Z' from generate_series(1, {meters}) n;
        insert into fitting (usage_point_id, meter, from_at, start_wh)
            select m.id, m.key, '2026-01-01Z', 0 from meter m;
        analyze
    """  # noqa: S608 - numbers of our own
    await _sql(store, statement)


def _register_wh(meters: Any, slots: Any) -> Any:
    """About 6 kWh a day each, a little different in every quarter of an hour."""
    return 1_000_000 + (meters % 977) * 1000 + (slots + 96 * 60) * 60 + (meters * 31 + slots * 17) % 50


def _whole_days(first: int, last: int, days: int, *, offset: int = 0) -> Readings:
    """Meters ``[first, last)``, whole days, as a file tells them."""
    slots = np.arange(offset * SLOTS, (offset + days) * SLOTS, dtype=np.int64)
    meters = np.repeat(np.arange(first, last, dtype=np.int64), len(slots))
    every = np.tile(slots, last - first)
    return Readings(
        Source.FILE, meters.astype(np.int32), epoch_us(DAY) + every * SLOT_US, _register_wh(meters, every)
    )


def _raw_batch(number: int) -> bytes:
    meters = np.arange(number * 100 + 1, number * 100 + 101, dtype=np.int32)
    slots = np.tile(np.arange(100, dtype=np.int64), 100)
    return rows(np.repeat(meters, 100), epoch_us(DAY) + slots * SLOT_US, slots)


async def _worked_out(store: Store, meters: int, say: Callable[[str], None]) -> list[Figure]:
    """Hours, days, months, areas and marks of the whole day, from its readings."""
    took_s = await _derive(store)
    say(f"usage of the day worked out in {took_s:.0f} s")
    octets = await _number(
        store,
        "select sum(pg_total_relation_size(relid)) from pg_stat_user_tables "
        "where relname in ('usage_day', 'usage_month', 'meter_latest', 'area_hour')",
    )
    return [
        figure("its usage worked out", [meters * SLOTS / took_s], "readings/s", note=f"{took_s:.0f} s"),
        figure("roll-ups and latest values", [octets / meters], "octets a meter", note="with their indexes"),
    ]


async def _derive(store: Store) -> float:
    began_s = perf_counter()
    await Tally(store, SystemClock(), Hours(ZONE)).catch_up()
    if left := await _number(store, "select count(*) from arrival"):
        raise RuntimeError(f"{left} arrivals are left")
    return perf_counter() - began_s


async def _live(store: Store, intake: Intake, meters: int, raw: float) -> list[Figure]:
    """The next day's first quarters of an hour, as they come in a country: every meter, in no order."""
    rng = np.random.default_rng(7)
    slots = max(1, min(8, 2_000_000 // meters))
    began_s = perf_counter()
    for slot in range(SLOTS, SLOTS + slots):
        order = rng.permutation(meters).astype(np.int64) + 1
        at_us = epoch_us(DAY) + slot * SLOT_US
        for first in range(0, meters, 100_000):
            some = order[first : first + 100_000]
            told = Readings(
                Source.TCP,
                some.astype(np.int32),
                np.full(len(some), at_us),
                _register_wh(some, np.int64(slot)),
            )
            await intake.take(told)
    took_s = perf_counter() - began_s
    worked_s = await _derive(store)
    total = meters * slots
    return [
        figure(
            "quarters of an hour of everybody, in no order",
            [total / took_s],
            "readings/s",
            yardstick="raw staged COPY + merge",
            against=[raw],
            note="all meters at once, into a day that begins",
        ),
        figure("their usage worked out", [total / worked_s], "readings/s"),
    ]


async def _asked(store: Store, meters: int, broken: list[str]) -> list[Figure]:
    """What a household and a utility ask, with the caches as they are after the import."""
    hours = Hours(ZONE)
    usage, query = StoredUsage(store, hours), UsageQuery(store)
    rng = np.random.default_rng(3)
    everybody = (rng.integers(0, meters, 300) + 1).tolist()
    few = (rng.integers(0, min(1000, meters), 100) + 1).tolist()
    month = Window(DAY - timedelta(days=29), DAY + timedelta(days=1))
    day = Window(DAY, DAY + timedelta(days=1))

    latest = [await _took_ms(query.latest(meter)) for meter in everybody]
    raw_month = [await _took_ms(usage.series(meter, month, Resolution.READING)) for meter in few]
    hour_month = [await _took_ms(usage.series(meter, month, Resolution.HOUR)) for meter in few]
    day_month = [await _took_ms(usage.series(meter, month, Resolution.DAY)) for meter in few]
    edges = [DAY - timedelta(days=29) + timedelta(hours=5 * step) for step in range(130)]
    registers = [await _took_ms(usage.registers_at(meter, edges)) for meter in few]
    first = DAY.astimezone(ZONE).date()
    city = [await _took_ms(query.area_days(None, first, first)) for _ in range(20)]
    area = [await _took_ms(query.area_days("area-7", first - timedelta(days=29), first)) for _ in range(20)]

    # What was asked is also right: a day's hours are the registers' difference, and the city is everybody.
    one, first_slot, end_slot = np.int64(everybody[0]), np.int64(0), np.int64(SLOTS)
    expected = int(_register_wh(one, end_slot) - _register_wh(one, first_slot))
    found = sum(slot.energy_wh for slot in await usage.series(everybody[0], day, Resolution.HOUR))
    if found != expected:
        broken.append(f"meter {everybody[0]} used {found} Wh that day, not {expected}")
    every = np.arange(1, meters + 1, dtype=np.int64)
    whole = int((_register_wh(every, end_slot) - _register_wh(every, first_slot)).sum())
    city_wh = int((await query.area_days(None, first, first))[:, 0].sum())
    if city_wh != whole:
        broken.append(f"the city used {city_wh} Wh that day, not {whole}")

    def asked(name: str, took_ms: list[float], goal_ms: float) -> Figure:
        note = f"p99 {share_at(took_ms, 0.99):.1f} ms; goal {goal_ms:.0f} ms"
        return figure(name, [share_at(took_ms, 0.5)], "ms", note=note)

    return [
        asked("a meter's latest reading", latest, 10),
        asked("a meter's month, every reading", raw_month, 10),
        asked("a meter's month by hour", hour_month, 10),
        asked("a meter's month by day", day_month, 10),
        asked("130 registers for a bill", registers, 10),
        asked("the city's hourly curve of a day", city, 1000),
        asked("an area's hourly curve of a month", area, 1000),
    ]


async def _took_ms(question: Awaitable[object]) -> float:
    began_s = perf_counter()
    await question
    return (perf_counter() - began_s) * 1000


async def _sql(store: Store, statement: str) -> None:
    async with store.connection() as connection:
        await connection.execute(statement.encode())


async def _number(store: Store, statement: str) -> int:
    async with store.connection() as connection:
        row = await (await connection.execute(statement.encode())).fetchone()
        return int(row[0]) if row and row[0] is not None else 0
