"""The one path into the readings, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.errors import DiskFull

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Overloaded, Unavailable
from eletrovia.metering.arrival import unpacked
from eletrovia.metering.intake import Intake, Limits
from eletrovia.metering.reading import Fate, Reading, Readings, Source, epoch_us
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

NOW = datetime(2026, 3, 31, 23, 59, 50, tzinfo=UTC)


class StoppedClock(SystemClock):
    """The wall clock stands; the other one goes on."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def meters(store: Store) -> dict[str, int]:
    async with store.connection() as connection:
        await connection.execute(
            "insert into meter (id, registered_at) select 'M' || n, %s from generate_series(1, 9) n", (NOW,)
        )
        rows = await connection.execute("select id, key from meter")
        return {str(id_): int(key) for id_, key in await rows.fetchall()}


@pytest.fixture
async def intake(store: Store, meters: dict[str, int]) -> AsyncIterator[Intake]:
    clock = StoppedClock()
    made = Intake(ReadingStore(store, clock), await Roster.open(store, clock), clock)
    yield made
    await made.close()


def reading(meter: int, minutes: float, energy_wh: int, **more: object) -> Reading:
    at = NOW - timedelta(minutes=60 - minutes)
    return Reading(meter=meter, at=at, energy_wh=energy_wh, **more)  # type: ignore[arg-type]


def told(fates: NDArray[np.int8]) -> list[Fate]:
    return [Fate(fate) for fate in fates.tolist()]


async def rows(store: Store, what: str) -> list[tuple[object, ...]]:
    async with store.connection() as connection:
        return [tuple(row) for row in await (await connection.execute(what.encode())).fetchall()]


