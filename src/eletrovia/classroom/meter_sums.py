"""What the 2023 courses make of readings: invoices and alerts, in their own units."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

PRICE_PER_UNIT: Final = 3
"""Over UDP: money for one unit."""

READINGS_FOR_INVOICE: Final = 2
READINGS_FOR_ALERT: Final = 5

_PRICE_PER_KWH: Final = Decimal("0.4")
_ABOVE_KWH: Final = 300


def invoice_of_last(units: Sequence[int]) -> dict[str, int] | None:
    """The last period and its price; None with fewer than two readings."""
    if len(units) < READINGS_FOR_INVOICE:
        return None
    used = units[-1] - units[-2]
    return {"consumo": used, "valor_pagamento": used * PRICE_PER_UNIT}


def excess_of_last(units: Sequence[int]) -> float | None:
    """By how much the last period is above the mean of the three before, where it is half as much again.

    Shape: five readings. A period that is not above the mean is never an excess, so nothing used at all
           is none either.
    """
    *before, last = [after - first for first, after in zip(units[-5:], units[-4:], strict=False)]
    total = sum(before)
    # In whole numbers: last >= 1.5 * total / 3.
    if 2 * last < total or 3 * last <= total:
        return None
    return last - total / 3


def alert_of(kwh: float) -> str:
    """``above`` from 300 whole kWh on, else ``within``."""
    return "above" if int(kwh) >= _ABOVE_KWH else "within"


def invoice_of(kwh: float) -> float:
    """The price of all that the register shows, to the cent."""
    price = Decimal(repr(kwh)) * _PRICE_PER_KWH
    return float(price.quantize(Decimal("0.01"), ROUND_HALF_UP))
