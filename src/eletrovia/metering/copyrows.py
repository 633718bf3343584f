"""Columns of numpy in and out of PostgreSQL: millions of rows a second, none of them an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import EletroviaError
from eletrovia.store.pool import Connection

PG_EPOCH_US: Final = 946_684_800_000_000
PG_EPOCH_DAY: Final = 730_120
"""2000-01-01, as ``date.toordinal`` counts."""
_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL: Final = b"\xff\xff"
_OIDS: Final = {"i4": 23, "i8": 20}
# Ours, the wire's, and the function that sends it.
_KINDS: Final = {
    "i2": ("i2", ">i2", "int2send"),
    "i4": ("i4", ">i4", "int4send"),
    "i8": ("i8", ">i8", "int8send"),
    "f8": ("f8", ">f8", "float8send"),
    "?": ("?", "?", "boolsend"),
    "at": ("i8", ">i8", "timestamptz_send"),
}


class TooWide(EletroviaError):
    """More would come out than was asked for at most."""

    kind = "overloaded"


class Layout:
    """Columns, none of them null.

    Shape:  kinds are ``i2 i4 i8 f8 ?``, ``at`` for a moment (microseconds since 1970 on our side), and
            ``i4[25]`` or ``i8[25]`` for an array of exactly so many.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns: dict[str, tuple[Any, np.dtype[Any], str]] = {}
        for name, kind in columns.items():
            element, _, length = kind.rstrip("]").partition("[")
            if length:
                one = np.dtype([("size", ">i4"), ("value", _KINDS[element][1])])
                wire = np.dtype([("head", (">i4", 5)), ("elements", (one, int(length)))])
                self._columns[name] = ((element, int(length)), wire, "array_send")
            else:
                self._columns[name] = (_KINDS[kind][0], np.dtype(_KINDS[kind][1]), _KINDS[kind][2])
        self._moments = {name for name, kind in columns.items() if kind == "at"}
        self.plain = np.dtype([(name, ours) for name, (ours, _, _) in self._columns.items()])
        """What rows look like on our side."""
        fields: list[tuple[str, Any]] = [("columns", ">i2")]
        for name, (_, wire, _) in self._columns.items():
            fields += [(f"{name}_size", ">i4"), (name, wire)]
        self._row = np.dtype(fields)

    def octets(self, rows: Mapping[str, Any] | NDArray[Any], count: int) -> bytes:
        """The rows as COPY wants them."""
        made = np.zeros(count, self._row)
        made["columns"] = len(self._columns)
        for name, (ours, wire, _) in self._columns.items():
            made[f"{name}_size"] = wire.itemsize
            if isinstance(ours, tuple):
                made[name]["head"] = (1, 0, _OIDS[ours[0]], ours[1], 1)
                made[name]["elements"]["size"] = int(ours[0][1:])
                made[name]["elements"]["value"] = rows[name]
            else:
                made[name] = rows[name] - PG_EPOCH_US if name in self._moments else rows[name]
        return made.tobytes()

    def columns_of(self, query: str) -> str:
        """A query for one row of octets, a value a column, of all rows that ``query`` has."""
        names = ", ".join(self._columns)
        sent = ", ".join(f"string_agg({send}({name}), '')" for name, (_, _, send) in self._columns.items())
        return f"select {sent} from ({query}) as rows ({names})"  # noqa: S608 - names of ours

    def rows(self, columns: Sequence[bytes | None]) -> NDArray[Any]:
        """The rows that ``columns_of`` answered."""
        made = np.empty(len(columns[0] or b"") // next(iter(self._columns.values()))[1].itemsize, self.plain)
        for (name, (ours, wire, _)), octets in zip(self._columns.items(), columns, strict=True):
            sent = np.frombuffer(octets or b"", wire)
            made[name] = sent["elements"]["value"] if isinstance(ours, tuple) else sent
            if name in self._moments:
                made[name] += PG_EPOCH_US
        return made


async def copied_in(connection: Connection, table: str, layout: Layout, rows: Any, count: int) -> None:
    """Put rows into a table of ours, all columns in their order."""
    async with connection.cursor().copy(f"copy {table} from stdin (format binary)") as copy:
        await copy.write(_HEAD + layout.octets(rows, count) + _TAIL)


async def columns_out(
    connection: Connection,
    query: str,
    layout: Layout,
    asked: Mapping[str, Any] | None = None,
    *,
    most_rows: int | None = None,
) -> NDArray[Any]:
    """The rows of a query, in no order. Raises: TooWide where there are more than ``most_rows``.

    As COPY they would come one by one through Python's hands; as a few long values they do not.
    """
    limited = query if most_rows is None else f"{query} limit {most_rows + 1}"
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(layout.columns_of(limited), asked)
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate always answers
    rows = layout.rows(row)
    if most_rows is not None and len(rows) > most_rows:
        raise TooWide("usage.too_wide", rows=most_rows)
    return rows
