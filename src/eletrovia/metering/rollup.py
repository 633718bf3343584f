"""Hours, marks and the latest value of touched stretches, worked out anew from their readings. Pure.

A stretch is what arrivals touched of one meter. What may have changed reaches from the reading before it to
the reading after it, so the hours between those two are worked out, and no others.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.hours import HOUR_US, Hours
from eletrovia.metering.reading import NO_POWER
from eletrovia.metering.register import (
    BACKWARDS,
    GAP,
    JUMP,
    LONG,
    LONG_US,
    ROLL_OVER,
    Ints,
    Unrolled,
    at_edges,
    unroll,
)

UNKNOWN: Final = -1
"""Usage of an hour that nothing is known of."""
PIECE_S: Final = 31 * 86_400
_NEAR_S: Final = 2 * 3600
_WIDEST_W: Final = 2**31 - 1

SPAN_S = np.dtype(
    [("meter", "i4"), ("first_s", "i8"), ("last_s", "i8"), ("known_first_s", "i8"), ("known_last_s", "i8")]
)
STRETCH = np.dtype(
    [
        ("meter", "i4"),
        ("first_us", "i8"),
        ("last_us", "i8"),
        ("known_first_us", "i8"),  # no reading of this meter is older
        ("known_last_us", "i8"),  # nor newer, but such as have an arrival of their own
        ("rolls_over_at_wh", "i8"),
        ("max_power_w", "i8"),
        ("interval_s", "i8"),
        ("kept_first_us", "i8"),  # what is written down as known_first_us
    ]
)
READING = np.dtype(
    [
        ("stretch", "i4"),
        ("at_us", "i8"),
        ("energy_wh", "i8"),
        ("power_w", "i4"),
        ("estimated", "?"),
        ("accepted", "?"),
    ]
)
HOUR = np.dtype(
    [("meter", "i4"), ("stretch", "i4"), ("hour", "i8"), ("usage_wh", "i4"), ("estimated_wh", "i4")]
)
MARK = np.dtype([("meter", "i4"), ("at_us", "i8"), ("starts_us", "i8"), ("energy_wh", "i8"), ("kind", "u1")])
LATEST = np.dtype(
    [
        ("meter", "i4"),
        ("stretch", "i4"),
        ("at_us", "i8"),
        ("first_us", "i8"),
        ("energy_wh", "i8"),
        ("power_w", "i4"),
        ("told", "?"),
    ]
)
INTERVAL_MARKS: Final = (BACKWARDS, ROLL_OVER, JUMP, GAP)


class Worked(NamedTuple):
    """What a few stretches come to.

    Shape:  ``hours`` of ``HOUR``, at least one a stretch; ``marks`` of ``MARK``; ``marked_until_us`` by
            stretch: marks from its first moment to there are as ``marks`` says, and no others; ``latest`` of
            ``LATEST``, at most one a meter.
    """

    hours: NDArray[Any]
    marks: NDArray[Any]
    marked_until_us: Ints
    latest: NDArray[Any]


def pieces(spans: NDArray[Any]) -> NDArray[Any]:
    """Spans of arrivals put together meter by meter, and cut where they are long.

    Shape:  ``spans`` as ``arrival.SPAN``, in any order; answers ``SPAN_S`` in order of meter, then time.
            Whole seconds, rounded outwards; spans that lie near each other become one.
    """
    if not len(spans):
        return np.empty(0, SPAN_S)
    first = spans["first_us"] // 1_000_000
    last = -(-spans["last_us"] // 1_000_000)
    order = np.lexsort((first, spans["meter"]))
    meter, first, last = spans["meter"][order], first[order], last[order]
    low = int(first.min())
    width = int(last.max()) - low + _NEAR_S + 1
    new = np.r_[True, meter[1:] != meter[:-1]]
    rank = np.cumsum(new) - 1
    reach = np.maximum.accumulate(rank * width + (last - low)) - rank * width + low
    apart = new.copy()
    apart[1:] |= first[1:] > reach[:-1] + _NEAR_S
    heads, tails = np.flatnonzero(apart), np.append(np.flatnonzero(apart)[1:], len(meter)) - 1
    meters, tops = np.flatnonzero(new), np.append(np.flatnonzero(new)[1:], len(meter)) - 1
    long = reach[tails] - first[heads]
    count = long // PIECE_S + 1
    made = np.empty(int(count.sum()), SPAN_S)
    nth = np.arange(len(made)) - np.repeat(np.cumsum(count) - count, count)
    made["meter"] = np.repeat(meter[heads], count)
    made["first_s"] = np.repeat(first[heads], count) + nth * PIECE_S
    made["last_s"] = np.minimum(made["first_s"] + PIECE_S, np.repeat(reach[tails], count))
    made["known_first_s"] = np.repeat(first[meters][rank[heads]], count)
    made["known_last_s"] = np.repeat(reach[tops][rank[heads]], count)
    return made


def first_look(stretches: NDArray[Any]) -> tuple[Ints, Ints]:
    """Between which moments everything needed lies, for a meter that is heard as often as expected."""
    margin = HOUR_US + 2_000_000 * stretches["interval_s"]
    return stretches["first_us"] - margin, stretches["last_us"] + margin


def starts_of(stretch: NDArray[Any], count: int) -> Ints:
    """Where each stretch's readings begin, and where the last one's end."""
    return np.searchsorted(stretch, np.arange(count + 1))


def _neighbours(stretches: NDArray[Any], starts: Ints, at_us: Ints, stretch: Ints) -> tuple[Ints, Ints]:
    """The reading before each stretch's first moment, and after its last; outside where there is none."""
    before = np.bincount(stretch[at_us < stretches["first_us"][stretch]], minlength=len(stretches))
    after = np.bincount(stretch[at_us > stretches["last_us"][stretch]], minlength=len(stretches))
    return starts[:-1] + before - 1, starts[1:] - after


