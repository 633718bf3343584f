"""Stations as GeoJSON (RFC 7946): a FeatureCollection of Points, longitude first.

Our own features carry OCPI's names under ``properties`` (see ``Properties``) and come back exactly as
they went. Others may carry a table's columns instead (see ``tables``): ``connector``, ``power_kw``,
``quantity`` … for a site with one kind of connector, or a list of such objects under ``connectors``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.charging import tables
from eletrovia.charging.draft import Owner, Skipped, checked_location_id
from eletrovia.charging.location import Evse, Location


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: msgspec.Raw = msgspec.Raw(b"null")


class _Feature(msgspec.Struct, frozen=True):
    type: str
    geometry: _Geometry | None = None
    id: str | int | None = None
    properties: msgspec.Raw = msgspec.Raw(b"null")


class _Head(msgspec.Struct, frozen=True):
    """As much of the properties as tells how to read the rest."""

    evses: msgspec.Raw = msgspec.Raw()


class Properties(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A location's own properties in our features, named as in OCPI."""

    country_code: str = ""
    party_id: str = ""
    id: str = ""
    name: str = ""
    city: str = ""
    country: str = "BRA"
    address: str = ""
    state: str = ""
    evses: tuple[Evse, ...]
    time_zone: str = "America/Sao_Paulo"
    attribution: str = ""
    simulated: bool = False
    last_updated: datetime | None = None


_SHARED = tuple(name for name in Properties.__struct_fields__ if name != "last_updated")


def read_feature(owner: Owner, record: bytes | msgspec.Raw, number: int) -> Iterator[Location | Skipped]:
    """One feature as a location, or why it was skipped."""
    reference = f"feature {number}"
    try:
        feature = msgspec.json.decode(record, type=_Feature)
        if feature.geometry is None:
            raise Invalid("station.no_coordinates")
        if feature.geometry.type != "Point":
            raise Invalid("station.not_a_point", geometry=feature.geometry.type[:40])
        lon, lat, *_height = msgspec.json.decode(feature.geometry.coordinates, type=list[float])
        at = Point(lat, lon)
        if (lat, lon) == (0, 0):
            raise Invalid("station.no_coordinates")
        head = msgspec.json.decode(feature.properties, type=_Head | None)
        if head is not None and bytes(head.evses):
            yield _ours(owner, feature, at)
        else:
            yield _theirs(owner, feature, at)
    except Invalid as error:
        yield Skipped(reference=reference, code=error.code, facts={"feature": number, **error.facts})
    except ValueError as error:  # msgspec's errors, and text that is not UTF-8
        detail = str(error)[:200]
        yield Skipped(
            reference=reference, code="station.malformed", facts={"feature": number, "detail": detail}
        )


def _ours(owner: Owner, feature: _Feature, at: Point) -> Location:
    told = msgspec.json.decode(feature.properties, type=Properties)
    if (told.country_code or owner.country_code, told.party_id or owner.party_id) != (
        owner.country_code,
        owner.party_id,
    ):
        raise Invalid("station.of_another_operator", operator_id=f"{told.country_code}*{told.party_id}")
    identifier = checked_location_id(told.id or str(feature.id or ""))
    return Location(
        country_code=owner.country_code,
        party_id=owner.party_id,
        id=identifier,
        name=told.name or identifier,
        city=told.city,
        country=told.country,
        address=told.address,
        state=told.state,
        coordinates=at,
        evses=told.evses,
        time_zone=told.time_zone,
        attribution=told.attribution,
        simulated=told.simulated,
        last_updated=told.last_updated or owner.now,
    )


def _theirs(owner: Owner, feature: _Feature, at: Point) -> Location:
    fields = msgspec.json.decode(feature.properties, type=dict[str, Any] | None) or {}
    fields |= {"latitude": at.lat, "longitude": at.lon}
    identifier = tables.text(fields, "location_id") or tables.text(fields, "id") or str(feature.id or "")
    listed = fields.get("connectors")
    rows = listed if isinstance(listed, list) else [fields]
    bays = [tables.bay(row if isinstance(row, dict) else {"connector": row}) for row in rows]
    if not bays:
        raise Invalid("station.no_connections", connections=0)
    return tables.site(owner, checked_location_id(identifier), fields, bays)


def write_geojson(locations: Iterable[Location], attribution: str = "") -> bytes:
    """Locations as a FeatureCollection that ``read_stations`` reads back exactly."""
    features = [
        {
            "type": "Feature",
            "id": location.id,
            "geometry": {
                "type": "Point",
                "coordinates": [location.coordinates.lon, location.coordinates.lat],
            },
            "properties": Properties(
                **{name: getattr(location, name) for name in _SHARED}, last_updated=location.last_updated
            ),
        }
        for location in locations
    ]
    collection: dict[str, Any] = {"type": "FeatureCollection"}
    if attribution:
        collection["attribution"] = attribution
    return msgspec.json.encode(collection | {"features": features})
