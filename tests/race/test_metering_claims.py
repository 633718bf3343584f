"""Rivals for one meter and one place, each with a connection pool of their own; canaries first."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, EletroviaError
from eletrovia.base.ids import Ids
from eletrovia.metering import fittingstore
from eletrovia.metering.customer import Claimant, MoveIn, NewCustomer, Stay
from eletrovia.metering.customers import Customers
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.intake import Intake
from eletrovia.metering.meter import NewMeter, Registered, Swap, Swapped
from eletrovia.metering.meters import Meters
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

RIVALS = 4
CLOCK = SystemClock()


async def nobody_hears(topic: str, payload: bytes) -> None:
    """A bus without devices."""


class Rival:
    """One server's worth of verbs."""

    def __init__(self, store: Store) -> None:
        self.customers = Customers(store, clock=CLOCK, ids=Ids(CLOCK))
        intake = Intake(ReadingStore(store, CLOCK), Roster(store, CLOCK), CLOCK)
        self.meters = Meters(store, DeviceKeys(b"r" * 32), intake, clock=CLOCK, tell=nobody_hears)


async def rivals(url: str, stack: AsyncExitStack) -> list[Rival]:
    """As many as ``RIVALS``, each of them warm: one that connects first would be alone for a while."""
    made = []
    for _ in range(RIVALS):
        rival = Rival(await stack.enter_async_context(await Store.open(url, size=3)))
        await rival.meters.meters(limit=1)
        made.append(rival)
    return made


async def codes(rival: Rival, prefix: str, count: int) -> dict[str, str]:
    """New meters and the codes by which they can be claimed."""
    made = await rival.meters.register([NewMeter(id=f"{prefix}{n}") for n in range(count)])
    return {one.id: str(one.claim_code) for one in made if isinstance(one, Registered)}


async def claim(rival: Rival, number: int, meter_id: str, code: str) -> Stay | EletroviaError:
    claimant = Claimant(account_id=f"acct_{number}", name=f"R{number}", email="r@example.org", language="en")
    try:
        return await rival.customers.claim(claimant, meter_id, code)
    except EletroviaError as refused:
        return refused


async def most_claimants(crowd: list[Rival], meters: dict[str, str]) -> int:
    """Everybody claims every meter at once; how many had the same one at most. The others must be told."""
    most = 0
    for meter_id, code in meters.items():
        answers = await asyncio.gather(*(claim(one, n, meter_id, code) for n, one in enumerate(crowd)))
        won = [one for one in answers if isinstance(one, Stay)]
        lost = [one for one in answers if not isinstance(one, Stay)]
        assert won
        assert {(type(one), one.code) for one in lost} <= {(Conflict, "meter.claimed")}
        most = max(most, len(won))
    return most


async def test_two_who_claim_at_once(database_url: str, store: Store) -> None:
    async with AsyncExitStack() as stack:
        crowd = await rivals(database_url, stack)
        async with store.connection() as connection:
            await connection.execute("alter table occupancy drop constraint occupancy_one_at_a_time")
        both = await most_claimants(crowd, await codes(crowd[0], "canary", 20))
        assert both > 1, "canary: without the constraint two must have the same meter"
        async with store.connection() as connection:
            await connection.execute("delete from occupancy")
            await connection.execute(
                "alter table occupancy add constraint occupancy_one_at_a_time exclude using gist"
                " (int8range(point_key, point_key, '[]') with &&, tstzrange(from_at, until_at) with &&)"
            )
        assert await most_claimants(crowd, await codes(crowd[0], "m", 40)) == 1
        async with store.connection() as connection:
            rows = await connection.execute("select count(*), count(distinct usage_point_id) from occupancy")
            assert await rows.fetchone() == (40, 40)


