"""Households as their meters see them: a pure model, from a seed, of what each has used by any moment.

A register is a function of seed, household and time. So a simulated meter that is started again goes on where
it was, and two machines agree on every Wh.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid

FIRST_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC).date()
"""Registers begin here, by the households' own clock."""

SLOTS: Final = 96
"""Quarters of an hour in a day; within one, power is constant."""

_SLOT_S: Final = 900
_LAST_YEAR: Final = 2100
_MEAN_WH_A_DAY: Final = 5_300.0
"""About 160 kWh a month. Source: EPE, Anuário Estatístico de Energia Elétrica: Brazil's residential mean."""
_SPREAD: Final = 0.45
_DAILY_SPREAD: Final = 0.18
_WARM_DAY: Final = 20
"""Of the year: the middle of January, where cooling peaks in the south of the world."""
_SUMMER: Final = 0.14
_WEEKEND: Final = 1.12
_FRIDGE_SHARE: Final = 0.28
_DAYS_AT_ONCE: Final = 32

_Words = NDArray[np.uint64]
_Floats = NDArray[np.float64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Households:
    """``count`` households of one seed, numbered from ``first``; all at once, as arrays in that order.

    Units: ``utc_offset_h`` is their clock's; Brazil has had no summer time since 2019.
    """

    def __init__(self, seed: int, count: int, *, first: int = 0, utc_offset_h: float = -3.0) -> None:
        self._zone = timezone(timedelta(hours=utc_offset_h))
        self._seed = np.uint64(seed % 2**64)
        self._who = np.arange(first, first + count, dtype=np.uint64)
        self._mean_wh = _MEAN_WH_A_DAY * np.exp(_SPREAD * self._normal(1) - _SPREAD**2 / 2)
        self._start_wh = (self._uniform(2) * 40_000_000).astype(np.int64)
        self._forget()
        self._shared: tuple[int, _Floats] | None = None

    def __len__(self) -> int:
        return len(self._who)

    def registers_wh(self, at: datetime) -> NDArray[np.int64]:
        """What each register shows. Raises: Invalid before 2024 and after 2099."""
        day, second = self._local(at)
        cumulative = self._cumulative(day)
        slot, rest_s = int(second // _SLOT_S), second % _SLOT_S
        share = cumulative[:, slot] + (cumulative[:, slot + 1] - cumulative[:, slot]) * (rest_s / _SLOT_S)
        wh: NDArray[np.int64] = self._done_wh + np.floor(self._day_wh * share).astype(np.int64)
        return wh

    def power_w(self, at: datetime) -> NDArray[np.int32]:
        """What each uses at that moment. Raises: as ``registers_wh``."""
        day, second = self._local(at)
        cumulative = self._cumulative(day)
        slot = int(second // _SLOT_S)
        share = cumulative[:, slot + 1] - cumulative[:, slot]
        power: NDArray[np.int32] = np.rint(self._day_wh * share * (3600 / _SLOT_S)).astype(np.int32)
        return power

    def _local(self, at: datetime) -> tuple[int, float]:
        local = at.astimezone(self._zone)
        day = (local.date() - FIRST_DAY).days
        if day < 0 or local.year >= _LAST_YEAR:
            raise Invalid("simulation.no_such_time", at=at.isoformat())
        self._go_to(day)
        return day, local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6

    # -- days -------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._day = 0
        self._done_wh = self._start_wh  # when this day begins
        self._day_wh = self._used(np.zeros(1, np.int64))[0]  # on this day

    def _go_to(self, day: int) -> None:
        """Forwards is quick; backwards begins at the beginning."""
        if day < self._day:
            self._forget()
        while self._day < day:
            days = np.arange(self._day + 1, min(day, self._day + _DAYS_AT_ONCE) + 1)
            used = self._used(days)
            self._done_wh = self._done_wh + self._day_wh + used[:-1].sum(axis=0)
            self._day, self._day_wh = int(days[-1]), used[-1]

    def _used(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        """What each used on each of these days."""
        dates = np.datetime64(FIRST_DAY) + days
        # 1970-01-01 was a Thursday.
        weekday = (dates.astype(np.int64) + 3) % 7
        of_year = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
        season = 1 + _SUMMER * np.cos(2 * np.pi * (of_year - _WARM_DAY) / 365.25)
        weekly = np.where(weekday >= 5, _WEEKEND, 1.0)
        chance = np.exp(_DAILY_SPREAD * self._normal(3, days.astype(np.uint64)[:, None]))
        used: NDArray[np.int64] = np.rint(self._mean_wh * (season * weekly)[:, None] * chance).astype(
            np.int64
        )
        return used

    def _cumulative(self, day: int) -> _Floats:
        """Which share of the day's energy each has used by each quarter's beginning; the last is all."""
        if self._shared is not None and self._shared[0] == day:
            return self._shared[1]
        hour = (np.arange(SLOTS) + 0.5) / 4
        is_weekend = ((np.datetime64(FIRST_DAY) + day).astype(np.int64) + 3) % 7 >= 5
        today = np.uint64(day)
        # Each has its own hours, and is never quite punctual.
        morning = 7.0 + 1.6 * is_weekend + 0.8 * self._normal(4) + 0.3 * self._normal(5, today)
        evening = 19.3 + 0.9 * self._normal(6) + 0.4 * self._normal(7, today)
        noon = 12.5 + 0.5 * self._normal(8)
        shape = (
            0.55 * _bump(hour, morning, 0.9)
            + 1.0 * _bump(hour, evening, 1.9)
            + (0.5 if is_weekend else 0.25) * _bump(hour, noon, 1.3)
            + 0.06
        )
        slots = np.arange(SLOTS, dtype=np.uint64)
        shape *= np.exp(0.5 * self._normal(9, today, slots[:, None])).T
        shape /= shape.sum(axis=1, keepdims=True)
        # A compressor runs a third of the time, in a rhythm of its own.
        phase, period = self._uniform(10), 3 + 2 * self._uniform(11)
        runs = np.mod(np.arange(SLOTS) / period[:, None] + phase[:, None], 1.0) < 1 / 3
        fridge = runs + 0.15
        fridge /= fridge.sum(axis=1, keepdims=True)
        shares = (1 - _FRIDGE_SHARE) * shape + _FRIDGE_SHARE * fridge
        cumulative = np.hstack([np.zeros((len(self), 1)), np.cumsum(shares, axis=1)])
        # The rounding of sums must not add a Wh at midnight.
        cumulative /= cumulative[:, -1:]
        self._shared = (day, cumulative)
        return cumulative

    # -- chance, by place instead of by turn --------------------------------------------------------------

    def _uniform(self, what: int, *places: Any) -> _Floats:
        """Above 0 and up to 1, for each household, and for each place that is told."""
        with np.errstate(over="ignore"):
            word = _stirred(self._seed + np.uint64(what) * _GOLDEN)
            for place in (*places, self._who):
                word = _stirred(word + np.asarray(place, np.uint64) * _GOLDEN)
        drawn: _Floats = ((word >> np.uint64(11)).astype(np.float64) + 1) / 2**53
        return drawn

    def _normal(self, what: int, *places: Any) -> _Floats:
        """The same, normally distributed. Source: Box and Muller, 1958."""
        radius = np.sqrt(-2 * np.log(self._uniform(what, *places)))
        drawn: _Floats = radius * np.cos(2 * np.pi * self._uniform(what + 1000, *places))
        return drawn


def _bump(hour: _Floats, middle: _Floats, width: float) -> _Floats:
    away = np.abs(hour - middle[:, None])
    away = np.minimum(away, 24 - away)
    bump: _Floats = np.exp(-((away / width) ** 2) / 2)
    return bump


def _stirred(word: Any) -> _Words:
    """SplitMix64's last steps. Source: Steele, Lea and Flood, 2014."""
    word = np.asarray(word, np.uint64)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    stirred: _Words = word ^ (word >> np.uint64(31))
    return stirred
