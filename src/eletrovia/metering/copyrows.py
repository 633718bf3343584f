"""Rows of fixed width between numpy and PostgreSQL's binary COPY: millions a second, none an object."""

from __future__ import annotations

from collections.abc import Mapping
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
_INT4: Final = 23
_KINDS: Final = {"i2": ">i2", "i4": ">i4", "i8": ">i8", "f8": ">f8", "?": "?"}


class TooWide(EletroviaError):
    """More came out than was asked for at most; the transaction is gone."""

    kind = "overloaded"


class Layout:
    """The columns of one COPY, none of them null.

    Shape:  kinds are ``i2 i4 i8 f8 ?``, ``at`` for a moment (microseconds since 1970 on our side) and a
            number for ``integer[]`` of that many elements.
    """

    def __init__(self, columns: Mapping[str, str | int]) -> None:
        self._columns = dict(columns)
        fields: list[tuple[str, Any]] = [("columns", ">i2")]
        plain: list[tuple[str, Any]] = []
        self._constants: dict[str, Any] = {"columns": len(columns)}
        for name, kind in columns.items():
            fields.append((f"{name}_size", ">i4"))
            if isinstance(kind, int):
                fields.append((f"{name}_head", (">i4", 5)))
                fields.append((name, (np.dtype([("size", ">i4"), ("value", ">i4")]), kind)))
                plain.append((name, ("i4", kind)))
                self._constants |= {f"{name}_size": 20 + 8 * kind, f"{name}_head": (1, 0, _INT4, kind, 1)}
            else:
                wire = np.dtype(">i8" if kind == "at" else _KINDS[kind])
                fields.append((name, wire))
                plain.append((name, "i8" if kind == "at" else kind))
                self._constants[f"{name}_size"] = wire.itemsize
        self._wire = np.dtype(fields)
        self.plain = np.dtype(plain)
        """What rows look like on our side."""

    def octets(self, rows: Mapping[str, Any] | NDArray[Any], count: int) -> bytes:
        """The rows as COPY wants them."""
        wire = np.zeros(count, self._wire)
        for name, value in self._constants.items():
            wire[name] = value
        for name, kind in self._columns.items():
            if isinstance(kind, int):
                wire[name]["size"] = 4
                wire[name]["value"] = rows[name]
            else:
                wire[name] = rows[name] - PG_EPOCH_US if kind == "at" else rows[name]
        return wire.tobytes()

    def rows(self, octets: bytes | bytearray) -> NDArray[Any]:
        """The rows of a whole COPY."""
        wire = np.frombuffer(memoryview(octets)[len(_HEAD) : -len(_TAIL)], self._wire)
        made = np.empty(len(wire), self.plain)
        for name, kind in self._columns.items():
            if isinstance(kind, int):
                made[name] = wire[name]["value"]
            else:
                made[name] = wire[name]
                if kind == "at":
                    made[name] += PG_EPOCH_US
        return made


async def copied_in(connection: Connection, statement: str, octets: bytes) -> None:
    """Put rows (``Layout.octets``, of one layout or several) in."""
    async with connection.cursor().copy(statement) as copy:
        await copy.write(_HEAD + octets + _TAIL)


async def copied_out(
    connection: Connection, statement: str, layout: Layout, *, most_octets: int | None = None
) -> NDArray[Any]:
    """The rows that come out. Raises: TooWide beyond ``most_octets``, having ended the statement."""
    octets = bytearray()
    async with connection.cursor().copy(statement) as copy:
        async for some in copy:
            octets += some
            if most_octets is not None and len(octets) > most_octets:
                raise TooWide("usage.too_wide", octets=len(octets))
    return layout.rows(octets)
