"""News that comes in the wrong order, partners and drivers that mean harm, stores that lose answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Denied, Invalid, Unavailable
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.board import Board
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import (
    AttemptKey,
    HoldKey,
    HoldReply,
    HoldRequest,
    HoldState,
    Outcome,
    Ticket,
    Verdict,
)
from eletrovia.booking.holdstore import HoldStore
from eletrovia.booking.homestore import HomeStore
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.ledger import Delivery, Intent, Opening, Taken
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.trip import Itinerary, Place, Trip, TripAsk, TripState
from eletrovia.federation.wire import HOLD
from eletrovia.planning.vehicle import Vehicle
from eletrovia.sim.ledger import MemoryLedger
from eletrovia.sim.loop import DAY_ONE, VirtualClock, VirtualLoop, run_virtual
from eletrovia.store.pool import Store

HOME, OTHER, OWNER = "BR*CAR", "BR*MAN", "BR*SER"
PRICE = Decimal("23.45")
RULES = Rules(hold_ttl_s=5.0, ask_s=1.0, most_overdue=3)


def wanted(
    trip: str = "t1",
    *,
    home: str = HOME,
    attempt: int = 1,
    begins_min: int = 0,
    asked_at: datetime | None = None,
    now: datetime = DAY_ONE,
) -> HoldRequest:
    starts_at = now + timedelta(hours=2, minutes=begins_min)
    return HoldRequest(
        key=HoldKey(trip, attempt, 0),
        home=home,
        evse_uid="E1",
        window=Window(starts_at, starts_at + timedelta(minutes=30)),
        ticket=Ticket(asked_at or now, trip),
        ttl_s=5.0,
        energy_wh=1000,
        charging_s=600,
        price=PRICE,
    )


class OneOffer:
    def price(self, evse_uid: str, energy_wh: int, charging_s: int) -> Decimal | None:
        return PRICE if evse_uid == "E1" else None


class Homes:
    """Registers of other homes: some answer, some never do."""

    def __init__(self, silent: Sequence[str] = ()) -> None:
        self.silent = set(silent)
        self.asked: list[tuple[str, AttemptKey]] = []

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision:
        self.asked.append((operator_id, proposal.key))
        if operator_id in self.silent:
            raise Unavailable("operator.unreachable")
        return Decision(key=proposal.key, verdict=Verdict.RELEASED, by=proposal.by)


def keeper_of(ledger: Any, clock: Any, homes: Any = None) -> Keeper:
    return Keeper(
        OWNER,
        ledger=ledger,
        homes=homes or Homes(),
        offer=OneOffer(),
        board=Board(),
        clock=clock,
        rules=RULES,
    )


async def held(keeper: Keeper, request: HoldRequest) -> HoldReply:
    (reply,) = await keeper.hold(request.home, [request])
    assert isinstance(reply, HoldReply), reply
    return reply


# -- news in the wrong order ----------------------------------------------------------------------------


async def test_a_cancellation_before_its_confirmation_frees_the_window(store: Store) -> None:
    clock = SystemClock()
    holds = HoldStore(store, clock)
    keeper = keeper_of(holds, clock)
    request = wanted(now=clock.now())
    assert (await held(keeper, request)).outcome is Outcome.HELD
    key = request.key.attempt_key
    assert await keeper.cancel(HOME, [Cancellation(key=key, home=HOME, cancelled_at=clock.now())]) == [None]
    confirmed = Decision(key=key, verdict=Verdict.CONFIRMED, by=HOME, stops=(0,))
    assert await keeper.apply(HOME, [confirmed]) == [None]
    assert (
        await held(
            keeper,
            msgspec.structs.replace(request, key=HoldKey("t2", 1, 0), ticket=Ticket(clock.now(), "t2")),
        )
    ).outcome is Outcome.HELD
    async with store.connection() as connection:
        rows = await (
            await connection.execute("select trip_id, ended_by from hold join charge using (trip_id)")
        ).fetchall()
    assert rows == [("t1", "cancelled")]
    await holds.close()


async def test_who_comes_before_the_confirmation_keeps_the_window(store: Store) -> None:
    clock = SystemClock()
    holds = HoldStore(store, clock)
    keeper = keeper_of(holds, clock)
    request = wanted(now=clock.now())
    await held(keeper, request)
    assert await keeper.arrive(HOME, [Arrival(key=request.key, home=HOME, arrived_at=clock.now())]) == [None]
    late = request.window.starts_at + timedelta(minutes=20)
    assert await holds.give_up_no_shows(late, late) == []
    await holds.close()


async def test_a_delivery_outlives_any_error() -> None:
    """An error that nobody thought of does not end the telling."""

    class Stumbling:
        def __init__(self) -> None:
            self.told: list[Decision] = []
            self.stumbles = 2

        async def deliver(self, operator_id: str, decision: Decision) -> None:
            self.stumbles -= 1
            if self.stumbles >= 0:
                raise RuntimeError("out of the blue")
            self.told.append(decision)

    ledger, partner = MemoryLedger(HOME), Stumbling()
    outbox = Outbox(ledger, partner, slowest_s=0.01)  # type: ignore[arg-type]
    decision = Decision(key=AttemptKey("t1", 1), verdict=Verdict.RELEASED, by=HOME, stops=(0,))
    outbox.push([Delivery(operator_id=OTHER, body=decision)] * 3)
    assert await outbox.told("t1", wait_s=5)
    assert partner.told == [decision]


# -- answers that are lost ---------------------------------------------------------------------------------


class Lossy(MemoryLedger):
    """Takes a hold, and loses the answer."""

    async def take(self, request: HoldRequest, received_at: datetime) -> Taken:
        await super().take(request, received_at)
        raise Unavailable("store.unreachable")


def test_a_hold_that_nobody_knows_of_is_settled() -> None:
    loop = VirtualLoop()
    ledger, homes = Lossy(OWNER), Homes()

    async def live() -> None:
        keeper = keeper_of(ledger, VirtualClock(loop), homes)
        assert isinstance((await keeper.hold(HOME, [wanted()]))[0], Unavailable)
        work = asyncio.create_task(keeper.run())
        await asyncio.sleep(20)
        work.cancel()

    run_virtual(live(), loop)
    assert [hold.state for hold in ledger.holds.values()] == [HoldState.RELEASED]


def test_a_sweep_that_fails_is_not_the_last_one() -> None:
    loop = VirtualLoop()

    class Stumbling(MemoryLedger):
        sweeps = 0

        async def give_up_no_shows(self, starting_before: datetime, at: datetime) -> Any:
            self.sweeps += 1
            raise RuntimeError("out of the blue")

    ledger = Stumbling(OWNER)

    async def live() -> None:
        keeper = keeper_of(ledger, VirtualClock(loop))
        work = asyncio.create_task(keeper.run())
        await held(keeper, wanted())
        await asyncio.sleep(30)
        assert not work.done()
        work.cancel()

    run_virtual(live(), loop)
    assert ledger.sweeps > 1
    assert [hold.state for hold in ledger.holds.values()] == [HoldState.RELEASED]


# -- partners that mean harm --------------------------------------------------------------------------------


def test_who_never_decides_gets_no_more() -> None:
    loop = VirtualLoop()
    homes = Homes(silent=[OTHER])

    async def live() -> None:
        keeper = keeper_of(MemoryLedger(OWNER), VirtualClock(loop), homes)
        work = asyncio.create_task(keeper.run())
        for number in range(RULES.most_overdue):
            await held(keeper, wanted(f"t{number}", home=OTHER, begins_min=30 * number))
        assert (await held(keeper, wanted("t7", home=OTHER, begins_min=210))).outcome is Outcome.HELD
        await asyncio.sleep(10)
        refused = await held(keeper, wanted("t8", home=OTHER, begins_min=240))
        assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "too_many_undecided")
        assert (await held(keeper, wanted("t9", begins_min=270))).outcome is Outcome.HELD
        homes.silent.clear()
        await asyncio.sleep(10)
        assert (await held(keeper, wanted("t8", home=OTHER, begins_min=240))).outcome is Outcome.HELD
        work.cancel()

    run_virtual(live(), loop)


def test_another_home_cannot_take_a_trip_for_its_own() -> None:
    """Trips' ids are seen by rivals: the same id from another home is another trip."""
    loop = VirtualLoop()
    homes = Homes(silent=[HOME])

    async def live() -> None:
        keeper = keeper_of(MemoryLedger(OWNER), VirtualClock(loop), homes)
        await held(keeper, wanted("t1"))
        later = DAY_ONE + timedelta(seconds=1)
        thief = await held(keeper, wanted("t1", home=OTHER, attempt=2, asked_at=later))
        assert (thief.outcome, thief.reason) == (Outcome.REFUSED, "taken")
        assert homes.asked == [], "the older trip was not even asked to yield"
        # An older one does contest; nobody else hears the answer to it.
        older = DAY_ONE - timedelta(seconds=9)
        homes.silent.clear()
        rivals = [wanted("t2", home=OTHER, asked_at=older), wanted("t2", asked_at=older)]
        replies = await asyncio.gather(*(held(keeper, rival) for rival in rivals))
        assert sorted(reply.outcome for reply in replies) == [Outcome.HELD, Outcome.REFUSED]

    run_virtual(live(), loop)


