"""What stands about a usage point's bills before another one is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from eletrovia.metering.contract import Contract, Days, Stay, contract_on, period_of
from eletrovia.metering.metered import Fitted

_DAY: Final = timedelta(days=1)


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as far as later ones need it.

    Shape:  ``charged`` is what the customer was asked for this very period so far, by this invoice, later
            lines and corrections; ``room`` what may still be credited; ``open`` below nothing is the
            customer's money. ``measured`` is what is known of the period, packed (``metered.packed``);
            empty for those that are too old to be settled, and for customers who were erased.
            ``carried_by`` are later invoices with lines about this period, the last one first.
    """

    id: str
    number: str
    customer_id: str
    days: Days
    month: date
    energy_wh: int
    charged: Decimal
    room: Decimal
    open: Decimal
    settled: int
    measured: bytes
    carried_by: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A usage point's contracts, customers, meters and invoices.

    Shape:  ``earlier`` in order of their days. Two equal ones mean that nothing has changed in between.
    """

    usage_point_id: str
    contracts: tuple[Contract, ...]
    stays: tuple[Stay, ...]
    fittings: tuple[Fitted, ...]
    earlier: tuple[Earlier, ...]

    @property
    def billed(self) -> list[Days]:
        """Days that stand on an invoice."""
        return [invoice.days for invoice in self.earlier]


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """When a meter was last heard before a moment; ``goes_on`` when nothing came at or after it either."""

    last_at: datetime | None
    goes_on: bool


def period_ends(contracts: Sequence[Contract], month: date) -> date | None:
    """The day after the billing period called after ``month``; None without a contract then."""
    for contract in sorted(contracts, key=lambda one: one.valid_from, reverse=True):
        ends_on = period_of(month, contract.reading_day).ends_on
        if contract.valid_from < ends_on:
            return ends_on
    return None


def period(contracts: Sequence[Contract], month: date) -> Days | None:
    """The billing period called after ``month``: periods touch, also where the reading day changes."""
    ends_on = period_ends(contracts, month)
    if ends_on is None:
        return None
    before = (month.replace(day=1) - _DAY).replace(day=1)
    starts_on = period_ends(contracts, before)
    if starts_on is None:
        day = contract_on(contracts, ends_on - _DAY)
        starts_on = period_of(month, day.reading_day if day is not None else 1).starts_on
    return Days(starts_on, ends_on)


def month_holding(contracts: Sequence[Contract], day: date) -> date:
    """The month after which the billing period with ``day`` in it is called."""
    first = day.replace(day=1)
    for month in ((first - _DAY).replace(day=1), first):
        ends_on = period_ends(contracts, month)
        if ends_on is not None and day < ends_on:
            return month
    ends_on = period_ends(contracts, first)
    return first if ends_on is None else (first + 32 * _DAY).replace(day=1)
