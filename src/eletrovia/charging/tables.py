"""Stations as a table: CSV with a header, one line per kind of connector at a site.

Columns, in any order and case; those in brackets may be left out: ``location_id, latitude, longitude,
connector, [power_kw], [name], [city], [state], [country], [address], [power_type], [quantity], [status],
[evse_uid], [evse_id], [tariff_ids], [time_zone], [attribution], [simulated]``.

Lines with one ``location_id`` make one location; name, city and the like are taken from its first line.
Lines with one ``evse_uid`` make one EVSE with several connectors. Numbers have a decimal point. Columns are
parted by commas, or by semicolons when the header is; ``tariff_ids`` are parted by spaces. UTF-8, with or
without a byte order mark.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.charging.draft import Bay, Owner, Skipped, checked_location_id, clean_text, evses_of
from eletrovia.charging.location import EvseStatus, Location
from eletrovia.charging.plugs import (
    connector_standard,
    derived_power_w,
    power_type_named,
    power_type_of,
    status_named,
    usable_power_w,
)

REQUIRED: Final = ("location_id", "latitude", "longitude", "connector")
OPTIONAL: Final = (
    "power_kw",
    "name",
    "city",
    "state",
    "country",
    "address",
    "power_type",
    "quantity",
    "status",
    "evse_uid",
    "evse_id",
    "tariff_ids",
    "time_zone",
    "attribution",
    "simulated",
)
_YES: Final = {"true", "yes", "sim", "1"}
_NO: Final = {"", "false", "no", "não", "nao", "0"}


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """A number with a decimal point; None when the field is empty. Raises: Invalid."""
    written = fields.get(name)
    if written is None or written == "":
        return None
    try:
        return float(written)
    except (TypeError, ValueError):
        raise Invalid("field.not_a_number", field=name, value=str(written)[:80], expected="1.5") from None


def text(fields: Mapping[str, Any], name: str) -> str:
    """A field as one clean line of text, empty when it is missing."""
    written = fields.get(name)
    return clean_text(str(written)) if written is not None else ""


def point(fields: Mapping[str, Any]) -> Point:
    """``latitude`` and ``longitude``. Raises: Invalid."""
    lat, lon = number(fields, "latitude"), number(fields, "longitude")
    if lat is None or lon is None or (lat == 0 and lon == 0):
        raise Invalid("station.no_coordinates")
    return Point(lat, lon)


def bay(fields: Mapping[str, Any]) -> Bay:
    """The fields of one line that say what stands there. Raises: Invalid."""
    written = text(fields, "connector")
    standard = connector_standard(written)
    if standard is None:
        raise Invalid("connector.unknown", connector=written, expected="CCS2, TYPE2, CHADEMO …")
    said = None
    if text(fields, "power_type"):
        said = power_type_named(text(fields, "power_type"))
        if said is None:
            raise Invalid("connector.power_type_unknown", power_type=text(fields, "power_type"))
    power_kw = number(fields, "power_kw")
    power_w = usable_power_w(power_kw)
    if power_kw is not None and power_w is None:
        raise Invalid("connector.power_implausible", power_kw=str(power_kw))
    power_type = power_type_of(standard, said, power_w)
    status: EvseStatus | None = EvseStatus.AVAILABLE
    if text(fields, "status"):
        status = status_named(text(fields, "status"))
    if status is None:
        raise Invalid("evse.status_unknown", status=text(fields, "status"))
    quantity = number(fields, "quantity")
    if quantity is not None and not quantity.is_integer():
        raise Invalid("connector.quantity_out_of_range", quantity=str(quantity), allowed="whole numbers")
    return Bay(
        standard=standard,
        power_type=power_type,
        power_w=power_w or derived_power_w(power_type, None, None),
        quantity=1 if quantity is None else int(quantity),
        status=status,
        uid=text(fields, "evse_uid"),
        evse_id=text(fields, "evse_id"),
        tariff_ids=tuple(text(fields, "tariff_ids").split()),
    )


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Yes or no; empty is no. Raises: Invalid."""
    written = text(fields, name).casefold()
    if written in _YES:
        return True
    if written in _NO:
        return False
    raise Invalid("field.not_yes_or_no", field=name, value=written)


def site(owner: Owner, location_id: str, fields: Mapping[str, Any], bays: list[Bay]) -> Location:
    """A location from the fields of its first line and the bays of all its lines. Raises: Invalid."""
    return Location(
        country_code=owner.country_code,
        party_id=owner.party_id,
        id=location_id,
        name=text(fields, "name") or location_id,
        city=text(fields, "city"),
        country=text(fields, "country") or "BRA",
        address=text(fields, "address"),
        state=text(fields, "state"),
        coordinates=point(fields),
        evses=evses_of(owner, location_id, bays),
        time_zone=text(fields, "time_zone") or "America/Sao_Paulo",
        attribution=text(fields, "attribution"),
        simulated=flag(fields, "simulated"),
        last_updated=owner.now,
    )


class _Site(msgspec.Struct):
    """Lines of one location as they come in."""

    line: int
    fields: dict[str, str]
    coordinates: Point
    bays: list[Bay]


def table_lines(data: bytes) -> list[tuple[int, dict[str, str]]]:
    """Every line that is not empty, with its number in the file, as columns by name.

    Raises: Invalid when it is no table of stations at all.
    """
    try:
        written = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Invalid("stations.not_utf8", line=line, offset=error.start) from None
    head = written.partition("\n")[0]
    rows = csv.reader(io.StringIO(written, newline=""), delimiter=";" if ";" in head else ",", strict=True)
    try:
        header = [name.strip().casefold() for name in next(rows, [])]
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise Invalid("stations.columns_missing", line=1, missing=missing, optional=list(OPTIONAL))
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise Invalid("stations.columns_twice", line=1, columns=twice)
        lines: list[tuple[int, dict[str, str]]] = []
        start = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                # A short or long line keeps its length, so that the reader can refuse it by number.
                fields = dict(zip(header, row, strict=False))
                fields["#columns"] = "" if len(row) == len(header) else str(len(row))
                lines.append((start, fields))
            start = rows.line_num + 1
    except csv.Error as error:
        raise Invalid("stations.malformed", line=rows.line_num, detail=str(error)) from None
    return lines


def read_table(owner: Owner, lines: list[tuple[int, dict[str, str]]]) -> Iterator[Location | Skipped]:
    """The locations of a table in their order, and each line that could not be taken, by its number."""
    sites: dict[str, _Site] = {}
    refused: list[tuple[str, Skipped]] = []
    for line, fields in lines:
        location_id = text(fields, "location_id")
        try:
            if fields["#columns"]:
                raise Invalid("line.columns_miscounted", columns=int(fields["#columns"]))
            checked_location_id(location_id)
            coordinates, one = point(fields), bay(fields)
            flag(fields, "simulated")
            known = sites.setdefault(location_id, _Site(line, fields, coordinates, []))
            if known.coordinates != coordinates:
                raise Invalid("line.elsewhere", location_id=location_id, first_line=known.line)
            known.bays.append(one)
        except Invalid as error:
            facts = {"line": line, **error.facts}
            refused.append((location_id, Skipped(reference=f"line {line}", code=error.code, facts=facts)))
    for location_id, skipped in refused:
        yield msgspec.structs.replace(skipped, part=location_id in sites)
    for location_id, found in sites.items():
        yield site(owner, location_id, found.fields, found.bays)
