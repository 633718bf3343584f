"""Stations from a file: one path behind all formats, from bytes to locations and a report."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.charging.draft import Owner, Skipped, check_evse, checked_location_id
from eletrovia.charging.geojson import read_feature
from eletrovia.charging.location import EvseStatus, Location
from eletrovia.charging.openchargemap import read_point
from eletrovia.charging.tables import read_table, table_lines

EXAMPLES = 5
"""So many references a report keeps for each reason."""


class Format(StrEnum):
    OPENCHARGEMAP = "openchargemap"
    GEOJSON = "geojson"
    CSV = "csv"


class _Kind(msgspec.Struct, frozen=True):
    """As much of a JSON object as tells what it is."""

    type: msgspec.Raw = msgspec.Raw()
    features: list[msgspec.Raw] | None = None
    address: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="AddressInfo")


class StationFile:
    """A file of stations, opened: its format, how many records it holds, and, iterated, what they are.

    Raises: Invalid when the file as a whole cannot be read; a bad record is only skipped.
    """

    format: Format
    total: int

    def __init__(self, data: bytes, owner: Owner, format: Format | None = None) -> None:
        self._owner = owner
        self._records: list[msgspec.Raw] = []
        self._lines: list[tuple[int, dict[str, str]]] = []
        if data.startswith(BOM_UTF8):
            data = b" " * len(BOM_UTF8) + data[len(BOM_UTF8) :]  # no format wants it; offsets stay right
        self.format = format or detect(data)
        if self.format is Format.CSV:
            self._lines = table_lines(data)
            self.total = len(self._lines)
        else:
            self._records = _records(data, self.format)
            self.total = len(self._records)

    def __iter__(self) -> Iterator[Location | Skipped]:
        for _, item in self.numbered():
            yield item

    def numbered(self) -> Iterator[tuple[int, Location | Skipped]]:
        """Every item with the count of records read so far, for a progress bar."""
        admission = Admission(self._owner)
        if self.format is Format.CSV:
            for item in read_table(self._owner, self._lines):
                yield self.total, admission.checked(item)
            return
        read = read_point if self.format is Format.OPENCHARGEMAP else read_feature
        for number, record in enumerate(self._records, start=1):
            for item in read(self._owner, record, number):
                checked = admission.checked(item)
                yield number, checked
                if isinstance(item, Location) and checked is not item:
                    break  # the parts that it lacks are of no interest then


class Admission:
    """What the locations of one source must hold among themselves: every id once, all of them plain."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._locations: set[str] = set()
        self._uids: dict[str, str] = {}
        self._evse_ids: dict[str, str] = {}

    def checked(self, item: Location | Skipped) -> Location | Skipped:
        """The location as it came, or why it cannot be taken beside those before it."""
        if isinstance(item, Skipped):
            return item
        if item.operator_id != self._owner.operator_id:
            facts = {"operator_id": item.operator_id}
            return Skipped(reference=item.id[:80], code="station.of_another_operator", facts=facts)
        try:
            checked_location_id(item.id)
            if item.id in self._locations:
                raise Invalid("location.duplicated", location_id=item.id)
            if not item.evses:
                raise Invalid("station.no_connections", connections=0)
            uids: set[str] = set()
            evse_ids: set[str] = set()
            for evse in item.evses:
                check_evse(self._owner, evse)
                if evse.uid in uids or evse.uid in self._uids:
                    raise Invalid(
                        "evse.uid_duplicated", uid=evse.uid, also_at=self._uids.get(evse.uid, item.id)
                    )
                uids.add(evse.uid)
                if evse.status is EvseStatus.REMOVED:
                    continue  # its printed id may stand on another EVSE by now
                if evse.evse_id in evse_ids or evse.evse_id in self._evse_ids:
                    other = self._evse_ids.get(evse.evse_id, item.id)
                    raise Invalid("evse.id_duplicated", evse_id=evse.evse_id, also_at=other)
                evse_ids.add(evse.evse_id)
        except Invalid as error:
            return Skipped(reference=item.id[:80], code=error.code, facts=error.facts)
        self._locations.add(item.id)
        self._uids |= dict.fromkeys(uids, item.id)
        self._evse_ids |= dict.fromkeys(evse_ids, item.id)
        return item


