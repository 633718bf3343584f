"""Excess consumption: the classroom's rule, and one that knows a household's own hours, days and season."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid

Floats = NDArray[np.float64]

# -- the classroom's rule -----------------------------------------------------------------------------------

CLASSROOM_READINGS: Final = 5


def classroom_excess(registers: Sequence[int]) -> float | None:
    """By how much the last of four differences is above the mean of the three before; None: no excess.

    Shape:  the last five values of a register, oldest first, in any unit. It is an excess from 1.5 times the
            mean on; nothing used after nothing used is none.
    Raises: Invalid when there are fewer than five.
    """
    if len(registers) < CLASSROOM_READINGS:
        raise Invalid("alert.too_few_readings", readings=len(registers), needed=CLASSROOM_READINGS)
    last5 = registers[-CLASSROOM_READINGS:]
    *before, last = (after - first for first, after in pairwise(last5))
    total = sum(before)
    # In whole numbers: last >= 1.5 * total / 3.
    if 2 * last < total or 3 * last <= total:
        return None
    return last - total / 3


# -- the household's own rule ------------------------------------------------------------------------------

HOURS: Final = 3
"""A stretch of so many hours is looked at: long enough for an oven, short enough to say when it was."""
_LOOK_BACK: Final = 56  # days, eight weeks
_FEWEST: Final = 21  # days that must be known among them
_SEASON: Final = 21  # days either side of the same weekday last year
_YEAR: Final = 364
_TIMES: Final = 2.0  # how far above the usual surprise something must be
_USUAL_SURPRISE: Final = 0.95  # the quantile of the days' greatest surprises
_LEAST_WH: Final = {"hours": 1500.0, "day": 2500.0, "base": 60.0}
_LEAST_RATIO: Final = {"hours": 1.5, "day": 1.3}
_BASE_HOUR: Final = 2  # the third lowest hour of a day is its base: a fridge's pause does not count
_SIMILAR: Final = (0.67, 1.5)  # last year says something of this one while the household used about as much
NEEDED_DAYS: Final = _YEAR + _LOOK_BACK + _SEASON
"""How far back ``usual`` looks at most."""


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """A household's use, hour by hour, on consecutive days of the utility's zone.

    Shape:  ``hours`` is days by 24; an hour nothing is known of is NaN, and so is one that was estimated.
    Units:  Wh.
    """

    first: date
    hours: Floats

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.first + timedelta(days=len(self.hours))

    def place(self, day: date) -> int:
        return (day - self.first).days

    def weekdays(self) -> NDArray[np.int64]:
        """0 is Monday."""
        return (np.arange(len(self.hours)) + self.first.weekday()) % 7


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual for one household on one day, and how much more would be a surprise.

    Shape:  by the hour at whose end a stretch of ``HOURS`` ends, from ``HOURS`` - 1 on in the arrays' places.
    Units:  Wh; Wh an hour for the base. A limit is how much above the usual may still be chance.
    """

    day: date
    hours_wh: Floats
    hours_limit_wh: Floats
    day_wh: float
    day_limit_wh: float
    base_wh: float
    base_limit_wh: float


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """Use far above the usual. Shape: ``pattern`` is "hours", "day" or "base"; hours are those of the day.

    Units: ``used_wh`` and ``usual_wh`` in that stretch; for the base Wh an hour.
    """

    pattern: str
    day: date
    from_hour: int
    until_hour: int
    used_wh: float
    usual_wh: float


def usual(days: Days, day: date) -> Usual | None:
    """What is usual on ``day``, from the eight weeks before and the same season last year.

    A stretch is compared with the same hours of the same sort of day (working days; weekends). The limit
    comes from how often this household surprises: twice the surprise that only one day in twenty exceeds, so
    that restless homes are not alarmed every week. None where fewer than three weeks are known.
    """
    today = days.place(day)
    known: NDArray[np.bool_] = np.asarray(~np.isnan(days.hours).any(axis=1))
    back = _among(known, today - _LOOK_BACK, today)
    if len(back) < _FEWEST:
        return None
    sums = days.hours.sum(axis=1)
    weekend = days.weekdays() >= 5
    is_weekend = day.weekday() >= 5
    spans = [back]
    season = _among(known, today - _YEAR - _SEASON, today - _YEAR + _SEASON + 1)
    before = _among(known, today - _YEAR - _LOOK_BACK, today - _YEAR)
    if len(season) >= _FEWEST and len(before) >= _FEWEST:
        level = float(np.median(sums[back])) / max(float(np.median(sums[before])), 1.0)
        if _SIMILAR[0] < level < _SIMILAR[1]:
            spans.append(season)
    stretches = _stretches(days.hours)
    restless = _restlessness(stretches, back, weekend)
    hours = [_surprises(stretches, span, weekend, is_weekend, restless) for span in spans]
    whole = [_surprises(sums[:, None], span, weekend, is_weekend, np.ones(1)) for span in spans]
    base = np.sort(days.hours, axis=1)[:, _BASE_HOUR]
    lasting = np.fmin(base, np.concatenate([[np.nan], base[:-1]]))  # two days one after the other
    bases = [lasting[span][~np.isnan(lasting[span])] for span in spans]
    base_wh = max(float(np.median(one)) for one in bases)
    base_top = max(float(np.quantile(one, _USUAL_SURPRISE)) for one in bases)
    return Usual(
        day=day,
        hours_wh=np.max([one[0] for one in hours], axis=0),
        hours_limit_wh=max(one[1] for one in hours) * _TIMES * restless,
        day_wh=max(float(one[0][0]) for one in whole),
        day_limit_wh=max(one[1] for one in whole) * _TIMES,
        base_wh=base_wh,
        base_limit_wh=max(base_top - base_wh, 0.0) * _TIMES,
    )


