"""What one operator remembers of bookings, as an interface: every call is one transaction.

Two stand behind it and pass the same contract suite: PostgreSQL in ``store.py``, and the simulated
world's memory. The home's half and the EVSE owner's half share nothing but the operator they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldReply, HoldRequest, HoldState, Verdict
from eletrovia.booking.participant import Blocker
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.booking.trip import Itinerary, Setback, Trip, TripAsk


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt is going to ask, journaled before the first word goes out.

    Shape: ``operators[i]`` is asked for ``holds[i]``; stop numbers are the indices.
    """

    key: AttemptKey
    itinerary: Itinerary
    operators: tuple[str, ...]
    holds: tuple[HoldRequest, ...]

    def stops_of(self, operator_id: str) -> tuple[int, ...]:
        return tuple(stop for stop, owner in enumerate(self.operators) if owner == operator_id)


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A new trip with its first intent. ``body_digest`` tells a replay from another request."""

    trip: Trip
    ask: TripAsk
    idempotency_key: str
    body_digest: str
    intent: Intent


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message that an operator must get, for as long as it takes."""

    operator_id: str
    body: Decision | Cancellation


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A trip that a restart found pending: its last intent, and the decision if one stands."""

    trip: Trip
    ask: TripAsk
    intent: Intent
    verdict: Verdict | None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as its EVSE's owner keeps it. ``ended_by`` frees a confirmed window early."""

    request: HoldRequest
    state: HoldState
    ended_by: str | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking for a window.

    ``state`` is the hold's own (None when it could not be put down), ``fresh`` whether this call put it
    down, ``same`` whether what stands under the key is what was asked now.
    """

    state: HoldState | None
    fresh: bool = False
    same: bool = True
    blockers: tuple[Blocker, ...] = ()


class HomeLedger(Protocol):
    """The home's half: trips, intents, decisions, and what others must still be told."""

    async def open_trip(self, opening: Opening) -> Trip:
        """Put down trip and intent together; under a known key, the trip that stands instead.

        Raises: Invalid("trip.key_reused") for a known key with another body.
        """
        ...

    async def find(self, driver_id: str, idempotency_key: str, body_digest: str) -> Trip | None:
        """The trip under a key. Raises: Invalid("trip.key_reused")."""
        ...

    async def next_attempt(self, intent: Intent) -> None:
        """Put down the intent of a further attempt.

        Raises: Conflict("trip.moved_on") unless it follows the trip's present attempt, released.
        """
        ...

    async def decide(self, proposal: Proposal) -> Decision:
        """Insert once: what stands now. With *confirmed* the trip is confirmed in the same transaction,
        and in any case whoever holds something is put on the list of those to be told."""
        ...

    async def decision(self, key: AttemptKey) -> Decision | None: ...

    async def may_release(self, proposals: Sequence[Proposal]) -> Sequence[bool]:
        """Whether whoever proposes holds something of the attempt.

        Of an attempt that was never journaled nobody knows: all may, unless its trip may still get there.
        """
        ...

    async def note_refusals(self, refusals: Sequence[HoldReply]) -> None:
        """Keep who stood in the way of which stop."""
        ...

    async def fail(self, trip_id: str, setback: Setback, alternatives: tuple[Itinerary, ...]) -> Trip:
        """The trip as it stands now: failed, unless its present attempt may still be confirmed, or was."""
        ...

    async def cancel_trip(self, trip_id: str, cancelled_at: datetime, fee: Decimal) -> Trip:
        """Raises: NotFound, Conflict("trip.not_confirmed")."""
        ...

    async def deliveries(self) -> Sequence[Delivery]:
        """All that is still to be told."""
        ...

    async def delivered(self, delivery: Delivery) -> None: ...

    async def unfinished(self) -> Sequence[Unfinished]: ...

    async def trip(self, trip_id: str) -> Trip | None: ...

    async def trips(self, driver_id: str, *, limit: int, before: str | None) -> Sequence[Trip]: ...


class HoldLedger(Protocol):
    """The EVSE owner's half: holds."""

    async def take(self, request: HoldRequest, received_at: datetime) -> Taken:
        """Put the hold down if nothing overlaps it and no tombstone bars it."""
        ...

    async def apply(self, home: str, decision: Decision, decided_at: datetime) -> Sequence[Hold]:
        """Carry out a decision on the holds of ``home``; the attempt's holds here as they now stand.

        A release of stops never seen leaves tombstones. A confirmation writes one charge per stop.
        Raises: Conflict("hold.decided_otherwise").
        """
        ...

    async def free(self, cancellation: Cancellation) -> Sequence[Hold]:
        """Free the confirmed windows of the attempt; those freed now."""
        ...

    async def arrive(self, arrival: Arrival) -> None:
        """The window of a confirmed hold is kept from now on.

        Raises: NotFound("hold.unknown"), Conflict("hold.given_up") when it came too late.
        """
        ...

    async def give_up_no_shows(self, starting_before: datetime, at: datetime) -> Sequence[Hold]:
        """Free confirmed windows that began before then and saw nobody arrive; those freed now."""
        ...

    async def undecided(self) -> Sequence[Hold]: ...

    async def standing(self, ending_after: datetime) -> Sequence[Hold]:
        """Held or confirmed holds that block their EVSE after then."""
        ...
