"""``from`` and ``until`` in an address: moments, or days of the utility's own zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from litestar.params import QueryParameter

from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window

_SAID = "A day like 2026-03-01, or a moment with its offset."
From = Annotated[str | None, QueryParameter(name="from", max_length=40, description=_SAID)]
Until = Annotated[
    str | None,
    QueryParameter(max_length=40, description=f"{_SAID} Not included; a day's own is its midnight."),
]


def span(since: str | None, until: str | None, *, now: datetime, zone: ZoneInfo, lasts: timedelta) -> Window:
    """The window that was asked for; what is left out is so chosen that it lasts ``lasts`` and ends now.

    Raises: Invalid for what is no moment, names no offset, or is turned round.
    """
    ends_at = moment("until", until, zone)
    starts_at = moment("from", since, zone)
    if starts_at is None:
        ends_at = ends_at or now
        starts_at = ends_at - lasts
    elif ends_at is None:
        ends_at = max(now, starts_at + timedelta(seconds=1))
    return Window(starts_at, ends_at)


def moment(field: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    """A moment, or a day's beginning in ``zone``, as aware UTC. Raises: Invalid."""
    if text is None:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            found = datetime(day.year, day.month, day.day, tzinfo=zone)
        else:
            # In an address a plus sign means a space.
            found = datetime.fromisoformat(text.strip().replace(" ", "+"))
        if found.tzinfo is None:
            raise Invalid("reading.time_zone_missing", at=text)
        found = found.astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise Invalid("parameter.invalid", field=field, problem=str(problem)) from None
    if not 2000 <= found.year < 2079:
        raise Invalid("parameter.invalid", field=field, problem="year out of range")
    return found
