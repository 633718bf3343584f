"""Somebody may watch the protocol: figures for the operator, and faults for the tests."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from eletrovia.booking.hold import Outcome, Verdict
from eletrovia.booking.trip import TripState


class Step(StrEnum):
    """Moments of DESIGN's protocol after which a process may die, named for what was just done."""

    JOURNALED = "journaled"
    HOLD_TAKEN = "hold_taken"
    RECEIPTS_IN = "receipts_in"
    DECIDED = "decided"
    TOLD = "told"
    APPLIED = "applied"
    DELIVERED = "delivered"


class Observer(Protocol):
    """Called as things happen; never raises, never waits."""

    def passed(self, step: Step) -> None: ...

    def hold_answered(self, outcome: Outcome, took_s: float) -> None: ...

    def decided(self, verdict: Verdict) -> None: ...

    def planned(self, took_s: float, found: bool) -> None: ...

    def trip_ended(self, state: TripState, took_s: float, attempts: int) -> None: ...


class Unwatched:
    """Nobody watches."""

    def passed(self, step: Step) -> None: ...

    def hold_answered(self, outcome: Outcome, took_s: float) -> None: ...

    def decided(self, verdict: Verdict) -> None: ...

    def planned(self, took_s: float, found: bool) -> None: ...

    def trip_ended(self, state: TripState, took_s: float, attempts: int) -> None: ...