async def test_two_who_move_in_at_once(database_url: str, store: Store) -> None:
    async with AsyncExitStack() as stack:
        crowd = await rivals(database_url, stack)
        people = [await one.customers.add(NewCustomer(name=f"R{n}")) for n, one in enumerate(crowd)]

        async def move_in(number: int, place: str, *, taking_over: bool) -> bool:
            asked = MoveIn(customer_id=people[number].id, taking_over=taking_over)
            try:
                await crowd[number].customers.move_in(place, asked)
            except EletroviaError as refused:
                said.add(refused.code)
                return False
            return True

        said: set[str] = set()

        for place in await codes(crowd[0], "m", 25):
            moved = await asyncio.gather(*(move_in(n, place, taking_over=False) for n in range(RIVALS)))
            assert sum(moved) == 1
            await asyncio.gather(*(move_in(n, place, taking_over=True) for n in range(RIVALS)))
        # With taking over, one may be told that it came before the one who has just moved in.
        assert said <= {"usage_point.occupied", "stay.ends_before_it_begins"}
        async with store.connection() as connection:
            rows = await connection.execute(
                "select count(*), count(distinct usage_point_id) from occupancy where until_at is null"
            )
            assert await rows.fetchone() == (25, 25)
            rows = await connection.execute(
                "select count(*) from usage_point p join occupancy o on o.usage_point_id = p.id"
                " where o.until_at is null and p.customer_id is distinct from o.customer_id"
            )
            assert await rows.fetchone() == (0,)


async def most_swaps(crowd: list[Rival], places: list[str]) -> int:
    """Everybody swaps the same meter for another at once; how many were told that it was done, at most."""

    async def swap(rival: Rival, number: int, place: str) -> Swapped | EletroviaError:
        try:
            return await rival.meters.swap(place, Swap(new_id=f"{place}-by{number}", end_wh=7 + number))
        except EletroviaError as refused:
            return refused

    most = 0
    for place in places:
        answers = await asyncio.gather(*(swap(one, n, place) for n, one in enumerate(crowd)))
        done = [one for one in answers if isinstance(one, Swapped)]
        assert done
        assert {one.code for one in answers if isinstance(one, EletroviaError)} <= {"meter.not_fitted"}
        most = max(most, len(done))
    return most


async def test_two_swaps_at_once(database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        crowd = await rivals(database_url, stack)
        guarded = fittingstore._TAKE_OUT
        unguarded = guarded.replace("and f.until_at is null", "")
        assert unguarded != guarded
        async with store.connection() as connection:
            await connection.execute("alter table fitting drop constraint fitting_place_at_once")
            await connection.execute("drop index fitting_one_meter_a_place")
        with monkeypatch.context() as without:
            without.setattr(fittingstore, "_TAKE_OUT", unguarded)
            twice = await most_swaps(crowd, list(await codes(crowd[0], "canary", 10)))
        assert twice > 1, "canary: without a guard two meters must hang in one place"
        # The statement alone keeps them apart, though the constraints are still gone.
        places = list(await codes(crowd[0], "m", 15))
        assert await most_swaps(crowd, places) == 1
        async with store.connection() as connection:
            rows = await connection.execute(
                "select usage_point_id, count(*) filter (where until_at is null), count(*) from fitting"
                " where usage_point_id = any (%b::text[]) group by 1 order by 1",
                (places,),
            )
            assert await rows.fetchall() == [(place, 1, 2) for place in sorted(places)]
            # Each last value and each first one is among the readings, once.
            rows = await connection.execute(
                "select count(*) from fitting f where usage_point_id = any (%b::text[]) and not exists ("
                " select from reading r where r.meter = f.meter and r.energy_wh = coalesce(end_wh, start_wh)"
                " and r.at = coalesce(until_at, from_at))",
                (places,),
            )
            assert await rows.fetchone() == (0,)


async def test_the_same_meters_registered_at_once(database_url: str, store: Store) -> None:
    async with AsyncExitStack() as stack:
        crowd = await rivals(database_url, stack)
        # Everybody brings meters of their own for the same places, and each in another order.
        batches = [
            [NewMeter(id=f"m{place}-by{n}", usage_point_id=f"p{place}") for place in range(60)]
            for n in range(RIVALS)
        ]
        batches = [batch[n * 15 :] + batch[: n * 15] for n, batch in enumerate(batches)]
        answers = await asyncio.gather(
            *(one.meters.register(batch) for one, batch in zip(crowd, batches, strict=True))
        )
        flat = [one for answer in answers for one in answer]
        assert sum(isinstance(one, Registered) for one in flat) == 60
        assert {one.code for one in flat if isinstance(one, EletroviaError)} == {"meter.place_taken"}
        async with store.connection() as connection:
            rows = await connection.execute("select count(*), (select count(*) from meter) from fitting")
            assert await rows.fetchone() == (60, 60)
