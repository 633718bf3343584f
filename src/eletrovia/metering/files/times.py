"""Times as files write them: told apart, read, and put onto the one line that is UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from itertools import repeat
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.metering.moment import at_us_of
from eletrovia.metering.reading import epoch_us

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

NO_TIME: Final = -(2**62)
DAY_US: Final = 86_400_000_000
_MOST_KNOWN: Final = 1_000_000
_QUARTER_US: Final = 900_000_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - of local times

_PARTS: Final = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?:[T ,]+(.*))?", re.ASCII)
_CLOCK: Final = re.compile(
    r"(\d{1,2})[:hH](\d{2})?(?:m(?:in)?)?(?::(\d{2}))?(?:[.,]\d+)?\s*(?:([AaPp])\.?[Mm]\.?)?", re.ASCII
)
_NUMBER: Final = re.compile(r"(\d{9,11}|\d{13})(\.\d+)?", re.ASCII)
_COMPACT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})[T ]?(?:(\d{2})(\d{2})(\d{2})?)?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)


class DateOrder(StrEnum):
    """Which of 03/04 is the month."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


def zone_of(name: str) -> tzinfo:
    """``America/Fortaleza``, ``-03:00`` or ``UTC``. Raises: Invalid ``readings.zone_unknown``."""
    match = _OFFSET.fullmatch(name.strip())
    if match is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset <= timedelta(hours=14):
            return timezone(-offset if match[1] == "-" else offset)
    elif name.strip().upper() in ("Z", "UTC"):
        return UTC
    else:
        try:
            return ZoneInfo(name.strip())
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise Invalid("readings.zone_unknown", zone=name)


def order_of(sample: Sequence[str]) -> DateOrder | None:
    """Day or month first, as the sample shows it; None where it could be both."""
    for text in sample:
        match = _PARTS.match(text.strip())
        if match is None or len(match[1]) == 4:
            continue
        if int(match[1]) > 12:
            return DateOrder.DAY_FIRST
        if int(match[2]) > 12:
            return DateOrder.MONTH_FIRST
    return None


class Times:
    """Reads times of one file. What was read once is remembered: all meters of a file share their times."""

    def __init__(self, zone: tzinfo, order: DateOrder) -> None:
        self._line = Line(zone)
        self._order = order
        self._known: dict[str, tuple[int, bool]] = {}

    def read(self, texts: Sequence[str]) -> tuple[Ints, Mask]:
        """Each in microseconds, NO_TIME where it is none; and which are UTC already, the rest local."""
        known = self._known
        try:
            found = [known[text] for text in texts]
        except KeyError:
            if len(known) > _MOST_KNOWN:
                known.clear()
            self._learn(list(set(texts) - known.keys()))
            found = [known[text] for text in texts]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.bool_)
        moments, utc = zip(*found, strict=True)
        return np.array(moments, np.int64), np.array(utc, np.bool_)

    def on_line(self, moments: Ints, utc: Mask) -> tuple[Ints, Ints, Mask]:
        """The two UTC moments that each local one can mean, mostly the same, and which there never were."""
        early, late, skipped = self._line.both(moments)
        return np.where(utc, moments, early), np.where(utc, moments, late), skipped & ~utc

    def _learn(self, texts: list[str]) -> None:
        """Read these one by one, but those that are written as ISO 8601 does all at once."""
        known = self._known
        iso = [text for text in texts if len(text) == 19 and text[10] in " T"]
        if iso:
            moments, wrong = at_us_of([f"{text[:10]}T{text[11:]}Z" for text in iso])
            known.update(zip(iso, zip(moments.tolist(), repeat(False)), strict=True))
            for place in wrong:
                del known[iso[place]]
        for text in texts:
            if text not in known:
                known[text] = self._one(text)

    def _one(self, text: str) -> tuple[int, bool]:
        text = text.strip()
        try:
            if _NUMBER.fullmatch(text):
                number = int(text.partition(".")[0])
                return (number * 1000 if number > 10**11 else number * 1_000_000), True
            if (match := _COMPACT.fullmatch(text)) is not None:
                return _local(*(int(part or 0) for part in match.groups())), False
            match = _PARTS.fullmatch(text)
            if match is None:
                return NO_TIME, False
            year, month, day = self._date(match[1], int(match[2]), match[3])
            rest = (match[4] or "").strip()
            if not rest:
                return _local(year, month, day), False
            clock = _CLOCK.fullmatch(rest)
            if clock is None:  # perhaps with an offset
                moment = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{rest.replace(' ', '')}")
                return (epoch_us(moment), True) if moment.tzinfo is not None else (NO_TIME, False)
            hour = int(clock[1])
            if clock[4]:
                if not 1 <= hour <= 12:
                    return NO_TIME, False
                hour = hour % 12 + (12 if clock[4] in "Pp" else 0)
            return _local(year, month, day, hour, int(clock[2] or 0), int(clock[3] or 0)), False
        except (ValueError, OverflowError):
            return NO_TIME, False

    def _date(self, first: str, second: int, third: str) -> tuple[int, int, int]:
        if len(first) == 4:
            return int(first), second, int(third)
        year = int(third) + (2000 if len(third) <= 2 else 0)
        if self._order is DateOrder.MONTH_FIRST:
            return year, int(first), second
        return year, second, int(first)


def _local(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Raises: ValueError. 24:00 is the next day's beginning."""
    if not (
        0 <= minute < 60 and 0 <= second < 60 and (0 <= hour < 24 or (hour, minute, second) == (24, 0, 0))
    ):
        raise ValueError("no time of day")
    since = datetime(year, month, day) - _EPOCH  # noqa: DTZ001 - a local time has no zone yet
    return ((since.days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000


class Line:
    """A zone's local times on the line of UTC. Zones change their clocks on quarters of an hour."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[int, tuple[int, int]] = {}

    def both(self, local: Ints) -> tuple[Ints, Ints, Mask]:
        """Earlier and later meaning of each; they differ where clocks went back. And which were skipped."""
        local = np.where(local == NO_TIME, 0, local)
        days, where = np.unique(np.floor_divide(local, DAY_US), return_inverse=True)
        whole = [self._day(day) for day in days.tolist()]
        first = np.array([offset or 0 for offset in whole], np.int64)[where]
        second = first.copy()
        # Days on which clocks are changed, a quarter of an hour at a time.
        for place in np.flatnonzero(np.array([offset is None for offset in whole], np.bool_)[where]).tolist():
            first[place], second[place] = self._offsets(int(local[place]) // _QUARTER_US)
        return local - first, local - second, second > first

    def _day(self, day: int) -> int | None:
        """The offset that holds from one midnight to the next, or None where it changes."""
        edges = {
            offset
            for quarter in (day * 96, day * 96 + 95, day * 96 + 96)
            for offset in self._offsets(quarter)
        }
        return edges.pop() if len(edges) == 1 else None

    def _offsets(self, quarter: int) -> tuple[int, int]:
        known = self._known.get(quarter)
        if known is None:
            naive = _EPOCH + timedelta(microseconds=quarter * _QUARTER_US)
            try:
                both = [naive.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in (0, 1)]
            except OverflowError:  # at the ends of the calendar
                both = [None, None]
            first, second = (round((one or timedelta()).total_seconds() * 1e6) for one in both)
            known = self._known[quarter] = (first, second)
        return known
