"""Moments as the 2023 courses' meters write them: local times without a zone, to the second.

Both courses ran at UTC-3, and Brazil has had no summer time since 2019. A fixed offset makes every local time
one moment and back: what a meter wrote is read back exactly.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

ZONE: Final = timezone(timedelta(hours=-3))

_DAY_FIRST: Final = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")


@lru_cache(maxsize=10_000)
def day_first(text: str) -> datetime:
    """``dd-mm-YYYY HH:MM:SS`` in UTC. Raises: ValueError."""
    told = _DAY_FIRST.fullmatch(text)
    if told is None:
        raise ValueError("dd-mm-YYYY HH:MM:SS")
    day, month, year, hour, minute, second = map(int, told.groups())
    return _utc(year, month, day, hour, minute, second)


@lru_cache(maxsize=10_000)
def year_first(text: str) -> datetime:
    """``YYYY-MM-DD HH:MM:SS`` in UTC; also with a T, or without seconds, as pages' date fields write it.

    Raises: ValueError.
    """
    told = _YEAR_FIRST.fullmatch(text)
    if told is None:
        raise ValueError("YYYY-MM-DD HH:MM:SS")
    year, month, day, hour, minute, second = (int(part or 0) for part in told.groups())
    return _utc(year, month, day, hour, minute, second)


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=ZONE).astimezone(UTC)
    except OverflowError:
        raise ValueError("no such year") from None


def written_day_first(at: datetime) -> str:
    """An aware moment as ``dd-mm-YYYY HH:MM:SS``."""
    local = at.astimezone(ZONE)
    return f"{local.day:02}-{local.month:02}-{local.year:04} {local:%H:%M:%S}"


def written_year_first(at: datetime) -> str:
    """An aware moment as ``YYYY-MM-DD HH:MM:SS``."""
    return at.astimezone(ZONE).replace(tzinfo=None, microsecond=0).isoformat(" ")
