"""Time is handed in: nobody else asks the machine what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def epoch_s(moment: datetime) -> int:
    """Whole seconds since 1970 of an aware moment, rounded down."""
    return int(moment.timestamp() // 1)


def at_epoch_s(seconds: float) -> datetime:
    """The aware UTC moment ``seconds`` after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def parse_moment(text: str) -> datetime:
    """An ISO 8601 moment with an offset, as aware UTC.

    Raises: ValueError when it is no moment or names no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; write e.g. 2026-03-01T08:00:00-03:00")
    return moment.astimezone(UTC)
