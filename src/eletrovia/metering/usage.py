"""Usage: what registers add up to between two moments, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from eletrovia.base.window import Window


class Resolution(StrEnum):
    """How fine a series is. Days and months are those of the utility's time zone."""

    READING = "reading"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class RegisterAt(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter had counted at one moment.

    Units:  energy_wh never goes back: roll-overs are unrolled, readings that are marked add nothing. Only
            differences mean anything, and they telescope: slots of a period add up to the whole, to the Wh.
    Shape:  ``measured`` when a reading stands there; else it lies on the line between its neighbours, rounded
            down, or before the first or after the last one, whose value it then has. ``before_first``: no
            reading is so old.
    """

    at: datetime
    energy_wh: int
    measured: bool
    before_first: bool = False


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """Usage in ``[starts_at, ends_at)``.

    Units: ``estimated_wh``, part of ``energy_wh``, lies on the straight line through a gap, or on the way to
           or from a reading that its sender had estimated.
    """

    starts_at: datetime
    ends_at: datetime
    energy_wh: int
    estimated_wh: int = 0


class MarkKind(StrEnum):
    """What may be wrong with readings. Marked, shown, and never silently repaired."""

    BACKWARDS = "backwards"
    """A register lower than before, and not by rolling over."""
    ROLL_OVER = "roll_over"
    """It reached its end and began again: recognised and counted."""
    JUMP = "jump"
    """More than the fuse lets through in that time. Not counted until somebody accepts it."""
    GAP = "gap"
    """Silence of more than two intervals; usage inside it is a straight line, and estimated."""
    CONFLICT = "conflict"
    """Two values for one moment. The first counts until somebody decides."""
    ESTIMATED = "estimated"
    """Whoever sent it had estimated it."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the readings of one meter that a person may have to look at.

    Shape:  ``starts_at`` to ``ends_at`` is the stretch between the readings concerned; ``verdict`` is what a
            person decided ("accept" counts it, "exclude" leaves that reading out), None while open.
            ``cleared_at``: later readings made it go away by themselves.
    """

    meter: int
    kind: MarkKind
    starts_at: datetime
    ends_at: datetime
    energy_wh: int
    verdict: str | None = None
    cleared_at: datetime | None = None

    @property
    def needs_a_look(self) -> bool:
        """Whether a bill over it must wait for a person."""
        doubtful = (MarkKind.BACKWARDS, MarkKind.JUMP, MarkKind.CONFLICT)
        return self.kind in doubtful and self.verdict is None and self.cleared_at is None


class UsageBook(Protocol):
    """What other parts of metering ask about usage; ``usagebook.StoredUsage`` is it."""

    async def registers_at(self, meter: int, moments: Sequence[datetime]) -> list[RegisterAt]:
        """The unrolled register at each moment, in their order; empty for a meter without readings."""
        ...

    async def series(self, meter: int, during: Window, resolution: Resolution) -> list[Slot]:
        """Usage in slots of that resolution, oldest first; slots nothing is known of are left out."""
        ...

    async def marks(self, meter: int, during: Window) -> list[Mark]:
        """Marks that touch the window, oldest first."""
        ...
