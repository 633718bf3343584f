"""Differences added up to the registers that a meter would have shown, exactly.

What was used from 08:00 to 08:30 belongs to the register at 08:30: an interval's value stands at its end. The
first interval of a meter also gives a register at its beginning, and so does one after a hole: the file
knows nothing of the hole, so nothing is counted in it, and that register is marked as estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.metering.files.times import NO_TIME

PARTS_PER_WH: Final = 1_000_000
"""Differences are added up in millionths of a Wh."""

REPEATED: Final = "repeated"
CONTRADICTS: Final = "contradicts"
OUT_OF_ORDER: Final = "out_of_order"

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Starts = Callable[[Mapping[str, int]], Mapping[str, Decimal]]
"""What registers showed when a file begins: from each meter's first moment, in microseconds, to Wh."""


class Registers(msgspec.Struct):
    """Register values. Shape: arrays of one length; ``meter`` counts the file's. Units: parts of a Wh."""

    meter: Ints
    at_us: Ints
    parts: Ints
    estimated: Mask


class Cumulation:
    """Where each meter of a file stands. Rows of one meter come oldest first."""

    def __init__(self, step_us: int, starts: Starts) -> None:
        self._step_us = step_us
        self._starts = starts
        self._end = np.empty(0, np.int64)
        self._sum = np.empty(0, np.int64)
        self._last: dict[int, tuple[int, int]] = {}

    def add(
        self, names: list[str], meter: Ints, start_us: Ints, parts: Ints, counts: Mask
    ) -> tuple[Registers, dict[int, str]]:
        """Registers of these rows, and the places of rows that do not fit, with why.

        ``counts`` is False for rows whose time never was: they are added up, and stand at no moment.
        Raises: Invalid ``readings.too_much``.
        """
        self._grow(len(names))
        order = np.argsort(meter, kind="stable")
        unfit = self._unfit(order, meter, start_us, parts, counts)
        if unfit:
            fits = np.ones(len(meter), np.bool_)
            fits[list(unfit)] = False
            order = order[fits[order]]
        whose, start, value, stands = meter[order], start_us[order], parts[order], counts[order]
        if not len(order):
            none = np.empty(0, np.int64)
            return Registers(none, none, none, np.empty(0, np.bool_)), unfit
        first = np.r_[True, whose[1:] != whose[:-1]]
        total = np.cumsum(value)
        total += (
            self._sum[whose]
            - (total - value)[np.maximum.accumulate(np.where(first, np.arange(len(whose)), 0))]
        )
        standing = np.flatnonzero(stands)
        before_end = self._ends_before(whose[standing], start[standing])
        fresh = before_end == NO_TIME
        if fresh.any():
            total += self._begin(names, whose, start, standing[fresh])
        if int(total.min()) < 0:
            raise Invalid("readings.too_much")
        hole = ~fresh & (start[standing] > before_end)
        opens = standing[fresh | hole]
        registers = Registers(
            np.r_[whose[opens], whose[standing]],
            np.r_[start[opens], start[standing] + self._step_us],
            np.r_[(total - value)[opens], total[standing]],
            np.r_[hole[fresh | hole], np.zeros(len(standing), np.bool_)],
        )
        last = np.r_[whose[1:] != whose[:-1], True]
        self._sum[whose[last]] = total[last]
        self._end[whose[standing]] = start[standing] + self._step_us  # the last one wins
        return registers, unfit

    def _grow(self, meters: int) -> None:
        more = meters - len(self._end)
        if more > 0:
            self._end = np.r_[self._end, np.full(more, NO_TIME)]
            self._sum = np.r_[self._sum, np.zeros(more, np.int64)]

    def _ends_before(self, whose: Ints, start: Ints) -> Ints:
        """When the interval before each ended; NO_TIME before a meter's first."""
        before = np.r_[NO_TIME, start[:-1] + self._step_us]
        first = np.r_[True, whose[1:] != whose[:-1]]
        return np.where(first, self._end[whose], before)

    def _begin(self, names: list[str], whose: Ints, start: Ints, fresh: Ints) -> Ints:
        """What to add to the sums of meters that come for the first time."""
        first = {names[int(whose[place])]: int(start[place]) for place in fresh.tolist()}
        shown = self._starts(first)
        add = np.zeros(len(self._sum), np.int64)
        for place in fresh.tolist():
            at = shown.get(names[int(whose[place])])
            if at is not None:
                add[whose[place]] = int(at * PARTS_PER_WH)
        return add[whose]

    def _unfit(self, order: Ints, meter: Ints, start_us: Ints, parts: Ints, counts: Mask) -> dict[int, str]:
        """Rows that go back in time, or begin before the one before has ended."""
        standing = order[counts[order]]
        whose, start = meter[standing], start_us[standing]
        suspects = np.unique(whose[start < self._ends_before(whose, start)])
        unfit: dict[int, str] = {}
        suspected = set(suspects.tolist())
        if suspected:
            ends = {one: int(self._end[one]) for one in suspected}
            last = {one: self._last.get(one, (NO_TIME, 0)) for one in suspected}
            for place in standing[np.isin(whose, suspects)].tolist():
                one, at, value = int(meter[place]), int(start_us[place]), int(parts[place])
                if at >= ends[one]:
                    ends[one], last[one] = at + self._step_us, (at, value)
                elif (at, value) == last[one]:
                    unfit[place] = REPEATED
                else:
                    unfit[place] = CONTRADICTS if at == last[one][0] else OUT_OF_ORDER
        for place in standing[np.r_[whose[1:] != whose[:-1], len(whose) > 0]].tolist() if len(whose) else []:
            if place not in unfit:
                self._last[int(meter[place])] = (int(start_us[place]), int(parts[place]))
        return unfit
