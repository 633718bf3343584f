"""Tariffs: what no price list has is refused where it comes in, be it staff's or a partner's."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from eletrovia.base.errors import EletroviaError
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension


@pytest.mark.parametrize(
    "number", ["NaN", "sNaN", "Infinity", "-1", "1e400", "1e999999", "1e-5000", "1000001"]
)
@pytest.mark.parametrize("field", ["price", "vat"])
def test_impossible_numbers_are_invalid(field: str, number: str) -> None:
    component = {"type": "ENERGY", "price": "1", "vat": "0"} | {field: number}
    body = msgspec.json.encode({"id": "t", "components": [component]})
    with pytest.raises(EletroviaError) as refused:
        msgspec.json.decode(body, type=Tariff)
    assert refused.value.code == "tariff.impossible"


def test_a_stop_is_rounded_once() -> None:
    energy = PriceComponent(type=TariffDimension.ENERGY, price=Decimal("1.955"), vat=Decimal("12.5"))
    flat = PriceComponent(type=TariffDimension.FLAT, price=Decimal("0.005"))
    assert Tariff(id="t", components=(energy, flat)).quote(10_000, 0) == Decimal("22.00")