def touched_hours(stretches: NDArray[Any], readings: NDArray[Any], hours: Hours) -> tuple[Ints, Ints]:
    """The first and the end of the hours that may have changed.

    A neighbour beyond a LONG gap shares no hour with the stretch, whatever came between.
    """
    starts = starts_of(readings["stretch"], len(stretches))
    before, after = _neighbours(stretches, starts, readings["at_us"], readings["stretch"])
    first, last = stretches["first_us"], stretches["last_us"]
    at_us = np.append(readings["at_us"], 0)
    left, right = at_us[before], at_us[after % len(at_us)]
    low = np.where((before >= starts[:-1]) & (first - left <= LONG_US), left, first)
    high = np.where((after < starts[1:]) & (right - last <= LONG_US), right, last)
    from_ = hours.of(low)
    return from_, np.maximum(hours.until(high), from_ + 1)


def lacking(stretches: NDArray[Any], readings: NDArray[Any], hours: Hours) -> NDArray[np.bool_]:
    """Which stretches need readings that lie farther away than the first look went."""
    starts = starts_of(readings["stretch"], len(stretches))
    at_us, stretch = readings["at_us"], readings["stretch"]
    before, after = _neighbours(stretches, starts, at_us, stretch)
    from_, end = touched_hours(stretches, readings, hours)
    padded = np.append(at_us, 0)
    some = starts[1:] > starts[:-1]
    oldest = np.where(some, padded[starts[:-1]], stretches["first_us"])
    newest = np.where(some, padded[starts[1:] - 1], stretches["last_us"])
    left = (before >= starts[:-1]) & (oldest <= hours.edges_us[from_])
    right = (after < starts[1:]) & (newest >= hours.edges_us[end])
    left |= stretches["known_first_us"] >= np.minimum(oldest, stretches["first_us"])
    right |= stretches["known_last_us"] <= np.maximum(newest, stretches["last_us"])
    return ~(left & right)


def work_out(stretches: NDArray[Any], readings: NDArray[Any], hours: Hours) -> Worked:
    """Hours, marks and latest values of ``stretches``.

    Shape:  ``readings`` of ``READING`` in order of stretch, then time, without excluded ones, with enough
            of them on both sides (``lacking``).
    """
    count = len(stretches)
    stretch, at_us = readings["stretch"].astype(np.int64), np.ascontiguousarray(readings["at_us"])
    starts = starts_of(stretch, count)
    unrolled = unroll(
        starts,
        at_us,
        np.ascontiguousarray(readings["energy_wh"]),
        readings["estimated"],
        readings["accepted"],
        stretches["rolls_over_at_wh"],
        stretches["max_power_w"],
        stretches["interval_s"],
    )
    before, after = _neighbours(stretches, starts, at_us, stretch)
    from_, end = touched_hours(stretches, readings, hours)
    worked = _hours(stretches, starts, at_us, unrolled, from_, end, hours)
    marks = _marks(stretches, stretch, at_us, unrolled, before, after)
    padded = np.append(at_us, 0)
    until = np.where(after < starts[1:], padded[after % len(padded)], stretches["last_us"])
    return Worked(worked, marks, until, _latest(stretches, readings, starts, unrolled))


