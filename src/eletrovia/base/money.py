"""Money: Decimal, and one rounding rule."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """``amount`` to two places, half up; used once, at the end of a sum, never in the middle."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
