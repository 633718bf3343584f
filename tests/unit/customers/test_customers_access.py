"""Who may see what: claiming, moving, and the windows that follow from it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from eletrovia.base.errors import Conflict, EletroviaError, Invalid, NotFound, Overloaded
from eletrovia.base.window import Window
from eletrovia.metering.access import ALWAYS
from eletrovia.metering.customer import Claimant, CustomerChanges, MoveIn, NewCustomer
from eletrovia.metering.customers import TRIES
from eletrovia.metering.meter import Swap


def claimant(account_id: str) -> Claimant:
    return Claimant(account_id=account_id, name="Somebody", email="a@example.org", language="en")


async def refusal(asked: Any) -> EletroviaError:
    with pytest.raises(EletroviaError) as refused:
        await asked
    return refused.value


async def test_a_code_makes_a_customer_and_opens_what_comes(utility: Any) -> None:
    one = await utility.meter("m", area="Centro")
    utility.clock.pass_by(days=2)
    assert (await refusal(utility.customers.of_account("acct_1"))).code == "customer.none_yet"
    stay = await utility.customers.claim(claimant("acct_1"), "m", one.claim_code.lower().replace("-", ""))
    assert (stay.usage_point_id, stay.area, stay.from_at, stay.until_at, stay.meter_ids) == (
        "m", "Centro", utility.clock.at, None, ("m",),
    )  # fmt: skip
    customer = await utility.customers.of_account("acct_1")
    assert (customer.id, customer.name, customer.email) == (stay.customer_id, "Somebody", "a@example.org")
    sight = await utility.access.sight("acct_1", "m", is_staff=False)
    assert sight.windows == (Window(utility.clock.at, ALWAYS.ends_at),)
    assert sight.now
    assert (await utility.meters.meter("m")).customer_id == customer.id
    # Again, the same; a second meter, the same customer.
    utility.clock.pass_by(days=1)
    assert await utility.customers.claim(claimant("acct_1"), "m", one.claim_code) == stay
    assert (await utility.claimed("acct_1", "m2")).customer_id == customer.id
    assert [one.meter_id for one in await utility.access.sights("acct_1")] == ["m", "m2"]
    assert await utility.access.sights("acct_2") == []


async def test_nobody_learns_which_meters_there_are(utility: Any) -> None:
    code = (await utility.meter("m")).claim_code
    await utility.claimed("acct_1", "claimed")
    wrong = [
        await refusal(utility.customers.claim(claimant("acct_2"), meter_id, "0000-0000-0000"))
        for meter_id in ("m", "claimed", "nobody")
    ]
    assert {(type(one), one.code) for one in wrong} == {(NotFound, "meter.claim_refused")}
    unseen = [
        await refusal(utility.access.may_see("acct_2", meter_id, is_staff=False))
        for meter_id in ("m", "claimed", "nobody")
    ]
    assert {(type(one), one.code, *one.facts) for one in unseen} == {(NotFound, "meter.unknown", "meter_id")}
    assert await utility.access.may_see("staff", "m", is_staff=True)
    assert (await refusal(utility.access.may_see("staff", "nobody", is_staff=True))).code == "meter.unknown"
    # Whoever shows the right code too late is told so, and nobody else.
    await utility.customers.claim(claimant("acct_3"), "m", code)
    late = await refusal(utility.customers.claim(claimant("acct_2"), "m", code))
    assert (type(late), late.code) == (Conflict, "meter.claimed")
    with pytest.raises(NotFound):
        await utility.customers.of_account("acct_2")


async def test_wrong_codes_are_counted_for_each_account(utility: Any) -> None:
    code = (await utility.meter("m")).claim_code
    own = (await utility.meter("own")).claim_code

    async def wrong() -> EletroviaError:
        return await refusal(utility.customers.claim(claimant("a"), "m", "x"))

    for _ in range(TRIES):
        assert (await wrong()).code == "meter.claim_refused"
        # What they rightly have is no guess, and buys no further one.
        if await utility.rows("select from claim_try where tries < %s", TRIES):
            await utility.customers.claim(claimant("a"), "own", own)
    refused = await refusal(utility.customers.claim(claimant("a"), "m", code))
    assert isinstance(refused, Overloaded)
    assert 0 < refused.facts["retry_after_s"] <= 901
    assert (await utility.customers.claim(claimant("b"), "m", code)).usage_point_id == "m"
    utility.clock.pass_by(minutes=15)
    assert (await wrong()).code == "meter.claim_refused"


async def test_before_and_after_are_nobody_elses(utility: Any) -> None:
    code = (await utility.meter("m")).claim_code
    begins = utility.clock.pass_by(days=10)
    await utility.customers.claim(claimant("first"), "m", code)
    ends = utility.clock.pass_by(days=30)
    await utility.customers.leave("first", "m")
    # The code that was used is worth nothing to whoever comes next, nor to who has left.
    for account in ("second", "first"):
        assert (await refusal(utility.customers.claim(claimant(account), "m", code))).code == "meter.claimed"
    new = await utility.meters.new_claim_code("m")
    again = utility.clock.pass_by(days=5)
    await utility.customers.claim(claimant("second"), "m", new)
    utility.clock.pass_by(days=5)
    first = await utility.access.sight("first", "m", is_staff=False)
    second = await utility.access.sight("second", "m", is_staff=False)
    assert (first.windows, first.now) == ((Window(begins, ends),), False)
    assert (second.windows, second.now) == ((Window(again, ALWAYS.ends_at),), True)
    whole = Window(begins - timedelta(days=90), utility.clock.at)
    assert first.within(whole) == [Window(begins, ends)]
    assert second.within(whole) == [Window(again, utility.clock.at)]
    assert first.within(Window(ends, again)) == []
    # Now is no more theirs, the past is.
    with pytest.raises(NotFound):
        await utility.access.may_see("first", "m", is_staff=False)
    assert await utility.access.may_see("second", "m", is_staff=False) == second.meter
    assert await utility.access.usage_point("first", "m", is_staff=False) == first.windows
    with pytest.raises(NotFound):
        await utility.access.usage_point("third", "m", is_staff=False)
    assert await utility.access.usage_point("", "m", is_staff=True) == (ALWAYS,)
    # Coming back opens a second window, with what was between them still shut.
    await utility.customers.leave("second", "m")
    back = utility.clock.pass_by(days=1)
    await utility.customers.claim(claimant("first"), "m", await utility.meters.new_claim_code("m"))
    assert (await utility.access.sight("first", "m", is_staff=False)).windows == (
        Window(begins, ends), Window(back, ALWAYS.ends_at),
    )  # fmt: skip


async def test_a_swap_moves_what_may_be_seen(utility: Any) -> None:
    await utility.claimed("acct_1", "old")
    since = utility.clock.at
    at = utility.clock.pass_by(days=3)
    await utility.meters.swap("old", Swap(new_id="new", end_wh=9))
    # The old meter goes on to somebody else's home: what it counts there is theirs.
    await utility.claimed("acct_2", "other")
    utility.clock.pass_by(days=3)
    await utility.meters.swap("other", Swap(new_id="old", end_wh=9, start_wh=9))
    there = utility.clock.at
    one = {s.meter_id: s for s in await utility.access.sights("acct_1")}
    assert (one["old"].windows, one["old"].now) == ((Window(since, at),), False)
    assert (one["new"].windows, one["new"].now) == ((Window(at, ALWAYS.ends_at),), True)
    other = await utility.access.sight("acct_2", "old", is_staff=False)
    assert (other.windows, other.usage_point_id) == ((Window(there, ALWAYS.ends_at),), "other")


async def test_staff_says_who_lives_there(utility: Any) -> None:
    await utility.meter("m", from_at=utility.clock.at - timedelta(days=60))
    add = utility.customers.add
    ana = await add(NewCustomer(name="Ana", account_id="acct_ana"))
    firm = await add(NewCustomer(name="Firma", tax_id="12.ABC.345/01DE-35"))
    since = utility.clock.at - timedelta(days=30)
    stay = await utility.customers.move_in("m", MoveIn(customer_id=ana.id, from_at=since))
    assert (stay.from_at, stay.until_at) == (since, None)
    taken = await refusal(utility.customers.move_in("m", MoveIn(customer_id=firm.id)))
    assert taken.code == "usage_point.occupied"
    at = utility.clock.at - timedelta(days=3)
    await utility.customers.move_in("m", MoveIn(customer_id=firm.id, from_at=at, taking_over=True))
    assert [(s.customer_id, s.from_at, s.until_at) for s in await utility.customers.stays_in("m")] == [
        (ana.id, since, at), (firm.id, at, None),
    ]  # fmt: skip
    assert (await utility.meters.meter("m")).customer_id == firm.id
    before = await utility.rows("table occupancy")
    early = MoveIn(customer_id=ana.id, from_at=since - timedelta(days=9), taking_over=True)
    to_come = MoveIn(customer_id=ana.id, from_at=utility.clock.at + timedelta(days=1), taking_over=True)
    for place, asked, code in (
        ("m", early, "stay.ends_before_it_begins"),
        ("m", to_come, "moment.to_come"),
        ("m", MoveIn(customer_id="nobody", taking_over=True), "customer.unknown"),
        ("nowhere", MoveIn(customer_id=ana.id), "usage_point.unknown"),
    ):
        assert (await refusal(utility.customers.move_in(place, asked))).code == code
    for at, code in ((since, "stay.ends_before_it_begins"), (utility.clock.at, "")):
        if code:
            assert (await refusal(utility.customers.move_out("m", at=at))).code == code
            assert await utility.rows("table occupancy") == before
        else:
            await utility.customers.move_out("m", at=at)
    assert (await utility.meters.meter("m")).customer_id is None
    assert (await refusal(utility.customers.move_out("m"))).code == "usage_point.nobody_there"
    # Whoever lives elsewhere cannot move others out.
    await utility.customers.move_in("m", MoveIn(customer_id=firm.id))
    assert (await refusal(utility.customers.leave("acct_ana", "m"))).code == "meter.unknown"
    assert (await refusal(utility.customers.leave("acct_nobody", "m"))).code == "meter.unknown"


async def test_customers_are_found_and_changed(utility: Any) -> None:
    add = utility.customers.add
    ana = await add(NewCustomer(name="Ana Lins", tax_id="529.982.247-25", email="Ana@Example.org"))
    bia = await add(NewCustomer(name="Bia Lins", account_id="acct_b", address="Rua 1\nJoão Pessoa"))

    async def found(words: str) -> list[str]:
        return [one.id for one in await utility.customers.customers(words=words)]

    assert await found("") == await found("lins") == sorted([ana.id, bia.id])
    assert await found("ana@example.org") == await found("52998224725") == await found(ana.id) == [ana.id]
    assert await found("529.982.247-25") == [ana.id]
    assert await found("%") == []
    changed = await utility.customers.change(bia.id, CustomerChanges(address="", tax_id="52998224725"))
    assert (changed.address, changed.tax_id, changed.name) == ("", "52998224725", "Bia Lins")
    assert (await utility.customers.change(bia.id, CustomerChanges(tax_id=""))).tax_id is None
    with pytest.raises(Invalid):
        await utility.customers.change(bia.id, CustomerChanges(name="Other", tax_id="1"))
    assert (await utility.customers.customer(bia.id)).name == "Bia Lins"
    taken = await refusal(add(NewCustomer(name="C", account_id="acct_b")))
    assert taken.code == "customer.account_taken"
    missing = await refusal(utility.customers.change("cust_0", CustomerChanges(name="x")))
    assert missing.code == "customer.unknown"


@pytest.mark.parametrize("seed", range(3))
async def test_sights_are_what_a_diary_says(utility: Any, seed: int) -> None:
    """Random moves and swaps; every hour was written down by hand beside it, and the windows must agree."""
    draw = random.Random(seed)
    places, people = ["p1", "p2"], ["a1", "a2", "a3"]
    hangs = {place: place for place in places}
    lives: dict[str, str | None] = dict.fromkeys(places)
    for place in places:
        await utility.meter(place)
    add = utility.customers.add
    customers = {one: (await add(NewCustomer(name=one, account_id=one))).id for one in people}
    utility.clock.pass_by(hours=1)
    diary: dict[tuple[str, str], set[datetime]] = {}
    hours: list[datetime] = []
    for step in range(60):
        place = draw.choice(places)
        match draw.randrange(4):
            case 0:
                who = draw.choice(people)
                move = MoveIn(customer_id=customers[who], taking_over=True)
                await utility.customers.move_in(place, move)
                lives[place] = who
            case 1 if lives[place]:
                await utility.customers.move_out(place)
                lives[place] = None
            case 2:
                new = f"n{step}"
                await utility.meters.swap(hangs[place], Swap(new_id=new, end_wh=step))
                hangs[place] = new
            case _:
                pass
        hours.append(utility.clock.pass_by(minutes=30))
        for at_place, who_lives in lives.items():
            if who_lives:
                diary.setdefault((who_lives, hangs[at_place]), set()).add(hours[-1])
        utility.clock.pass_by(minutes=30)
    told = {}
    for who in people:
        for sight in await utility.access.sights(who):
            seen = {at for at in hours if any(w.starts_at <= at < w.ends_at for w in sight.windows)}
            told[who, sight.meter_id] = seen
            assert sight.now == (hours[-1] in seen)
    assert {key: seen for key, seen in told.items() if seen} == diary


async def test_a_month_that_began_with_somebody_else_is_not_covered(utility: Any) -> None:
    code = (await utility.meter("m")).claim_code
    at = utility.clock.pass_by(days=10)
    await utility.customers.claim(claimant("acct_1"), "m", code)
    sight = await utility.access.sight("acct_1", "m", is_staff=False)
    assert sight.covers(Window(at, at + timedelta(hours=1)))
    assert not sight.covers(Window(at - timedelta(seconds=1), at + timedelta(hours=1)))
    assert not sight.covers(Window(at - timedelta(days=30), at))
