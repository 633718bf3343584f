"""After the load: whether all three ledgers agree, I1 to I6 of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.city import OPERATORS, Measured

_OPEN = """
select (select count(*) from hold where state = 'held') + (select count(*) from outbox)
     + (select count(*) from trip where state = 'pending')
"""
_OVERLAPS = """
select count(*) from hold a join hold b
on a.evse_uid = b.evse_uid and a.during && b.during
   and (a.home, a.trip_id, a.attempt, a.stop) < (b.home, b.trip_id, b.attempt, b.stop)
where a.state <> 'released' and b.state <> 'released' and a.ended_by is null and b.ended_by is null
"""
_UNCHARGED = """
select count(*) from hold full join charge using (home, trip_id, attempt, stop)
where (hold.state = 'confirmed') is distinct from (charge.amount is not null)
"""
_TRIPS = """
select trip.id, state, trip.attempt, cardinality(operators)
from trip join intent on intent.trip_id = trip.id and intent.attempt = trip.attempt
"""


async def check(city: Measured, *, settle_s: float = 30.0) -> tuple[list[str], int, int]:
    """What is broken, and how many trips and holds were looked at. Waits until nothing is undecided."""
    broken: list[str] = []
    loop = asyncio.get_running_loop()
    until_s = loop.time() + settle_s
    while left := sum([int((await city.sql(one, _OPEN))[0][0]) for one in OPERATORS]):
        if loop.time() > until_s:
            broken.append(f"I5: {left} holds, trips and deliveries have not ended after {settle_s:.0f} s")
            break
        await asyncio.sleep(0.2)
    decisions: dict[tuple[Any, ...], str] = {}
    for home in OPERATORS:
        for trip, attempt, verdict in await city.sql(home, "select trip_id, attempt, verdict from decision"):
            decisions[home, trip, attempt] = verdict
    confirmed: dict[tuple[Any, ...], set[int]] = {}
    holds = 0
    for owner in OPERATORS:
        rows = await city.sql(
            owner, "select home, trip_id, attempt, stop, state from hold where state <> 'held'"
        )
        holds += len(rows)
        for home, trip, attempt, stop, state in rows:
            if decisions.get((home, trip, attempt)) != state:
                broken.append(f"I2: {owner} has {state} for {trip}/{attempt}/{stop}")
            if state == "confirmed":
                confirmed.setdefault((home, trip, attempt), set()).add(stop)
        for what, statement in (("I4: overlaps", _OVERLAPS), ("I6: charges unlike holds", _UNCHARGED)):
            ((count,),) = await city.sql(owner, statement)
            if count:
                broken.append(f"{what} at {owner}: {count}")
    trips = 0
    for home in OPERATORS:
        for trip, state, attempt, stops in await city.sql(home, _TRIPS):
            trips += 1
            got = confirmed.pop((home, trip, attempt), set())
            if got != (set(range(stops)) if state == "confirmed" else set()):
                broken.append(f"I3: {trip} is {state} with {sorted(got)} of {stops} stops")
    broken += [f"I3: stops of {key} are confirmed, the trip is not" for key in confirmed]
    return broken[:20], trips, holds
