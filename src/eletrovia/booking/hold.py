"""A hold: one EVSE for one window, for one stop of one attempt at one trip.

A hold is *held*, then *confirmed* or *released*, once, for good. A release for a hold that was never
seen leaves a released hold behind, a tombstone: the late request finds it and cannot revive it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.base.window import Window


class HoldState(StrEnum):
    HELD = "held"
    CONFIRMED = "confirmed"
    RELEASED = "released"


class Verdict(StrEnum):
    """What was decided for every stop of an attempt at once."""

    CONFIRMED = "confirmed"
    RELEASED = "released"


# Absent means forbidden. A move to itself means a repeat is harmless: messages come twice.
MOVES: Final = {
    (HoldState.HELD, Verdict.CONFIRMED): HoldState.CONFIRMED,
    (HoldState.HELD, Verdict.RELEASED): HoldState.RELEASED,
    (HoldState.CONFIRMED, Verdict.CONFIRMED): HoldState.CONFIRMED,
    (HoldState.RELEASED, Verdict.RELEASED): HoldState.RELEASED,
}


def moved(state: HoldState, verdict: Verdict) -> HoldState:
    """The state after ``verdict``. Raises: Conflict when a decision is said to have changed."""
    try:
        return MOVES[state, verdict]
    except KeyError:
        raise Conflict("hold.decided_otherwise", state=state, verdict=verdict) from None


MOST_STOPS: Final = 100
MOST_BUSY: Final = 500
_MOST_ATTEMPTS: Final = 1_000_000
_MOST: Final = 1_000_000_000


def _check(trip_id: str, attempt: int, stop: int = 0) -> None:
    # Others choose these: what no database column could keep must not get as far as a batch of many.
    if not 0 < len(trip_id) <= 100 or not trip_id.isprintable():
        raise Invalid("trip.id_malformed", longest=100)
    if not (0 < attempt <= _MOST_ATTEMPTS and 0 <= stop < MOST_STOPS):
        raise Invalid("hold.key_out_of_range", attempt=attempt, stop=stop)


class AttemptKey(msgspec.Struct, frozen=True, order=True):
    """One attempt at one trip: what a decision is about. Raises: Invalid."""

    trip_id: str
    attempt: int

    def __post_init__(self) -> None:
        _check(self.trip_id, self.attempt)


class HoldKey(msgspec.Struct, frozen=True, order=True):
    """One stop of one attempt. Raises: Invalid."""

    trip_id: str
    attempt: int
    stop: int

    def __post_init__(self) -> None:
        _check(self.trip_id, self.attempt, self.stop)

    @property
    def attempt_key(self) -> AttemptKey:
        return AttemptKey(self.trip_id, self.attempt)


class Ticket(msgspec.Struct, frozen=True, order=True):
    """When a trip was first asked for, kept across its attempts; the smaller goes first.

    The trip's id breaks ties, so any two tickets are ordered, everywhere the same.
    """

    asked_at: datetime
    trip_id: str

    def __post_init__(self) -> None:
        _check(self.trip_id, 1)
        if self.asked_at.tzinfo is None:
            raise Invalid("ticket.zone_missing")

    def capped(self, received_at: datetime, max_age_s: float) -> Ticket:
        """This ticket, at most ``max_age_s`` off ``received_at``: nobody can hoard age.

        Nor is one from a far future kept, which no database could.
        """
        cap = timedelta(seconds=max_age_s)
        if abs(self.asked_at - received_at) <= cap:
            return self
        capped_at = received_at - cap if self.asked_at < received_at else received_at + cap
        return Ticket(capped_at, self.trip_id)


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the home operator asks of the operator that owns the EVSE.

    ``ttl_s`` is a duration on the receiver's own monotonic clock, from when it took the hold.
    ``price`` is the home's quote: a receipt at another price is refused.
    ``driver_ref`` is what the home lets the owner call the driver; empty where it tells nothing.
    """

    key: HoldKey
    home: str
    evse_uid: str
    window: Window
    ticket: Ticket
    ttl_s: float
    energy_wh: int
    charging_s: int
    price: Decimal
    driver_ref: str = ""

    def __post_init__(self) -> None:
        if len(self.driver_ref) > 200 or not self.driver_ref.isprintable():
            raise Invalid("hold.driver_ref_malformed", longest=200)
        if not 0 < self.ttl_s <= 600:
            raise Invalid("hold.ttl_out_of_range", ttl_s=self.ttl_s, allowed="0 to 600")
        if not self.evse_uid.isprintable() or not self.price.is_finite():
            raise Invalid("hold.malformed", hold=str(self.key))
        if self.energy_wh < 0 or self.charging_s < 0 or self.price < 0:
            raise Invalid("hold.negative", hold=str(self.key))
        if max(self.energy_wh, self.charging_s) > _MOST or self.price > _MOST:
            raise Invalid("hold.too_much", hold=str(self.key), allowed=_MOST)
        if self.ticket.trip_id != self.key.trip_id:
            raise Invalid("hold.ticket_of_another", hold=str(self.key), ticket=self.ticket.trip_id)


class Outcome(StrEnum):
    """HELD is a receipt. CONTESTED: a younger trip is being asked to step aside; ask again soon."""

    HELD = "held"
    REFUSED = "refused"
    CONTESTED = "contested"


class HoldReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a hold request; the same request again gets the same answer.

    ``busy`` tells a loser what is taken on that EVSE, so that it can plan around it.
    ``blocker`` and ``blocker_state`` say who stood in the way, for the record of who yielded to whom.
    """

    key: HoldKey
    outcome: Outcome
    reason: str = ""
    busy: tuple[Window, ...] = ()
    blocker: Ticket | None = None
    blocker_state: HoldState | None = None
    left_s: float = 0.0
    """With a receipt: how long the hold still stands undecided, when this answer was given."""

    def __post_init__(self) -> None:
        if len(self.reason) > 200 or not self.reason.isprintable() or len(self.busy) > MOST_BUSY:
            raise Invalid("hold.reply_malformed", hold=str(self.key))
