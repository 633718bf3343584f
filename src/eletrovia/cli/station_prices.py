"""Prices that staff sets."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from eletrovia.base.errors import Invalid
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension
from eletrovia.cli.reach import reach
from eletrovia.cli.station_import import BatchAnswer
from eletrovia.cli.station_tables import prices_of
from eletrovia.cli.terminal import Terminal


def set_price(
    terminal: Terminal, tariff_id: str, prices: Mapping[str, str], *, vat: str, currency: str
) -> None:
    """Puts one tariff. ``prices`` is by dimension, as written. Raises: Invalid."""
    tax = _amount(vat)
    components = tuple(
        PriceComponent(type=TariffDimension(dimension), price=_amount(written), vat=tax)
        for dimension, written in prices.items()
        if _amount(written)
    )
    if not components:
        raise Invalid("tariff.empty", tariff_id=tariff_id)
    tariff = Tariff(id=tariff_id, currency=currency, components=components)
    server = reach(terminal, role="staff")
    answer = server.ask("PUT", "/tariffs", body={"tariffs": [tariff]}).read(BatchAnswer)
    for item in answer.items:
        if item.problem is not None:
            refused = Invalid(item.problem.code)
            refused.facts = item.problem.facts
            raise refused
    if terminal.json:
        told: dict[str, Any] = {"tariff": tariff}
        terminal.answer(told)
    else:
        terminal.show(prices_of(terminal, tariff))


def _amount(written: str) -> Decimal:
    """``1.95`` or ``1,95``."""
    try:
        amount = Decimal(written.strip().replace(",", "."))
    except InvalidOperation:
        raise Invalid("number.malformed", written=written, expected="1.95") from None
    if not amount.is_finite() or amount < 0:
        raise Invalid("number.malformed", written=written, expected="1.95")
    return amount
