"""What a household will have used when the period ends: its days so far, its own weekdays, and how sure."""

from __future__ import annotations

from datetime import date
from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.excess import Days, Floats

_HALF_LIFE: Final = 5.0  # days: what a home used lately says most about the days to come
_LOOK_BACK: Final = 56
_FEWEST: Final = 10
_CAP: Final = 0.98  # one day like no other does not move the level
_TRIALS: Final = 24
_TRIAL_EVERY: Final = 4  # days
_UNTRIED: Final = 0.35  # the spread of the rest of a period where a home's own past is too short to try


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """A period's use: what is known, and what is expected of the rest.

    Shape:  ``known`` is days by 24 from the period's first day on, with hours nobody knows filled in as on
            ordinary days; ``rest`` likewise from ``rest_from`` on; ``low``, ``high`` are shares of the rest
            between which it comes with the asked confidence on either side.
    Units:  Wh.
    """

    known: Floats
    rest_from: date
    rest: Floats
    low: float
    high: float

    @property
    def so_far_wh(self) -> float:
        return float(self.known.sum())

    @property
    def total_wh(self) -> float:
        return self.so_far_wh + float(self.rest.sum())

    @property
    def low_wh(self) -> float:
        return self.so_far_wh + self.low * float(self.rest.sum())

    @property
    def high_wh(self) -> float:
        return self.so_far_wh + self.high * float(self.rest.sum())


def forecast(
    days: Days, starts_on: date, ends_on: date, today: date, *, confidence: float
) -> Forecast | None:
    """Use in ``[starts_on, ends_on)``, of which the days before ``today`` are over.

    ``confidence`` is the chance that the total is not under ``low``, and the chance that it is not over
    ``high``. None where fewer than ten days are known.
    """
    sums = days.hours.sum(axis=1)
    now = min(days.place(today), len(sums))
    if np.count_nonzero(~np.isnan(sums[max(0, now - _LOOK_BACK) : now])) < _FEWEST:
        return None
    count = (ends_on - today).days
    begun = days.place(starts_on)
    level, factors = _level(sums[:now], days.weekdays()[:now])
    rest = _ordinary(days, now, level, factors, today, count)
    known = _ordinary(days, now, level, factors, starts_on, (today - starts_on).days)
    told = days.hours[max(begun, 0) : now]
    place = max(0, -begun)
    # An hour that is not known is taken as an ordinary one: so would the bill's estimate.
    known[place : place + len(told)] = np.where(np.isnan(told), known[place : place + len(told)], told)
    low, high = _spread(sums[:now], days.weekdays()[:now], count, confidence)
    return Forecast(known=known, rest_from=today, rest=rest, low=low, high=high)


def _ordinary(days: Days, now: int, level: float, factors: Floats, first: date, count: int) -> Floats:
    """So many ordinary days from ``first`` on: days by 24."""
    weekdays = (first.weekday() + np.arange(count)) % 7
    ordinary: Floats = (level * factors[weekdays])[:, None] * _shape(days, now, weekdays)
    return ordinary


def _level(sums: Floats, weekdays: NDArray[np.int64]) -> tuple[float, Floats]:
    """An ordinary day as of late, and how each weekday differs from it."""
    tail = sums[-_LOOK_BACK:]
    known = ~np.isnan(tail)
    mean = float(tail[known].mean())
    factors = np.ones(7)
    if mean <= 0:
        return 0.0, factors
    for weekday in range(7):
        own = tail[known & (weekdays[-_LOOK_BACK:] == weekday)]
        # Two ordinary days are added to each, or one odd Sunday would be every Sunday's rule.
        factors[weekday] = (own.sum() + 2 * mean) / ((len(own) + 2) * mean)
    plain = tail / factors[weekdays[-_LOOK_BACK:]]
    plain = np.minimum(plain, np.quantile(plain[known], _CAP))
    weight = 0.5 ** (np.arange(len(plain))[::-1] / _HALF_LIFE) * known
    return float((weight * np.where(known, plain, 0)).sum() / weight.sum()), factors


def _shape(days: Days, now: int, weekdays: NDArray[np.int64]) -> Floats:
    """How a day of each sort is spread over its hours: days by 24, each row adds up to 1."""
    hours = days.hours[max(0, now - _LOOK_BACK) : now]
    known = ~np.isnan(hours).any(axis=1)
    weekend = days.weekdays()[max(0, now - _LOOK_BACK) : now] >= 5
    shapes = np.empty((2, 24))
    for sort in (0, 1):
        own = hours[known & (weekend == bool(sort))]
        mean = own.mean(axis=0) if len(own) else hours[known].mean(axis=0)
        shapes[sort] = mean / mean.sum() if mean.sum() > 0 else 1 / 24
    chosen: Floats = shapes[(weekdays >= 5).astype(int)]
    return chosen


def _spread(sums: Floats, weekdays: NDArray[np.int64], count: int, confidence: float) -> tuple[float, float]:
    """By what share the rest may be less or more: as this home's own past would have been forecast."""
    ratios = []
    last = len(sums) - count
    for end in range(last, max(_FEWEST, last - _TRIALS * _TRIAL_EVERY), -_TRIAL_EVERY):
        came, before = sums[end : end + count], sums[max(0, end - _LOOK_BACK) : end]
        known = ~np.isnan(came)
        if known.sum() < max(1, 0.7 * count) or (~np.isnan(before)).sum() < _FEWEST:
            continue
        level, factors = _level(sums[:end], weekdays[:end])
        expected = float((level * factors[weekdays[end : end + count]])[known].sum())
        if expected > 0:
            ratios.append(float(came[known].sum()) / expected)
    # Trials overlap, so few of them know little: the plain spread is mixed in like some trials more.
    spread = np.std(np.log(np.maximum(ratios, 0.05))) if len(ratios) > 1 else _UNTRIED
    weight = len(ratios) / (len(ratios) + 6)
    mixed = float(np.sqrt(weight * spread**2 + (1 - weight) * _UNTRIED**2))
    reach = NormalDist().inv_cdf(confidence)
    return float(np.exp(-reach * mixed)), float(np.exp(reach * mixed))
