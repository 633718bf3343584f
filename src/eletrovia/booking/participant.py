"""The EVSE owner's side of a hold, as plain functions: who gets a contested window.

The database says what stands in the way (it alone can, under its exclusion constraint); these
functions say what follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from eletrovia.base.window import Window
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldState, Ticket


class Blocker(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that overlaps the wanted window on the same EVSE. ``home`` keeps its decision."""

    key: AttemptKey
    home: str
    state: HoldState
    ticket: Ticket
    window: Window


class Claim(StrEnum):
    """What an asker may do about the blockers of its window."""

    TAKE = "take"
    YIELD = "yield"
    CONTEST = "contest"


def claim(home: str, key: HoldKey, ticket: Ticket, blockers: Sequence[Blocker]) -> Claim:
    """What follows for the asker, ``key`` of ``home``, with ``ticket``.

    A confirmed hold stays. Of the undecided ones an older asker may have the younger released, and a
    younger asker never waits for an older one, so waits run one way only: no circle of waits. A trip's own
    earlier attempt was given up before this one was asked for; only its release has not come yet.
    """
    if not blockers:
        return Claim.TAKE
    if any(_stays(blocker, home, key, ticket) for blocker in blockers):
        return Claim.YIELD
    return Claim.CONTEST


def _stays(blocker: Blocker, home: str, key: HoldKey, ticket: Ticket) -> bool:
    if blocker.state is HoldState.CONFIRMED:
        return True
    if (blocker.home, blocker.key.trip_id) == (home, key.trip_id):
        return blocker.key.attempt >= key.attempt
    return blocker.ticket <= ticket


def in_the_way(home: str, key: HoldKey, ticket: Ticket, blockers: Sequence[Blocker]) -> Blocker:
    """The blocker that an asker yields to: a confirmed one before an undecided one, then the oldest."""
    return min(
        blockers,
        key=lambda b: (not _stays(b, home, key, ticket), b.state is not HoldState.CONFIRMED, b.ticket),
    )
