"""All known locations in memory, with the indices that searches and plans go by."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice

import msgspec

from eletrovia.base.errors import NotFound
from eletrovia.base.geo import Point
from eletrovia.charging.grid import Grid
from eletrovia.charging.location import (
    BOOKABLE,
    Connector,
    ConnectorStandard,
    Evse,
    EvseStatus,
    Location,
)
from eletrovia.charging.tariff import Tariff

_Key = tuple[str, str]


def folded(text: str) -> str:
    """``text`` without accents and case."""
    bare = (ch for ch in unicodedata.normalize("NFKD", text) if not unicodedata.combining(ch))
    return "".join(bare).casefold()


def stands(location: Location) -> bool:
    """Whether anything of the location is left."""
    return any(evse.status is not EvseStatus.REMOVED for evse in location.evses)


def _shape(location: Location) -> Location:
    """The location without what changes from minute to minute."""
    return msgspec.structs.replace(
        location,
        last_updated=datetime.min,  # noqa: DTZ901 - any constant serves
        evses=tuple(
            evse
            if evse.status in (EvseStatus.REMOVED, EvseStatus.UNKNOWN)
            else msgspec.structs.replace(evse, status=EvseStatus.UNKNOWN)
            for evse in location.evses
        ),
    )


def _bookable(location: Location) -> list[bool]:
    return [evse.status in BOOKABLE for evse in location.evses]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a search asks of a location; what is left out does not matter.

    Connector and power must be met by one connector. ``text`` is words of its name and
    address, city and state included, with or without accents.
    """

    connector: ConnectorStandard | None = None
    min_power_w: int = 0
    operator_id: str | None = None
    text: str = ""


class Picture:
    """Locations by operator, EVSE and place. Plain memory: no database, no waiting."""

    def __init__(self) -> None:
        self.offers = 0
        """Goes up with ``version``, and when a tariff changes or an EVSE can or cannot be booked any more."""
        self.version = 0
        """Goes up when locations come, go, move or change plugs; not when a status changes."""
        self._locations: dict[str, dict[str, Location]] = {}
        self._location_of: dict[_Key, str] = {}
        self._tariffs: dict[str, dict[str, Tariff]] = {}
        self._words: dict[_Key, str] = {}
        self._grid: tuple[int, Grid[_Key]] | None = None

    def operator_ids(self) -> list[str]:
        """Whose locations are known, in order."""
        return sorted(self._locations)

    def all(self, operator_id: str | None = None) -> Iterator[Location]:
        """Every location that still stands, in the order of operator and id."""
        for operator in sorted(self._locations) if operator_id is None else (operator_id,):
            of_operator = self._locations.get(operator, {})
            yield from (of_operator[key] for key in sorted(of_operator) if stands(of_operator[key]))

    def get(self, operator_id: str, location_id: str) -> Location:
        """Raises: NotFound."""
        try:
            return self._locations[operator_id][location_id]
        except KeyError:
            raise NotFound("location.unknown", operator_id=operator_id, location_id=location_id) from None

    def knows(self, operator_id: str, location_id: str) -> bool:
        """Whether there is such a location, one that is gone included."""
        return location_id in self._locations.get(operator_id, {})

    def evse(self, operator_id: str, uid: str) -> tuple[Location, Evse]:
        """An EVSE, one that is gone included, with its location. Raises: NotFound."""
        location_id = self._location_of.get((operator_id, uid))
        if location_id is not None:
            location = self._locations[operator_id][location_id]
            for evse in location.evses:
                if evse.uid == uid:
                    return location, evse
        raise NotFound("evse.unknown", operator_id=operator_id, uid=uid)

    def near(
        self, point: Point, radius_km: float, limit: int | None = None, wanted: Wanted | None = None
    ) -> list[tuple[Location, float]]:
        """Locations within the radius, each with its distance in km, nearest first."""
        if self._grid is None or self._grid[0] != self.version:
            pairs = ((one.coordinates, (one.operator_id, one.id)) for one in self.all())
            self._grid = (self.version, Grid(pairs))
        keep: Callable[[_Key], bool] | None = None
        if wanted is not None:
            fits = self._fitting(wanted)

            def keep(key: _Key) -> bool:
                return fits(self._locations[key[0]][key[1]])

        found = self._grid[1].within(point, radius_km, keep)[:limit]
        return [(self._locations[operator][location], away) for away, (operator, location) in found]

    def find(self, wanted: Wanted, limit: int | None = None) -> list[Location]:
        """Locations that fit, in the order of operator and id."""
        return list(islice(filter(self._fitting(wanted), self.all(wanted.operator_id)), limit))

    def page(
        self, operator_id: str, updated_since: datetime | None = None, offset: int = 0, limit: int = 1_000
    ) -> tuple[list[Location], int]:
        """Part of an operator's locations in the order of their ids, and how many there are in all.

        Locations that are gone are among them, every EVSE REMOVED: so partners learn of it.
        """
        of_operator = self._locations.get(operator_id, {})
        found = [
            of_operator[key]
            for key in sorted(of_operator)
            if updated_since is None or of_operator[key].last_updated >= updated_since
        ]
        return found[offset : offset + limit], len(found)

    def tariff(self, operator_id: str, connector: Connector) -> Tariff | None:
        """The first of the connector's tariffs that is known."""
        known = self._tariffs.get(operator_id, {})
        return next((known[key] for key in connector.tariff_ids if key in known), None)

    def tariffs_of(self, operator_id: str) -> Mapping[str, Tariff]:
        return self._tariffs.get(operator_id, {})

    def _fitting(self, wanted: Wanted) -> Callable[[Location], bool]:
        words = folded(wanted.text).split()

        def fits(location: Location) -> bool:
            if wanted.operator_id is not None and location.operator_id != wanted.operator_id:
                return False
            said = self._words[location.operator_id, location.id]
            if not all(word in said for word in words):
                return False
            return any(
                connector.max_electric_power_w >= wanted.min_power_w
                and (wanted.connector is None or connector.standard is wanted.connector)
                for evse in location.evses
                if evse.status is not EvseStatus.REMOVED
                for connector in evse.connectors
            )

        return fits

    def _remember(self, location: Location) -> None:
        """The location as it stands now takes the place of what was known of it."""
        operator_id = location.operator_id
        of_operator = self._locations.setdefault(operator_id, {})
        old = of_operator.get(location.id)
        of_operator[location.id] = location
        for evse in location.evses:
            # An EVSE that moved is REMOVED where it was; that must not hide where it is.
            if evse.status is not EvseStatus.REMOVED or (operator_id, evse.uid) not in self._location_of:
                self._location_of[operator_id, evse.uid] = location.id
        if old is None or _shape(old) != _shape(location):
            said = f"{location.name} {location.city} {location.state} {location.address}"
            self._words[operator_id, location.id] = folded(said)
            self.version += 1
            self.offers += 1
        elif _bookable(old) != _bookable(location):
            self.offers += 1
