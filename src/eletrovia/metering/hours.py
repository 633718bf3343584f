"""The hours of the utility's days, numbered one after the other, through every change of its clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MOST_HOURS: Final = 25
"""The longest day has so many."""
HOUR_US: Final = 3_600_000_000
_FIRST_DAY: Final = date(1999, 12, 1)  # before the oldest reading, in any zone
_END_DAY: Final = date(2080, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Hours:
    """Hours from local midnight on, 23 to 25 a day, each with a number of its own.

    Shape:  hour ``n`` is ``[edges_us[n], edges_us[n + 1])``; day ``d`` counts from ``day_zero`` and has the
            hours ``[first_hour[d], first_hour[d + 1])``. Where a clock changes by half an hour, that day's
            last hour is a short one.
    Units:  microseconds since 1970.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.day_zero = _FIRST_DAY
        first, end = _FIRST_DAY.toordinal(), _END_DAY.toordinal()
        midnights = np.array([_midnight_us(date.fromordinal(day), zone) for day in range(first, end + 1)])
        counts = -(-np.diff(midnights) // HOUR_US)
        self.first_hour: Ints = np.concatenate([[0], np.cumsum(counts)])
        within = np.arange(self.first_hour[-1]) - np.repeat(self.first_hour[:-1], counts)
        self.edges_us: Ints = np.append(np.repeat(midnights[:-1], counts) + within * HOUR_US, midnights[-1])

    def of(self, at_us: NDArray[Any]) -> Ints:
        """The number of the hour each moment lies in."""
        found: Ints = np.searchsorted(self.edges_us, at_us, side="right") - 1
        return found

    def until(self, at_us: NDArray[Any]) -> Ints:
        """The number of the first hour that begins at or after each moment."""
        found: Ints = np.searchsorted(self.edges_us, at_us, side="left")
        return found

    def day_of(self, hour: NDArray[Any]) -> Ints:
        """The day each hour belongs to."""
        found: Ints = np.searchsorted(self.first_hour, hour, side="right") - 1
        return found

    def day_number(self, day: date) -> int:
        """The number of a day."""
        return day.toordinal() - _FIRST_DAY.toordinal()

    def date_of(self, day: int) -> date:
        """The day with this number."""
        return date.fromordinal(_FIRST_DAY.toordinal() + day)

    def starts_at(self, hour: int) -> datetime:
        """When an hour begins."""
        return moment_of(int(self.edges_us[hour]))

    def local_date(self, at: datetime) -> date:
        """Which day it is here, at that moment."""
        return at.astimezone(self.zone).date()


@lru_cache(maxsize=8)
def hours_of(zone: ZoneInfo) -> Hours:
    """The hours of a zone, made once: it takes a tenth of a second."""
    return Hours(zone)


def moment_of(at_us: int) -> datetime:
    """The aware UTC moment of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=at_us)


def _midnight_us(day: date, zone: ZoneInfo) -> int:
    # Where the clock skips midnight, this is the moment it skips at: the day's first.
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1_000_000
