"""What becomes of a location when its source speaks again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from eletrovia.charging.location import EvseStatus, Location


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of locations did. ``stored`` are the inserted and updated ones as they stand now."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stored: tuple[Location, ...] = ()


def without_time(location: Location, like: Location) -> Location:
    """``location`` as if it had been updated when ``like`` was: what they say can then be compared."""
    return msgspec.structs.replace(location, last_updated=like.last_updated)


def keeping_removed(new: Location, old: Location) -> Location:
    """``new`` with the EVSEs of ``old`` that it no longer has, marked REMOVED: holds may point at them."""
    named = {evse.uid for evse in new.evses}
    gone = tuple(
        msgspec.structs.replace(evse, status=EvseStatus.REMOVED)
        for evse in old.evses
        if evse.uid not in named
    )
    return msgspec.structs.replace(new, evses=(*new.evses, *gone)) if gone else new


def removed(location: Location, at: datetime) -> Location:
    """The location with every EVSE marked REMOVED."""
    return msgspec.structs.replace(
        location,
        last_updated=max(at, location.last_updated),
        evses=tuple(msgspec.structs.replace(evse, status=EvseStatus.REMOVED) for evse in location.evses),
    )
