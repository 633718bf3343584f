"""What is known to be taken, EVSE by EVSE: the picture that plans are made on.

It may be behind the truth, which costs a refused hold and another plan, never a double booking: the
owner's database decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eletrovia.base.clock import epoch_s
from eletrovia.base.window import Window
from eletrovia.booking.hold import AttemptKey, HoldKey
from eletrovia.planning.plan import Span


class EvseRef(NamedTuple):
    operator_id: str
    evse_uid: str


def span(window: Window) -> Span:
    """A window as the planner counts: whole seconds since 1970."""
    return epoch_s(window.starts_at), epoch_s(window.ends_at)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted and disjoint; touching spans become one."""
    result: list[Span] = []
    for starts, ends in sorted(spans):
        if result and starts <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], ends))
        else:
            result.append((starts, ends))
    return tuple(result)


class Board:
    """Taken windows from three sources: own holds, what partners tell, and what own trips ask right now."""

    def __init__(self) -> None:
        self._own: dict[EvseRef, dict[HoldKey, Span]] = {}
        self._told: dict[EvseRef, tuple[Span, ...]] = {}
        self._asked: dict[EvseRef, dict[AttemptKey, Span]] = {}
        self._merged: dict[EvseRef, tuple[Span, ...]] = {}

    def busy(self, evse: EvseRef) -> tuple[Span, ...]:
        """All that is taken on the EVSE, sorted and disjoint."""
        known = self._merged.get(evse)
        if known is None:
            known = merged(
                (
                    *self._own.get(evse, {}).values(),
                    *self._told.get(evse, ()),
                    *self._asked.get(evse, {}).values(),
                )
            )
            self._merged[evse] = known
        return known

    def own(self, evse: EvseRef) -> tuple[Span, ...]:
        """What the owner itself has promised on its EVSE: what it tells its partners."""
        return merged(self._own.get(evse, {}).values())

    def hold(self, evse: EvseRef, key: HoldKey, window: Window) -> None:
        self._own.setdefault(evse, {})[key] = span(window)
        self._merged.pop(evse, None)

    def free(self, evse: EvseRef, key: HoldKey) -> None:
        if self._own.get(evse, {}).pop(key, None) is not None:
            self._merged.pop(evse, None)

    def tell(self, evse: EvseRef, windows: Iterable[Window]) -> None:
        """A partner said what is taken on its EVSE; it replaces what it said before."""
        self._told[evse] = tuple(span(window) for window in windows)
        self._merged.pop(evse, None)

    def learn(self, evse: EvseRef, windows: Iterable[Window]) -> None:
        """A partner refused, and said what is taken: that much more is known until it tells all anew."""
        self._told[evse] = (*self._told.get(evse, ()), *(span(window) for window in windows))
        self._merged.pop(evse, None)

    def ask(self, evse: EvseRef, key: AttemptKey, window: Window) -> None:
        """An own trip is asking for this window, so that the next plan does not ask for it too."""
        self._asked.setdefault(evse, {})[key] = span(window)
        self._merged.pop(evse, None)

    def unask(self, evse: EvseRef, key: AttemptKey) -> None:
        if self._asked.get(evse, {}).pop(key, None) is not None:
            self._merged.pop(evse, None)

    def forget_before(self, moment_s: int) -> None:
        """Drop what ended before then."""
        for evse, own in self._own.items():
            self._own[evse] = {key: taken for key, taken in own.items() if taken[1] > moment_s}
        for evse, asked in self._asked.items():
            self._asked[evse] = {key: taken for key, taken in asked.items() if taken[1] > moment_s}
        self._merged.clear()
