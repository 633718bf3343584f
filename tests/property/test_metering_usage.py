"""Readings in any order, in any batches, with verdicts between: usage is what a plain, slow oracle says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import NotFound
from eletrovia.base.window import Window
from eletrovia.metering.hours import hours_of
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.tally import Pace, Tally
from eletrovia.metering.usage import Resolution
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.verdicts import Verdict, Verdicts
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Sao_Paulo")
# The clock went back at midnight of this day, which so had 25 hours ...
BASE = datetime(2018, 2, 17, 12, tzinfo=UTC)
# ... and forward at midnight of 2018-11-04, whose first hour there never was.
FORWARD = datetime(2018, 11, 3, 22, tzinfo=UTC)
MOVED_AT = datetime(2018, 2, 18, 9, tzinfo=UTC)
LONG = timedelta(days=45)


class Nature(NamedTuple):
    rolls_over_at_wh: int | None
    max_power_w: int
    interval_s: int


NATURES = {1: Nature(None, 5_000, 900), 2: Nature(5_000, 4_000, 900), 3: Nature(None, 75_000, 86_400)}


class Sent(NamedTuple):
    meter: int
    at: datetime
    energy_wh: int
    estimated: bool


class Step(NamedTuple):
    """One way between two readings, and what it adds."""

    start: datetime
    end: datetime
    difference_wh: int
    counted_wh: int
    kinds: frozenset[str]
    estimated: bool

    @property
    def long(self) -> bool:
        return self.end - self.start > LONG


class Oracle:
    """Everything about one meter, the obvious way."""

    def __init__(self, nature: Nature, sent: list[Sent], verdicts: dict[datetime, str]) -> None:
        first: dict[datetime, Sent] = {}
        for one in sent:
            first.setdefault(one.at, one)
        self.readings = sorted(
            (one for one in first.values() if verdicts.get(one.at) != "exclude"), key=lambda one: one.at
        )
        self.steps = [
            self._step(nature, before, after, verdicts) for before, after in pairwise(self.readings)
        ]

    @staticmethod
    def _step(nature: Nature, before: Sent, after: Sent, verdicts: dict[datetime, str]) -> Step:
        took = after.at - before.at
        seconds = -(-took // timedelta(seconds=1))
        limit = nature.max_power_w * seconds // 3600 * 21 // 20 + 1000
        difference = after.energy_wh - before.energy_wh
        kinds = set()
        counted = difference
        if difference < 0:
            rolled = difference + (nature.rolls_over_at_wh or 0)
            if nature.rolls_over_at_wh and 0 <= rolled <= min(limit, nature.rolls_over_at_wh // 2):
                kinds.add("roll_over")
                difference = counted = rolled
            else:
                kinds.add("backwards")
                counted = 0
        if difference > limit:
            kinds.add("jump")
            if verdicts.get(after.at) != "accept":
                counted = 0
        if took > 2 * timedelta(seconds=nature.interval_s):
            kinds.add("gap")
        estimated = "gap" in kinds or before.estimated or after.estimated
        return Step(before.at, after.at, difference, counted, frozenset(kinds), estimated)

    def register(self, at: datetime) -> int:
        """From the first reading on."""
        total = 0
        for step in self.steps:
            total += _passed(step, at)
        return total

    def hours(self) -> dict[tuple[date, int], tuple[int, int]]:
        """Usage and its estimated part by day and hour of that day."""
        found: dict[tuple[date, int], list[int]] = defaultdict(lambda: [0, 0])
        for step in self.steps:
            if step.long:
                continue
            day = step.start.astimezone(ZONE).date()
            while _midnight(day) < step.end:
                for number, (start, end) in enumerate(_hours(day)):
                    if start < step.end and end > step.start:
                        used = _passed(step, end) - _passed(step, start)
                        found[day, number][0] += used
                        found[day, number][1] += used if step.estimated else 0
                day += timedelta(days=1)
        return {key: (used, estimated) for key, (used, estimated) in found.items()}

    def marks(self) -> set[tuple[datetime, str, datetime, int]]:
        return {
            (step.end, kind, step.start, step.counted_wh if kind == "gap" else step.difference_wh)
            for step in self.steps
            for kind in step.kinds
        }


def _passed(step: Step, at: datetime) -> int:
    if at <= step.start:
        return 0
    if at >= step.end:
        return step.counted_wh
    # Python's whole numbers have no end: nothing is rounded but once, down.
    tick = timedelta(microseconds=1)
    return step.counted_wh * ((at - step.start) // tick) // ((step.end - step.start) // tick)


@lru_cache
def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)


@lru_cache
def _hours(day: date) -> list[tuple[datetime, datetime]]:
    edges, end = [_midnight(day)], _midnight(day + timedelta(days=1))
    while edges[-1] + timedelta(hours=1) < end:
        edges.append(edges[-1] + timedelta(hours=1))
    return list(zip(edges, [*edges[1:], end], strict=True))


# -- what happens ------------------------------------------------------------------------------

quarters = st.integers(-40, 120).map(lambda n: BASE + timedelta(minutes=15 * n))
seconds = st.integers(-40_000, 90_000).map(lambda n: BASE + timedelta(seconds=n))
odd = st.integers(-(10**10), 10**11).map(lambda n: BASE + timedelta(microseconds=n))
over_the_change = st.integers(0, 40).map(lambda n: FORWARD + timedelta(minutes=15 * n))
days_apart = st.integers(-100, 130).map(lambda n: BASE + timedelta(days=n, hours=1))
moments = st.one_of(quarters, quarters, quarters, seconds, odd, over_the_change, days_apart)


@st.composite
def sent_readings(draw: st.DrawFn) -> Sent:
    at = draw(moments)
    plain = int((at - BASE + timedelta(days=150)) / timedelta(minutes=15)) * 40
    meter = draw(st.integers(1, 3))
    value = draw(st.one_of(st.just(plain), st.just(plain), st.integers(0, 5_000), st.just(plain + 9_000)))
    if meter == 2:
        value %= 5_000
    return Sent(meter, at, value, draw(st.integers(0, 9)) == 0)


class Unheard(NamedTuple):
    """Readings that are there while their arrival is still to come: it is told after a later turn."""

    batch: list[Sent]


class Judged(NamedTuple):
    """A verdict on one of the readings that have come, counted from the newest."""

    which: int
    verdict: Verdict


events = st.lists(
    st.one_of(
        st.lists(sent_readings(), min_size=1, max_size=12),
        st.builds(Unheard, st.lists(sent_readings(), min_size=1, max_size=6)),
        st.just("turn"),
        st.builds(Judged, st.integers(0, 30), st.sampled_from(list(Verdict))),
    ),
    min_size=1,
    max_size=10,
)
PACES = [Pace(), Pace(stretches=1), Pace(most_readings=20)]


@given(events=events, pace=st.sampled_from(PACES))
@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(
    events=[
        [Sent(1, BASE + timedelta(minutes=15 * n), 1000 + 100 * n, False) for n in range(120)],
        "turn",
        [Sent(1, BASE + timedelta(minutes=7), 1010, False), Sent(1, BASE - timedelta(days=3), 10, False)],
    ],
    pace=PACES[0],
)
def test_usage_is_what_the_oracle_says(database_url: str, events: list[Any], pace: Pace) -> None:
    asyncio.run(_check(database_url, events, pace))


async def _check(url: str, events: list[Any], pace: Pace) -> None:
    clock = SystemClock()
    async with await Store.open(url) as store:
        await _emptied(store)
        sink, tally = ReadingStore(store, clock), Tally(store, clock, hours_of(ZONE), pace=pace)
        verdicts = Verdicts(store, clock)
        sent: list[Sent] = []
        judged: dict[tuple[int, datetime], str] = {}
        unheard: list[bytes] = []
        for event in events:
            if event == "turn":
                await tally.catch_up()
                await _tell(store, unheard)
            elif isinstance(event, Unheard):
                await tally.catch_up()
                await sink.merge(_columns(event.batch))
                sent += event.batch
                unheard += await _withheld(store)
            elif isinstance(event, Judged):
                await tally.catch_up()
                await _judge(verdicts, event, sent, judged)
            else:
                await sink.merge(_columns(event))
                # What comes together goes in by time: of two values for a moment the first one stands.
                sent += event
        await tally.catch_up()
        await _tell(store, unheard)
        await tally.catch_up()
        oracles = {
            meter: Oracle(
                nature,
                [one for one in sent if one.meter == meter],
                {at: verdict for (of, at), verdict in judged.items() if of == meter},
            )
            for meter, nature in NATURES.items()
        }
        await _compare(store, oracles, sent, judged)


async def _emptied(store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "truncate reading, reading_conflict, arrival, usage_day, area_hour, meter_latest, verdict, mark;"
            "delete from fitting; delete from usage_point; delete from meter"
        )
        for meter, nature in NATURES.items():
            await connection.execute(
                "insert into meter (key, id, registered_at, rolls_over_at_wh, max_power_w, interval_s)"
                " overriding system value values (%s, %s, now(), %s, %s, %s)",
                (meter, f"M{meter}", *nature),
            )
        for area in ("Norte", "Sul"):
            await connection.execute(
                "insert into usage_point (id, area, created_at) values (%s, %s, now())", (area, area)
            )
        put = "insert into fitting (usage_point_id, meter, from_at, until_at, start_wh, end_wh) values "
        # The first meter was swapped for the second, and hangs in the south since; the third hangs nowhere.
        await connection.execute(put + "('Norte', 1, %s, %s, 0, 9)", (BASE, MOVED_AT))
        await connection.execute(put + "('Norte', 2, %s, null, 0, null)", (MOVED_AT,))
        await connection.execute(put + "('Sul', 1, %s, null, 0, null)", (MOVED_AT,))


async def _withheld(store: Store) -> list[bytes]:
    async with store.connection() as connection:
        rows = await connection.execute("delete from arrival returning spans")
        return [bytes(spans) for (spans,) in await rows.fetchall()]


async def _tell(store: Store, unheard: list[bytes]) -> None:
    async with store.connection() as connection:
        while unheard:
            await connection.execute(
                "insert into arrival (spans, readings, arrived_at) values (%s, 0, now())", (unheard.pop(),)
            )


async def _judge(
    verdicts: Verdicts, event: Judged, sent: list[Sent], judged: dict[tuple[int, datetime], str]
) -> None:
    if not sent:
        return
    one = sent[-1 - event.which % len(sent)]
    try:
        await verdicts.decide(one.meter, one.at, event.verdict, account_id="acc_1", note="looked at it")
        judged[one.meter, one.at] = event.verdict.value
    except NotFound:
        pass  # nothing is marked there


def _columns(batch: list[Sent]) -> Readings:
    return Readings.of(
        Source.TCP,
        [
            Reading(meter=one.meter, at=one.at, energy_wh=one.energy_wh, estimated=one.estimated)
            for one in batch
        ],
    )


def _area(meter: int, day: date) -> str:
    if meter == 3:
        return ""
    if meter == 2:
        return "Norte"
    return "Sul" if _midnight(day + timedelta(days=1)) > MOVED_AT else "Norte"


async def _compare(
    store: Store, oracles: dict[int, Oracle], sent: list[Sent], judged: dict[tuple[int, datetime], str]
) -> None:
    async with store.connection() as connection:
        rows = await (
            await connection.execute(
                "select meter, day, name, hour_wh, estimated_wh from usage_day join area on area = key"
            )
        ).fetchall()
        sums = await (
            await connection.execute(
                "select name, day, hour_wh, estimated_wh, meters from area_hour join area on area = key"
            )
        ).fetchall()
        marks = await (
            await connection.execute(
                "select meter, at, kind, starts_at, energy_wh, verdict from mark"
                " where cleared_at is null and kind <> 'conflict'"
            )
        ).fetchall()
        latest = await (await connection.execute("select meter, at, energy_wh from meter_latest")).fetchall()
    found = {
        (meter, day, number): (value, (estimated or [0] * 25)[number])
        for meter, day, _, values, estimated in rows
        for number, value in enumerate(values)
        if value >= 0
    }
    wanted = {
        (meter, day, number): value
        for meter, oracle in oracles.items()
        for (day, number), value in oracle.hours().items()
    }
    assert found == wanted
    assert {(meter, day): name for meter, day, name, *_ in rows} == {
        (meter, day): _area(meter, day) for meter, day, _ in wanted
    }
    total: dict[tuple[str, date, int], np.ndarray[Any, Any]] = defaultdict(lambda: np.zeros(3, np.int64))
    for (meter, day, number), (used, estimated) in wanted.items():
        total[_area(meter, day), day, number] += (used, estimated, 1)
    assert {
        (name, day, number): list(column)
        for name, day, *columns in sums
        for number, column in enumerate(zip(*columns, strict=True))
        if any(column)
    } == {key: list(value) for key, value in total.items()}
    assert {row[:5] for row in marks if (row[0], row[1]) not in judged or row[5] != "exclude"} == {
        (meter, at, kind, starts_at, energy_wh)
        for meter, oracle in oracles.items()
        for at, kind, starts_at, energy_wh in oracle.marks()
    }
    assert all(row[5] == judged.get((row[0], row[1])) for row in marks)
    assert {row[:3] for row in latest} == {
        (meter, oracle.readings[-1].at, oracle.readings[-1].energy_wh)
        for meter, oracle in oracles.items()
        if oracle.readings
    }
    book = StoredUsage(store, hours_of(ZONE))
    whole = Window(BASE - timedelta(days=200), BASE + timedelta(days=400))
    for meter, oracle in oracles.items():
        edges = sorted({start for day, _ in oracle.hours() for start, _ in _hours(day)} | {BASE, FORWARD})
        told = await book.registers_at(meter, edges)
        if not oracle.readings:
            assert told == []
            continue
        assert [one.energy_wh - told[0].energy_wh for one in told] == [
            oracle.register(edge) - oracle.register(edges[0]) for edge in edges
        ]
        stands = {one.at for one in oracle.readings}
        assert [one.measured for one in told] == [edge in stands for edge in edges]
        last = oracle.register(oracle.readings[-1].at)
        for resolution in Resolution:
            slots = await book.series(meter, whole, resolution)
            assert sum(slot.energy_wh for slot in slots) == last, resolution
            assert sum(slot.estimated_wh for slot in slots) == sum(
                step.counted_wh for step in oracle.steps if step.estimated
            ), resolution
            assert all(a.ends_at <= b.starts_at for a, b in pairwise(slots))
