"""What the utility does with its meters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from eletrovia.base.errors import Conflict, EletroviaError, Invalid, NotFound, Unavailable
from eletrovia.base.window import Window
from eletrovia.metering.meter import Changes, MeterKind, MeterState, NewMeter, Registered, Swap
from eletrovia.metering.meters import MOST_AT_ONCE


async def test_a_batch_is_answered_one_by_one(utility: Any) -> None:
    await utility.meter("there")
    asked = [
        NewMeter(id="a", area=" Tambaú ", digits=5),
        NewMeter(id="a"),
        NewMeter(id="behind", via="C1"),
        NewMeter(id="C1", kind=MeterKind.CONCENTRATOR),
        NewMeter(id="not plain"),
        NewMeter(id="lost", via="nowhere"),
        NewMeter(id="lost2", via="there"),
        NewMeter(id="second", usage_point_id="a"),
        NewMeter(id="third", usage_point_id="there"),
        NewMeter(id="there", usage_point_id="free"),
        NewMeter(id="fourth", usage_point_id="free"),
        NewMeter(id="shelf", in_stock=True),
    ]
    answers = await utility.meters.register(asked)
    told = [one.code if isinstance(one, EletroviaError) else "kept" for one in answers]
    assert told == [
        "kept", "meter.taken", "kept", "kept", "meter.id_malformed", "meter.concentrator_unknown",
        "meter.concentrator_unknown", "meter.place_taken", "meter.place_taken", "meter.taken", "kept", "kept",
    ]  # fmt: skip
    a, behind, c1, shelf = (answers[place] for place in (0, 2, 3, 11))
    keys = dict(await utility.rows("select id, key from meter"))
    assert keys.keys() == {"there", "a", "behind", "C1", "fourth", "shelf"}
    assert a.device_key == utility.keys.of(keys["a"], 0).hex()
    assert len({a.device_key, behind.device_key, c1.device_key, shelf.device_key}) == 4
    assert (a.usage_point_id, c1.usage_point_id, shelf.usage_point_id) == ("a", None, None)
    assert (c1.claim_code, shelf.claim_code) == (None, None)
    meter = await utility.meters.meter("a")
    assert (meter.area, meter.rolls_over_at_wh, meter.claimable) == ("Tambaú", 100_000_000, True)
    assert (await utility.meters.meter("behind")).via == "C1"
    # Neither code nor key is anywhere in the database.
    (kept,) = (await utility.rows("select row(m)::text from meter m where id = 'a'"))[0]
    assert a.claim_code.replace("-", "") not in kept.replace("-", "")
    assert a.device_key not in kept
    with pytest.raises(Invalid):
        await utility.meters.register([NewMeter(id=f"n{n}") for n in range(MOST_AT_ONCE + 1)])


async def test_thousands_at_once(utility: Any) -> None:
    answers = await utility.meters.register([NewMeter(id=f"m{n}", area="Centro") for n in range(5_000)])
    assert all(isinstance(one, Registered) for one in answers)
    assert len({one.device_key for one in answers}) == 5_000
    assert (await utility.rows("select count(*) from fitting"))[0] == (5_000,)
    seen, after = [], ""
    while page := await utility.meters.meters(area="Centro", unclaimed=True, after=after, limit=1000):
        seen += [one.id for one in page]
        after = page[-1].id
    assert sorted(seen) == sorted(f"m{n}" for n in range(5_000))


async def test_pages_are_of_what_was_asked(utility: Any) -> None:
    await utility.claimed("acct_1", "home", area="A")
    await utility.meter("empty", area="A")
    await utility.meter("other", area="B")
    await utility.meters.block("other", cut_off=True)

    async def ids(**asked: Any) -> list[str]:
        return [one.id for one in await utility.meters.meters(**asked)]

    assert await ids() == ["empty", "home", "other"]
    assert await ids(area="A") == ["empty", "home"]
    assert await ids(unclaimed=True) == ["empty", "other"]
    assert await ids(state=MeterState.BLOCKED) == ["other"]
    assert await ids(after="empty", limit=1) == ["home"]


async def test_changes(utility: Any) -> None:
    await utility.meter("m")
    await utility.meter("C1", kind=MeterKind.CONCENTRATOR)
    changed = await utility.meters.change("m", Changes(area="Bessa", via="C1", interval_s=60))
    assert (changed.area, changed.via, changed.interval_s, changed.max_power_w) == ("Bessa", "C1", 60, 75_000)
    assert (await utility.meters.change("m", Changes(via=""))).via is None
    for meter_id, changes, kind in (
        ("m", Changes(via="m"), NotFound),
        ("m", Changes(via="nowhere"), NotFound),
        ("m", Changes(interval_s=0), Invalid),
        ("nobody", Changes(area="x"), NotFound),
        ("C1", Changes(area="x"), Conflict),
    ):
        with pytest.raises(kind):
            await utility.meters.change(meter_id, changes)
    assert (await utility.meters.meter("m")) == msgspec.structs.replace(changed, via=None)


async def test_a_blocked_meter_is_told_and_known_to_gateways(utility: Any) -> None:
    await utility.meter("m")
    key = (await utility.access.sight("", "m", is_staff=True)).meter
    assert (await utility.meters.block("m", cut_off=True)).state is MeterState.BLOCKED
    await utility.roster.refresh()
    assert utility.roster.is_blocked(key)
    assert (await utility.meters.block("m", cut_off=False)).state is MeterState.IN_SERVICE
    await utility.roster.refresh()
    assert not utility.roster.is_blocked(key)
    assert utility.told == [
        ("meters/m/command", b'{"cut_off":true}'),
        ("meters/m/command", b'{"cut_off":false}'),
    ]
    with pytest.raises(NotFound):
        await utility.meters.block("nobody", cut_off=True)
    utility.clock.pass_by(seconds=1)
    await utility.meters.remove("m")
    with pytest.raises(Conflict) as refused:
        await utility.meters.block("m", cut_off=True)
    assert refused.value.code == "meter.removed"
    assert len(utility.told) == 2


async def test_a_block_stands_though_nobody_hears_it(utility: Any) -> None:
    async def deaf(topic: str, payload: bytes) -> None:
        raise Unavailable("bus.closed")

    utility.meters._tell = deaf
    await utility.meter("m")
    assert (await utility.meters.block("m", cut_off=True)).state is MeterState.BLOCKED


async def test_a_new_key_ends_the_one_before(utility: Any) -> None:
    old = (await utility.meter("m")).device_key
    number, new = await utility.meters.new_key("m")
    key = (await utility.access.sight("", "m", is_staff=True)).meter
    assert number == key
    assert new == utility.keys.of(key, 1).hex() != old
    row = utility.roster.one(key)
    assert row is not None
    assert utility.keys.matches(key, int(row["epoch"]), new)
    assert not utility.keys.matches(key, int(row["epoch"]), old)
    with pytest.raises(NotFound):
        await utility.meters.new_key("nobody")


async def test_a_swap_loses_nothing_and_counts_nothing_twice(utility: Any) -> None:
    put_in = utility.clock.at
    await utility.claimed("acct_1", "old", start_wh=100, digits=5, interval_s=60)
    await utility.meters.block("old", cut_off=True)
    at = utility.clock.pass_by(days=3)
    utility.clock.pass_by(hours=1)
    asked = Swap(new_id="new", end_wh=7_500, start_wh=20, at=at)
    done = await utility.meters.swap("old", asked)
    assert (done.usage_point_id, done.removed_id, done.at) == ("old", "old", at)
    assert done.new.claim_code is None, "somebody lives there"
    keys = dict(await utility.rows("select id, key from meter"))
    assert done.new.device_key == utility.keys.of(keys["new"], 0).hex()
    readings = await utility.rows("select meter, at, energy_wh, source from reading order by at, meter")
    assert readings == [
        (keys["old"], put_in, 100, 8), (keys["old"], at, 7_500, 8), (keys["new"], at, 20, 8),
    ]  # fmt: skip
    assert (await utility.rows("select count(*) from fitting where readings_due"))[0] == (0,)
    old, new = await utility.meters.meter("old"), await utility.meters.meter("new")
    assert (old.state, old.usage_point_id) == (MeterState.REMOVED, None)
    assert (new.state, new.usage_point_id) == (MeterState.BLOCKED, "old"), "who was cut off stays so"
    assert (new.interval_s, new.rolls_over_at_wh) == (60, 100_000_000)
    assert utility.told[-1] == ("meters/new/command", b'{"cut_off":true}')
    # Asked again, word for word, it answers the same and changes nothing.
    before = await utility.rows("select * from fitting order by from_at")
    assert await utility.meters.swap("old", asked) == done
    assert await utility.rows("select * from fitting order by from_at") == before
    assert len(await utility.rows("select from reading")) == 3
    for other in (Swap(new_id="new", end_wh=7_501, start_wh=20, at=at), Swap(new_id="newer", end_wh=1)):
        with pytest.raises(Conflict) as refused:
            await utility.meters.swap("old", other)
        assert refused.value.code == "meter.not_fitted"
    # One place, two meters, one account of time.
    parts = await utility.meters.stretches("old", Window(put_in - timedelta(days=9), utility.clock.at))
    assert [(one.meter_id, one.during, one.start_wh, one.end_wh) for one in parts] == [
        ("old", Window(put_in, at), 100, 7_500),
        ("new", Window(at, utility.clock.at), 20, None),
    ]
    inside = Window(put_in + timedelta(days=1), put_in + timedelta(days=2))
    (part,) = await utility.meters.stretches("old", inside)
    assert (part.meter_id, part.during, part.start_wh, part.end_wh) == ("old", inside, None, None)


async def test_a_swap_that_cannot_be_changes_nothing(utility: Any) -> None:
    await utility.meter("a", start_wh=5)
    await utility.meter("b")
    await utility.meter("C1", kind=MeterKind.CONCENTRATOR)
    since = utility.clock.at
    utility.clock.pass_by(days=1)

    async def footprint() -> list[Any]:
        return [await utility.rows(f"table {name}") for name in ("meter", "fitting", "reading", "arrival")]

    before = await footprint()
    for meter_id, asked, code in (
        ("nobody", Swap(new_id="x", end_wh=9), "meter.unknown"),
        ("a", Swap(new_id="a", end_wh=9), "meter.swap_with_itself"),
        ("a", Swap(new_id="b", end_wh=9), "meter.fitted_elsewhere"),
        ("a", Swap(new_id="C1", end_wh=9), "meter.counts_nothing"),
        ("C1", Swap(new_id="x", end_wh=9), "meter.not_fitted"),
        ("a", Swap(new_id="x", end_wh=9, at=since), "meter.fitted_later"),
        ("a", Swap(new_id="x", end_wh=9, at=since - timedelta(days=1)), "meter.fitted_later"),
        ("a", Swap(new_id="x", end_wh=9, at=utility.clock.at + timedelta(seconds=1)), "moment.to_come"),
        ("a", Swap(new_id="x", end_wh=-9), "meter.number"),
    ):
        with pytest.raises(EletroviaError) as refused:
            await utility.meters.swap(meter_id, asked)
        assert refused.value.code == code
        assert await footprint() == before, code


async def test_a_repaired_meter_comes_back(utility: Any) -> None:
    await utility.meter("a")
    utility.clock.pass_by(days=1)
    done = await utility.meters.swap("a", Swap(new_id="b", end_wh=9))
    assert done.new.claim_code, "nobody lives there yet: the new one can be claimed"
    utility.clock.pass_by(days=1)
    await utility.meters.swap("b", Swap(new_id="a", end_wh=5, start_wh=9))
    assert (await utility.meters.meter("a")).state is MeterState.IN_SERVICE
    parts = await utility.meters.stretches("a", Window(datetime(2026, 1, 1, tzinfo=UTC), utility.clock.at))
    assert [one.meter_id for one in parts] == ["a", "b"]
    await utility.meter("c", from_at=utility.clock.at - timedelta(days=5))
    with pytest.raises(Conflict) as refused:  # b hung elsewhere then
        await utility.meters.swap("c", Swap(new_id="b", end_wh=5, at=utility.clock.at - timedelta(hours=6)))
    assert refused.value.code == "meter.fitted_elsewhere"


async def test_values_that_could_not_be_taken_in_are_taken_later(utility: Any) -> None:
    await utility.meter("old")
    utility.clock.pass_by(days=1)
    take = utility.intake.take

    async def gone(*_: Any, **__: Any) -> Any:
        raise Unavailable("store.unreachable")

    utility.intake.take = gone
    await utility.meters.swap("old", Swap(new_id="new", end_wh=7))
    assert await utility.rows("select from reading") == []
    utility.intake.take = take
    assert await utility.meters.settle_readings() == 3
    values = await utility.rows("select energy_wh from reading order by 1")
    assert values == [(0,), (0,), (7,)]
    assert await utility.meters.settle_readings() == 0


async def test_removing(utility: Any) -> None:
    await utility.claimed("acct_1", "m")
    key = (await utility.access.sight("", "m", is_staff=True)).meter
    at = utility.clock.pass_by(hours=1)
    await utility.read(key, [(at, 432)])
    utility.clock.pass_by(hours=1)
    assert (await utility.meters.remove("m")).state is MeterState.REMOVED
    assert await utility.rows("select end_wh, until_at from fitting") == [(432, utility.clock.at)]
    before = await utility.rows("select t::text from fitting t")
    utility.clock.pass_by(hours=1)
    await utility.meters.remove("m", end_wh=99)
    assert await utility.rows("select t::text from fitting t") == before
    assert len(await utility.rows("select from occupancy where until_at is null")) == 1
    # The place is free for another meter, and who lives there sees it.
    await utility.meter("next", usage_point_id="m")
    assert (await utility.access.sight("acct_1", "next", is_staff=False)).now
    with pytest.raises(NotFound):
        await utility.meters.remove("nobody")
