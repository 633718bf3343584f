"""The inner loops of the search, compiled. Imported by the first search only, since numba is slow to load.

All functions stand in one file because numba's cache notices changes in a function's own file only.
Every number is an integer but the bounds: seconds, millionths of the battery, billionths of the currency.
The model and the proof that nothing good is thrown away stand in ``search.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Bound = tuple[Reals, Reals, Reals]
F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    """Machine code, without Python's lock; kept on disk where any folder lets us (else compiled anew)."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to cache in: neither beside this file nor in the user's cache
        return cast(F, numba.njit(nogil=True)(function))


NONE = 1e17  # a bound that says: no way from here
FAR = 2**62

TIME, COST, STOPS = 0, 1, 2  # what a bound counts
# What a walk looks for: the earliest arrival; the lowest cost, then the earliest arrival; of those that
# arrive by then, fewest stops, then lowest cost, then most battery; of those no dearer and no later, fewest
# stops; fewest stops, then the earliest arrival.
QUICK, CHEAPEST, TIDY, CHEAPEST_TIDY, FEWEST = 0, 1, 2, 3, 4

# Columns of a label. LEVEL is -1 for an arrival; PARENT of a departure is its arrival, and back.
PLACE, LEVEL, T, SOC, COSTS, COUNT, PARENT, BAY, START, NEXT, DEAD, WIDTH = range(12)

OK, NO_WAY, TOO_MANY = 0, 1, 2


@_compiled
def rooms(
    departs_at: int,
    busy_ptr: Ints,
    busy_from: Ints,
    busy_to: Ints,
    before_s: int,
    after_s: int,
    latest: int,
) -> Ints:
    """For each bay the longest charge that any of its free windows can hold."""
    bays = busy_ptr.shape[0] - 1
    room = np.zeros(bays, np.int64)
    for b in range(bays):
        start = departs_at
        for p in range(busy_ptr[b], busy_ptr[b + 1]):
            if start <= latest:
                room[b] = max(room[b], busy_from[p] - after_s - start)
            start = max(start, busy_to[p] + before_s)
        if start <= latest:
            room[b] = FAR
    return room


@_compiled
def _serve(
    low: Reals,
    high: Reals,
    leave: Reals,
    seconds: Reals,
    room: int,
    base_s: int,
    step: int,
    lowest: int,
    flat: float,
    per_unit: float,
    per_s: float,
) -> None:
    """Lower a site's bounds by what one bay can do for a car that comes at each percent."""
    top = seconds.shape[0] - 1
    flat += per_s * base_s
    roomy = room >= base_s + seconds[top] - seconds[0]
    best = NONE
    for f in range(top - 1, -1, -1):
        if roomy:
            if f + 1 >= lowest:
                best = min(best, per_unit * (f + 1) * step + per_s * seconds[f + 1] + leave[f + 1])
        else:  # only the levels that the longest free window allows
            best = NONE
            for level in range(max(lowest, f + 1), top + 1):
                if base_s + seconds[level] - seconds[f + 1] > room:
                    break
                best = min(best, per_unit * level * step + per_s * seconds[level] + leave[level])
        if best < NONE / 2:
            low[f] = min(low[f], flat + best - per_unit * f * step - per_s * seconds[f])
            high[f] = min(high[f], flat + best - per_unit * (f + 1) * step - per_s * seconds[f + 1])


