"""A charging tariff as OCPI 2.2.1 names it, and what a stop costs under it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.money import cents

MOST_PRICE: Final = 1_000_000
MOST_VAT: Final = 1000
MOST_DECIMALS: Final = 12


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


class TariffDimension(StrEnum):
    """ENERGY per kWh, TIME per hour of charging, FLAT per session."""

    ENERGY = "ENERGY"
    TIME = "TIME"
    FLAT = "FLAT"


class PriceComponent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tariff. ``price`` is before tax, ``vat`` a percentage added to it.

    Raises: Invalid for numbers that no price list has: a partner's tariff must not break our drivers' plans.
    """

    type: TariffDimension
    price: Decimal
    vat: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for number, most in ((self.price, MOST_PRICE), (self.vat, MOST_VAT)):
            # Finite first: nothing can be compared with NaN. The exponent, so that sums stay exact and short.
            if not number.is_finite() or not 0 <= number <= most or _decimals(number) > MOST_DECIMALS:
                raise Invalid(
                    "tariff.impossible",
                    type=self.type,
                    price=str(self.price)[:40],
                    vat=str(self.vat)[:40],
                    most_price=MOST_PRICE,
                    most_vat=MOST_VAT,
                )

    @property
    def price_with_tax(self) -> Decimal:
        return self.price * (1 + self.vat / 100)


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that hold at the connectors naming this tariff's id."""

    id: str
    currency: str = "BRL"
    components: tuple[PriceComponent, ...]

    def quote(self, energy_wh: int, charging_s: int) -> Decimal:
        """What a stop costs, tax included, rounded once to cents."""
        amount = Decimal(0)
        for component in self.components:
            match component.type:
                case TariffDimension.ENERGY:
                    amount += component.price_with_tax * energy_wh / 1000
                case TariffDimension.TIME:
                    amount += component.price_with_tax * charging_s / 3600
                case TariffDimension.FLAT:
                    amount += component.price_with_tax
        return cents(amount)

    def rate(self, dimension: TariffDimension) -> Decimal:
        """The sum of all components of ``dimension``, tax included."""
        return sum((c.price_with_tax for c in self.components if c.type is dimension), Decimal(0))