async def test_what_is_answered_stands_in_the_table(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    sent = [
        reading(meters["M2"], 1, 500, power_w=-20),
        reading(meters["M1"], 2, 700, sent_kwh=0.7001, estimated=True),
        reading(meters["M1"], 1, 600),
    ]
    fates = await intake.take(Readings.of(Source.HTTP, sent))
    assert told(fates) == [Fate.STORED] * 3
    stood = await rows(
        store,
        "select meter, at, energy_wh, power_w, sent_kwh, estimated, source from reading order by meter, at",
    )
    assert stood == [
        (one.meter, one.at, one.energy_wh, one.power_w, one.sent_kwh, one.estimated, Source.HTTP)
        for one in (sent[2], sent[1], sent[0])
    ]


async def test_the_same_again_is_the_same_reading(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    readings = Readings.of(Source.TCP, [reading(meters["M1"], minute, minute) for minute in range(5)])
    assert told(await intake.take(readings)) == [Fate.STORED] * 5
    before = await rows(store, "select * from arrival")
    assert told(await intake.take(readings)) == [Fate.DUPLICATE] * 5
    assert await rows(store, "select count(*) from reading") == [(5,)]
    assert await rows(store, "select * from arrival") == before, "nothing is to be worked out anew"


async def test_another_value_for_a_moment_is_kept_and_does_not_count(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    one = meters["M1"]
    first = Readings.of(Source.TCP, [reading(one, 1, 100), reading(one, 2, 200)])
    await intake.take(first)
    # Conflicts with what stands, an echo of what stands, and a rival pair inside one batch.
    second = [reading(one, 1, 101), reading(one, 2, 200), reading(one, 3, 300), reading(one, 3, 301)]
    fates = told(await intake.take(Readings.of(Source.UDP, second)))
    assert fates == [Fate.CONFLICT, Fate.DUPLICATE, Fate.STORED, Fate.CONFLICT]
    assert await rows(store, "select energy_wh from reading order by at") == [(100,), (200,), (300,)]
    assert await rows(store, "select energy_wh, source from reading_conflict order by at") == [
        (101, Source.UDP),
        (301, Source.UDP),
    ]
    # A rival that comes again is one rival.
    assert told(await intake.take(Readings.of(Source.UDP, second)))[0] is Fate.CONFLICT
    assert await rows(store, "select count(*) from reading_conflict") == [(2,)]


async def test_an_echo_of_a_rival_is_compared_with_what_stands(
    intake: Intake, meters: dict[str, int]
) -> None:
    one = meters["M1"]
    await intake.take(Readings.of(Source.TCP, [reading(one, 1, 100)]))
    rivals = [reading(one, 1, 101), reading(one, 1, 100), reading(one, 1, 101)]
    fates = told(await intake.take(Readings.of(Source.TCP, rivals)))
    assert fates == [Fate.CONFLICT, Fate.DUPLICATE, Fate.CONFLICT]


async def test_what_cannot_be_is_refused_and_the_rest_goes_in(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    one = meters["M1"]
    sent = [
        reading(one, 1, -1),
        reading(one, 2, 10**14 + 1),
        reading(10_000, 3, 5),
        reading(-1, 3, 5),
        Reading(meter=one, at=NOW + timedelta(seconds=601), energy_wh=5),
        Reading(meter=one, at=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), energy_wh=5),
        reading(one, 4, 5),
        Reading(meter=one, at=NOW + timedelta(seconds=599), energy_wh=6),
    ]
    assert told(await intake.take(Readings.of(Source.FILE, sent))) == [
        Fate.IMPOSSIBLE,
        Fate.IMPOSSIBLE,
        Fate.UNKNOWN_METER,
        Fate.UNKNOWN_METER,
        Fate.FROM_THE_FUTURE,
        Fate.TOO_OLD,
        Fate.STORED,
        Fate.STORED,
    ]
    assert await rows(store, "select energy_wh from reading order by at") == [(5,), (6,)]


async def test_a_sender_speaks_for_itself_and_for_those_behind_it(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    box, behind, other = meters["M1"], meters["M2"], meters["M3"]
    async with store.connection() as connection:
        await connection.execute("update meter set via = %s where key = %s", (box, behind))
    await intake.roster.refresh()
    sent = Readings.of(Source.TCP, [reading(key, 1, 5) for key in (box, behind, other, 77_777)])
    fates = told(await intake.take(sent, sender=box))
    assert fates == [Fate.STORED, Fate.STORED, Fate.NOT_ITS_METER, Fate.UNKNOWN_METER]
    assert told(await intake.take(sent, sender=behind))[:2] == [Fate.NOT_ITS_METER, Fate.DUPLICATE]


async def test_a_meter_registered_a_moment_ago_is_known(intake: Intake, store: Store) -> None:
    await asyncio.sleep(0.11)  # the roster looks at most so often for strangers
    async with store.connection() as connection:
        row = await connection.execute(
            "insert into meter (id, registered_at) values ('new', %s) returning key", (NOW,)
        )
        (key,) = await row.fetchone() or (0,)
    assert told(await intake.take(Readings.of(Source.HTTP, [reading(key, 1, 5)]))) == [Fate.STORED]


async def test_meters_never_seen_are_taken_in_once(intake: Intake, store: Store) -> None:
    ids = [f"S{number}" for number in range(20)]
    both = await asyncio.gather(intake.roster.keys_taking_in(ids), intake.roster.keys_taking_in(ids[::-1]))
    assert both[0] == both[1]
    assert sorted(both[0]) == sorted(ids)
    assert await rows(store, "select count(*) from fitting where until_at is null") == [(20,)]
    # By now they are not only there but known.
    assert (await intake.roster.known(np.array(list(both[0].values()), np.int32))).all()


async def test_the_note_for_usage_names_each_stretch(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    one, two = meters["M1"], meters["M2"]
    sent = [reading(two, 9, 9), reading(one, 3, 3), reading(one, 1, 1), reading(one, 2, 2)]
    await intake.take(Readings.of(Source.TCP, sent))
    ((spans, count),) = await rows(store, "select spans, readings from arrival")
    assert count == 4
    assert isinstance(spans, bytes)
    assert [tuple(span) for span in unpacked(spans).tolist()] == [
        (one, epoch_us(sent[2].at), epoch_us(sent[1].at)),
        (two, epoch_us(sent[0].at), epoch_us(sent[0].at)),
    ]


@pytest.mark.parametrize("width", ["day", "month"])
async def test_each_moment_finds_a_partition_whatever_the_width_was_before(
    store: Store, meters: dict[str, int], width: str
) -> None:
    clock = StoppedClock()
    roster = await Roster.open(store, clock)
    moments = [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2023, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC),
    ]
    readings = Readings.of(Source.FILE, [Reading(meter=meters["M1"], at=at, energy_wh=7) for at in moments])
    sink = ReadingStore(store, clock, partition=width)  # type: ignore[arg-type]
    assert told(await Intake(sink, roster, clock).take(readings)) == [Fate.STORED] * 4
    other = ReadingStore(store, clock, partition="month" if width == "day" else "day")
    later = [Reading(meter=meters["M2"], at=at + timedelta(days=3), energy_wh=8) for at in moments]
    fates = told(await Intake(other, roster, clock).take(Readings.of(Source.FILE, later)))
    assert fates == [Fate.STORED] * 4
    assert await rows(store, "select count(*) from only reading") == [(0,)]
    assert await rows(store, "select count(*) from reading") == [(8,)]


async def test_a_partition_that_was_dropped_comes_again(
    intake: Intake, store: Store, meters: dict[str, int]
) -> None:
    assert told(await intake.take(some(meters["M1"], 3))) == [Fate.STORED] * 3
    async with store.connection() as connection:
        await connection.execute("drop table reading_2026_03")
    assert told(await intake.take(some(meters["M1"], 3))) == [Fate.STORED] * 3


async def test_many_who_meet_a_new_month_at_once_all_find_it(store: Store, meters: dict[str, int]) -> None:
    clock = StoppedClock()
    roster = await Roster.open(store, clock)
    at = datetime(2025, 5, 5, tzinfo=UTC)
    intakes = [Intake(ReadingStore(store, clock), roster, clock) for _ in range(6)]
    sent = [
        Readings.of(
            Source.FILE, [Reading(meter=meters["M1"], at=at + timedelta(days=20 * n + k), energy_wh=1)]
        )
        for n in range(6)
        for k in range(3)
    ]
    fates = await asyncio.gather(*(intakes[place % 6].take(one) for place, one in enumerate(sent)))
    assert told(np.concatenate(fates)) == [Fate.STORED] * 18


class SlowSink:
    """Commits when it is told to; says what it was given."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.batches: list[int] = []
        self.failing: Exception | None = None

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        self.batches.append(len(readings))
        await self.go.wait()
        if self.failing is not None:
            raise self.failing
        return np.zeros(len(readings), np.int8)


def some(meter: int, count: int, source: Source = Source.TCP) -> Readings:
    return Readings.of(source, [reading(meter, number / 1000, number) for number in range(count)])


async def test_what_comes_while_others_are_away_leaves_together(store: Store, meters: dict[str, int]) -> None:
    clock, sink = StoppedClock(), SlowSink()
    limits = Limits(flight=100, in_flight=1, room=250)
    intake = Intake(sink, await Roster.open(store, clock), clock, limits=limits)
    one = meters["M1"]
    takes = [asyncio.create_task(intake.take(some(one, 40))) for _ in range(4)]
    takes.append(asyncio.create_task(intake.take(some(one, 40, Source.UDP))))
    while not sink.batches:
        await asyncio.sleep(0)
    assert not any(take.done() for take in takes), "nobody is answered before the commit"
    sink.go.set()
    answers = await asyncio.gather(*takes)
    assert [len(answer) for answer in answers] == [40] * 5
    assert sum(sink.batches) == 200
    assert all(size <= 100 for size in sink.batches), sink.batches
    assert len(sink.batches) == 3, "two pairs of one source, and the other source by itself"


async def test_the_patient_wait_for_room_and_others_are_told(store: Store, meters: dict[str, int]) -> None:
    clock, sink = StoppedClock(), SlowSink()
    limits = Limits(flight=100, in_flight=1, room=150)
    intake = Intake(sink, await Roster.open(store, clock), clock, limits=limits)
    one = meters["M1"]
    first = [asyncio.create_task(intake.take(some(one, 100))) for _ in range(3)]
    while intake.waiting < 150:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="intake.full"):
        await intake.take(some(one, 1), patient=False)
    patient = asyncio.create_task(intake.take(some(one, 1)))
    await asyncio.sleep(0)
    assert intake.waiting < 250
    assert not patient.done()
    sink.go.set()
    await asyncio.gather(*first, patient)
    await intake.close()
    with pytest.raises(Unavailable, match="intake.closed"):
        await intake.take(some(one, 1))


async def test_a_failed_commit_is_told_and_repeated_only_where_asked(
    store: Store, meters: dict[str, int]
) -> None:
    clock, sink = StoppedClock(), SlowSink()
    sink.failing = Unavailable("store.unreachable", reason="gone")
    sink.go.set()
    intake = Intake(sink, await Roster.open(store, clock), clock)
    with pytest.raises(Unavailable, match="store.unreachable"):
        await intake.take(some(meters["M1"], 3))
    surely = asyncio.create_task(intake.take_surely(some(meters["M1"], 3)))
    # A full disk, a database too busy, one that is gone: whoever cannot repeat is repeated for.
    for number, failing in enumerate((Overloaded("store.busy"), DiskFull("no space left"), None), 3):
        while len(sink.batches) < number:
            await asyncio.sleep(0.01)
        sink.failing = failing
    assert told(await surely) == [Fate.STORED] * 3


class Fastidious:
    """PostgreSQL, but for a value that nobody foresaw."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self.turns = 0

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        self.turns += 1
        if (readings.energy_wh == 666).any():
            raise ArithmeticError("never seen before")
        return await self._store.merge(readings)


async def test_one_takers_trouble_is_no_others(store: Store, meters: dict[str, int]) -> None:
    clock = StoppedClock()
    sink = Fastidious(ReadingStore(store, clock))
    intake = Intake(sink, await Roster.open(store, clock), clock, limits=Limits(in_flight=1))
    values = [1, 2, 666, 3]
    taken = await asyncio.gather(
        *(
            intake.take(Readings.of(Source.TCP, [reading(meters["M1"], minute, one)]))
            for minute, one in enumerate(values)
        ),
        return_exceptions=True,
    )
    await intake.close()
    assert [type(one) for one in taken] == [np.ndarray, np.ndarray, ArithmeticError, np.ndarray]
    assert sink.turns < 2 * len(values), "they flew together at first"
    assert await rows(store, "select energy_wh from reading order by at") == [(1,), (2,), (3,)]


async def test_the_roster_keeps_up_whatever_becomes_of_one_look(
    store: Store, database_url: str, meters: dict[str, int]
) -> None:
    """A look that the server's administrator cancels must not be the last: revoked keys would stay good."""
    roster = await Roster.open(store, StoppedClock())
    keeping_up = asyncio.create_task(roster.run())
    try:
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("lock table meter in access exclusive mode")
            cancelled = False
            async with asyncio.timeout(10), store.connection() as admin:
                while not cancelled:
                    found = await admin.execute(
                        "select bool_or(pg_cancel_backend(pid)) from pg_stat_activity"
                        " where wait_event_type = 'Lock' and datname = current_database()"
                    )
                    cancelled = bool((await found.fetchall())[0][0])
                    await asyncio.sleep(0.01)
        async with store.connection() as connection:
            await connection.execute("update meter set secret_epoch = 7 where id = 'M1'")
        async with asyncio.timeout(10):
            while int(roster.one(meters["M1"])["epoch"]) != 7:  # type: ignore[index]
                assert not keeping_up.done()
                await asyncio.sleep(0.01)
    finally:
        keeping_up.cancel()
        await asyncio.gather(keeping_up, return_exceptions=True)


async def test_who_cannot_repeat_waits_for_a_server_that_is_read_only(
    store: Store, database_url: str, meters: dict[str, int]
) -> None:
    clock = StoppedClock()
    name = (await rows(store, "select current_database()"))[0][0]
    async with store.connection() as connection:
        await connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    async with await Store.open(database_url) as narrow:
        intake = Intake(ReadingStore(narrow, clock), await Roster.open(narrow, clock), clock)
        taking = asyncio.create_task(
            intake.take_surely(Readings.of(Source.MQTT, [reading(meters["M1"], 1, 1)]))
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(taking), 0.5)
        async with narrow.connection() as connection:
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(f'alter database "{name}" reset default_transaction_read_only')
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        assert told(await taking) == [Fate.STORED]
        await intake.close()


async def test_what_is_too_old_moves_on_with_the_time(store: Store, meters: dict[str, int]) -> None:
    clock, oldest = StoppedClock(), [0]
    roster = await Roster.open(store, clock)
    intake = Intake(ReadingStore(store, clock), roster, clock, oldest_us=lambda: oldest[0])
    one = Readings.of(Source.UDP, [reading(meters["M1"], 1, 5)])
    assert told(await intake.take(one)) == [Fate.STORED]
    oldest[0] = int(one.at_us[0]) + 1
    assert told(await intake.take(one)) == [Fate.TOO_OLD]
    await intake.close()
