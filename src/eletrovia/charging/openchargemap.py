"""Open Charge Map's own JSON: an array of points of interest, written out in full or with ids alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.charging.draft import MAX_EVSES, Owner, Skipped, clean_text, evse_id
from eletrovia.charging.location import Connector, ConnectorStandard, Evse, EvseStatus, Location, PowerType
from eletrovia.charging.plugs import connector_standard, derived_power_w, power_type_of, usable_power_w

_CONNECTORS: Final = {
    1: ConnectorStandard.TYPE1,
    2: ConnectorStandard.CHADEMO,
    25: ConnectorStandard.TYPE2,
    27: ConnectorStandard.NACS,
    30: ConnectorStandard.TESLA_S,
    32: ConnectorStandard.CCS1,
    33: ConnectorStandard.CCS2,
    1036: ConnectorStandard.TYPE2,
    1038: ConnectorStandard.GBT_AC,
    1039: ConnectorStandard.GBT_AC,
    1040: ConnectorStandard.GBT_DC,
}
_CURRENTS: Final = {10: PowerType.AC_1_PHASE, 20: PowerType.AC_3_PHASE, 30: PowerType.DC}
_STATUSES: Final = {
    10: EvseStatus.AVAILABLE,
    20: EvseStatus.CHARGING,
    30: EvseStatus.OUTOFORDER,  # "temporarily unavailable"
    50: EvseStatus.AVAILABLE,
    75: EvseStatus.AVAILABLE,  # "partly operational": its connections say which
    100: EvseStatus.INOPERATIVE,
    150: EvseStatus.PLANNED,
    200: EvseStatus.REMOVED,
    210: EvseStatus.REMOVED,
}
_COUNTRIES: Final = {
    "AR": "ARG",
    "BO": "BOL",
    "BR": "BRA",
    "CL": "CHL",
    "CO": "COL",
    "EC": "ECU",
    "GF": "GUF",
    "GY": "GUY",
    "PE": "PER",
    "PY": "PRY",
    "SR": "SUR",
    "UY": "URY",
    "VE": "VEN",
    "PT": "PRT",
}
"""OCPI wants three letters; a country that is not here keeps its two."""

_RESTRICTED: Final = 2  # usage "private, restricted access": no driver of ours may enter
_GONE: Final = {EvseStatus.PLANNED: "station.planned", EvseStatus.REMOVED: "station.removed"}

Number = float | int | None


class _Named(msgspec.Struct, frozen=True, rename={"id": "ID", "title": "Title"}):
    """What most of Open Charge Map's nested objects have."""

    id: int | None = None
    title: str | None = None


class _Country(msgspec.Struct, frozen=True, rename={"iso_code": "ISOCode"}):
    iso_code: str | None = None


class _Status(msgspec.Struct, frozen=True, rename={"operational": "IsOperational"}):
    operational: bool | None = None


class _Submission(msgspec.Struct, frozen=True, rename={"live": "IsLive"}):
    live: bool | None = None


class _Provider(msgspec.Struct, frozen=True, rename="pascal"):
    title: str | None = None
    license: str | None = None


class _Address(msgspec.Struct, frozen=True, rename="pascal"):
    title: str | None = None
    address_line1: str | None = None
    address_line2: str | None = None
    town: str | None = None
    state_or_province: str | None = None
    country: _Country | None = None
    latitude: Number = None
    longitude: Number = None


class _Connection(
    msgspec.Struct,
    frozen=True,
    rename={
        "id": "ID",
        "type_id": "ConnectionTypeID",
        "type": "ConnectionType",
        "status_id": "StatusTypeID",
        "status": "StatusType",
        "level_id": "LevelID",
        "amps": "Amps",
        "volts": "Voltage",
        "power_kw": "PowerKW",
        "current_id": "CurrentTypeID",
        "quantity": "Quantity",
    },
):
    id: int | None = None
    type_id: int | None = None
    type: _Named | None = None
    status_id: int | None = None
    status: _Status | None = None
    level_id: int | None = None
    amps: Number = None
    volts: Number = None
    power_kw: Number = None
    current_id: int | None = None
    quantity: Number = None


class _Poi(
    msgspec.Struct,
    frozen=True,
    rename={
        "id": "ID",
        "provider": "DataProvider",
        "operator": "OperatorInfo",
        "usage_id": "UsageTypeID",
        "status_id": "StatusTypeID",
        "status": "StatusType",
        "submission_id": "SubmissionStatusTypeID",
        "submission": "SubmissionStatus",
        "address": "AddressInfo",
        "connections": "Connections",
    },
):
    id: int
    provider: _Provider | None = None
    operator: _Named | None = None
    usage_id: int | None = None
    status_id: int | None = None
    status: _Status | None = None
    submission_id: int | None = None
    submission: _Submission | None = None
    address: _Address | None = None
    connections: list[_Connection] | None = None


_POI = msgspec.json.Decoder(_Poi, strict=False)


def read_point(owner: Owner, record: bytes | msgspec.Raw, number: int) -> Iterator[Location | Skipped]:
    """One point of interest: the location, then the connections left out; or why it was skipped.

    Source: openchargemap.org, API version 3. Every piece of a connection's quantity becomes one EVSE.
    """
    try:
        poi = _POI.decode(record)
    except ValueError as error:  # msgspec's errors, and text that is not UTF-8
        yield Skipped(reference=f"record {number}", code="station.malformed", facts={"detail": str(error)})
        return
    reference = f"ocm-{poi.id}"
    left_out: list[Skipped] = []
    try:
        location = _location(owner, poi, reference, left_out)
    except Invalid as error:
        yield Skipped(reference=reference, code=error.code, facts=error.facts)
        return
    yield location
    yield from left_out


