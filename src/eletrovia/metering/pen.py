"""From a draft to what is written down: lines of earlier periods, credit notes, set-offs, the Pix code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.ids import Ids
from eletrovia.metering.bill import TaxShare
from eletrovia.metering.contract import Days
from eletrovia.metering.creditshare import CreditShare, shares_of
from eletrovia.metering.draft import Difference, Draft, told_of
from eletrovia.metering.invoice import (
    Billed,
    CreditNote,
    Invoice,
    Issuer,
    LateUse,
    Payment,
    Reason,
    RegisterRow,
    SetOff,
)
from eletrovia.metering.invoicestore import Settled, Written
from eletrovia.metering.metered import packed
from eletrovia.metering.pix import CITY_MAX, NAME_MAX, PixCode, plain
from eletrovia.metering.standing import Earlier, Standing

_SIGNS: Final = re.compile(r"[^A-Za-z0-9]")
_TXID_MAX: Final = 25


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice that a credit note is about."""

    id: str
    number: str
    currency: str
    customer: Billed


class Pen:
    """Writes invoices and credit notes in the utility's name."""

    def __init__(self, issuer: Issuer, zone: ZoneInfo, clock: Clock, ids: Ids) -> None:
        self._issuer = issuer
        self._zone = zone
        self._clock = clock
        self._ids = ids

    def check(self) -> None:
        """Raises: Invalid when no Pix code can be made of the settings."""
        self._pix(Decimal(1), "BRL", "0")

    @property
    def today(self) -> date:
        """The day it is for the utility: documents are dated and numbered by it."""
        return self._clock.now().astimezone(self._zone).date()

    def invoice(
        self,
        draft: Draft,
        standing: Standing,
        customer: Billed,
        year: int,
        number: int,
        notes: Iterator[int],
        note: str,
    ) -> Written:
        """The finished invoice; credit notes that settle earlier ones take their numbers from ``notes``.

        ``year`` is the one whose counter the numbers were drawn from: midnight may have passed since.
        """
        now, today = self._clock.now(), self.today
        settled, favour = self._settle(draft, standing, customer, year, notes)
        late = tuple(map(_late, (one for one in draft.differences if _is_line(one))))
        total = draft.bill.total + sum((one.amount for one in late), Decimal(0))
        set_offs = _set_offs(favour, total)
        to_pay = total - sum((one.amount for one in set_offs), Decimal(0))
        name = f"{year}-{number:06}"
        invoice = Invoice(
            id=self._ids.new("inv"),
            number=name,
            issuer=self._issuer,
            customer=customer,
            usage_point_id=draft.usage_point_id,
            terms=draft.piece.contract.terms,
            tariff_name=draft.tariff_name,
            starts_on=draft.piece.days.starts_on,
            ends_on=draft.piece.days.ends_on,
            month=draft.month,
            issued_at=now,
            due_on=today + timedelta(days=draft.piece.contract.due_days),
            bill=draft.bill,
            late=late,
            total=total,
            set_offs=set_offs,
            to_pay=to_pay,
            registers=rows_of(draft),
            history=draft.history,
            unread_since=draft.unread_since,
            pix=self._pix(to_pay, draft.bill.currency, name),
            note=note,
            doubts=tuple(told_of(mark) for mark in draft.metered.doubtful),
        )
        return Written(
            invoice=invoice,
            measured=packed(draft.metered.stretches),
            settled=tuple(settled),
            payments=tuple(paid for one in set_offs for paid in self._both_ways(one, invoice, now)),
        )

    def note(
        self,
        about: About,
        year: int,
        number: int,
        amount: Decimal,
        reason: Reason,
        *,
        energy_wh: int = 0,
        taxes: tuple[TaxShare, ...] = (),
        days: Days | None = None,
        note: str = "",
        by: str = "",
    ) -> CreditNote:
        """A credit note. ``taxes`` are those inside ``amount``; ``days`` those that it is about."""
        return CreditNote(
            id=self._ids.new("crn"),
            number=f"C{year}-{number:06}",
            issuer=self._issuer,
            customer=about.customer,
            invoice_id=about.id,
            invoice_number=about.number,
            reason=reason,
            energy_wh=energy_wh,
            amount=amount,
            starts_on=days.starts_on if days is not None else None,
            ends_on=days.ends_on if days is not None else None,
            currency=about.currency,
            taxes=taxes,
            note=note,
            issued_at=self._clock.now(),
            issued_by=by,
        )

    def readings_note(
        self,
        about: About,
        year: int,
        number: int,
        share: CreditShare,
        place: int = 0,
        *,
        note: str = "",
        by: str = "",
    ) -> CreditNote:
        """A credit note because of readings; the first one of a difference tells its energy."""
        return self.note(
            about,
            year,
            number,
            share.amount,
            "readings",
            energy_wh=0 if place else share.difference.energy_wh,
            taxes=share.difference.taxes_in(share.amount),
            days=share.difference.earlier.days,
            note=note,
            by=by,
        )

    def _settle(
        self, draft: Draft, standing: Standing, customer: Billed, year: int, notes: Iterator[int]
    ) -> tuple[list[Settled], list[SetOff]]:
        """How each difference is made good, and the customer's money on earlier invoices after that."""
        mine = mine_of(standing, customer.customer_id)
        money = {one.id: -one.open for one in mine}
        settled: list[Settled] = []
        shares = shares_of(draft.differences, mine)
        for one in draft.differences:
            own = [share for share in shares if share.difference is one]
            for place, share in enumerate(own):
                about = About(
                    id=share.on.id, number=share.on.number, currency=one.bill.currency, customer=customer
                )
                note = self.readings_note(about, year, next(notes), share, place)
                settled.append(settled_by(one, note, place))
                money[share.on.id] += share.amount
            if not own:
                settled.append(settled_by(one))
        favour = [
            SetOff(invoice_id=one.id, number=one.number, amount=money[one.id])
            for one in mine
            if money[one.id] > 0
        ]
        return settled, favour

    def _both_ways(self, one: SetOff, invoice: Invoice, now: datetime) -> list[Payment]:
        """A set-off: paid on the new invoice, taken from the earlier one."""

        def payment(invoice_id: str, amount: Decimal, other: str) -> Payment:
            return Payment(
                id=self._ids.new("pay"),
                invoice_id=invoice_id,
                amount=amount,
                method="set_off",
                reference=f"set_off:{other}",
                paid_on=self.today,
                recorded_at=now,
                recorded_by="",
            )

        return [
            payment(one.invoice_id, -one.amount, invoice.number),
            payment(invoice.id, one.amount, one.number),
        ]

    def _pix(self, amount: Decimal, currency: str, number: str) -> str:
        issuer = self._issuer
        if not issuer.pix_key or currency != "BRL" or amount <= 0:
            return ""
        party = issuer.operator_id.rpartition("*")[2]
        return PixCode(
            key=issuer.pix_key,
            name=plain(issuer.pix_name or issuer.name, NAME_MAX),
            city=plain(issuer.pix_city, CITY_MAX).upper(),
            amount=amount,
            txid=_SIGNS.sub("", party + number)[:_TXID_MAX],
        ).encode()


