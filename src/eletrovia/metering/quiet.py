"""Quiet hours: when somebody does not want to be disturbed, by their own wall clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from eletrovia.base.errors import Invalid

Minutes = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When not to disturb, by the wall clock; over midnight where ``until`` is earlier than ``since``.

    Shape: ``zone`` empty is the utility's.
    """

    since: Minutes
    until: Minutes
    zone: Annotated[str, Meta(max_length=64)] = ""

    def is_quiet(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether the wall clock stands inside; equal ends are never."""
        now = moment.astimezone(zone).time().replace(tzinfo=None, fold=0)
        since, until = time.fromisoformat(self.since), time.fromisoformat(self.until)
        if since <= until:
            return since <= now < until
        return now >= since or now < until

    def over(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first moment from ``moment`` on that is not quiet, through every change of the clock."""
        if not self.is_quiet(moment, zone):
            return moment
        today = moment.astimezone(zone).date()
        until = time.fromisoformat(self.until)
        found = []
        for day in (today, today + timedelta(days=1), today + timedelta(days=2)):
            for fold in (0, 1):  # a clock put back shows that time twice; one put forward skips it
                wall = datetime.combine(day, until, zone).replace(fold=fold)
                # There and back again: a time that is skipped becomes the moment it is skipped at, or after.
                found.append(wall.astimezone(UTC))
            found += _jumps(day, zone)
        return min(at for at in found if at > moment and not self.is_quiet(at, zone))


def _jumps(day: date, zone: ZoneInfo) -> list[datetime]:
    """The moments of that day at which its clock is changed: few days have one."""
    begins = datetime.combine(day, time(), zone).astimezone(UTC)
    ends = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(zone).utcoffset()

    if offset(begins) == offset(ends):
        return []
    first, last = begins, ends
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) / 2
        first, last = (first, middle) if offset(middle) != offset(begins) else (middle, last)
    return [last.replace(microsecond=0)]


def zone_named(name: str) -> ZoneInfo:
    """Raises: Invalid for a zone nobody knows."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise Invalid("alert.zone_unknown", zone=name) from unknown
