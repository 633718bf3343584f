"""Half-open spans of time."""

from __future__ import annotations

from datetime import datetime

import msgspec

from eletrovia.base.errors import Invalid


class Window(msgspec.Struct, frozen=True, order=True):
    """``[starts_at, ends_at)`` in aware UTC, whole seconds.

    Raises: Invalid when it is empty, turned round, or names no time zone.
    """

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise Invalid("window.zone_missing")
        if self.ends_at <= self.starts_at:
            raise Invalid("window.empty", starts_at=str(self.starts_at), ends_at=str(self.ends_at))

    def overlaps(self, other: Window) -> bool:
        """Whether a moment lies in both; windows that only touch do not overlap."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at
