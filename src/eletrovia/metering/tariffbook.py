"""Reading tariff files: the ones carried along, and a utility's own laid over them.

A file is TOML; every error names the file, the record and the field. docs/tariffs.md is the manual.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from eletrovia.base.errors import EletroviaError, Invalid, NotFound
from eletrovia.metering.tariff import (
    Calendar,
    Dated,
    Discount,
    Distributor,
    Flags,
    Hours,
    Lighting,
    Minimum,
    Noted,
    Tariff,
    TariffBook,
    Tax,
)
from eletrovia.metering.tariffcheck import Record, check_book, check_records, overlapping

_log = logging.getLogger(__name__)

CARRIED: Final = Path(__file__).with_name("data")
"""The folder of the files that come with the package, read in the order of their names."""

SECTIONS: Final[dict[str, tuple[str, type[Noted]]]] = {
    "distributor": ("distributors", Distributor),
    "calendar": ("calendars", Calendar),
    "hours": ("hours", Hours),
    "flags": ("flags", Flags),
    "tax": ("taxes", Tax),
    "minimum": ("minimums", Minimum),
    "discount": ("discounts", Discount),
    "lighting": ("lighting", Lighting),
    "tariff": ("tariffs", Tariff),
}
"""Tables of a file, with the field of the book that holds them and what their records are."""

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def read_book(own: Path | None = None) -> TariffBook:
    """The tariffs carried along, with a utility's ``own`` file laid over them.

    Raises: NotFound ``tariff.file_missing``; Invalid ``tariff.file_malformed``, ``tariff.file_wrong`` and
            ``tariff.overlap``, which name the file, the record and the field.
    """
    return carried_book() if own is None else _checked([*_carried_files(), _read(own)])


def book_of(text: str, file: str) -> TariffBook:
    """A book of one file's text alone. Raises: Invalid as ``read_book``."""
    return _checked([records_of(text, file)])


class TariffShelf:
    """The book as it is now: a utility's own file is read again whenever it was written.

    Raises: as ``read_book`` when made. A file that is broken later on is told to the log, and the last book
            that was right goes on to hold.
    """

    def __init__(self, own: Path | None = None) -> None:
        self._own = own
        self._written = _written(own)
        self._book = read_book(own)

    def book(self) -> TariffBook:
        """The book that holds now."""
        written = _written(self._own)
        if written != self._written:
            self._written = written
            try:
                self._book = read_book(self._own)
            except EletroviaError as wrong:
                _log.error("tariff file not taken: %s", wrong)
            else:
                _log.info("tariff file read again: %s", self._own)
        return self._book


def _written(path: Path | None) -> tuple[int, int] | None:
    """When a file was written last, and how long it is."""
    try:
        return None if path is None else ((stat := path.stat()).st_mtime_ns, stat.st_size)
    except OSError:
        return None


@cache
def carried_book() -> TariffBook:
    """The tariffs that come with the package."""
    return _checked(_carried_files())


@cache
def _carried_files() -> list[list[Record]]:
    return [_read(path) for path in sorted(CARRIED.glob("*.toml"))]


def _read(path: Path) -> list[Record]:
    try:
        text = path.read_text("utf-8")
    except OSError as unreadable:
        raise NotFound(
            "tariff.file_missing", file=str(path), reason=unreadable.strerror or ""
        ) from unreadable
    except UnicodeDecodeError as exc:
        raise Invalid("tariff.file_malformed", file=str(path), reason=str(exc)) from None
    return records_of(text, str(path))


def records_of(text: str, file: str) -> list[Record]:
    """The records of a tariff file's text, each right in itself. Raises: Invalid as ``read_book``."""
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError) as exc:
        raise Invalid("tariff.file_malformed", file=file, reason=str(exc)) from None
    records = []
    for section, bodies in tables.items():
        if section not in SECTIONS:
            reason = "unknown, known are " + ", ".join(SECTIONS)
            raise Invalid("tariff.file_wrong", file=file, record=f"[{section}]", field="", reason=reason)
        if not isinstance(bodies, list) or not all(isinstance(body, dict) for body in bodies):
            reason = f"write [[{section}]], with two brackets"
            raise Invalid("tariff.file_wrong", file=file, record=f"[{section}]", field="", reason=reason)
        records += [_record(section, body, number, file) for number, body in enumerate(bodies, 1)]
    check_records(records)
    return records


def _record(section: str, body: dict[str, Any], number: int, file: str) -> Record:
    name = f'{section} "{body["id"]}"' if "id" in body else f"{section} number {number}"
    try:
        kind = SECTIONS[section][1]
        return Record(file, section, msgspec.convert(_months_spelled_out(body), kind))
    except (msgspec.ValidationError, ValueError) as exc:
        reason, _, path = str(exc).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        raise Invalid("tariff.file_wrong", file=file, record=name, field=field, reason=reason) from None


def _months_spelled_out(value: Any) -> Any:
    """``month = "2026-03"`` is short for ``from = 2026-03-01, until = 2026-04-01``."""
    if isinstance(value, list):
        return [_months_spelled_out(one) for one in value]
    if not isinstance(value, dict):
        return value
    spelled = {key: _months_spelled_out(one) for key, one in value.items() if key != "month"}
    if "month" in value:
        found = _MONTH.fullmatch(str(value["month"]))
        if found is None:
            raise ValueError(f'Expected a month like "2026-03", got {value["month"]!r}')
        if spelled.keys() & {"from", "until"}:
            raise ValueError("Expected month, or from and until, not both")
        year, month = int(found[1]), int(found[2])
        spelled["from"] = date(year, month, 1)
        spelled["until"] = date(year + month // 12, month % 12 + 1, 1)
    return spelled


def _checked(files: Iterable[list[Record]]) -> TariffBook:
    """Files laid over each other, the later one above."""
    laid: dict[tuple[str, str], Record] = {}
    for records in files:
        for record in records:
            key = (record.section, record.body.id)
            below = laid.get(key)
            body = record.body if below is None else _laid_over(below.body, record.body)
            laid[key] = replace(record, body=body)
    fields: dict[str, dict[str, Noted]] = {field: {} for field, _ in SECTIONS.values()}
    for (section, name), record in laid.items():
        fields[SECTIONS[section][0]][name] = record.body
    book = msgspec.convert(fields, TariffBook, from_attributes=True)
    check_book(book, laid.values())
    return book


def _laid_over(below: Noted, above: Noted) -> Noted:
    """``above``, with what ``below`` says of the days it says nothing of."""
    dated = {
        name: _dates_laid(getattr(below, name), entries)
        for name in above.__struct_fields__
        if _all_dated(entries := getattr(above, name)) and _all_dated(getattr(below, name))
    }
    return replace(above, **dated)


def _all_dated(entries: Any) -> bool:
    return isinstance(entries, tuple) and all(isinstance(one, Dated) for one in entries)


def _dates_laid(below: tuple[Dated, ...], above: tuple[Dated, ...]) -> tuple[Dated, ...]:
    kept = list(below)
    for new in above:
        kept = [piece for old in kept for piece in _without(old, new)]
    return tuple(sorted((*kept, *above), key=lambda one: one.starts_on))


def _without(old: Dated, new: Dated) -> list[Dated]:
    """The days of ``old`` that ``new`` leaves; all of them where they speak of different flags."""
    if not overlapping(old, new):
        return [old]
    pieces = []
    if old.starts_on < new.starts_on:
        pieces.append(replace(old, ends_on=new.starts_on))
    if new.ends_on is not None and (old.ends_on is None or new.ends_on < old.ends_on):
        pieces.append(replace(old, starts_on=new.ends_on))
    return pieces
