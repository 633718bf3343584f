"""What is known to be taken, EVSE by EVSE: the picture that plans are made on.

It may be behind the truth, which costs a refused hold and another plan, never a double booking: the
owner's database decides.
"""

from __future__ import annotations

from bisect import bisect_left
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


def joined(spans: tuple[Span, ...], new: Span) -> tuple[Span, ...] | None:
    """``spans``, sorted and disjoint, with ``new`` among them; None where it meets one in part."""
    at = bisect_left(spans, new)
    if at and spans[at - 1][1] >= new[0]:
        return spans if spans[at - 1][1] >= new[1] else None
    if at < len(spans) and spans[at][0] <= new[1]:
        return spans if spans[at] == new else None
    return (*spans[:at], new, *spans[at:])


def reaching(spans: tuple[Span, ...], begins_s: int, ends_s: int) -> tuple[Span, ...]:
    """Those of ``spans``, sorted and disjoint, that have something of ``[begins_s, ends_s)``."""
    first = bisect_left(spans, (begins_s, begins_s))
    if first and spans[first - 1][1] > begins_s:
        first -= 1
    return spans[first : bisect_left(spans, (ends_s, ends_s))]


class Board:
    """Taken windows from three sources: own holds, what partners tell, and what own trips ask right now."""

    def __init__(self) -> None:
        self._own: dict[EvseRef, dict[HoldKey, Span]] = {}
        self._told: dict[EvseRef, tuple[Span, ...]] = {}
        self._words: dict[EvseRef, object] = {}
        self._asked: dict[EvseRef, dict[AttemptKey, Span]] = {}
        # Plans read far more often than anything changes: what was merged is kept until it does.
        self._merged: dict[EvseRef, tuple[Span, ...]] = {}
        self._own_merged: dict[EvseRef, tuple[Span, ...]] = {}

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

    def between(self, evse: EvseRef, begins_s: int, ends_s: int) -> tuple[Span, ...]:
        """What is taken on the EVSE and reaches into ``[begins_s, ends_s)``, sorted and disjoint."""
        return reaching(self.busy(evse), begins_s, ends_s)

    def own(self, evse: EvseRef) -> tuple[Span, ...]:
        """What the owner itself has promised on its EVSE: what it tells its partners.

        The same tuple again as long as nothing has changed.
        """
        known = self._own_merged.get(evse)
        if known is None:
            known = self._own_merged[evse] = merged(self._own.get(evse, {}).values())
        return known

    def hold(self, evse: EvseRef, key: HoldKey, window: Window) -> None:
        own, new = self._own.setdefault(evse, {}), span(window)
        if own.get(key) == new:
            return
        replaced = key in own
        own[key] = new
        _add(self._own_merged, evse, new, replaced)
        _add(self._merged, evse, new, replaced)

    def free(self, evse: EvseRef, key: HoldKey) -> None:
        if self._own.get(evse, {}).pop(key, None) is not None:
            self._own_merged.pop(evse, None)
            self._merged.pop(evse, None)

    def tell(self, evse: EvseRef, windows: Iterable[Window], *, words: object = None) -> None:
        """A partner said what is taken on its EVSE; it replaces what it said before.

        ``words`` are what it said as it came: the same words again, with nothing learned in between, change
        nothing, and ``windows`` are not even looked at.
        """
        if words is not None and self._words.get(evse) == words:
            return
        self._words[evse] = words
        told = tuple(span(window) for window in windows)
        if self._told.get(evse, ()) != told:
            self._told[evse] = told
            self._merged.pop(evse, None)

    def learn(self, evse: EvseRef, windows: Iterable[Window]) -> None:
        """A partner refused, and said what is taken: that much more is known until it tells all anew."""
        self._words.pop(evse, None)
        self._told[evse] = (*self._told.get(evse, ()), *(span(window) for window in windows))
        self._merged.pop(evse, None)

    def ask(self, evse: EvseRef, key: AttemptKey, window: Window) -> None:
        """An own trip is asking for this window, so that the next plan does not ask for it too."""
        asked, new = self._asked.setdefault(evse, {}), span(window)
        replaced = key in asked
        asked[key] = new
        _add(self._merged, evse, new, replaced)

    def unask(self, evse: EvseRef, key: AttemptKey) -> None:
        if self._asked.get(evse, {}).pop(key, None) is not None:
            self._merged.pop(evse, None)

    def forget_before(self, moment_s: int) -> None:
        """Drop what ended before then."""
        for evse, own in self._own.items():
            self._own[evse] = {key: taken for key, taken in own.items() if taken[1] > moment_s}
        for evse, asked in self._asked.items():
            self._asked[evse] = {key: taken for key, taken in asked.items() if taken[1] > moment_s}
        self._own_merged.clear()
        self._merged.clear()


def _add(known: dict[EvseRef, tuple[Span, ...]], evse: EvseRef, new: Span, replaced: bool) -> None:
    """One more span among those that are known; where that is not simple, they are merged anew when asked."""
    spans = known.get(evse)
    if spans is None:
        return
    more = None if replaced else joined(spans, new)
    if more is None:
        del known[evse]
    else:
        known[evse] = more
