"""What one operator says to another about holds, whatever carries it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldReply, HoldRequest


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed trip is called off: its own transaction, with its own record."""

    key: AttemptKey
    home: str
    cancelled_at: datetime


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """The driver stands at the stop: the window will not be given up as a no-show."""

    key: HoldKey
    home: str
    arrived_at: datetime


class Partner(Protocol):
    """The other operators, by id. Every call may be repeated: the same words again change nothing.

    Raises: Unavailable when no answer came, which says nothing of what was done over there;
    Denied when the other side does not know us; the other side's own error otherwise.
    """

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply: ...

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision: ...

    async def deliver(self, operator_id: str, decision: Decision) -> None: ...

    async def cancel(self, operator_id: str, cancellation: Cancellation) -> None: ...

    async def arrive(self, operator_id: str, arrival: Arrival) -> None: ...
