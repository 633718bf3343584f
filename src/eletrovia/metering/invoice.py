"""Invoices, credit notes and payments as they are written down, once and for good."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from eletrovia.metering.bill import Bill, BillLine, TaxShare, Terms

Reason = Literal["readings", "correction", "goodwill"]
"""Why money is given back: other readings, another mistake, or kindness."""

Method = Literal["pix", "boleto", "cash", "transfer", "set_off", "refund"]


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """The utility as its bills name it. Without a ``pix_key`` they carry no Pix code."""

    operator_id: str
    name: str
    contact: str = ""
    regulator: str = ""
    pix_key: str = ""
    pix_name: str = ""
    pix_city: str = ""


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """The customer a bill is for, as known on the day it was issued."""

    customer_id: str
    name: str
    tax_id: str | None = None
    address: str = ""
    language: str = "en"


class RegisterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One meter's register at both ends of its part of the period. Units: Wh.

    Shape: not ``measured`` where it was silent for so long that its register there is an estimate.
    """

    meter_id: str
    from_at: datetime
    until_at: datetime
    opening_wh: int
    closing_wh: int
    opening_measured: bool
    closing_measured: bool

    @property
    def energy_wh(self) -> int:
        return self.closing_wh - self.opening_wh


class MonthUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use in the billing period called after a month. Units: Wh, days."""

    month: date
    energy_wh: int
    days: int

    @property
    def daily_wh(self) -> int:
        return round(self.energy_wh / self.days) if self.days else 0


class LateUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use of an earlier period that became known after its invoice, at that period's prices."""

    invoice_id: str
    number: str
    starts_on: date
    ends_on: date
    energy_wh: int
    amount: Decimal
    taxes: tuple[TaxShare, ...] = ()


class SetOff(msgspec.Struct, frozen=True, kw_only=True):
    """Money of the customer's from an earlier invoice that pays this one."""

    invoice_id: str
    number: str
    amount: Decimal


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A bill as it was issued. Its JSON is frozen to the octet, and its digest kept beside it.

    Shape:  ``bill`` is the period alone; ``late`` what earlier ones still owed; ``total`` both;
            ``to_pay`` what is left after ``set_offs``. ``history`` holds up to thirteen months, oldest
            first, this one last. ``unread_since``: no reading came after it; what was used then is in the
            next bill. ``note``: why it was issued although ``doubts`` were open.
    """

    id: str
    number: str
    issuer: Issuer
    customer: Billed
    usage_point_id: str
    terms: Terms
    tariff_name: str = ""
    starts_on: date
    ends_on: date
    month: date
    issued_at: datetime
    due_on: date
    bill: Bill
    late: tuple[LateUse, ...] = ()
    total: Decimal
    set_offs: tuple[SetOff, ...] = ()
    to_pay: Decimal
    registers: tuple[RegisterRow, ...]
    history: tuple[MonthUse, ...]
    unread_since: datetime | None = None
    pix: str = ""
    note: str = ""
    doubts: tuple[dict[str, Any], ...] = ()

    @property
    def lines(self) -> tuple[BillLine, ...]:
        """Every line, those of earlier periods last."""
        return (*self.bill.lines, *map(late_line, self.late))

    @property
    def taxes(self) -> tuple[TaxShare, ...]:
        """The taxes in all lines, one row for each name and rate."""
        return added_up([*self.bill.taxes, *(tax for late in self.late for tax in late.taxes)])


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """Money given back on an invoice, which stays as it is.

    Shape:  for ``readings`` it is about the period ``[starts_on, ends_on)``, which the invoice may have
            charged in a line of an earlier period.
    """

    id: str
    number: str
    issuer: Issuer
    customer: Billed
    invoice_id: str
    invoice_number: str
    reason: Reason
    starts_on: date | None = None
    ends_on: date | None = None
    energy_wh: int = 0
    amount: Decimal
    currency: str
    taxes: tuple[TaxShare, ...] = ()
    note: str = ""
    issued_at: datetime
    issued_by: str


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in for an invoice; below nothing, money that went back."""

    id: str
    invoice_id: str
    amount: Decimal
    method: Method
    reference: str
    paid_on: date
    recorded_at: datetime
    recorded_by: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Where an invoice stands: what is still open of it, below nothing when the customer has money here."""

    total: Decimal
    credited: Decimal
    paid: Decimal

    @property
    def open(self) -> Decimal:
        return self.total - self.credited - self.paid


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in a list. Units: Wh. ``open`` below nothing is the customer's money."""

    id: str
    number: str
    usage_point_id: str
    customer_id: str
    starts_on: date
    ends_on: date
    month: date
    due_on: date
    issued_at: datetime
    energy_wh: int
    total: Decimal
    currency: str
    credited: Decimal
    paid: Decimal
    open: Decimal


def late_line(late: LateUse) -> BillLine:
    """An earlier period's use as a line that names the invoice it belongs to."""
    facts = {
        "number": late.number,
        "starts_on": late.starts_on.isoformat(),
        "ends_on": late.ends_on.isoformat(),
        "energy_wh": late.energy_wh,
    }
    return BillLine(kind="late", label="late", facts=facts, amount=late.amount)


def added_up(taxes: Sequence[TaxShare]) -> tuple[TaxShare, ...]:
    """Shares of the same tax at the same rate as one, in the order they first come."""
    sums: dict[tuple[str, Decimal], TaxShare] = {}
    for tax in taxes:
        before = sums.get((tax.name, tax.rate))
        if before is not None:
            tax = msgspec.structs.replace(tax, base=before.base + tax.base, amount=before.amount + tax.amount)
        sums[tax.name, tax.rate] = tax
    return tuple(sums.values())


def frozen(document: Invoice | CreditNote) -> tuple[bytes, bytes]:
    """The document's octets, as they are kept, and their SHA-256."""
    octets = msgspec.json.encode(document, order="deterministic")
    return octets, hashlib.sha256(octets).digest()
