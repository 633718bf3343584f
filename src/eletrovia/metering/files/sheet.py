"""A table in a text file: packed or plain, any of the usual separators, read a block of lines at a time."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final, Self

from eletrovia.base.errors import Invalid, NotFound

_SEPARATORS: Final = (";", "\t", ",", "|")
_SAMPLE_LINES: Final = 3000
_FIELD_MAX: Final = 1 << 20
_BUFFER: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"


class Block:
    """Lines that follow each other. Shape: ``rows[i]`` began about at ``first_line + i`` of the file."""

    __slots__ = ("first_line", "rows")

    def __init__(self, first_line: int, rows: list[list[str]]) -> None:
        self.first_line = first_line
        self.rows = rows


class Sheet:
    """A file's header, a sample of its rows, and all rows in blocks.

    Raises: NotFound ``readings.no_such_file``; Invalid ``readings.empty``, ``readings.not_text`` and
            ``readings.broken_gzip``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise NotFound("readings.no_such_file", path=str(path))
        self.octets = path.stat().st_size
        self._raw: IO[bytes] = path.open("rb")
        try:
            packed = self._raw.read(2) == _GZIP
            self._raw.seek(0)
            stream: IO[bytes] = self._raw
            if packed:
                stream = io.BufferedReader(gzip.GzipFile(fileobj=self._raw), _BUFFER)
            self.encoding = _encoding_of(stream)
            stream.seek(0)
            self._text = io.TextIOWrapper(
                stream,
                encoding=self.encoding,
                errors="replace",
                newline="",
            )
            csv.field_size_limit(_FIELD_MAX)
            head = self._text.readline(_FIELD_MAX)
            while head and not head.strip():
                head = self._text.readline(_FIELD_MAX)
            if "\0" in head:
                raise Invalid("readings.not_text", path=path.name)
            self.separator = _separator_of(head)
            self.header = [cell.strip() for cell in next(csv.reader([head], delimiter=self.separator), [])]
            if not any(self.header):
                raise Invalid("readings.empty", path=path.name)
            self._rows = csv.reader(self._text, delimiter=self.separator, strict=False)
            self.sample = list(islice(self._rows, _SAMPLE_LINES))
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            self.close()
            raise Invalid("readings.broken_gzip", path=path.name, reason=str(problem)) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._raw.close()

    @property
    def octets_read(self) -> int:
        """How far into the file we are."""
        return self._raw.tell()

    def blocks(self, lines: int) -> Iterator[Block]:
        """All rows below the header, the sample too. Raises: Invalid ``readings.broken_gzip``."""
        at = 2
        for start in range(0, len(self.sample), lines):
            rows = self.sample[start : start + lines]
            yield Block(at, rows)
            at += len(rows)
        try:
            while rows := list(islice(self._rows, lines)):
                yield Block(at, rows)
                at += len(rows)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise Invalid("readings.broken_gzip", path=self.path.name, reason=str(problem)) from None
        except csv.Error as problem:
            raise Invalid("readings.not_text", path=self.path.name, reason=str(problem)) from None


def _encoding_of(stream: IO[bytes]) -> str:
    """UTF-8 with or without its mark; UTF-16 by its mark; else what old spreadsheets write."""
    head = stream.read(1 << 16)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as problem:
        if problem.start < len(head) - 4:  # not merely cut in the middle of a letter
            return "cp1252"
    return "utf-8-sig"


def _separator_of(head: str) -> str:
    return max(_SEPARATORS, key=head.count)
