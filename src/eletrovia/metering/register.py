"""What registers mean: readings in order become a count that never goes back, with what is doubtful marked.

Pure, and local: what a reading adds depends on it and the one before alone. That is why a late reading,
however late, changes nothing beyond its two neighbours, and any stretch can be worked out again by itself.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]

# About the way from the reading before to this one.
BACKWARDS: Final = 1
ROLL_OVER: Final = 2
JUMP: Final = 4
GAP: Final = 8
ESTIMATED: Final = 16
"""Not bounded by two measured readings an interval or two apart."""
LONG: Final = 32
"""A gap too long to be laid out hour by hour: kept as the mark alone, and drawn when somebody looks."""

LONG_US: Final = 45 * 86_400_000_000
SLACK_WH: Final = 1_000
"""A register that shows whole kWh may be so far behind."""
MOST_POWER_W: Final = 2_000_000_000
"""No single meter counts faster, whoever accepts it: an hour of it still fits 32 bits."""
_SAFE: Final = 2.0**62


class Unrolled(NamedTuple):
    """Registers of many stretches, each counted from its first reading on.

    Shape:  one entry a reading; ``register_wh`` and ``estimated_wh`` begin at 0 in each stretch;
            ``difference_wh`` is what the register showed more than before (unrolled where it rolled over),
            counted or not.
    """

    register_wh: Ints
    estimated_wh: Ints
    difference_wh: Ints
    flags: Flags


class AtEdges(NamedTuple):
    """Registers between readings. ``place`` is the last reading at or before, or the one before the first.

    Inside a LONG gap ``ends_wh`` is what an hour that ends here has seen, ``starts_wh`` what one that begins
    here starts from; everywhere else they are the same.
    """

    ends_wh: Ints
    starts_wh: Ints
    estimated_ends_wh: Ints
    estimated_starts_wh: Ints
    place: Ints
    exact: NDArray[np.bool_]


def unroll(
    starts: Ints,
    at_us: Ints,
    energy_wh: Ints,
    estimated: NDArray[np.bool_],
    accepted: NDArray[np.bool_],
    rolls_over_at_wh: Ints,
    max_power_w: Ints,
    interval_s: Ints,
) -> Unrolled:
    """Add up registers, stretch by stretch; what a person must look at adds nothing until accepted.

    Shape:  readings in order of stretch, then time, none excluded; stretch ``k`` has the readings
            ``[starts[k], starts[k + 1])``; the last three are by stretch, 0 for a register without an end.
    """
    count = len(at_us)
    stretch = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    first = np.zeros(count + 1, np.bool_)
    first[starts[:-1]] = True  # of an empty stretch: another's first, or the end
    first = first[:count]
    took_us = np.diff(at_us, prepend=0)
    difference = np.diff(energy_wh, prepend=0)
    took_us[first] = 0
    difference[first] = 0

    seconds = -(-took_us // 1_000_000)
    most_w = np.minimum(max_power_w, MOST_POWER_W)[stretch]
    limit = most_w * seconds // 3600 * 21 // 20 + SLACK_WH
    end = rolls_over_at_wh[stretch]
    rolled = difference + end
    lower = difference < 0
    # In a long silence the fuse lets nearly a whole turn through: the shorter way round is the likely one.
    over = lower & (end > 0) & (rolled >= 0) & (rolled <= np.minimum(limit, end // 2))
    difference[over] = rolled[over]
    back = lower & ~over
    jump = difference > limit
    counted = np.where(back, 0, difference)
    sane = difference <= MOST_POWER_W * seconds // 3600 + SLACK_WH
    counted[jump & ~(accepted & sane)] = 0

    gap = took_us > 2_000_000 * interval_s[stretch]
    told = estimated.copy()
    told[1:] |= estimated[:-1]
    flags = np.zeros(count, np.uint8)
    for bit, where in (
        (BACKWARDS, back),
        (ROLL_OVER, over),
        (JUMP, jump),
        (GAP, gap),
        (ESTIMATED, gap | told),
        (LONG, took_us > LONG_US),
    ):
        flags[where] |= bit
    flags[first] = 0
    estimates = np.where(flags & ESTIMATED, counted, 0)
    return Unrolled(_from_zero(counted, starts), _from_zero(estimates, starts), difference, flags)


def places(starts: Ints, at_us: Ints, stretch: Ints, moment_us: Ints) -> Ints:
    """Each moment's last reading at or before it, in its stretch; one less than the first where none is."""
    if not len(at_us):
        return starts[stretch] - 1
    low, high = int(at_us.min()) - 1, int(at_us.max()) + 1
    width = high - low + 1
    if len(starts) * width < 2**62:  # all stretches one after the other on one line
        line = np.repeat(np.arange(len(starts) - 1), np.diff(starts)) * width + (at_us - low)
        asked = stretch * width + (np.clip(moment_us, low, high) - low)
        found: Ints = np.searchsorted(line, asked, side="right") - 1
        return np.maximum(found, starts[stretch] - 1)
    found = np.empty(len(stretch), np.int64)
    for one in np.unique(stretch):
        where = stretch == one
        own = at_us[starts[one] : starts[one + 1]]
        found[where] = starts[one] + np.searchsorted(own, moment_us[where], side="right") - 1
    return found