def detect(data: bytes) -> Format:
    """The format of a file from what is in it, whatever it is called. Raises: Invalid."""
    start = data[:4096].lstrip()
    if start.startswith(b"["):
        return Format.OPENCHARGEMAP
    if start.startswith(b"{"):
        kind = _kind(data)
        return Format.OPENCHARGEMAP if bytes(kind.address) else Format.GEOJSON
    if not start:
        raise Invalid("stations.empty")
    head = start.partition(b"\n")[0]
    if b"," in head or b";" in head:
        return Format.CSV
    raise Invalid("stations.format_unknown", known=[*Format])


_OFFSET = re.compile(r"\(byte (\d+)\)")


def _malformed(data: bytes, error: Exception) -> Invalid:
    """Where the file stops being JSON: byte offset and line."""
    found = _OFFSET.search(str(error))
    offset = int(found.group(1)) if found else len(data)
    detail = _OFFSET.sub("", str(error)).strip()
    return Invalid("stations.malformed", line=data.count(b"\n", 0, offset) + 1, offset=offset, detail=detail)


def _kind(data: bytes) -> _Kind:
    try:
        return msgspec.json.decode(data, type=_Kind)
    except msgspec.ValidationError as error:
        raise Invalid("stations.format_unknown", detail=str(error), known=[*Format]) from None
    except (ValueError, RecursionError) as error:
        raise _malformed(data, error) from None


def _records(data: bytes, format: Format) -> list[msgspec.Raw]:
    if not data.lstrip().startswith(b"["):
        kind = _kind(data)
        if format is Format.OPENCHARGEMAP:
            return [msgspec.Raw(data)]  # one point of interest by itself
        if kind.features is None:
            if bytes(kind.type) == b'"Feature"':
                return [msgspec.Raw(data)]
            raise Invalid("stations.format_unknown", expected="FeatureCollection", known=[*Format])
        return kind.features
    if format is Format.GEOJSON:
        raise Invalid("stations.format_unknown", expected="FeatureCollection", known=[*Format])
    try:
        return msgspec.json.decode(data, type=list[msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise _malformed(data, error) from None


def open_stations(
    source: str | Path | bytes,
    format: Format | str | None = None,
    *,
    country_code: str,
    party_id: str,
    now: datetime,
) -> StationFile:
    """A file of stations by path or content, its format found out unless given.

    Raises: NotFound when there is no such file; Invalid when it cannot be read as a whole.
    """
    owner = Owner(country_code=country_code, party_id=party_id, now=now)
    if format is not None and format not in [*Format]:
        raise Invalid("stations.format_unknown", format=str(format), known=[*Format])
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise NotFound("stations.no_such_file", path=str(source), detail=error.strerror) from None
    return StationFile(data, owner, None if format is None else Format(format))


def read_stations(
    source: str | Path | bytes,
    format: Format | str | None = None,
    *,
    country_code: str,
    party_id: str,
    now: datetime,
) -> Iterator[Location | Skipped]:
    """Every station of a file, and whatever was skipped with its reason; see ``open_stations``."""
    return iter(open_stations(source, format, country_code=country_code, party_id=party_id, now=now))


class Reason(msgspec.Struct, kw_only=True):
    """How often something was skipped for one code, and the first few of them."""

    count: int = 0
    examples: list[Skipped] = []


class Report(msgspec.Struct, kw_only=True):
    """What became of a file.

    ``read`` counts stations, taken or skipped; parts are pieces that taken stations lack.
    """

    format: str = ""
    read: int = 0
    taken: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    evses: int = 0
    skipped: dict[str, Reason] = {}
    parts_skipped: dict[str, Reason] = {}

    def note(self, item: Location | Skipped) -> None:
        """Counts one item of a file."""
        if isinstance(item, Location):
            self.read += 1
            self.taken += 1
            self.evses += len(item.evses)
            return
        if not item.part:
            self.read += 1
        reason = (self.parts_skipped if item.part else self.skipped).setdefault(item.code, Reason())
        reason.count += 1
        if len(reason.examples) < EXAMPLES:
            reason.examples.append(item)
