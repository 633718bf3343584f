"""The ledger entries of whole trips, written by the product's own statements with nothing around them.

No HTTP, no planning, no protocol: what remains when PostgreSQL is the only one at work. Statements of trips
that run at once travel in the same batches as in the servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import msgspec

from eletrovia.base.clock import SystemClock
from eletrovia.base.window import Window
from eletrovia.booking.decision import Proposal
from eletrovia.booking.desk import deliveries
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldRequest, Ticket, Verdict
from eletrovia.booking.holdstore import HoldStore
from eletrovia.booking.homestore import HomeStore
from eletrovia.booking.ledger import Intent, Opening
from eletrovia.booking.trip import Itinerary, Stop, Trip, TripAsk, TripState
from eletrovia.store.pool import Store

_APART = timedelta(days=3)  # longer than any trip, so that no two want the same window


class Replay(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``count`` trips from number ``first`` on, ``at_once`` at a time, into ``stores`` by operator id."""

    stores: dict[str, str]
    first: int
    count: int
    at_once: int


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    took_s: float
    held: int
    asked: int


class _Ledgers:
    """The two halves of every operator's ledger."""

    def __init__(self, stores: dict[str, Store]) -> None:
        clock = SystemClock()
        self.homes = {one: HomeStore(one, store, clock) for one, store in stores.items()}
        self.holds = {one: HoldStore(store, clock) for one, store in stores.items()}
        self.begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    async def close(self) -> None:
        for home in self.homes.values():
            await home.close()
        for holds in self.holds.values():
            await holds.close()

    async def write(self, number: int, way: Itinerary) -> tuple[int, int]:
        """One whole trip, from its opening to the last delivery; how many holds were asked and held."""
        home = list(self.homes)[number % len(self.homes)]
        now = datetime.now(UTC)
        opening = _opening(number, home, way, self.begin + number * _APART, now)
        intent = opening.intent
        await self.homes[home].open_trip(opening)
        taken = await asyncio.gather(
            *(
                self.holds[owner].take(request, now)
                for owner, request in zip(intent.operators, intent.holds, strict=True)
            )
        )
        decision = await self.homes[home].decide(Proposal(key=intent.key, verdict=Verdict.CONFIRMED, by=home))
        due = deliveries(intent, decision.verdict, home)
        await asyncio.gather(*(self.holds[one.operator_id].apply(home, decision, now) for one in due))
        await asyncio.gather(*(self.homes[home].delivered(one) for one in due))
        return len(taken), sum(one.fresh for one in taken)


async def replay(job: Replay, ways: Sequence[Itinerary]) -> Replayed:
    """Write the trips, and how long it took. Raises: ValueError without any way to write."""
    if not ways:
        raise ValueError("no trip was confirmed, so there is none to write down")
    async with AsyncExitStack() as stack:
        stores = {}
        for operator_id, url in job.stores.items():
            stores[operator_id] = await stack.enter_async_context(await Store.open(url))
        ledgers = _Ledgers(stores)
        stack.push_async_callback(ledgers.close)
        numbers = iter(range(job.first, job.first + job.count))
        asked = held = 0

        async def run() -> None:
            nonlocal asked, held
            for number in numbers:
                wanted, got = await ledgers.write(number, ways[number % len(ways)])
                asked, held = asked + wanted, held + got

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(job.at_once):
                group.create_task(run())
        return Replayed(took_s=loop.time() - began_s, held=held, asked=asked)


def _opening(number: int, home: str, way: Itinerary, departs_at: datetime, now: datetime) -> Opening:
    later = departs_at - way.departs_at
    moved = msgspec.structs.replace(
        way,
        departs_at=way.departs_at + later,
        arrives_at=way.arrives_at + later,
        stops=tuple(_later(stop, later) for stop in way.stops),
    )
    trip_id = f"bench{number:010}"
    ticket = Ticket(now, trip_id)
    holds = tuple(
        HoldRequest(
            key=HoldKey(trip_id, 1, place),
            home=home,
            evse_uid=stop.evse_uid,
            window=stop.window,
            ticket=ticket,
            ttl_s=15.0,
            energy_wh=stop.energy_wh,
            charging_s=int((stop.ends_at - stop.starts_at).total_seconds()),
            price=stop.price,
        )
        for place, stop in enumerate(moved.stops)
    )
    intent = Intent(
        key=AttemptKey(trip_id, 1),
        itinerary=moved,
        operators=tuple(stop.operator_id for stop in moved.stops),
        holds=holds,
    )
    ask = TripAsk(
        origin=way.origin.name, destination=way.destination.name, soc=way.soc, departs_at=departs_at
    )
    trip = Trip(
        id=trip_id,
        driver_id="bench",
        home=home,
        state=TripState.PENDING,
        attempt=1,
        asked_at=now,
        itinerary=moved,
    )
    return Opening(trip=trip, ask=ask, idempotency_key=trip_id, body_digest="0" * 64, intent=intent)


def _later(stop: Stop, later: timedelta) -> Stop:
    window = Window(stop.window.starts_at + later, stop.window.ends_at + later)
    return msgspec.structs.replace(
        stop,
        window=window,
        arrives_at=stop.arrives_at + later,
        starts_at=stop.starts_at + later,
        ends_at=stop.ends_at + later,
    )