def mine_of(standing: Standing, customer_id: str) -> list[Earlier]:
    """A customer's own invoices at a usage point."""
    return [one for one in standing.earlier if one.customer_id == customer_id]


def settled_by(one: Difference, note: CreditNote | None = None, place: int = 0) -> Settled:
    """That a difference is made good: by a credit note, or by the invoice it is written with."""
    return Settled(
        invoice_id=one.earlier.id,
        sequence=one.earlier.settled + place,
        energy_wh=0 if place else one.energy_wh,
        amount=-note.amount if note is not None else max(one.amount, Decimal(0)),
        measured=one.measured,
        note=note,
    )


def rows_of(draft: Draft) -> tuple[RegisterRow, ...]:
    """Each meter's registers at both ends of its part of the period."""
    return tuple(
        RegisterRow(
            meter_id=share.meter_id,
            from_at=share.from_at,
            until_at=share.until_at,
            opening_wh=share.opening.energy_wh,
            closing_wh=share.closing.energy_wh,
            opening_measured=share.opening_read,
            closing_measured=share.closing_read
            and (draft.unread_since is None or share.until_at <= draft.unread_since),
        )
        for share in draft.metered.meters
    )


def _is_line(one: Difference) -> bool:
    return one.amount > 0 or (one.amount == 0 and one.energy_wh != 0)


def _late(one: Difference) -> LateUse:
    return LateUse(
        invoice_id=one.earlier.id,
        number=one.earlier.number,
        starts_on=one.earlier.days.starts_on,
        ends_on=one.earlier.days.ends_on,
        energy_wh=one.energy_wh,
        amount=one.amount,
        taxes=one.taxes_in(one.amount),
    )


def _set_offs(favour: list[SetOff], total: Decimal) -> tuple[SetOff, ...]:
    """The customer's money, oldest first, up to what there is to pay."""
    taken: list[SetOff] = []
    for one in favour:
        amount = min(one.amount, total)
        if amount > 0:
            taken.append(msgspec.structs.replace(one, amount=amount))
            total -= amount
    return tuple(taken)