def _hours(
    stretches: NDArray[Any],
    starts: Ints,
    at_us: Ints,
    unrolled: Unrolled,
    from_: Ints,
    end: Ints,
    hours: Hours,
) -> NDArray[Any]:
    counts = end - from_
    made = np.zeros(int(counts.sum()), HOUR)
    made["stretch"] = np.repeat(np.arange(len(stretches)), counts)
    made["meter"] = stretches["meter"][made["stretch"]]
    made["hour"] = (
        np.arange(len(made)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(from_, counts)
    )
    made["usage_wh"] = UNKNOWN
    if not len(at_us):
        return made
    # One edge more than hours, in each stretch.
    owner = np.repeat(np.arange(len(stretches)), counts + 1)
    number = (
        np.arange(len(owner)) - np.repeat(np.cumsum(counts + 1) - (counts + 1), counts + 1) + from_[owner]
    )
    edge_us = hours.edges_us[number]
    edge = at_edges(starts, at_us, unrolled, owner, edge_us)
    opens = np.flatnonzero(np.append(owner[1:] == owner[:-1], False))
    closes = opens + 1
    used = edge.ends_wh[closes] - edge.starts_wh[opens]
    estimated = edge.estimated_ends_wh[closes] - edge.estimated_starts_wh[opens]
    # Known: some way between two readings, not LONG, runs through it.
    first, last = starts[owner[opens]], starts[owner[opens] + 1] - 1
    short = np.append(np.cumsum((unrolled.flags & LONG) == 0), 0)
    high = np.minimum(edge.place[closes] - edge.exact[closes] + 1, last)
    low = np.maximum(edge.place[opens], first)
    known = (high > low) & (short[high] > short[low])
    made["usage_wh"] = np.where(known, np.minimum(used, _WIDEST_W), UNKNOWN)
    made["estimated_wh"] = np.where(known, np.minimum(estimated, _WIDEST_W), 0)
    return made


def _marks(
    stretches: NDArray[Any], stretch: Ints, at_us: Ints, unrolled: Unrolled, before: Ints, after: Ints
) -> NDArray[Any]:
    """Of the ways that end at a reading inside a stretch, or at the first one after it."""
    place = np.arange(len(at_us))
    ours = (place > before[stretch]) & (place <= after[stretch])
    found = []
    for kind in INTERVAL_MARKS:
        where = np.flatnonzero(ours & (unrolled.flags & kind > 0))
        made = np.empty(len(where), MARK)
        made["meter"] = stretches["meter"][stretch[where]]
        made["at_us"], made["starts_us"] = at_us[where], at_us[where - 1]
        # A gap's line is drawn through what counts; the others tell the difference that is in question.
        counted = unrolled.register_wh[where] - unrolled.register_wh[where - 1]
        made["energy_wh"] = counted if kind == GAP else unrolled.difference_wh[where]
        made["kind"] = kind
        found.append(made)
    return np.concatenate(found)


def _latest(
    stretches: NDArray[Any], readings: NDArray[Any], starts: Ints, unrolled: Unrolled
) -> NDArray[Any]:
    """The last reading in sight, where none beyond it is known of.

    It may lie behind the stretch, when its own arrival has not been dealt with yet. It is written down all
    the same: whoever deals with that arrival must know that this meter has readings before it.
    """
    last = starts[1:] - 1
    newest_us = np.append(readings["at_us"], 0)[last]
    some = last >= starts[:-1]
    some &= stretches["known_last_us"] <= np.maximum(newest_us, stretches["last_us"])
    # The newest stretch of each meter that has several: they are in order.
    meter = stretches["meter"]
    newest = np.append(meter[1:] != meter[:-1], True) if len(meter) else np.empty(0, np.bool_)
    which = np.flatnonzero(some & newest)
    at = last[which]
    made = np.empty(len(which), LATEST)
    made["meter"], made["stretch"] = meter[which], which
    made["at_us"], made["energy_wh"] = readings["at_us"][at], readings["energy_wh"][at]
    made["first_us"] = np.minimum(stretches["known_first_us"][which], made["at_us"])
    told = readings["power_w"][at]
    two = at > starts[which]
    took_us = np.where(two, made["at_us"] - readings["at_us"][at - 1], 1)
    sure = two & (unrolled.flags[at] & (BACKWARDS | JUMP | GAP) == 0)
    mean = unrolled.difference_wh[at] * 3_600_000_000.0 / took_us
    fits = sure & (mean < _WIDEST_W)
    made["told"] = told != NO_POWER
    made["power_w"] = np.where(made["told"], told, np.where(fits, np.rint(np.where(fits, mean, 0)), NO_POWER))
    return made