def _location(owner: Owner, poi: _Poi, reference: str, left_out: list[Skipped]) -> Location:
    if (poi.submission is not None and poi.submission.live is False) or (
        poi.submission is None and poi.submission_id is not None and not 100 <= poi.submission_id <= 200
    ):
        raise Invalid("station.not_live", submission_status=poi.submission_id)
    status = _status(poi.status_id, poi.status, EvseStatus.UNKNOWN)
    if status in _GONE:
        raise Invalid(_GONE[status], status=poi.status_id)
    if poi.usage_id == _RESTRICTED:
        raise Invalid("station.restricted_access", usage_type=poi.usage_id)
    address = poi.address or _Address()
    evses = tuple(_evses(owner, poi, status, reference, left_out))
    if not evses:
        codes = sorted({skipped.code for skipped in left_out})
        raise Invalid("station.no_connections", connections=len(poi.connections or ()), because=codes)
    name = clean_text(address.title) or reference
    return Location(
        country_code=owner.country_code,
        party_id=owner.party_id,
        id=reference,
        name=name,
        city=clean_text(address.town),
        country=_country(address.country),
        address=clean_text(", ".join(filter(None, (address.address_line1, address.address_line2)))),
        state=clean_text(address.state_or_province),
        coordinates=_coordinates(address),
        evses=evses,
        attribution=_attribution(poi),
        last_updated=owner.now,
    )


def _country(country: _Country | None) -> str:
    code = clean_text(country.iso_code if country is not None else None, 3).upper()
    return _COUNTRIES.get(code, code) or "BRA"


def _coordinates(address: _Address) -> Point:
    lat, lon = address.latitude, address.longitude
    # Zero and zero, in the Atlantic, is what a form writes when nobody filled it in.
    if lat is None or lon is None or (lat == 0 and lon == 0):
        raise Invalid("station.no_coordinates")
    return Point(float(lat), float(lon))


def _status(status_id: int | None, status: _Status | None, otherwise: EvseStatus) -> EvseStatus:
    if status_id in _STATUSES:
        return _STATUSES[status_id]
    if status is None or status.operational is None:
        return otherwise
    return EvseStatus.AVAILABLE if status.operational else EvseStatus.INOPERATIVE


def _evses(
    owner: Owner, poi: _Poi, station: EvseStatus, reference: str, left_out: list[Skipped]
) -> Iterator[Evse]:
    for index, connection in enumerate(poi.connections or (), start=1):
        # A connection's own id stays when its neighbours go; its place in the list does not.
        part = f"{connection.id}" if connection.id is not None else f"x{index}"
        stem = f"{reference}-{part}"
        try:
            connector, quantity = _connector(connection)
        except Invalid as error:
            left_out.append(Skipped(reference=stem, code=error.code, facts=error.facts, part=True))
            continue
        own = _status(connection.status_id, connection.status, station)
        if own in _GONE:
            code = "connection.planned" if own is EvseStatus.PLANNED else "connection.removed"
            left_out.append(
                Skipped(reference=stem, code=code, facts={"status": connection.status_id}, part=True)
            )
            continue
        if station in (EvseStatus.INOPERATIVE, EvseStatus.OUTOFORDER):
            own = station  # a closed station has no open connection
        for number in range(1, quantity + 1):
            yield Evse(
                uid=f"{stem}-{number}",
                evse_id=evse_id(owner, str(poi.id), part, str(number)),
                status=own,
                connectors=(connector,),
            )


def _connector(connection: _Connection) -> tuple[Connector, int]:
    standard = _CONNECTORS.get(connection.type_id) if connection.type_id is not None else None
    title = clean_text(connection.type.title) if connection.type is not None else ""
    if standard is None:
        standard = connector_standard(title)
    if standard is None:
        raise Invalid("connection.kind_unknown", connection_type=connection.type_id, title=title)
    quantity = 1 if connection.quantity is None else int(connection.quantity)
    if not 0 <= quantity <= MAX_EVSES:
        raise Invalid("connection.quantity_out_of_range", quantity=quantity, allowed=f"0 to {MAX_EVSES}")
    said = _CURRENTS.get(connection.current_id) if connection.current_id is not None else None
    power_w = usable_power_w(connection.power_kw)
    power_type = power_type_of(standard, said, power_w)
    if power_w is None:
        power_w = derived_power_w(power_type, connection.amps, connection.volts, connection.level_id)
    connector = Connector(id="1", standard=standard, power_type=power_type, max_electric_power_w=power_w)
    return connector, max(1, quantity)


def _attribution(poi: _Poi) -> str:
    """Who may be thanked for the record, under which licence, and who runs the station really."""
    provider = poi.provider or _Provider()
    parts = [
        clean_text(provider.title) or "Open Charge Map",
        clean_text(provider.license) or "licence not stated",
        f"https://openchargemap.org/site/poi/details/{poi.id}",
    ]
    operator = clean_text(poi.operator.title) if poi.operator is not None else ""
    if operator:
        parts.append(f"operator: {operator}")
    return "; ".join(parts)