@_compiled
def to_go(
    counts: int,
    order: Ints,
    out_ptr: Ints,
    out_to: Ints,
    out_s: Ints,
    out_e: Ints,
    end_s: Ints,
    end_e: Ints,
    bay_ptr: Ints,
    bay_table: Ints,
    bay_flat: Ints,
    bay_per_unit: Ints,
    bay_per_s: Ints,
    tables: Reals,
    base_s: int,
    step: int,
    lowest: int,
    reserve: int,
    room: Ints,
) -> Bound:
    """What is still to come at the least, if every bay's longest free window were always there.

    Counted in seconds, cost or stops.

    ``leave[k, m]``: having left k at level m. ``low[k, f]`` and ``high[k, f]``: having come to k at the
    lower and the upper end of percent f; between them the bound is linear, which is never above the truth
    because the truth there is a minimum of linear functions.
    """
    n = order.shape[0]
    top = tables.shape[1] - 1
    leave = np.full((n, top + 1), NONE)
    low = np.full((n, top + 1), NONE)
    high = np.full((n, top + 1), NONE)
    live = np.zeros(n, np.uint8)
    give = 1e-3 if counts == COST else 1e-6  # float noise must not keep the sweeps going
    changed = True
    while changed:
        changed = False
        for position in range(n):
            j = order[position]
            better = False
            if end_e[j] >= 0:
                value = float(end_s[j]) if counts == TIME else 0.0
                for level in range(max(lowest, (reserve + end_e[j] + step - 1) // step), top + 1):
                    if value < leave[j, level] - give:
                        leave[j, level] = value
                        better = True
            for a in range(out_ptr[j], out_ptr[j + 1]):
                k = out_to[a]
                if live[k] == 0:
                    continue
                value = float(out_s[a]) if counts == TIME else 0.0
                e = out_e[a]
                off = (e + step - 1) // step
                share = (off * step - e) / step
                for level in range(max(lowest, (reserve + e + step - 1) // step), top + 1):
                    f = level - off
                    bound = value + low[k, f] * (1 - share) + high[k, f] * share
                    if bound < leave[j, level] - give:
                        leave[j, level] = bound
                        better = True
            if not better:
                continue
            changed = True
            live[j] = 1
            for f in range(top):
                low[j, f] = NONE
                high[j, f] = NONE
            for b in range(bay_ptr[j], bay_ptr[j + 1]):
                flat, per_unit, per_s = 1.0, 0.0, 0.0
                if counts == TIME:
                    flat, per_s = 0.0, 1.0
                elif counts == COST:
                    flat, per_unit, per_s = float(bay_flat[b]), float(bay_per_unit[b]), float(bay_per_s[b])
                if room[b] > 0:
                    seconds = tables[bay_table[b]]
                    _serve(
                        low[j],
                        high[j],
                        leave[j],
                        seconds,
                        room[b],
                        base_s,
                        step,
                        lowest,
                        flat,
                        per_unit,
                        per_s,
                    )
    return leave, low, high


@_compiled
def _ahead(low: Reals, high: Reals, k: int, soc: int, step: int, slack: float) -> int:
    """The bound for having come to ``k`` with ``soc``, as a whole number; FAR when there is no way."""
    if low.shape[0] == 0:
        return 0
    f = soc // step
    share = (soc - f * step) / step
    bound = low[k, f] * (1 - share) + high[k, f] * share
    if bound > NONE / 1e4:
        return FAR
    ahead: int = math.ceil(bound - slack)
    return ahead


@_compiled
def _ahead_left(leave: Reals, k: int, level: int, slack: float) -> int:
    """The bound for having left ``k`` at ``level``."""
    if leave.shape[0] == 0:
        return 0
    if leave[k, level] > NONE / 1e4:
        return FAR
    ahead: int = math.ceil(leave[k, level] - slack)
    return ahead


@_compiled
def _keys(mode: int, time: int, cost: int, stops: int, t: int) -> tuple[int, int]:
    """What the heap sorts by: two numbers that never shrink along a way."""
    if mode == QUICK:
        return time, -t
    if mode == TIDY:
        return stops, cost
    if mode in (CHEAPEST, CHEAPEST_TIDY):
        return cost, time * 256 + stops
    return stops, time


@_compiled
def _hopeless(mode: int, first: int, second: int, goal_first: int, goal_second: int) -> bool:
    """Whether a label with these keys cannot lead to anything better than what was found."""
    if first != goal_first:
        return first > goal_first
    # An equal arrival is no gain for QUICK; for TIDY an equal price may still keep the battery fuller.
    return mode == QUICK or second > goal_second or (mode != TIDY and second == goal_second)


@_compiled
def _put(heap: Ints, i: int, first: int, second: int, label: int) -> None:
    heap[i, 0] = first
    heap[i, 1] = second
    heap[i, 2] = label


@_compiled
def _push(heap: Ints, size: int, first: int, second: int, label: int) -> int:
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if heap[up, 0] < first or (heap[up, 0] == first and heap[up, 1] <= second):
            break
        _put(heap, i, heap[up, 0], heap[up, 1], heap[up, 2])
        i = up
    _put(heap, i, first, second, label)
    return size + 1


@_compiled
def _pop(heap: Ints, size: int) -> int:
    """Take the top away; the last one sinks from the top to its place."""
    size -= 1
    first, second, label = heap[size, 0], heap[size, 1], heap[size, 2]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            heap[right, 0] < heap[child, 0]
            or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        if heap[child, 0] > first or (heap[child, 0] == first and heap[child, 1] >= second):
            break
        _put(heap, i, heap[child, 0], heap[child, 1], heap[child, 2])
        i = child
    _put(heap, i, first, second, label)
    return size


@_compiled
def _not_before(labels: Ints, label: int, bay: int, gap: int) -> int:
    """When the way to ``label`` itself lets the bay go again (its own windows count as busy)."""
    until = -FAR
    i = label
    while i >= 0:
        if labels[i, LEVEL] >= 0 and labels[i, BAY] == bay:
            until = max(until, labels[i, T] + gap)
        i = labels[i, PARENT]
    return until


@_compiled
def _no_freer(labels: Ints, a: int, b: int, gap: int) -> bool:
    """Whether each bay that the way to ``a`` still blocks is blocked as long by the way to ``b``."""
    i = a
    while i >= 0:
        if (
            labels[i, LEVEL] >= 0
            and labels[i, BAY] >= 0
            and labels[i, T] + gap > labels[a, T]
            and _not_before(labels, b, labels[i, BAY], gap) < labels[i, T] + gap
        ):
            return False
        i = labels[i, PARENT]
    return True


@_compiled
def _beats(labels: Ints, a: int, b: int, mode: int, careful: bool, gap: int) -> bool:
    if labels[a, T] > labels[b, T] or labels[a, SOC] < labels[b, SOC]:
        return False
    if mode != QUICK and labels[a, COSTS] > labels[b, COSTS]:
        return False
    if mode >= TIDY and labels[a, COUNT] > labels[b, COUNT]:
        return False
    return not careful or _no_freer(labels, a, b, gap)


@_compiled
def _enter(labels: Ints, head: Ints, slot: int, new: int, mode: int, careful: bool, gap: int) -> bool:
    """Put a label on its slot's list unless one there is as good; take off those it beats."""
    before = -1
    i = head[slot]
    while i >= 0:
        if _beats(labels, i, new, mode, careful, gap):
            return False
        after = labels[i, NEXT]
        if _beats(labels, new, i, mode, careful, gap):
            labels[i, DEAD] = 1
            if before < 0:
                head[slot] = after
            else:
                labels[before, NEXT] = after
        else:
            before = i
        i = after
    labels[new, NEXT] = head[slot]
    head[slot] = new
    return True


@_compiled
def _roomy(rows: Ints, used: int, more: int) -> Ints:
    """The same rows, with room for ``more``."""
    if used + more <= rows.shape[0]:
        return rows
    wider = np.empty((max(2 * rows.shape[0], used + more), rows.shape[1]), np.int64)
    for i in range(used):
        for column in range(rows.shape[1]):
            wider[i, column] = rows[i, column]
    return wider


@_compiled
def walk(
    mode: int,
    careful: bool,
    limit: int,
    most_labels: int,
    departs_at: int,
    soc: int,
    first_floor: int,
    start_s: Ints,
    start_e: Ints,
    direct_s: int,
    direct_e: int,
    out_ptr: Ints,
    out_to: Ints,
    out_s: Ints,
    out_e: Ints,
    end_s: Ints,
    end_e: Ints,
    bay_ptr: Ints,
    bay_table: Ints,
    bay_flat: Ints,
    bay_per_unit: Ints,
    bay_per_s: Ints,
    busy_ptr: Ints,
    busy_from: Ints,
    busy_to: Ints,
    tables: Reals,
    base_s: int,
    step: int,
    lowest: int,
    reserve: int,
    before_s: int,
    after_s: int,
    latest: int,
    time_bound: Bound,
    cost_bound: Bound,
    stops_bound: Bound,
    guess: tuple[int, int],
) -> tuple[int, Ints, int, int, int]:
    """The best way for ``mode`` that arrives by ``limit``: A* over arrivals and departures.

    Returns a status, the way (a row per stop: site, bay, arrival, start, end, soc in, soc out), when it
    arrives, its cost, and how many labels were made. TOO_MANY when that broke it off: the way is then the
    best found so far, maybe empty.
    """
    leave_t, low_t, high_t = time_bound
    leave_c, low_c, high_c = cost_bound
    leave_n, low_n, high_n = stops_bound
    n = end_s.shape[0]
    top = tables.shape[1] - 1
    gap = before_s + after_s
    labels = np.empty((1024, WIDTH), np.int64)
    heap = np.empty((1024, 3), np.int64)
    arrivals = np.full(n * (top + 1), -1, np.int64)
    departures = np.full(n * (top + 1), -1, np.int64)
    widest = n
    for j in range(n):
        widest = max(widest, (bay_ptr[j + 1] - bay_ptr[j]) * top, out_ptr[j + 1] - out_ptr[j])
    goal, goal_soc, goal_t = -1, -1, limit
    goal_first, goal_second = guess

    # Label 0 is leaving the origin.
    for column in range(WIDTH):
        labels[0, column] = 0
    labels[0, PLACE] = -1
    labels[0, T] = departs_at
    labels[0, SOC] = soc
    labels[0, PARENT] = -1
    labels[0, BAY] = -1
    made = 1
    heap[0, 0], heap[0, 1], heap[0, 2] = 0, 0, 0
    size = 1
    if direct_e >= 0 and soc - direct_e >= reserve and departs_at + direct_s <= limit:
        goal, goal_soc, goal_t = 0, soc - direct_e, departs_at + direct_s
        goal_first, goal_second = _keys(mode, goal_t, 0, 0, goal_t)

    cut = False
    while size > 0:
        first, second, i = heap[0, 0], heap[0, 1], heap[0, 2]
        if i > 0 and _hopeless(mode, first, second, goal_first, goal_second):
            break
        size = _pop(heap, size)
        if labels[i, DEAD] == 1:
            continue
        if made > most_labels:
            cut = True
            break
        labels = _roomy(labels, made, widest + 1)
        heap = _roomy(heap, size, widest + 1)
        place = labels[i, PLACE]
        t = labels[i, T]
        here = labels[i, SOC]
        cost = labels[i, COSTS]
        stops = labels[i, COUNT]

        if labels[i, LEVEL] >= 0:  # leaving: drive to every place that can be reached
            if place < 0:
                begin, finish, floor = 0, n, first_floor
            else:
                begin, finish, floor = out_ptr[place], out_ptr[place + 1], reserve
            for a in range(begin, finish):
                if place < 0:
                    k, drive, e = a, start_s[a], start_e[a]
                    if e < 0 or here - e < floor:
                        continue
                else:
                    k, drive, e = out_to[a], out_s[a], out_e[a]
                    if here - e < floor:
                        break  # legs are sorted by energy
                left = here - e
                then = t + drive
                time_ahead = _ahead(low_t, high_t, k, left, step, 1e-3)
                if time_ahead >= FAR or then + time_ahead > limit:
                    continue
                cost_ahead = _ahead(low_c, high_c, k, left, step, 0.05)
                stops_ahead = _ahead(low_n, high_n, k, left, step, 1e-3)
                key1, key2 = _keys(mode, then + time_ahead, cost + cost_ahead, stops + stops_ahead, then)
                if _hopeless(mode, key1, key2, goal_first, goal_second):
                    continue
                labels[made, PLACE] = k
                labels[made, LEVEL] = -1
                labels[made, T] = then
                labels[made, SOC] = left
                labels[made, COSTS] = cost
                labels[made, COUNT] = stops
                labels[made, PARENT] = i
                labels[made, BAY] = -1
                labels[made, START] = then
                labels[made, DEAD] = 0
                if _enter(labels, arrivals, k * (top + 1) + left // step, made, mode, careful, gap):
                    size = _push(heap, size, key1, key2, made)
                    made += 1
            continue

        # Come to a site: at each bay the earliest start for each level.
        lowest_here = max(lowest, here // step + 1)
        f = here // step
        for b in range(bay_ptr[place], bay_ptr[place + 1]):
            r = bay_table[b]
            if f >= top:
                break
            begun = tables[r, f] + (tables[r, f + 1] - tables[r, f]) * ((here - f * step) / step)
            start = t
            if careful:
                start = max(start, _not_before(labels, i, b, gap))
            # The spans that end before the window begins do not matter; spans are sorted.
            p, end_p = busy_ptr[b], busy_ptr[b + 1]
            while p < end_p and busy_to[p] <= start - before_s:
                p += 1
            for level in range(lowest_here, top + 1):
                lasts = max(1, base_s + math.ceil(tables[r, level] - begun))
                while p < end_p and busy_from[p] < start + lasts + after_s:
                    start = max(start, busy_to[p] + before_s)
                    p += 1
                if start > latest:
                    break  # longer charges never start earlier
                ends = start + lasts
                time_ahead = _ahead_left(leave_t, place, level, 1e-3)
                if time_ahead >= FAR or ends + time_ahead > limit:
                    continue
                total = cost + bay_flat[b] + (level * step - here) * bay_per_unit[b] + lasts * bay_per_s[b]
                cost_ahead = _ahead_left(leave_c, place, level, 0.05)
                stops_ahead = _ahead_left(leave_n, place, level, 1e-3)
                key1, key2 = _keys(mode, ends + time_ahead, total + cost_ahead, stops + 1 + stops_ahead, ends)
                if _hopeless(mode, key1, key2, goal_first, goal_second):
                    continue
                labels[made, PLACE] = place
                labels[made, LEVEL] = level
                labels[made, T] = ends
                labels[made, SOC] = level * step
                labels[made, COSTS] = total
                labels[made, COUNT] = stops + 1
                labels[made, PARENT] = i
                labels[made, BAY] = b
                labels[made, START] = start
                labels[made, DEAD] = 0
                if not _enter(labels, departures, place * (top + 1) + level, made, mode, careful, gap):
                    continue
                size = _push(heap, size, key1, key2, made)
                if end_e[place] >= 0 and level * step - end_e[place] >= reserve:
                    arrives = ends + end_s[place]
                    key1, key2 = _keys(mode, arrives, total, stops + 1, arrives)
                    left = level * step - end_e[place]
                    if arrives <= limit and (
                        key1 < goal_first
                        or (key1 == goal_first and key2 < goal_second)
                        or (key1 == goal_first and key2 == goal_second and left > goal_soc)
                    ):
                        goal, goal_first, goal_second = made, key1, key2
                        goal_soc, goal_t = left, arrives
                made += 1

    if goal < 0:
        return TOO_MANY if cut else NO_WAY, np.empty((0, 7), np.int64), 0, 0, made
    way = np.empty((labels[goal, COUNT], 7), np.int64)
    i = goal
    for row in range(labels[goal, COUNT] - 1, -1, -1):
        arrival = labels[i, PARENT]
        way[row, 0] = labels[i, PLACE]
        way[row, 1] = labels[i, BAY]
        way[row, 2] = labels[arrival, T]
        way[row, 3] = labels[i, START]
        way[row, 4] = labels[i, T]
        way[row, 5] = labels[arrival, SOC]
        way[row, 6] = labels[i, SOC]
        i = labels[arrival, PARENT]
    return TOO_MANY if cut else OK, way, goal_t, labels[goal, COSTS], made


@_compiled
def _at_bays(
    leave: Reals,
    bay_ptr: Ints,
    bay_table: Ints,
    tables: Reals,
    base_s: int,
    step: int,
    lowest: int,
    room: Ints,
) -> tuple[Reals, Reals]:
    """``to_go``'s low and high for each bay alone: what is to come once a charge begins there."""
    top = tables.shape[1] - 1
    low = np.full((bay_table.shape[0], top + 1), NONE)
    high = np.full((bay_table.shape[0], top + 1), NONE)
    for j in range(bay_ptr.shape[0] - 1):
        for b in range(bay_ptr[j], bay_ptr[j + 1]):
            if room[b] > 0:
                seconds = tables[bay_table[b]]
                _serve(low[b], high[b], leave[j], seconds, room[b], base_s, step, lowest, 0.0, 0.0, 1.0)
    return low, high


@_compiled
def sprint(
    most_labels: int,
    departs_at: int,
    soc: int,
    first_floor: int,
    start_s: Ints,
    start_e: Ints,
    direct_s: int,
    direct_e: int,
    out_ptr: Ints,
    out_to: Ints,
    out_s: Ints,
    out_e: Ints,
    end_s: Ints,
    end_e: Ints,
    bay_ptr: Ints,
    bay_table: Ints,
    bay_flat: Ints,
    bay_per_unit: Ints,
    bay_per_s: Ints,
    busy_ptr: Ints,
    busy_from: Ints,
    busy_to: Ints,
    tables: Reals,
    base_s: int,
    step: int,
    lowest: int,
    reserve: int,
    before_s: int,
    after_s: int,
    latest: int,
    time_bound: Bound,
    room: Ints,
) -> tuple[int, Ints, int, int, int]:
    """``walk`` for QUICK, many times faster where bays are busy: the earliest arrival and nothing else.

    Only time and battery count here, so one time for each site and level is enough; arrivals are sorted by
    what is to come at the bay that serves them best, its wait included. Answers as ``walk`` does.
    """
    leave, low, high = time_bound
    bay_low, bay_high = _at_bays(leave, bay_ptr, bay_table, tables, base_s, step, lowest, room)
    n = end_s.shape[0]
    top = tables.shape[1] - 1
    left_at = np.full((n, top + 1), FAR, np.int64)
    left_by = np.full((n, top + 1), -1, np.int64)
    # Departures: place, level, time, arrival, bay, start. Arrivals: place, time, soc, departure, next, dead.
    departures = np.empty((1024, 6), np.int64)
    arrivals = np.empty((1024, 6), np.int64)
    heap = np.empty((1024, 3), np.int64)  # departures by number, arrivals by -1 - number
    head = np.full((n, top + 1), -1, np.int64)
    # For each gap between a bay's spans: the emptiest and the fullest car that began there. ``since`` is when
    # it would have begun from empty; a car with a later one ends later at any level.
    gaps = busy_from.shape[0] + bay_table.shape[0] + 1
    emptiest = np.full(gaps, FAR, np.int64)
    emptiest_since = np.full(gaps, NONE)
    fullest = np.full(gaps, -1, np.int64)
    fullest_since = np.full(gaps, NONE)

    for column in range(departures.shape[1]):
        departures[0, column] = 0
    departures[0, 0] = -1
    departures[0, 2] = departs_at
    departures[0, 3] = -1
    came, left = 0, 1
    goal, goal_t = -1, FAR
    if direct_e >= 0 and soc - direct_e >= reserve:
        goal, goal_t = 0, departs_at + direct_s
    size = _push(heap, 0, departs_at, 0, 0)
    while size > 0 and heap[0, 0] < goal_t:
        i = heap[0, 2]
        size = _pop(heap, size)
        if came + left > most_labels:
            return TOO_MANY, np.empty((0, 7), np.int64), 0, 0, came + left
        if i >= 0:
            place, t = departures[i, 0], departures[i, 2]
            here = departures[i, 1] * step
            begin, finish, floor = 0, n, first_floor
            if place < 0:
                here = soc
            else:
                if left_by[place, departures[i, 1]] != i:
                    continue
                begin, finish, floor = out_ptr[place], out_ptr[place + 1], reserve
            arrivals = _roomy(arrivals, came, finish - begin)
            heap = _roomy(heap, size, finish - begin)
            for a in range(begin, finish):
                if place < 0:
                    k, drive, e = a, start_s[a], start_e[a]
                    if e < 0 or here - e < floor:
                        continue
                else:
                    k, drive, e = out_to[a], out_s[a], out_e[a]
                    if here - e < floor:
                        break  # legs are sorted by energy
                rest = here - e
                then = t + drive
                f = rest // step
                share = (rest - f * step) / step
                bound = low[k, f] * (1 - share) + high[k, f] * share
                if bound > NONE / 1e4 or then + math.ceil(bound - 1e-3) >= goal_t:
                    continue
                beaten = False
                other = head[k, f]
                while other >= 0:
                    if arrivals[other, 1] <= then and arrivals[other, 2] >= rest:
                        beaten = True
                        break
                    other = arrivals[other, 4]
                if beaten:
                    continue
                key = FAR
                for b in range(bay_ptr[k], bay_ptr[k + 1]):
                    start = then
                    for p in range(busy_ptr[b], busy_ptr[b + 1]):
                        if busy_to[p] <= start - before_s:
                            continue
                        if busy_from[p] > start + after_s:
                            break
                        start = busy_to[p] + before_s
                    bound = bay_low[b, f] * (1 - share) + bay_high[b, f] * share
                    if start <= latest and bound < NONE / 1e4:
                        key = min(key, start + math.ceil(bound - 1e-3))
                if key >= goal_t:
                    continue
                before, other = -1, head[k, f]
                while other >= 0:
                    after = arrivals[other, 4]
                    if arrivals[other, 1] >= then and arrivals[other, 2] <= rest:
                        arrivals[other, 5] = 1
                        if before < 0:
                            head[k, f] = after
                        else:
                            arrivals[before, 4] = after
                    else:
                        before = other
                    other = after
                arrivals[came, 0] = k
                arrivals[came, 1] = then
                arrivals[came, 2] = rest
                arrivals[came, 3] = i
                arrivals[came, 4] = head[k, f]
                arrivals[came, 5] = 0
                head[k, f] = came
                size = _push(heap, size, key, -then, -1 - came)
                came += 1
            continue

        i = -1 - i
        place, t, here = arrivals[i, 0], arrivals[i, 1], arrivals[i, 2]
        f = here // step
        if arrivals[i, 5] == 1 or f >= top:
            continue
        more = (bay_ptr[place + 1] - bay_ptr[place]) * top
        departures = _roomy(departures, left, more)
        heap = _roomy(heap, size, more)
        for b in range(bay_ptr[place], bay_ptr[place + 1]):
            r = bay_table[b]
            begun = tables[r, f] + (tables[r, f + 1] - tables[r, f]) * ((here - f * step) / step)
            start = t
            p, end_p = busy_ptr[b], busy_ptr[b + 1]
            while p < end_p and (busy_to[p] <= start - before_s or busy_from[p] <= start + after_s):
                start = max(start, busy_to[p] + before_s)
                p += 1
            if start > latest:
                continue
            edge = busy_from[p] - after_s if p < end_p else FAR
            begin, finish = max(lowest, f + 1), top
            gap = p + b
            since = start - departs_at - begun
            if since >= emptiest_since[gap] + 1e-6 and here >= emptiest[gap]:
                # An emptier car ends sooner at each level that fits this gap; later gaps suit the fuller one.
                if edge == FAR:
                    continue
                while begin <= top:
                    if start + max(1, base_s + math.ceil(tables[r, begin] - begun)) > edge:
                        break
                    begin += 1
            if since >= fullest_since[gap] + 1e-6 and here <= fullest[gap]:
                # A fuller car ends sooner at each level above it, in this gap and later.
                finish = min(finish, fullest[gap] // step)
            if here < emptiest[gap]:
                emptiest[gap], emptiest_since[gap] = here, since
            if here > fullest[gap]:
                fullest[gap], fullest_since[gap] = here, since
            for level in range(begin, finish + 1):
                lasts = max(1, base_s + math.ceil(tables[r, level] - begun))
                ends = start + lasts
                if ends > edge:
                    while p < end_p and busy_from[p] < start + lasts + after_s:
                        start = max(start, busy_to[p] + before_s)
                        p += 1
                    if start > latest:
                        break  # longer charges never start earlier
                    edge = busy_from[p] - after_s if p < end_p else FAR
                    ends = start + lasts
                if ends >= left_at[place, level]:
                    other = left_by[place, level]
                    if ends == left_at[place, level] and departures[other, 3] == i:
                        # Two bays serve this arrival equally soon: the cheaper one.
                        rival = departures[other, 4]
                        units, rival_s = level * step - here, ends - departures[other, 5]
                        price = bay_flat[b] + units * bay_per_unit[b] + lasts * bay_per_s[b]
                        paid = bay_flat[rival] + units * bay_per_unit[rival] + rival_s * bay_per_s[rival]
                        if price < paid:
                            departures[other, 4], departures[other, 5] = b, start
                    continue
                if leave[place, level] > NONE / 1e4:
                    continue
                key = ends + math.ceil(leave[place, level] - 1e-3)
                if key >= goal_t:
                    continue
                left_at[place, level] = ends
                left_by[place, level] = left
                departures[left, 0] = place
                departures[left, 1] = level
                departures[left, 2] = ends
                departures[left, 3] = i
                departures[left, 4] = b
                departures[left, 5] = start
                reaches = end_e[place] >= 0 and level * step - end_e[place] >= reserve
                if reaches and ends + end_s[place] < goal_t:
                    goal, goal_t = left, ends + end_s[place]
                size = _push(heap, size, key, -ends, left)
                left += 1

    if goal < 0:
        return NO_WAY, np.empty((0, 7), np.int64), 0, 0, came + left
    stops = 0
    i = goal
    while i > 0:
        stops += 1
        i = arrivals[departures[i, 3], 3]
    way = np.empty((stops, 7), np.int64)
    cost = 0
    i = goal
    for row in range(stops - 1, -1, -1):
        arrival, b = departures[i, 3], departures[i, 4]
        way[row, 0] = departures[i, 0]
        way[row, 1] = b
        way[row, 2] = arrivals[arrival, 1]
        way[row, 3] = departures[i, 5]
        way[row, 4] = departures[i, 2]
        way[row, 5] = arrivals[arrival, 2]
        way[row, 6] = departures[i, 1] * step
        units, lasts = way[row, 6] - way[row, 5], way[row, 4] - way[row, 3]
        cost += bay_flat[b] + units * bay_per_unit[b] + lasts * bay_per_s[b]
        i = arrivals[arrival, 3]
    return OK, way, goal_t, cost, came + left