@pytest.fixture(params=["in_memory", "in_postgresql"])
def home_ledger(request: pytest.FixtureRequest) -> Any:
    if request.param == "in_memory":
        return MemoryLedger(HOME)
    return HomeStore(HOME, request.getfixturevalue("store"), SystemClock())


def opening(trip_id: str, vehicle: str | Vehicle = "car") -> Opening:
    here = Place("here", Point(0, 0))
    way = Itinerary(
        origin=here, destination=here, vehicle_id="car", vehicle_name="car", departs_at=DAY_ONE,
        arrives_at=DAY_ONE, soc=0.6, arrival_soc=0.3, reserve_soc=0.2, distance_km=1.0, drive_s=1, wait_s=0,
        charge_s=1, last_leg_km=1.0, last_leg_s=1, price=PRICE, currency="BRL", stops=(),
    )  # fmt: skip
    trip = Trip(
        id=trip_id,
        driver_id="ana",
        home=HOME,
        state=TripState.PENDING,
        attempt=1,
        asked_at=DAY_ONE,
        itinerary=way,
    )
    intent = Intent(key=AttemptKey(trip_id, 1), itinerary=way, operators=(OWNER,), holds=(wanted(trip_id),))
    ask = TripAsk(origin="here", destination="there", soc=0.6, vehicle=vehicle)
    return Opening(trip=trip, ask=ask, idempotency_key=trip_id, body_digest="d", intent=intent)


