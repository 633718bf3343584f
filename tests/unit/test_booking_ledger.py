"""One contract suite for both ledgers: PostgreSQL's and the simulated world's memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldRequest, HoldState, Ticket, Verdict
from eletrovia.booking.holdstore import HoldStore
from eletrovia.booking.homestore import HomeStore
from eletrovia.booking.ledger import Delivery, Intent, Opening
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.booking.trip import Itinerary, Place, Setback, Stop, Trip, TripAsk, TripState
from eletrovia.sim.ledger import MemoryLedger
from eletrovia.store.pool import Store

HOME = "BR*CAR"
OTHER = "BR*MAN"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ASK = TripAsk(origin="João Pessoa", destination=Point(-12.2, -38.9), soc=0.6)
replace = msgspec.structs.replace


class Ledgers(NamedTuple):
    home: Any
    holds: Any


@pytest.fixture
def in_memory() -> Ledgers:
    memory = MemoryLedger(HOME)
    return Ledgers(memory, memory)


@pytest.fixture
async def in_postgresql(store: Store) -> AsyncIterator[Ledgers]:
    home, holds = HomeStore(HOME, store, SystemClock()), HoldStore(store, SystemClock())
    yield Ledgers(home, holds)
    await home.close()
    await holds.close()


@pytest.fixture(params=["in_memory", "in_postgresql"])
def ledger(request: pytest.FixtureRequest) -> Ledgers:
    return request.getfixturevalue(request.param)


def window(begins_min: int = 0, lasts_min: int = 30) -> Window:
    starts_at = NOW + timedelta(hours=2, minutes=begins_min)
    return Window(starts_at, starts_at + timedelta(minutes=lasts_min))


def wanted(
    trip: str = "t1", stop: int = 0, *, attempt: int = 1, evse: str = "E1", begins_min: int = 0
) -> HoldRequest:
    return HoldRequest(
        key=HoldKey(trip, attempt, stop),
        home=HOME,
        evse_uid=evse,
        window=window(begins_min),
        ticket=Ticket(NOW, trip),
        ttl_s=5.0,
        energy_wh=12_345,
        charging_s=1500,
        price=Decimal("23.45"),
    )


def itinerary(*operators: str) -> Itinerary:
    here = Place("João Pessoa", Point(-7.1, -34.9))
    stops = tuple(
        Stop(
            operator_id=operator_id, location_id="L1", location_name="Posto", city="Goiana",
            coordinates=here.point, evse_uid=f"E{number}", evse_id=f"BR*CAR*E{number}", power_w=50_000,
            arrives_at=NOW, starts_at=NOW, ends_at=window().ends_at, window=window(), arrival_soc=0.2123,
            departure_soc=0.8, energy_wh=12_345, distance_km=100.1234567, drive_s=3600,
            price=Decimal("23.45"),
        )
        for number, operator_id in enumerate(operators)
    )  # fmt: skip
    return Itinerary(
        origin=here, destination=here, vehicle_id="car", vehicle_name="Car", departs_at=NOW, arrives_at=NOW,
        soc=0.6, arrival_soc=0.25, reserve_soc=0.2, distance_km=859.1, drive_s=1, wait_s=0, charge_s=1,
        last_leg_km=1.5, last_leg_s=1, price=Decimal("46.90"), currency="BRL", stops=stops,
    )  # fmt: skip


def opening(trip_id: str = "t1", key: str = "k1", digest: str = "d1") -> Opening:
    way = itinerary(HOME, OTHER, HOME)
    trip = Trip(
        id=trip_id, driver_id="ana", home=HOME, state=TripState.PENDING, attempt=1, asked_at=NOW,
        itinerary=way,
    )  # fmt: skip
    return Opening(trip=trip, ask=ASK, idempotency_key=key, body_digest=digest, intent=intent(trip_id, 1))


def intent(trip_id: str, attempt: int) -> Intent:
    way = itinerary(HOME, OTHER, HOME)
    holds = tuple(wanted(trip_id, stop, attempt=attempt) for stop in range(3))
    operators = tuple(stop.operator_id for stop in way.stops)
    return Intent(key=AttemptKey(trip_id, attempt), itinerary=way, operators=operators, holds=holds)


def says(verdict: Verdict, by: str = HOME, trip: str = "t1", attempt: int = 1) -> Proposal:
    return Proposal(key=AttemptKey(trip, attempt), verdict=verdict, by=by)


def decided(verdict: Verdict, *stops: int, trip: str = "t1") -> Decision:
    return Decision(key=AttemptKey(trip, 1), verdict=verdict, by=HOME, stops=stops)


# -- the home's half ----------------------------------------------------------------------------------------


async def test_a_trip_is_found_as_it_was_put_down(ledger: Ledgers) -> None:
    asked = opening()
    assert await ledger.home.open_trip(asked) == asked.trip
    assert await ledger.home.trip("t1") == asked.trip
    assert await ledger.home.trip("t2") is None
    (found,) = await ledger.home.unfinished()
    assert (found.trip, found.ask, found.intent, found.verdict) == (asked.trip, ASK, asked.intent, None)


async def test_the_same_key_is_the_same_trip(ledger: Ledgers) -> None:
    first = await ledger.home.open_trip(opening("t1"))
    assert await ledger.home.open_trip(opening("t2")) == first
    assert await ledger.home.find("ana", "k1", "d1") == first
    assert await ledger.home.find("ana", "k2", "d1") is None
    assert await ledger.home.find("rui", "k1", "d1") is None
    for call in (ledger.home.open_trip(opening("t3", digest="d2")), ledger.home.find("ana", "k1", "d2")):
        with pytest.raises(Invalid, match="trip.key_reused"):
            await call
    assert await ledger.home.trip("t3") is None


async def test_the_same_key_at_once_is_one_trip(ledger: Ledgers) -> None:
    trips = await asyncio.gather(*(ledger.home.open_trip(opening(f"t{n}")) for n in range(20)))
    assert len({trip.id for trip in trips}) == 1
    assert len(await ledger.home.trips("ana", limit=50, before=None)) == 1


async def test_the_first_decision_stands(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    key = AttemptKey("t1", 1)
    assert await ledger.home.decision(key) is None
    first = await ledger.home.decide(says(Verdict.RELEASED, by=OTHER))
    assert (first.verdict, first.by) == (Verdict.RELEASED, OTHER)
    later = await ledger.home.decide(says(Verdict.CONFIRMED))
    assert (later.verdict, later.by) == (Verdict.RELEASED, OTHER)
    assert (await ledger.home.trip("t1")).state is TripState.PENDING
    assert (await ledger.home.decision(key)).verdict is Verdict.RELEASED


async def test_rival_proposals_at_once_hear_the_same(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    verdicts = [Verdict.CONFIRMED, Verdict.RELEASED] * 10
    answers = await asyncio.gather(
        *(ledger.home.decide(says(v, by=f"op{n}")) for n, v in enumerate(verdicts))
    )
    assert len({(answer.verdict, answer.by) for answer in answers}) == 1


async def test_confirmed_confirms_the_trip_and_lists_who_must_be_told(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    assert await ledger.home.deliveries() == []
    await ledger.home.decide(says(Verdict.CONFIRMED))
    assert (await ledger.home.trip("t1")).state is TripState.CONFIRMED
    assert await ledger.home.unfinished() == []
    due = {d.operator_id: d for d in await ledger.home.deliveries()}
    assert {owner: d.body.stops for owner, d in due.items()} == {HOME: (0, 2), OTHER: (1,)}
    assert all(d.body.verdict is Verdict.CONFIRMED for d in due.values())
    await ledger.home.delivered(due[OTHER])
    await ledger.home.delivered(due[OTHER])
    assert [d.operator_id for d in await ledger.home.deliveries()] == [HOME]


async def test_an_unknown_attempt_can_be_released(ledger: Ledgers) -> None:
    answer = await ledger.home.decide(says(Verdict.RELEASED, by=OTHER, trip="t9"))
    assert answer.verdict is Verdict.RELEASED
    assert await ledger.home.deliveries() == []


async def test_attempts_follow_each_other(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    with pytest.raises(Conflict, match="trip.moved_on"):
        await ledger.home.next_attempt(intent("t1", 2))
    await ledger.home.decide(says(Verdict.RELEASED))
    with pytest.raises(Conflict, match="trip.moved_on"):
        await ledger.home.next_attempt(intent("t1", 3))
    await ledger.home.next_attempt(intent("t1", 2))
    with pytest.raises(Conflict, match="trip.moved_on"):
        await ledger.home.next_attempt(intent("t1", 2))
    (found,) = await ledger.home.unfinished()
    assert (found.intent.key.attempt, found.trip.attempt, found.verdict) == (2, 2, None)
    await ledger.home.decide(says(Verdict.CONFIRMED, attempt=2))
    assert (await ledger.home.trip("t1")).state is TripState.CONFIRMED


async def test_a_failed_trip_says_why_and_what_else_there_was(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    why = Setback(code="trip.taken", facts={"attempts": 1})
    standing = await ledger.home.fail("t1", why, ())
    assert standing.state is TripState.PENDING, "its attempt may still be confirmed"
    await ledger.home.decide(says(Verdict.RELEASED))
    failed = await ledger.home.fail("t1", why, (itinerary(OTHER),))
    assert (failed.state, failed.setback, failed.itinerary) == (TripState.FAILED, why, None)
    assert failed.alternatives == (itinerary(OTHER),)
    assert await ledger.home.fail("t1", Setback(code="other"), ()) == failed


async def test_only_a_confirmed_trip_is_called_off_and_once(ledger: Ledgers) -> None:
    await ledger.home.open_trip(opening())
    with pytest.raises(Conflict, match="trip.not_confirmed"):
        await ledger.home.cancel_trip("t1", NOW, Decimal("1.00"))
    with pytest.raises(NotFound):
        await ledger.home.cancel_trip("t9", NOW, Decimal("1.00"))
    await ledger.home.decide(says(Verdict.CONFIRMED))
    cancelled = await ledger.home.cancel_trip("t1", NOW, Decimal("9.38"))
    assert (cancelled.state, cancelled.cancellation_fee) == (TripState.CANCELLED, Decimal("9.38"))
    with pytest.raises(Conflict, match="trip.not_confirmed"):
        await ledger.home.cancel_trip("t1", NOW, Decimal("1.00"))
    bodies = [d.body for d in await ledger.home.deliveries()]
    calls = [body for body in bodies if isinstance(body, Cancellation)]
    assert calls == [Cancellation(key=AttemptKey("t1", 1), home=HOME, cancelled_at=NOW)] * 2
    await ledger.home.delivered(Delivery(operator_id=OTHER, body=calls[0]))
    assert len(await ledger.home.deliveries()) == 3


async def test_trips_come_newest_first_by_pages(ledger: Ledgers) -> None:
    for number in range(5):
        await ledger.home.open_trip(opening(f"t{number}", key=f"k{number}"))
    first = await ledger.home.trips("ana", limit=3, before=None)
    assert [trip.id for trip in first] == ["t4", "t3", "t2"]
    rest = await ledger.home.trips("ana", limit=3, before="t2")
    assert [trip.id for trip in rest] == ["t1", "t0"]
    assert await ledger.home.trips("rui", limit=3, before=None) == []


# -- the EVSE owner's half -----------------------------------------------------------------------------------


async def test_a_window_is_taken_once(ledger: Ledgers) -> None:
    first = await ledger.holds.take(wanted("t1"), NOW)
    assert (first.state, first.fresh) == (HoldState.HELD, True)
    again = await ledger.holds.take(wanted("t1"), NOW)
    assert (again.state, again.fresh, again.same) == (HoldState.HELD, False, True)
    rival = await ledger.holds.take(wanted("t2", begins_min=29), NOW)
    assert rival.state is None
    (blocker,) = rival.blockers
    assert (blocker.key, blocker.home, blocker.state) == (AttemptKey("t1", 1), HOME, HoldState.HELD)
    assert (blocker.ticket, blocker.window) == (Ticket(NOW, "t1"), window())
    assert (await ledger.holds.take(wanted("t3", begins_min=30), NOW)).fresh
    assert (await ledger.holds.take(wanted("t4", evse="E2"), NOW)).fresh


async def test_other_words_under_the_same_key_are_noticed(ledger: Ledgers) -> None:
    await ledger.holds.take(wanted("t1"), NOW)
    assert not (await ledger.holds.take(wanted("t1", evse="E2"), NOW)).same
    older = replace(wanted("t1"), ticket=Ticket(NOW - timedelta(seconds=9), "t1"))
    assert (await ledger.holds.take(older, NOW)).same


async def test_many_at_once_get_one_window(ledger: Ledgers) -> None:
    answers = await asyncio.gather(*(ledger.holds.take(wanted(f"t{n}"), NOW) for n in range(40)))
    assert sum(taken.fresh for taken in answers) == 1
    assert all(taken.blockers for taken in answers if not taken.fresh)


async def test_confirming_twice_charges_once(ledger: Ledgers) -> None:
    await ledger.holds.take(wanted("t1", 0), NOW)
    await ledger.holds.take(wanted("t1", 1, evse="E2"), NOW)
    for _ in range(2):
        holds = await ledger.holds.apply(HOME, decided(Verdict.CONFIRMED, 0, 1), NOW)
        assert sorted((h.request.key.stop, h.state) for h in holds) == [
            (0, HoldState.CONFIRMED),
            (1, HoldState.CONFIRMED),
        ]
    with pytest.raises(Conflict, match="decided_otherwise"):
        await ledger.holds.apply(HOME, decided(Verdict.RELEASED, 0, 1), NOW)
    assert await ledger.holds.undecided() == []
    standing = await ledger.holds.standing(NOW)
    assert {hold.request for hold in standing} == {wanted("t1", 0), wanted("t1", 1, evse="E2")}


async def test_released_frees_the_window(ledger: Ledgers) -> None:
    await ledger.holds.take(wanted("t1"), NOW)
    (hold,) = await ledger.holds.apply(HOME, decided(Verdict.RELEASED, 0), NOW)
    assert hold.state is HoldState.RELEASED
    assert (await ledger.holds.take(wanted("t2"), NOW)).fresh
    assert (await ledger.holds.take(wanted("t1"), NOW)).state is HoldState.RELEASED


async def test_a_tombstone_bars_the_late_hold(ledger: Ledgers) -> None:
    assert await ledger.holds.apply(HOME, decided(Verdict.RELEASED, 0, 1), NOW) == []
    late = await ledger.holds.take(wanted("t1", 1), NOW)
    assert (late.state, late.fresh) == (HoldState.RELEASED, False)
    assert (await ledger.holds.take(wanted("t2"), NOW)).fresh
    assert await ledger.holds.apply(HOME, decided(Verdict.RELEASED, 0, 1), NOW) == []


async def test_a_stranger_decides_nothing(ledger: Ledgers) -> None:
    await ledger.holds.take(wanted("t1"), NOW)
    assert await ledger.holds.apply(OTHER, decided(Verdict.RELEASED, 0), NOW) == []
    assert len(await ledger.holds.undecided()) == 1


async def test_a_called_off_window_is_free_again(ledger: Ledgers) -> None:
    call = Cancellation(key=AttemptKey("t1", 1), home=HOME, cancelled_at=NOW)
    await ledger.holds.take(wanted("t1"), NOW)
    assert await ledger.holds.free(call) == []
    await ledger.holds.apply(HOME, decided(Verdict.CONFIRMED, 0), NOW)
    assert await ledger.holds.free(replace(call, home=OTHER)) == []
    (freed,) = await ledger.holds.free(call)
    assert (freed.state, freed.ended_by) == (HoldState.CONFIRMED, "cancelled")
    assert await ledger.holds.free(call) == []
    assert (await ledger.holds.take(wanted("t2"), NOW)).fresh


async def test_no_show(ledger: Ledgers) -> None:
    for stop in (0, 1):
        await ledger.holds.take(wanted("t1", stop, evse=f"E{stop}"), NOW)
    await ledger.holds.apply(HOME, decided(Verdict.CONFIRMED, 0, 1), NOW)
    await ledger.holds.arrive(Arrival(key=HoldKey("t1", 1, 1), home=HOME, arrived_at=NOW))
    with pytest.raises(NotFound):
        await ledger.holds.arrive(Arrival(key=HoldKey("t1", 1, 7), home=HOME, arrived_at=NOW))
    await ledger.holds.take(wanted("t3", evse="E3"), NOW)
    with pytest.raises(NotFound):
        await ledger.holds.arrive(Arrival(key=HoldKey("t3", 1, 0), home=HOME, arrived_at=NOW))
    begins = window().starts_at
    assert await ledger.holds.give_up_no_shows(begins, begins) == []
    (given_up,) = await ledger.holds.give_up_no_shows(begins + timedelta(minutes=15), begins)
    assert (given_up.request.key.stop, given_up.ended_by) == (0, "no_show")
    with pytest.raises(Conflict, match=r"hold\.given_up"):
        await ledger.holds.arrive(Arrival(key=HoldKey("t1", 1, 0), home=HOME, arrived_at=begins))
    assert (await ledger.holds.take(wanted("t2", evse="E0"), NOW)).fresh
    assert not (await ledger.holds.take(wanted("t2", evse="E1", stop=1), NOW)).fresh
