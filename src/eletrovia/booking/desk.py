"""The home operator at work: takes trips, books them all or nothing, calls them off."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

import msgspec
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, EletroviaError, NotFound, Overloaded, Unavailable
from eletrovia.base.ids import Ids
from eletrovia.base.money import cents
from eletrovia.booking.attempt import AttemptRun, Setbacks
from eletrovia.booking.board import Board, EvseRef
from eletrovia.booking.decision import Decision
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldReply, HoldRequest, Ticket, Verdict
from eletrovia.booking.ledger import Delivery, HomeLedger, Intent, Opening, Unfinished
from eletrovia.booking.observer import Observer, Step, Unwatched
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.partner import Arrival, Cancellation, Partner
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.trip import Itinerary, Trip, TripAsk, TripState

Answer = TypeVar("Answer")

_log = structlog.get_logger(__name__)

_REST_S = 0.02
_LONGEST_REST_S = 1.0
_LOOK_EVERY_S = 15.0
_OUTDATED = frozenset({"price_changed", "evse_unknown"})
_EARLIEST_ARRIVAL = timedelta(
    hours=1
)  # who says so sooner is not there, and must not escape the no-show rule


class TripPlanner(Protocol):
    """Finds ways on what is known to be free."""

    async def plan(
        self, ask: TripAsk, *, without: frozenset[str] = frozenset(), alternatives: bool = False
    ) -> list[Itinerary]:
        """The best way first; only the best unless ``alternatives``. ``without`` names operators to avoid.

        Raises: NotFound for a place or a vehicle; Conflict("trip.no_way") saying why.
        """
        ...


class Desk:
    """Takes trips for one operator and carries each to its end, across restarts."""

    def __init__(
        self,
        operator_id: str,
        *,
        ledger: HomeLedger,
        register: LedgerRegister,
        partner: Partner,
        outbox: Outbox,
        planner: TripPlanner,
        board: Board,
        clock: Clock,
        ids: Ids,
        draw: random.Random,
        rules: Rules,
        observer: Observer | None = None,
        driver_ref: Callable[[str], str] = lambda driver_id: "",
        outdated: Callable[[str], None] = lambda operator_id: None,
    ) -> None:
        """``driver_ref`` makes of a driver's id what the owners of the stops are told; by default nothing.
        ``outdated`` hears of operators whose prices or stations are not what we planned with."""
        self._outdated = outdated
        self.operator_id = operator_id
        self._driver_ref = driver_ref
        self._ledger = ledger
        self._register = register
        self._partner = partner
        self._outbox = outbox
        self._planner = planner
        self._board = board
        self._clock = clock
        self._ids = ids
        self._draw = draw
        self._rules = rules
        self._observer = observer or Unwatched()
        self._conducting: dict[str, asyncio.Task[Trip]] = {}
        self._listeners: list[Callable[[Trip], None]] = []
        self._recovered = asyncio.Event()

    # -- what drivers ask ---------------------------------------------------------------------------

    async def plan(self, ask: TripAsk) -> list[Itinerary]:
        """Ways for the trip, best first; nothing is booked."""
        return await self._planner.plan(ask, alternatives=True)

    async def book(self, ask: TripAsk, *, driver_id: str, idempotency_key: str, wait_s: float) -> Trip:
        """Book the trip, all stops or none; pending when that is not known after ``wait_s``.

        Raises: Invalid("trip.key_reused"), and whatever planning raises; then nothing was kept.
        """
        await self._recovered.wait()
        digest = _digest(ask)
        return await self._seen_through(self._open(ask, driver_id, idempotency_key, digest), wait_s)

    async def reserve(self, way: Itinerary, *, driver_id: str, idempotency_key: str, wait_s: float) -> Trip:
        """Book exactly this way: nothing is planned, and no other way is tried.

        Raises: Invalid("trip.key_reused").
        """
        await self._recovered.wait()
        ask = TripAsk(
            origin=way.origin.point,
            destination=way.destination.point,
            soc=way.soc,
            departs_at=way.departs_at,
            attempts=1,
        )
        digest = _digest((way.stops, ask))
        opening = self._open_with(way, ask, driver_id, idempotency_key, digest, self._clock.now())
        return await self._seen_through(opening, wait_s)

    async def _seen_through(self, opening: Coroutine[None, None, Trip], wait_s: float) -> Trip:
        """The trip as it stands in the end, or pending after ``wait_s``; who leaves stops nothing."""
        asked = asyncio.ensure_future(opening)
        done, _ = await asyncio.wait([asked], timeout=max(wait_s, self._rules.ask_s))
        if not done:
            raise Unavailable("trip.not_yet_kept")
        trip = asked.result()
        running = self._conducting.get(trip.id)
        if running is None:
            return trip
        done, _ = await asyncio.wait([running], timeout=wait_s)
        return running.result() if done else trip

    async def trip(self, trip_id: str) -> Trip:
        """How the trip stands. Raises: NotFound."""
        trip = await self._ledger.trip(trip_id)
        if trip is None:
            raise NotFound("trip.unknown", trip_id=trip_id)
        return trip

    async def trips(self, driver_id: str, *, limit: int, before: str | None) -> list[Trip]:
        """The driver's trips, newest first, a page at a time."""
        return list(await self._ledger.trips(driver_id, limit=limit, before=before))

    async def cancel(self, trip_id: str, *, preview: bool = False) -> Trip:
        """Call off a confirmed trip; with ``preview`` only say what it would cost.

        Raises: NotFound, Conflict("trip.not_confirmed").
        """
        trip = await self.trip(trip_id)
        if trip.state is TripState.CANCELLED:
            return trip
        if trip.state is not TripState.CONFIRMED or trip.itinerary is None:
            raise Conflict("trip.not_confirmed", trip_id=trip_id, state=trip.state)
        now = self._clock.now()
        fee = self._cancellation_fee(trip.itinerary)
        if preview:
            return msgspec.structs.replace(trip, cancellation_fee=fee)
        try:
            cancelled = await self._ledger.cancel_trip(trip_id, now, fee)
        except Conflict:
            standing = await self.trip(trip_id)
            if standing.state is TripState.CANCELLED:  # by somebody at the same time
                return standing
            raise
        key = AttemptKey(trip_id, trip.attempt)
        message = Cancellation(key=key, home=self.operator_id, cancelled_at=now)
        owners = dict.fromkeys(stop.operator_id for stop in trip.itinerary.stops)
        self._outbox.push(Delivery(operator_id=owner, body=message) for owner in owners)
        for stop in trip.itinerary.stops:
            self._board.unask(EvseRef(stop.operator_id, stop.evse_uid), key)
        self._told(cancelled)
        return cancelled

    def _cancellation_fee(self, itinerary: Itinerary) -> Decimal:
        free_until = timedelta(seconds=self._rules.cancel_free_s)
        if not itinerary.stops or itinerary.stops[0].window.starts_at - self._clock.now() >= free_until:
            return Decimal("0.00")
        return cents(itinerary.price * self._rules.cancel_fee_share)

    async def arrive(self, trip_id: str, stop: int) -> None:
        """The driver stands at a stop of a confirmed trip. Raises: NotFound, Conflict, Unavailable."""
        trip = await self.trip(trip_id)
        if trip.state is not TripState.CONFIRMED or trip.itinerary is None:
            raise Conflict("trip.not_confirmed", trip_id=trip_id, state=trip.state)
        if not 0 <= stop < len(trip.itinerary.stops):
            raise NotFound("trip.stop_unknown", trip_id=trip_id, stop=stop)
        opens_at = trip.itinerary.stops[stop].window.starts_at - _EARLIEST_ARRIVAL
        if self._clock.now() < opens_at:
            raise Conflict("trip.arrival_too_early", trip_id=trip_id, stop=stop, from_at=opens_at.isoformat())
        key = HoldKey(trip_id, trip.attempt, stop)
        arrival = Arrival(key=key, home=self.operator_id, arrived_at=self._clock.now())
        await self._partner.arrive(trip.itinerary.stops[stop].operator_id, arrival)

    def listen(self, heard: Callable[[Trip], None]) -> Callable[[], None]:
        """Hear of every trip that changes; the answer stops it."""
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    # -- one trip -----------------------------------------------------------------------------------

    async def _open(self, ask: TripAsk, driver_id: str, idempotency_key: str, digest: str) -> Trip:
        asked_at = self._clock.now()
        began_s = self._clock.monotonic()
        try:
            itineraries = await self._planner.plan(ask)
        except EletroviaError:
            self._observer.planned(self._clock.monotonic() - began_s, False)
            # A replay is answered with what stands, even if the same way could not be found today.
            known = await self._ledger.find(driver_id, idempotency_key, digest)
            if known is not None:
                return known
            raise
        self._observer.planned(self._clock.monotonic() - began_s, True)
        return await self._open_with(itineraries[0], ask, driver_id, idempotency_key, digest, asked_at)

    async def _open_with(
        self,
        itinerary: Itinerary,
        ask: TripAsk,
        driver_id: str,
        idempotency_key: str,
        digest: str,
        asked_at: datetime,
    ) -> Trip:
        trip_id = self._ids.new("trip")
        intent = self._intent(trip_id, driver_id, 1, Ticket(asked_at, trip_id), itinerary)
        trip = Trip(
            id=trip_id,
            driver_id=driver_id,
            home=self.operator_id,
            state=TripState.PENDING,
            attempt=1,
            asked_at=asked_at,
            itinerary=itinerary,
        )
        opening = Opening(
            trip=trip, ask=ask, idempotency_key=idempotency_key, body_digest=digest, intent=intent
        )
        self._show(intent)
        try:
            # Said again until it is known to stand: then somebody carries it on.
            async with asyncio.timeout(self._rules.deadline_s):
                opened = await _insist(partial(self._ledger.open_trip, opening))
        except TimeoutError:
            self._hide(intent)
            raise Unavailable("store.unreachable", trip_id=trip_id) from None
        except BaseException:
            self._hide(intent)
            raise
        if opened.id != trip_id:
            self._hide(intent)
            return opened
        self._observer.passed(Step.JOURNALED)
        self._conduct_soon(opened, ask, intent, None)
        return opened

    def _conduct_soon(self, trip: Trip, ask: TripAsk, intent: Intent, verdict: Verdict | None) -> None:
        task = asyncio.create_task(self._conduct(trip, ask, intent, verdict))
        self._conducting[trip.id] = task
        task.add_done_callback(lambda _: self._conducting.pop(trip.id, None))

    async def _conduct(self, trip: Trip, ask: TripAsk, intent: Intent, verdict: Verdict | None) -> Trip:
        """Attempt after attempt until one is confirmed, or none can be."""
        began_s = self._clock.monotonic()
        deadline = trip.asked_at + timedelta(seconds=self._rules.deadline_s)
        setbacks = Setbacks()
        while True:
            if verdict is None:
                run = AttemptRun(
                    intent, self._register, self._partner, self._clock, self._rules, self._observer
                )
                verdict = await run.carry_out(give_up=self._clock.now() >= deadline)
                setbacks.add(run.setbacks)
                self._settled(intent, verdict)
                for refusal in run.setbacks.refusals:
                    self._learn(intent, refusal)
                if run.setbacks.refusals:
                    await _insist(partial(self._ledger.note_refusals, run.setbacks.refusals))
            if verdict is Verdict.CONFIRMED:
                trip = msgspec.structs.replace(
                    trip, state=TripState.CONFIRMED, attempt=intent.key.attempt, itinerary=intent.itinerary
                )
                break
            if intent.key.attempt >= (ask.attempts or self._rules.attempts) or self._clock.now() >= deadline:
                trip = await self._fail(trip, intent, setbacks, ask)
                break
            # Rivals that were refused together must not plan together again, and news of what they took
            # needs a moment to get here.
            await asyncio.sleep(self._draw.random() * min(_LONGEST_REST_S, _REST_S * 2**intent.key.attempt))
            following = await self._plan_again(trip, ask, intent, setbacks)
            if following is None:
                trip = await self._fail(trip, intent, setbacks, ask)
                break
            self._show(following)
            try:
                await _insist(partial(self._ledger.next_attempt, following))
            except Conflict:  # somebody carried it on already: what stands is the answer
                self._hide(following)
                trip = await _insist(partial(self.trip, trip.id))
                break
            self._observer.passed(Step.JOURNALED)
            intent, verdict = following, None
        self._told(trip)
        self._observer.trip_ended(trip.state, self._clock.monotonic() - began_s, trip.attempt)
        return trip

    async def _plan_again(self, trip: Trip, ask: TripAsk, last: Intent, setbacks: Setbacks) -> Intent | None:
        itineraries = await self._around(ask, setbacks)
        if not itineraries:
            return None
        ticket = Ticket(trip.asked_at, trip.id)
        return self._intent(trip.id, trip.driver_id, last.key.attempt + 1, ticket, itineraries[0])

    async def _around(self, ask: TripAsk, setbacks: Setbacks) -> list[Itinerary]:
        """Ways that avoid who was silent; where there is none, a silent operator may be back in a moment."""
        until_s = self._clock.monotonic() + self._rules.absence_s
        without = setbacks.silent_operators
        while True:
            try:
                return await self._planner.plan(ask, without=without)
            except EletroviaError as error:
                if not setbacks.silent_operators or self._clock.monotonic() >= until_s:
                    setbacks.no_way = error
                    return []
            await asyncio.sleep(0.25)
            without = frozenset()

    async def _fail(self, trip: Trip, last: Intent, setbacks: Setbacks, ask: TripAsk) -> Trip:
        alternatives: list[Itinerary] = []
        if setbacks.no_way is None:
            try:
                alternatives = await self._planner.plan(
                    ask, without=setbacks.silent_operators, alternatives=True
                )
            except EletroviaError as error:
                setbacks.no_way = error
            except Exception:  # they are a courtesy: without them the trip must still come to its end
                _log.exception("trip.no_alternatives", trip_id=trip.id)
        setback = setbacks.told(attempts=last.key.attempt)
        return await _insist(partial(self._ledger.fail, trip.id, setback, tuple(alternatives)))

    def _intent(
        self, trip_id: str, driver_id: str, attempt: int, ticket: Ticket, itinerary: Itinerary
    ) -> Intent:
        holds = tuple(
            HoldRequest(
                key=HoldKey(trip_id, attempt, number),
                home=self.operator_id,
                evse_uid=stop.evse_uid,
                window=stop.window,
                ticket=ticket,
                ttl_s=self._rules.hold_ttl_s,
                energy_wh=stop.energy_wh,
                charging_s=int((stop.ends_at - stop.starts_at).total_seconds()),
                price=stop.price,
                driver_ref=self._driver_ref(driver_id),
            )
            for number, stop in enumerate(itinerary.stops)
        )
        return Intent(
            key=AttemptKey(trip_id, attempt),
            itinerary=itinerary,
            operators=tuple(stop.operator_id for stop in itinerary.stops),
            holds=holds,
        )

    # -- the board, the outbox, the listeners ---------------------------------------------------------

    def _show(self, intent: Intent) -> None:
        for owner, request in zip(intent.operators, intent.holds, strict=True):
            self._board.ask(EvseRef(owner, request.evse_uid), intent.key, request.window)

    def _hide(self, intent: Intent) -> None:
        for owner, request in zip(intent.operators, intent.holds, strict=True):
            self._board.unask(EvseRef(owner, request.evse_uid), intent.key)

    def _learn(self, intent: Intent, refusal: HoldReply) -> None:
        owner = intent.operators[refusal.key.stop]
        if refusal.reason in _OUTDATED and owner != self.operator_id:
            self._outdated(owner)
        if refusal.busy and owner != self.operator_id:
            self._board.learn(EvseRef(owner, intent.holds[refusal.key.stop].evse_uid), refusal.busy)

    def _settled(self, intent: Intent, verdict: Verdict) -> None:
        """A decision stands: it is on its way to all who hold something."""
        self._observer.decided(verdict)
        if verdict is Verdict.RELEASED:
            self._hide(intent)
        self._outbox.push(deliveries(intent, verdict, self.operator_id))

    def _told(self, trip: Trip) -> None:
        self._observer.passed(Step.TOLD)
        for heard in list(self._listeners):
            heard(trip)

    # -- restarts -------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """After a start: carry on with every trip that is not at its end.

        New trips wait for it, or one of them might be taken up twice.
        """
        for found in await self._ledger.unfinished():
            _log.info("trip.resumed", trip_id=found.trip.id, attempt=found.intent.key.attempt)
            self._resume(found)
        await self._outbox.recover()
        self._recovered.set()

    async def run(self) -> None:
        """Now and then look for trips that nobody carries on and news that nobody tells, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._look()
            except EletroviaError as error:
                _log.warning("trips.not_looked_for", error=str(error))
            except Exception:  # a look that failed must not be the last one
                _log.exception("trips.not_looked_for")

    async def _look(self) -> None:
        overdue = self._clock.now() - timedelta(seconds=2 * self._rules.deadline_s)
        for found in await self._ledger.unfinished():
            if found.trip.asked_at < overdue and found.trip.id not in self._conducting:
                _log.warning("trip.taken_up_again", trip_id=found.trip.id)
                self._resume(found)
        await self._outbox.recover()

    def _resume(self, found: Unfinished) -> None:
        if found.verdict is None:
            self._show(found.intent)
        self._conduct_soon(found.trip, found.ask, found.intent, found.verdict)

    async def close(self) -> None:
        tasks = list(self._conducting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _digest(body: object) -> str:
    """What tells a replay from another request; sets in one order, or a restart would give another digest."""
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()


async def _insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The call's answer, however long the store is away: a trip that was begun is carried to its end."""
    while True:
        try:
            return await call()
        except (Unavailable, Overloaded):
            await asyncio.sleep(0.5)


def deliveries(intent: Intent, verdict: Verdict, by: str) -> list[Delivery]:
    """What each operator of the attempt must be told of its decision."""
    return [
        Delivery(
            operator_id=owner,
            body=Decision(key=intent.key, verdict=verdict, by=by, stops=intent.stops_of(owner)),
        )
        for owner in dict.fromkeys(intent.operators)
    ]