async def test_nobody_decides_over_what_is_not_theirs(home_ledger: Any) -> None:
    for trip_id in ("t1", "t2"):
        await home_ledger.open_trip(opening(trip_id))
    register = LedgerRegister(HOME, home_ledger)

    async def says(verdict: Verdict, by: str, trip: str = "t1", attempt: int = 1) -> Any:
        (answer,) = await register.propose_all(
            [Proposal(key=AttemptKey(trip, attempt), verdict=verdict, by=by)]
        )
        return answer

    assert isinstance(await says(Verdict.CONFIRMED, OWNER), Denied), "confirming takes every receipt"
    assert isinstance(await says(Verdict.RELEASED, OTHER), Denied), "it holds nothing of this"
    assert isinstance(await says(Verdict.RELEASED, OWNER, attempt=2), Denied), "not asked for yet"
    assert isinstance(await says(Verdict.CONFIRMED, OTHER, trip="t9"), Denied)
    assert await register.read(AttemptKey("t1", 1)) is None
    assert (await says(Verdict.RELEASED, OWNER)).verdict is Verdict.RELEASED
    assert (await says(Verdict.RELEASED, OTHER, trip="t9")).verdict is Verdict.RELEASED, "nobody's for long"
    assert (await home_ledger.trip("t2")).state is TripState.PENDING


@pytest.mark.parametrize(
    "harm",
    [
        {"key": {"trip_id": "a\0b", "attempt": 1, "stop": 0}},
        {"key": {"trip_id": "", "attempt": 1, "stop": 0}},
        {"key": {"trip_id": "t1", "attempt": 2**40, "stop": 0}},
        {"key": {"trip_id": "t1", "attempt": 1, "stop": -1}},
        {"evse_uid": "E\0"},
        {"energy_wh": 2**40},
        {"price": "NaN"},
        {"price": "1E+400"},
        {"ticket": {"asked_at": "2026-03-02T09:00:00", "trip_id": "t1"}},
        {"ticket": {"asked_at": "2026-03-02T09:00:00Z", "trip_id": "t0"}},
    ],
)
def test_what_no_database_could_keep_spoils_only_itself(harm: dict[str, Any]) -> None:
    good = msgspec.to_builtins(wanted())
    items = HOLD.decode(msgspec.json.encode({"requests": [good, good | harm, good]}))
    assert [isinstance(item, Invalid) for item in items] == [False, True, False]


async def test_times_beyond_every_calendar_are_refused_or_capped(store: Store) -> None:
    clock = SystemClock()
    holds = HoldStore(store, clock)
    keeper = keeper_of(holds, clock)
    end = datetime.max.replace(tzinfo=UTC, microsecond=0)
    far = msgspec.structs.replace(
        wanted("t1", now=clock.now()), window=Window(end - timedelta(minutes=5), end)
    )
    assert (await held(keeper, far)).reason == "window_too_far"
    beyond = datetime.fromisoformat("9999-12-31T23:59:59-12:00")
    assert (await held(keeper, wanted("t2", now=clock.now(), asked_at=beyond))).outcome is Outcome.HELD
    (kept,) = await holds.undecided()
    assert kept.request.ticket.asked_at <= clock.now() + timedelta(seconds=RULES.max_ticket_age_s)
    await holds.close()


async def test_one_drivers_nonsense_is_nobody_elses(store: Store) -> None:
    home = HomeStore(HOME, store, SystemClock())
    nonsense = Vehicle(id="car", name="c\0r", battery_wh=50_000, consumption_wh_per_km=150)
    asked = [opening("t1"), opening("t2", nonsense), opening("t3")]
    answers = await asyncio.gather(*map(home.open_trip, asked), return_exceptions=True)
    assert [getattr(answer, "id", None) for answer in answers] == ["t1", None, "t3"]
    assert isinstance(answers[1], Invalid)
    assert len(await home.unfinished()) == 2
    await home.close()


async def test_a_statement_that_fails_is_an_error_that_callers_know(store: Store) -> None:
    holds = HoldStore(store, SystemClock())
    async with store.connection() as connection:
        await connection.execute("alter table hold rename to elsewhere")
    with pytest.raises(Unavailable, match=r"store\.failed"):
        await holds.take(wanted(), DAY_ONE)
    with pytest.raises(Unavailable, match=r"store\.failed"):
        await holds.undecided()
    await holds.close()
