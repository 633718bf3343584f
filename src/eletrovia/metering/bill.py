"""A bill: what usage costs in a period, line by line, and why."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has agreed on for one usage point, from a day on.

    Shape:  ``tariff_id`` names a tariff of the book (``tariff.TariffBook``); ``phases`` 1, 2 or 3 decides the
            minimum; ``municipality`` the public lighting; ``low_income`` the social tariff, if there is.
    """

    tariff_id: str
    phases: int = 1
    municipality: str = ""
    low_income: bool = False


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line, which explains itself.

    Shape:  ``kind`` is a stable word ("energy", "flag", "minimum", "lighting", "credit"); ``label`` a key
            of the bill's words, with ``facts`` to fill it in, in any language.
    Units:  quantity_kwh × unit_price = amount before rounding; amount in ``currency`` with taxes inside,
            rounded once, here, to the cent, half up. ``unit_price`` carries taxes.
    """

    kind: str
    label: str
    facts: dict[str, Any] = {}
    quantity_kwh: Decimal | None = None
    unit_price: Decimal | None = None
    amount: Decimal


class TaxShare(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the bill is one tax: already inside the lines, shown as the law demands.

    Units: ``rate`` is a share (0.18), ``base`` and ``amount`` money.
    """

    name: str
    rate: Decimal
    base: Decimal
    amount: Decimal


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a period costs. ``total`` is the sum of the lines, each rounded once.

    Shape:  the period is the days ``[starts_on, ends_on)`` of the utility's zone; ``sources`` names where
            each price, flag and tax that was used comes from.
    """

    starts_on: date
    ends_on: date
    currency: str
    energy_wh: int
    estimated_wh: int
    lines: tuple[BillLine, ...]
    taxes: tuple[TaxShare, ...]
    total: Decimal
    sources: tuple[str, ...] = ()


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Usage in one stretch between two edges that pricing asked for. Units: Wh."""

    starts_at: datetime
    ends_at: datetime
    energy_wh: int
    estimated_wh: int = 0