def at_edges(starts: Ints, at_us: Ints, unrolled: Unrolled, stretch: Ints, edge_us: Ints) -> AtEdges:
    """The registers at each edge: on the line between its neighbours, rounded down."""
    place = places(starts, at_us, stretch, edge_us)
    start, last = starts[stretch], starts[stretch + 1] - 1
    before = np.clip(place, start, last)
    after = np.clip(place + 1, start, last)
    register = unrolled.register_wh
    gained = register[after] - register[before]
    passed = np.where(after > before, edge_us - at_us[before], 0)
    took = np.where(after > before, at_us[after] - at_us[before], 1)
    along = _share(gained, passed, took)
    flags = np.where(after > before, unrolled.flags[after], 0)
    inside_long = (flags & LONG > 0) & (passed > 0)
    ends = np.where(inside_long, 0, along)
    starts_ = np.where(inside_long, gained, along)
    estimated = unrolled.estimated_wh[before]
    doubtful = flags & ESTIMATED > 0
    return AtEdges(
        register[before] + ends,
        register[before] + starts_,
        estimated + np.where(doubtful, ends, 0),
        estimated + np.where(doubtful, starts_, 0),
        place,
        (place >= start) & (at_us[before] == edge_us),
    )


def on_the_line(unrolled: Unrolled, at_us: Ints, moment_us: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """One meter's register at any moments, through gaps of any length, and where a reading stands."""
    starts = np.array([0, len(at_us)])
    straight = unrolled._replace(flags=unrolled.flags & np.uint8(~LONG & 0xFF))
    at = at_edges(starts, at_us, straight, np.zeros(len(moment_us), np.int64), moment_us)
    return at.ends_wh, at.exact


def _share(gained: Ints, passed: Ints, took: Ints) -> Ints:
    """``gained * passed // took``, exactly, also where the product is wider than 64 bits."""
    wide = gained.astype(np.float64) * passed.astype(np.float64) > _SAFE
    if not wide.any():
        return gained * passed // took
    shares: Ints = np.where(wide, 0, gained) * passed // took
    exactly: NDArray[Any] = gained[wide].astype(object) * passed[wide].astype(object)
    shares[wide] = (exactly // took[wide].astype(object)).astype(np.int64)
    return shares


def _from_zero(steps: Ints, starts: Ints) -> Ints:
    """Running sums that begin anew in each stretch, whose first step is 0."""
    total = np.cumsum(steps)
    counts = np.diff(starts)
    base = (
        total[np.minimum(starts[:-1], max(len(total) - 1, 0))]
        if len(total)
        else np.zeros(len(counts), np.int64)
    )
    sums: Ints = total - np.repeat(base, counts)
    return sums
