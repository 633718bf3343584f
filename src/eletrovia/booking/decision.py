"""The decision of an attempt: written once, for good, whoever writes first."""

from __future__ import annotations

from typing import Protocol

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.booking.hold import MOST_STOPS, AttemptKey, Verdict


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody would like this verdict to stand; ``by`` is an operator id."""

    key: AttemptKey
    verdict: Verdict
    by: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What stands for an attempt, whatever was proposed.

    ``stops`` are the receiver's own, told when a decision is delivered: a release of a hold that never
    came must leave a tombstone, so its number has to be known.
    """

    key: AttemptKey
    verdict: Verdict
    by: str
    stops: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.stops) > MOST_STOPS or any(not 0 <= stop < MOST_STOPS for stop in self.stops):
            raise Invalid("decision.stops_out_of_range", allowed=MOST_STOPS)


class Register(Protocol):
    """Where decisions stand: first writer wins, every later writer is told what stands."""

    async def propose(self, proposal: Proposal) -> Decision:
        """What stands now; final. Raises: Unavailable when nobody can know yet."""
        ...
