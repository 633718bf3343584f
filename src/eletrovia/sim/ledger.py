"""A ledger in memory, for the simulated world; it passes the same contract suite as PostgreSQL's.

Every call is atomic, because nothing in it waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldReply, HoldRequest, HoldState, Verdict, moved
from eletrovia.booking.ledger import Delivery, Hold, Intent, Opening, Taken, Unfinished
from eletrovia.booking.participant import Blocker
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.booking.trip import Itinerary, Setback, Trip, TripState

replace = msgspec.structs.replace


class MemoryLedger:
    """Both halves of one operator's ledger, and what a checker may look at."""

    def __init__(self, operator_id: str) -> None:
        self.operator_id = operator_id
        self.trips_by_id: dict[str, Trip] = {}
        self.openings: dict[tuple[str, str], Opening] = {}
        self.intents: dict[AttemptKey, Intent] = {}
        self.decisions: dict[AttemptKey, Decision] = {}
        self.outbox: dict[tuple[str, str, AttemptKey], Delivery] = {}
        self.holds: dict[tuple[str, HoldKey], Hold] = {}
        self.tombstones: set[tuple[str, HoldKey]] = set()
        self.arrived: set[tuple[str, HoldKey]] = set()
        self.charges: list[HoldKey] = []
        self.refusals: dict[HoldKey, HoldReply] = {}

    # -- the home's half ------------------------------------------------------------------------------

    async def open_trip(self, opening: Opening) -> Trip:
        known = self.openings.get((opening.trip.driver_id, opening.idempotency_key))
        if known is not None:
            return self._known(known, opening.body_digest)
        self.openings[opening.trip.driver_id, opening.idempotency_key] = opening
        self.trips_by_id[opening.trip.id] = opening.trip
        self.intents[opening.intent.key] = opening.intent
        return opening.trip

    def _known(self, known: Opening, digest: str) -> Trip:
        if known.body_digest != digest:
            raise Invalid("trip.key_reused", idempotency_key=known.idempotency_key)
        return self.trips_by_id[known.trip.id]

    async def find(self, driver_id: str, idempotency_key: str, body_digest: str) -> Trip | None:
        known = self.openings.get((driver_id, idempotency_key))
        return None if known is None else self._known(known, body_digest)

    async def next_attempt(self, intent: Intent) -> None:
        trip = self.trips_by_id[intent.key.trip_id]
        before = self.decisions.get(AttemptKey(trip.id, trip.attempt))
        released = before is not None and before.verdict is Verdict.RELEASED
        if intent.key.attempt != trip.attempt + 1 or not released or trip.state is not TripState.PENDING:
            raise Conflict("trip.moved_on", trip_id=trip.id, attempt=trip.attempt)
        self.intents[intent.key] = intent
        self.trips_by_id[trip.id] = replace(trip, attempt=intent.key.attempt, itinerary=intent.itinerary)

    async def decide(self, proposal: Proposal) -> Decision:
        standing = self.decisions.get(proposal.key)
        if standing is not None:
            return standing
        decision = Decision(key=proposal.key, verdict=proposal.verdict, by=proposal.by)
        self.decisions[proposal.key] = decision
        intent = self.intents.get(proposal.key)
        if intent is None:
            return decision
        for owner in dict.fromkeys(intent.operators):
            body = replace(decision, stops=intent.stops_of(owner))
            self.outbox[owner, "decision", proposal.key] = Delivery(operator_id=owner, body=body)
        trip = self.trips_by_id[proposal.key.trip_id]
        if proposal.verdict is Verdict.CONFIRMED:
            assert trip.state is TripState.PENDING  # noqa: S101 - one confirmed attempt per trip
            self.trips_by_id[trip.id] = replace(trip, state=TripState.CONFIRMED)
        return decision

    async def decision(self, key: AttemptKey) -> Decision | None:
        return self.decisions.get(key)

    async def may_release(self, proposals: Sequence[Proposal]) -> Sequence[bool]:
        answers = []
        for proposal in proposals:
            intent = self.intents.get(proposal.key)
            trip = self.trips_by_id.get(proposal.key.trip_id)
            unknown = trip is None or trip.state is not TripState.PENDING
            answers.append(unknown if intent is None else proposal.by in intent.operators)
        return answers

    async def note_refusals(self, refusals: Sequence[HoldReply]) -> None:
        for refusal in refusals:
            self.refusals.setdefault(refusal.key, refusal)

    async def fail(self, trip_id: str, setback: Setback, alternatives: tuple[Itinerary, ...]) -> Trip:
        trip = self.trips_by_id[trip_id]
        last = self.decisions.get(AttemptKey(trip_id, trip.attempt))
        if trip.state is TripState.PENDING and last is not None and last.verdict is Verdict.RELEASED:
            trip = replace(
                trip, state=TripState.FAILED, itinerary=None, setback=setback, alternatives=alternatives
            )
            self.trips_by_id[trip_id] = trip
        return trip

    async def cancel_trip(self, trip_id: str, cancelled_at: datetime, fee: Decimal) -> Trip:
        trip = self.trips_by_id.get(trip_id)
        if trip is None:
            raise NotFound("trip.unknown", trip_id=trip_id)
        if trip.state is not TripState.CONFIRMED:
            raise Conflict("trip.not_confirmed", trip_id=trip_id, state=trip.state)
        trip = replace(trip, state=TripState.CANCELLED, cancellation_fee=fee)
        self.trips_by_id[trip_id] = trip
        key = AttemptKey(trip_id, trip.attempt)
        body = Cancellation(key=key, home=self.operator_id, cancelled_at=cancelled_at)
        for owner in dict.fromkeys(self.intents[key].operators):
            self.outbox[owner, "cancellation", key] = Delivery(operator_id=owner, body=body)
        return trip

    async def deliveries(self) -> Sequence[Delivery]:
        return list(self.outbox.values())

    async def delivered(self, delivery: Delivery) -> None:
        kind = "decision" if isinstance(delivery.body, Decision) else "cancellation"
        self.outbox.pop((delivery.operator_id, kind, delivery.body.key), None)

    async def unfinished(self) -> Sequence[Unfinished]:
        found = []
        for opening in self.openings.values():
            trip = self.trips_by_id[opening.trip.id]
            if trip.state is TripState.PENDING:
                key = AttemptKey(trip.id, trip.attempt)
                decision = self.decisions.get(key)
                found.append(
                    Unfinished(
                        trip=trip,
                        ask=opening.ask,
                        intent=self.intents[key],
                        verdict=decision.verdict if decision else None,
                    )
                )
        return found

    async def trip(self, trip_id: str) -> Trip | None:
        return self.trips_by_id.get(trip_id)

    async def trips(self, driver_id: str, *, limit: int, before: str | None) -> Sequence[Trip]:
        own = [trip for trip in self.trips_by_id.values() if trip.driver_id == driver_id]
        own.sort(key=lambda trip: trip.id, reverse=True)
        return [trip for trip in own if before is None or trip.id < before][:limit]

    # -- the EVSE owner's half ------------------------------------------------------------------------

    def _blocking(self, evse_uid: str) -> list[Hold]:
        return [
            hold
            for hold in self.holds.values()
            if hold.request.evse_uid == evse_uid
            and hold.state is not HoldState.RELEASED
            and hold.ended_by is None
        ]

    async def take(self, request: HoldRequest, received_at: datetime) -> Taken:
        place = (request.home, request.key)
        if place in self.tombstones:
            return Taken(state=HoldState.RELEASED)
        known = self.holds.get(place)
        if known is not None:
            asked = replace(request, ticket=known.request.ticket)
            return Taken(state=known.state, same=asked == known.request)
        blockers = tuple(
            Blocker(
                key=hold.request.key.attempt_key,
                home=hold.request.home,
                state=hold.state,
                ticket=hold.request.ticket,
                window=hold.request.window,
            )
            for hold in self._blocking(request.evse_uid)
            if hold.request.window.overlaps(request.window)
        )
        if blockers:
            return Taken(state=None, blockers=blockers)
        self.holds[place] = Hold(request=request, state=HoldState.HELD)
        return Taken(state=HoldState.HELD, fresh=True)

    async def apply(self, home: str, decision: Decision, decided_at: datetime) -> Sequence[Hold]:
        found = []
        for place, hold in self.holds.items():
            if place[0] == home and place[1].attempt_key == decision.key:
                found.append((place, replace(hold, state=moved(hold.state, decision.verdict))))
        for place, hold in found:
            if decision.verdict is Verdict.CONFIRMED and self.holds[place].state is HoldState.HELD:
                self.charges.append(place[1])
            self.holds[place] = hold
        if decision.verdict is Verdict.RELEASED:
            for stop in decision.stops:
                place = (home, HoldKey(decision.key.trip_id, decision.key.attempt, stop))
                if place not in self.holds:
                    self.tombstones.add(place)
        return [hold for _, hold in found]

    async def free(self, cancellation: Cancellation) -> Sequence[Hold]:
        return self._end(
            "cancelled",
            [
                place
                for place in self.holds
                if place[0] == cancellation.home and place[1].attempt_key == cancellation.key
            ],
        )

    def _end(self, ended_by: str, places: list[tuple[str, HoldKey]]) -> list[Hold]:
        freed = []
        for place in places:
            hold = self.holds[place]
            if hold.state is HoldState.CONFIRMED and hold.ended_by is None:
                self.holds[place] = replace(hold, ended_by=ended_by)
                freed.append(self.holds[place])
        return freed

    async def arrive(self, arrival: Arrival) -> None:
        place = (arrival.home, arrival.key)
        hold = self.holds.get(place)
        if hold is None or hold.state is not HoldState.CONFIRMED:
            raise NotFound("hold.unknown", hold=str(arrival.key))
        if hold.ended_by is not None:
            raise Conflict("hold.given_up", hold=str(arrival.key), ended_by=hold.ended_by)
        self.arrived.add(place)

    async def give_up_no_shows(self, starting_before: datetime, at: datetime) -> Sequence[Hold]:
        late = [
            place
            for place, hold in self.holds.items()
            if hold.request.window.starts_at < starting_before < hold.request.window.ends_at
            and place not in self.arrived
        ]
        return self._end("no_show", late)

    async def undecided(self) -> Sequence[Hold]:
        return [hold for hold in self.holds.values() if hold.state is HoldState.HELD]

    async def standing(self, ending_after: datetime) -> Sequence[Hold]:
        return [
            hold
            for hold in self.holds.values()
            if hold.state is not HoldState.RELEASED
            and hold.ended_by is None
            and hold.request.window.ends_at > ending_after
        ]