def excesses(usual: Usual, hours: Floats, yesterday: Floats | None = None) -> list[Excess]:
    """What was too much on that day, as far as it is known.

    Shape:  ``hours`` are the day's 24, NaN from where it is not over yet. The whole day is found too much as
            soon as it is, the base once the day is over and the day before was like it.
    """
    found: list[Excess] = []
    if (stretch := _hot_stretch(usual, hours)) is not None:
        found.append(stretch)
    known = ~np.isnan(hours)
    so_far = float(hours[known].sum())
    if _above(so_far, usual.day_wh, usual.day_limit_wh, "day"):
        until = int(np.flatnonzero(known)[-1]) + 1
        found.append(_excess("day", usual.day, 0, until, so_far, usual.day_wh))
    if known.all() and yesterday is not None and not np.isnan(yesterday).any():
        base = min(float(np.sort(hours)[_BASE_HOUR]), float(np.sort(yesterday)[_BASE_HOUR]))
        if base - usual.base_wh > max(usual.base_limit_wh, _LEAST_WH["base"]):
            found.append(_excess("base", usual.day, 0, 24, base, usual.base_wh))
    return found


def _hot_stretch(usual: Usual, hours: Floats) -> Excess | None:
    """The first run of stretches that are too much, from its first hour to its last."""
    sums = _stretches(hours[None, :])[0]
    with np.errstate(invalid="ignore"):  # hours to come compare as false
        above = sums - usual.hours_wh
        hot = (above > np.maximum(usual.hours_limit_wh, _LEAST_WH["hours"])) & (
            sums > _LEAST_RATIO["hours"] * usual.hours_wh
        )
    if not hot.any():
        return None
    first = int(np.argmax(hot))
    last = first
    while last + 1 < len(hot) and hot[last + 1]:
        last += 1
    # Of stretches that overlap, the one that is most above the usual says best when it was.
    if last > first:
        first = last = first + int(np.argmax(above[first : last + 1]))
    return _excess("hours", usual.day, first, last + HOURS, float(sums[first]), float(usual.hours_wh[first]))


def _excess(pattern: str, day: date, first: int, until: int, used: float, usual_wh: float) -> Excess:
    return Excess(
        pattern=pattern, day=day, from_hour=first, until_hour=until, used_wh=used, usual_wh=usual_wh
    )


def _above(used: float, usual_wh: float, limit: float, pattern: str) -> bool:
    return used - usual_wh > max(limit, _LEAST_WH[pattern]) and used > _LEAST_RATIO[pattern] * usual_wh


def _among(known: NDArray[np.bool_], start: int, end: int) -> NDArray[np.int64]:
    """The known days with places in ``[start, end)``."""
    start, end = max(start, 0), max(end, 0)
    return np.flatnonzero(known[start:end]) + start


def _stretches(hours: Floats) -> Floats:
    """Sums over ``HOURS`` hours one after the other: days by 22."""
    sums: Floats = sliding_window_view(hours, HOURS, axis=1).sum(axis=2)
    return sums


def _middles(values: Floats, span: NDArray[np.int64], weekend: NDArray[np.bool_]) -> dict[bool, Floats]:
    """The median day of each sort; of all days, where there are few of one."""
    everyday = np.median(values[span], axis=0)
    middles = {}
    for sort in (False, True):
        same = span[weekend[span] == sort]
        middles[sort] = np.median(values[same], axis=0) if len(same) >= 8 else everyday
    return middles


def _above_middle(values: Floats, span: NDArray[np.int64], weekend: NDArray[np.bool_]) -> Floats:
    middles = _middles(values, span, weekend)
    above: Floats = values[span] - np.where(weekend[span][:, None], middles[True], middles[False])
    return above


def _restlessness(values: Floats, span: NDArray[np.int64], weekend: NDArray[np.bool_]) -> Floats:
    """How much each stretch of the day varies beside the others: 1 is as all do, never under a half."""
    spread = np.median(np.abs(_above_middle(values, span, weekend)), axis=0)
    ratio: Floats = np.maximum(0.5 + 0.5 * spread / max(float(spread.mean()), 1.0), 0.5)
    return ratio


def _surprises(
    values: Floats,
    span: NDArray[np.int64],
    weekend: NDArray[np.bool_],
    is_weekend: bool,
    restless: Floats,
) -> tuple[Floats, float]:
    """The usual values of that sort of day, and the surprise that one day in twenty exceeds."""
    tops = (_above_middle(values, span, weekend) / restless).max(axis=1)
    return _middles(values, span, weekend)[is_weekend], max(float(np.quantile(tops, _USUAL_SURPRISE)), 0.0)


def as_facts(excess: Excess) -> dict[str, Any]:
    """For an alert's facts."""
    return {
        "pattern": excess.pattern,
        "day": excess.day.isoformat(),
        "from_hour": excess.from_hour,
        "until_hour": excess.until_hour,
        "used_wh": round(excess.used_wh),
        "usual_wh": round(excess.usual_wh),
    }
