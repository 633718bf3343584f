"""What the 2023 course's meters over TCP, and its page, say and hear."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.classroom.meter_moment import written_year_first, year_first
from eletrovia.classroom.meter_sums import alert_of, invoice_of
from eletrovia.metering.reading import MOST_ENERGY_WH, Reading

_MOST_KWH: Final = MOST_ENERGY_WH / 1000
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
"""Of meters that another server may have given a number: those are taken in with it."""

NULL: Final = b"null"


class Join(msgspec.Struct, frozen=True):
    """``{"id": 0}``: a meter wants its number."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A register value."""

    number: str
    kwh: float
    at: datetime

    @property
    def meter_id(self) -> str:
        return meter_id_of(self.number)

    def reading(self, meter: int) -> Reading:
        """As it is stored: parts of a Wh cut off, and the very number beside it."""
        # Through the number's own digits: 0.29 * 1000 is 289.99….
        energy_wh = int(Decimal(repr(self.kwh)).scaleb(3))
        return Reading(meter=meter, at=self.at, energy_wh=energy_wh, sent_kwh=self.kwh)

    def answer(self) -> bytes:
        """What the meter is told once that is stored."""
        told = {"id": self.number, "consumption": self.kwh, "datetime": written_year_first(self.at)}
        return written({"alert": alert_of(self.kwh), **told})


class Which(Enum):
    """Which readings ``POST /historic`` and its sisters want, seen from a moment."""

    EQUAL = "/historic"
    UPPER = "/historic/upper"
    LOWER = "/historic/lower"


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one meter around a moment."""

    number: str
    which: Which
    at: datetime


Message = Join | Spent | Filter


def read(octets: bytes, path: str | None = None) -> Message:
    """A meter's message, or the body of a POST to ``path``.

    Raises: Invalid for what is neither.
    """
    try:
        told = json.loads(octets, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Invalid("classroom.malformed") from None
    if not isinstance(told, dict):
        raise Invalid("classroom.malformed")
    number = told.get("id")
    kind = path or told.get("type", "/spent")
    if path is None and (number in ("0", 0) and not isinstance(number, bool)):
        return Join()
    try:
        if kind == "/spent":
            return Spent(number=_number(number), kwh=_kwh(told["consumption"]), at=_moment(told["datetime"]))
        return Filter(number=_number(number), which=Which(kind), at=_moment(told["datetime"]))
    except (KeyError, ValueError):
        raise Invalid("classroom.malformed") from None


def meter_id_of(number: str) -> str:
    """The meter's id among all others."""
    return f"uefs-c-{number}"


def is_number(text: str) -> bool:
    """Whether a meter may be called so."""
    return _NUMBER.fullmatch(text) is not None


def kwh_of(reading: Reading) -> float:
    """The register as the meter wrote it."""
    return reading.energy_wh / 1000 if reading.sent_kwh is None else reading.sent_kwh


def historic_row(reading: Reading) -> list[Any]:
    """One reading in a history."""
    return [kwh_of(reading), written_year_first(reading.at)]


def alert_from(last: Reading | None) -> str:
    """The alert for a meter whose last reading this is; without any it has used nothing."""
    return alert_of(0.0 if last is None else kwh_of(last))


def invoice(last: Reading | None) -> bytes:
    """The whole answer about a meter's invoice."""
    kwh = 0.0 if last is None else kwh_of(last)
    return written({"alert": alert_of(kwh), "invoice": invoice_of(kwh)})


def written(told: object) -> bytes:
    """JSON, spaced as the course's clients know it from Python's own."""
    return json.dumps(told, ensure_ascii=False).encode()


def _number(told: Any) -> str:
    number = str(told) if isinstance(told, int) and not isinstance(told, bool) else told
    if not isinstance(number, str) or not is_number(number):
        raise ValueError("id")
    return number


def _kwh(told: Any) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise ValueError("consumption")
    # Compared before it is a float: an integer may be too long for one.
    if not 0 <= told <= _MOST_KWH or not math.isfinite(told):
        raise ValueError("consumption")
    return float(told) + 0.0


def _moment(told: Any) -> datetime:
    if not isinstance(told, str):
        raise ValueError("datetime")
    return year_first(told)


def _no_number(text: str) -> float:
    raise ValueError(text)
