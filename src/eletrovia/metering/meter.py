"""Meters, where they hang, and the codes by which a household shows that one is theirs."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.metering.reading import MOST_ENERGY_WH

AREA_MAX: Final = 100
DIGITS_MAX: Final = 11
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_INT: Final = 2**31 - 1
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_CODE_DIGITS: Final = 12
_MISREAD: Final = str.maketrans("OIL", "011", "- ")


class MeterKind(StrEnum):
    METER = "meter"
    CONCENTRATOR = "concentrator"
    """Speaks for the meters behind it, and counts nothing itself."""


class MeterState(StrEnum):
    IN_SERVICE = "in_service"
    BLOCKED = "blocked"
    """To cut its customer off."""
    REMOVED = "removed"


class NewMeter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter to register.

    Shape:  ``usage_point_id`` is where it hangs, one of its own name if left out; ``in_stock`` keeps it in no
            place, for a swap. ``via`` is the concentrator that may speak for it. Its register starts again
            from 0 at ``rolls_over_at_wh``, or after ``digits`` of whole kWh; give one of them at most.
    Units:  ``start_wh`` is what its register shows at ``from_at`` (now, if left out).
    """

    id: str
    usage_point_id: str | None = None
    area: str = ""
    kind: MeterKind = MeterKind.METER
    max_power_w: int = 75_000
    rolls_over_at_wh: int | None = None
    digits: int | None = None
    interval_s: int = 900
    via: str | None = None
    in_stock: bool = False
    from_at: datetime | None = None
    start_wh: int | None = None

    @property
    def hangs(self) -> bool:
        """Whether it counts for a place from the beginning."""
        return self.kind is MeterKind.METER and not self.in_stock

    @property
    def place(self) -> str:
        """The usage point it counts for."""
        return self.id if self.usage_point_id is None else self.usage_point_id

    @property
    def end_of_register_wh(self) -> int | None:
        return self.rolls_over_at_wh if self.digits is None else 1000 * 10**self.digits

    def check(self, now: datetime) -> None:
        """Raises: Invalid for what no meter is."""
        plain_id("id", self.id)
        plain_id("usage_point_id", self.place)
        if self.via is not None:
            plain_id("via", self.via)
        tidy_area(self.area)
        positive("max_power_w", self.max_power_w)
        positive("interval_s", self.interval_s)
        if self.digits is not None and self.rolls_over_at_wh is not None:
            raise Invalid("meter.rolls_over_twice")
        if self.digits is not None and not 3 <= self.digits <= DIGITS_MAX:
            raise Invalid("meter.number", field="digits", value=self.digits)
        if self.end_of_register_wh is not None:
            positive("rolls_over_at_wh", self.end_of_register_wh, MOST_ENERGY_WH)
        if self.start_wh is not None:
            register("start_wh", self.start_wh)
        if self.from_at is not None:
            past_moment("from_at", self.from_at, now)


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A new meter, with what its device and its customer need. The codes are shown this once.

    Shape:  ``number`` is what it is called in our compact frames, and ``device_key`` signs them, hexadecimal;
            ``claim_code`` is for the household, and null for what nobody can claim.
    """

    id: str
    number: int
    usage_point_id: str | None
    device_key: str
    claim_code: str | None


class Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What staff may change of a meter; what is left out stays. Text "" of ``via`` takes it from there."""

    area: str | None = None
    max_power_w: int | None = None
    rolls_over_at_wh: int | None = None
    interval_s: int | None = None
    via: str | None = None

    @property
    def how_it_counts(self) -> bool:
        """Whether its readings mean something else afterwards."""
        return (self.max_power_w, self.rolls_over_at_wh, self.interval_s) != (None, None, None)

    def check(self) -> None:
        """Raises: Invalid."""
        if self.area is not None:
            tidy_area(self.area)
        if self.via:
            plain_id("via", self.via)
        for name, most in (
            ("max_power_w", _MOST_INT),
            ("interval_s", _MOST_INT),
            ("rolls_over_at_wh", MOST_ENERGY_WH),
        ):
            if (value := getattr(self, name)) is not None:
                positive(name, value, most)


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """A meter as staff sees it. ``usage_point_id`` and ``customer_id`` are those of now."""

    id: str
    kind: MeterKind
    state: MeterState
    usage_point_id: str | None
    area: str
    customer_id: str | None
    max_power_w: int
    rolls_over_at_wh: int | None
    interval_s: int
    via: str | None
    registered_at: datetime
    claimable: bool
    """Whether a claim code is out that nobody has used."""


class UsagePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where electricity is delivered and billed. Source: IEC 61968 UsagePoint; unidade consumidora."""

    id: str
    area: str
    customer_id: str | None
    created_at: datetime


class Fitting(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that counted for a usage point in ``[from_at, until_at)``. Units: what its register showed."""

    meter: int
    meter_id: str
    usage_point_id: str
    from_at: datetime
    until_at: datetime | None
    start_wh: int
    end_wh: int | None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a window in which one meter counted for a usage point.

    Shape:  usage of the place is the sum over its stretches of each meter's usage in ``during``;
            ``start_wh`` and ``end_wh`` are told where the meter was put in or taken out at that very edge.
    """

    meter: int
    meter_id: str
    during: Window
    start_wh: int | None = None
    end_wh: int | None = None


class Swap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One meter for another at the same usage point.

    Shape:  a meter that is not registered yet is registered, like the old one; ``at`` is now if left out.
    Units:  ``end_wh`` is the last value of the old register, ``start_wh`` the first of the new one.
    """

    new_id: str
    end_wh: int
    start_wh: int = 0
    at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raises: Invalid."""
        plain_id("new_id", self.new_id)
        register("end_wh", self.end_wh)
        register("start_wh", self.start_wh)
        if self.at is not None:
            past_moment("at", self.at, now)


class Swapped(msgspec.Struct, frozen=True, kw_only=True):
    """A swap that stands, and what the new device needs."""

    usage_point_id: str
    removed_id: str
    at: datetime
    new: Registered


def plain_id(field: str, written: str) -> str:
    """``written`` itself: ASCII letters, digits, ``_`` and ``-``, 64 at most. Raises: Invalid."""
    if not _ID.fullmatch(written):
        raise Invalid("meter.id_malformed", field=field, value=written[:80])
    return written


def tidy_area(written: str) -> str:
    """A neighbourhood's name in one line. Raises: Invalid."""
    area = " ".join(written.split())
    if len(area) > AREA_MAX or not area.isprintable():
        raise Invalid("meter.area_malformed", max_length=AREA_MAX)
    return area


def positive(field: str, value: int, most: int = _MOST_INT) -> None:
    """Raises: Invalid for what is not above nothing, or above all sense."""
    if not 0 < value <= most:
        raise Invalid("meter.number", field=field, value=value)


def register(field: str, value: int) -> None:
    """Raises: Invalid for what no register shows."""
    if not 0 <= value <= MOST_ENERGY_WH:
        raise Invalid("meter.number", field=field, value=value)


def past_moment(field: str, at: datetime, now: datetime) -> datetime:
    """``at`` itself. Raises: Invalid when it names no zone, is before 2000 or still to come."""
    if at.tzinfo is None:
        raise Invalid("moment.zone_missing", field=field, at=at.isoformat())
    if at > now:
        raise Invalid("moment.to_come", field=field, at=at.isoformat())
    if at.year < 2000:
        raise Invalid("moment.too_old", field=field, at=at.isoformat())
    return at


def new_claim_code(draw: Callable[[int], int] = secrets.randbits) -> str:
    """A code of 60 bits of chance, e.g. ``7K3M-0QXW-N8T2``: beyond guessing, and easy to read out."""
    bits = draw(5 * _CODE_DIGITS)
    digits = [_ALPHABET[(bits >> (5 * place)) & 31] for place in range(_CODE_DIGITS)]
    return "-".join("".join(digits[start : start + 4]) for start in range(0, _CODE_DIGITS, 4))


def claim_code_sha256(written: str) -> bytes:
    """What is kept of a code, whichever way a person wrote it: small letters, no dashes, an O for a 0."""
    return hashlib.sha256(written.strip().upper().translate(_MISREAD).encode()).digest()
