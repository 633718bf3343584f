"""Money: Decimal, and one rounding rule."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """``amount`` to two places, half up; used once, at the end of a sum, never in the middle."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def cents_of(amount: Fraction) -> Decimal:
    """An exact sum to the cent, half up, by the same rule as ``cents``."""
    hundredths = abs(amount) * 100
    whole = (2 * hundredths.numerator + hundredths.denominator) // (2 * hundredths.denominator)
    return Decimal(whole if amount >= 0 else -whole).scaleb(-2)
