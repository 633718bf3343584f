"""The user's clock: which time zone moments are shown in, and how people write a departure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eletrovia.base.errors import Invalid

HOME: Final = "America/Sao_Paulo"
_HOME_FIXED: Final = timezone(timedelta(hours=-3), HOME)
"""Brazil keeps no summer time since 2019, so this is right even where no zone data is installed."""
_TIME: Final = re.compile(r"([01]?\d|2[0-3])[:h]([0-5]\d)")


def users_zone(environ: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> tzinfo:
    """ELETROVIA_ZONE, else TZ, else the machine's; Brazil's where the machine only says UTC, as servers do.

    Raises: Invalid for an ELETROVIA_ZONE that nobody knows.
    """
    if asked := environ.get("ELETROVIA_ZONE"):
        zone = _zone(asked)
        if zone is None:
            raise Invalid("zone.unknown", zone=asked, expected=HOME)
        return zone
    told = environ.get("TZ", "").lstrip(":")
    if told and (zone := _zone(told)) is not None:
        return zone
    try:
        machines = str(localtime.resolve()).rpartition("/zoneinfo/")[2]
    except OSError:
        machines = ""
    if machines and not re.search(r"(?i)(^|/)(UTC|UCT|GMT.?0?|Zulu|Universal|localtime)$", machines):
        zone = _zone(machines)
        if zone is not None:
            return zone
    return _zone(HOME) or _HOME_FIXED


def zone_name(zone: tzinfo, at: datetime) -> str:
    """``America/Sao_Paulo, UTC−03:00``."""
    offset = at.astimezone(zone).strftime("%z")
    sign = "−" if offset[:1] == "-" else "+"
    return f"{zone}, UTC{sign}{offset[1:3]}:{offset[3:5]}"


def clock_time(moment: datetime, zone: tzinfo, *, since: datetime) -> str:
    """``00:09 +1``: the time of day, with how many days after ``since`` where it is another day."""
    local = moment.astimezone(zone)
    days = (local.date() - since.astimezone(zone).date()).days
    return f"{local:%H:%M}" + (f" +{days}" if days else "")


def departure(written: str, zone: tzinfo, now: datetime) -> datetime:
    """A moment as people write it: ISO 8601, or ``2026-12-01 08:00`` or ``08:00`` on the user's own clock.

    Raises: Invalid when it is none, or names a time of day that the clock skips.
    """
    text = written.strip()
    if time := _TIME.fullmatch(text):
        today = now.astimezone(zone).replace(
            hour=int(time.group(1)), minute=int(time.group(2)), second=0, microsecond=0
        )
        return today if today > now else today + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("departure.malformed", written=written, expected="2026-12-01 08:00") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _HOME_FIXED if name == HOME else None
