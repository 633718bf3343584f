"""Invoices: contracts, previews, issuing once, reviewing, crediting, paying."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, Invalid, NotFound, Unavailable
from eletrovia.base.ids import Ids
from eletrovia.base.money import cents
from eletrovia.metering.bill import Bill
from eletrovia.metering.billingsection import BillingSection
from eletrovia.metering.contract import Contract, Days, Piece, contract_on
from eletrovia.metering.creditshare import CreditShare, shares_of
from eletrovia.metering.draft import Difference, told_of
from eletrovia.metering.invoice import (
    Account,
    CreditNote,
    Invoice,
    Issuer,
    Method,
    Payment,
    Reason,
    RegisterRow,
    Summary,
)
from eletrovia.metering.invoicestore import Settled, read_invoice
from eletrovia.metering.monthrun import BATCH, MonthReport, MonthRun, Progress
from eletrovia.metering.pen import About, mine_of, rows_of, settled_by
from eletrovia.metering.press import TRIES, Press, one_piece
from eletrovia.metering.prices import Prices
from eletrovia.metering.standing import Earlier, Standing, month_holding
from eletrovia.metering.usage import UsageBook
from eletrovia.store.pool import Store

NOTE_MAX: Final = 500
OPENING: Final = timedelta(days=28)
"""How long before a bill's first day the reading may stand that it begins from."""
MONEY_MAX: Final = 10**9


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice, and whether this very call issued it."""

    invoice: Invoice
    sha256: bytes
    created: bool


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What days would cost, as far as readings tell by now. Nothing is issued.

    Shape: ``held`` is the code of what a person would have to look at first, ``held_facts`` its facts.
    """

    usage_point_id: str
    bill: Bill
    registers: tuple[RegisterRow, ...]
    unread_since: datetime | None = None
    held: str | None = None
    held_facts: dict[str, Any] = {}
    marks: tuple[dict[str, Any], ...] = ()


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice beside what readings say now. A difference below nothing is the customer's.

    Units: Wh; ``charged`` counts later lines and corrections in.
    """

    invoice_id: str
    number: str
    charged: Decimal
    charged_wh: int
    now: Decimal
    now_wh: int
    difference: Decimal
    difference_wh: int


class Invoices:
    """All that is billed. How what becomes known later is made good: docs/billing.md."""

    def __init__(
        self,
        store: Store,
        usage: UsageBook,
        prices: Prices,
        issuer: Issuer,
        *,
        clock: Clock,
        ids: Ids,
        batch: int = BATCH,
    ) -> None:
        """Raises: Invalid when no Pix code can be made of the issuer."""
        self._press = Press(store, usage, prices, issuer, clock=clock, ids=ids)
        self._press.pen.check()
        self._rows = self._press.rows
        self._clock = clock
        self._ids = ids
        self._batch = batch

    @property
    def section(self) -> BillingSection:
        """What bills tell of a customer, and keep."""
        return BillingSection(self._press)

    # -- contracts -----------------------------------------------------------------------------------------

    async def set_contract(self, contract: Contract, *, by: str) -> Contract:
        """What holds from a day on that is not billed yet.

        Raises: NotFound for a usage point, tariff or municipality that is not there; Conflict for days
                that are billed.
        """
        self._press.prices.check(contract.terms)
        await self._press.stands.set_contract(contract, self._clock.now(), by)
        return contract

    async def contracts(self, usage_point_id: str) -> list[Contract]:
        """All that were agreed on, oldest first."""
        return await self._press.stands.contracts(usage_point_id)

    # -- issuing -------------------------------------------------------------------------------------------

    async def preview(self, usage_point_id: str, starts_on: date, ends_on: date) -> Preview:
        """What these days would cost now; they may lie ahead in part. Raises: Invalid, NotFound."""
        days = Days(starts_on, ends_on)
        standing = await self._press.standing(usage_point_id, starts_on)
        contract = contract_on(standing.contracts, starts_on)
        if contract is None:
            raise NotFound("contract.none", usage_point_id=usage_point_id, on=starts_on.isoformat())
        piece = Piece(days=days, contract=contract, customer_id="")
        draft = await self._press.draft(standing, piece, starts_on.replace(day=1), settle=False)
        return Preview(
            usage_point_id=usage_point_id,
            bill=draft.bill,
            registers=rows_of(draft),
            unread_since=draft.unread_since,
            held=draft.held.code if draft.held is not None else None,
            held_facts=draft.held.facts if draft.held is not None else {},
            marks=tuple(told_of(mark) for mark in draft.metered.doubtful),
        )

    async def issue(
        self, usage_point_id: str, starts_on: date, ends_on: date, *, despite: str = ""
    ) -> Issued:
        """The invoice for these days: the one that stands, else a new one.

        ``despite`` is a person's note why it is issued although something is doubtful.
        Raises: Invalid for no days, or days not over; NotFound without contract or customer; Conflict when
                a bill for some of these days stands, customer or contract change inside, or a person
                must look.
        """
        days = Days(starts_on, ends_on)
        despite = _tidy(despite)
        if ends_on > self._press.pen.today:
            raise Invalid("invoice.period_not_over", ends_on=ends_on.isoformat())
        for _ in range(TRIES):
            standing = await self._press.standing(usage_point_id, starts_on)
            there = next((one for one in standing.earlier if one.days.overlaps(days)), None)
            if there is not None:
                if there.days != days:
                    raise _overlap(usage_point_id, there)
                return await self._issued(there.id, created=False)
            piece = one_piece(standing, days)
            month = month_holding(standing.contracts, starts_on)
            draft = await self._press.draft(standing, piece, month)
            if draft.held is not None and not despite:
                raise draft.held
            try:
                written, stale = await self._press.write(
                    {usage_point_id: standing}, {usage_point_id: draft}, starts_on, despite
                )
            except Conflict:
                continue  # somebody was quicker: what stands now is read again
            if not stale:
                return await self._issued(written[0].invoice.id, created=True)
        raise Unavailable("invoice.changes_too_often", usage_point_id=usage_point_id)

    async def issue_month(
        self,
        month: date,
        *,
        points: Collection[str] | None = None,
        after: str = "",
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> MonthReport:
        """Issue what is not issued yet of the periods called after ``month``: ``monthrun.MonthRun.over``."""
        run = MonthRun(self._press, month, batch=self._batch)
        return await run.over(points, after=after, limit=limit, progress=progress)

    # -- what was issued -----------------------------------------------------------------------------------

    async def document(self, invoice_id: str) -> tuple[bytes, bytes]:
        """An invoice as it was issued, to the octet, and its SHA-256; by id or number. Raises: NotFound."""
        found = await self._rows.document(invoice_id)
        if found is None:
            raise unknown(invoice_id)
        return found

    async def invoice(self, invoice_id: str) -> Invoice:
        """Raises: NotFound."""
        return read_invoice((await self.document(invoice_id))[0])

    @staticmethod
    def read(document: bytes) -> Invoice:
        """An invoice from its octets."""
        return read_invoice(document)

    def day_of(self, moment: datetime) -> date:
        """The utility's day that a moment lies in."""
        return moment.astimezone(self._press.prices.zone).date()

    async def is_of(self, invoice_id: str, account_id: str) -> bool:
        """Whether an invoice was issued to the customer with this account."""
        return await self._rows.account_of(invoice_id) == account_id

    async def summaries(
        self,
        *,
        account_id: str | None = None,
        customer_id: str | None = None,
        usage_point_id: str | None = None,
        month: date | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Summary]:
        """Invoices, newest period first; each condition that is given narrows."""
        return await self._rows.summaries(
            account_id=account_id,
            customer_id=customer_id,
            usage_point_id=usage_point_id,
            month=None if month is None else month.replace(day=1),
            before=before,
            limit=limit,
        )

    async def need_readings(self, before: datetime) -> bool:
        """Whether bills that are not written yet need readings from before a moment: a ``StillNeeded``."""
        return await self._press.stands.unbilled_before(self.day_of(before) + OPENING)

    async def account(self, invoice_id: str) -> Account:
        """Where an invoice stands. Raises: NotFound."""
        found = await self._rows.account(invoice_id)
        if found is None:
            raise unknown(invoice_id)
        return found

    async def notes(self, invoice_id: str) -> list[CreditNote]:
        """Its credit notes, oldest first."""
        return await self._rows.notes(invoice_id)

    async def payments(self, invoice_id: str) -> list[Payment]:
        """Its payments, oldest first."""
        return await self._rows.payments(invoice_id)

    # -- corrections and money -----------------------------------------------------------------------------

    async def review(self, invoice_id: str) -> Review:
        """An invoice beside what readings say now. Raises: NotFound; Conflict while a person has to look."""
        invoice = await self.invoice(invoice_id)
        _, earlier, found = await self._difference(invoice)
        now = earlier.charged if found is None else found.bill.total
        now_wh = earlier.energy_wh if found is None else found.bill.energy_wh
        return Review(
            invoice_id=invoice.id,
            number=invoice.number,
            charged=earlier.charged,
            charged_wh=earlier.energy_wh,
            now=now,
            now_wh=now_wh,
            difference=now - earlier.charged,
            difference_wh=now_wh - earlier.energy_wh,
        )

    async def credit(
        self,
        invoice_id: str,
        *,
        reason: Reason,
        request_id: str,
        by: str,
        amount: Decimal | None = None,
        note: str = "",
    ) -> CreditNote:
        """Give money back on an invoice; the same request again is the same note.

        For ``readings`` the amount is what they make less by now; for other reasons it must be given.
        Raises: NotFound; Invalid; Conflict for more than is left of the invoice, or nothing to give back.
        """
        invoice = await self.invoice(invoice_id)
        about = About(
            id=invoice.id, number=invoice.number, currency=invoice.bill.currency, customer=invoice.customer
        )
        note = _tidy(note)
        share: CreditShare | None = None
        if reason == "readings":
            if amount is not None:
                raise Invalid("credit_note.amount_from_readings")
            there = await self._rows.standing_note(invoice.id, request_id)
            if there is not None:
                return there
            share = await self._share(invoice)
        elif amount is None or not _is_money(amount) or amount <= 0:
            raise Invalid("credit_note.amount_wrong", amount=None if amount is None else str(amount))

        year = self._press.pen.today.year

        def make(number: int) -> CreditNote:
            if share is not None:
                return self._press.pen.readings_note(about, year, number, share, note=note, by=by)
            return self._press.pen.note(about, year, number, amount or Decimal(0), reason, note=note, by=by)

        def settle(made: CreditNote) -> Settled | None:
            return None if share is None else settled_by(share.difference, made)

        return await self._rows.credit(invoice, request_id, make, settle, year)

    async def pay(
        self,
        invoice_id: str,
        *,
        amount: Decimal,
        method: Method,
        reference: str,
        by: str,
        paid_on: date | None = None,
    ) -> Payment:
        """Record money that came in, or went back (below nothing); the same reference is the same payment.

        Raises: NotFound; Invalid; Conflict for more than is open, or a reference used for something else.
        """
        invoice = await self.invoice(invoice_id)
        if not _is_money(amount) or (amount < 0) != (method == "refund") or method == "set_off":
            raise Invalid("payment.amount_wrong", amount=str(amount), method=method)
        payment = Payment(
            id=self._ids.new("pay"),
            invoice_id=invoice.id,
            amount=amount,
            method=method,
            reference=reference,
            paid_on=paid_on or self._press.pen.today,
            recorded_at=self._clock.now(),
            recorded_by=by,
        )
        return await self._rows.pay(payment, invoice.usage_point_id)

    # -- below ---------------------------------------------------------------------------------------------

    async def _difference(self, invoice: Invoice) -> tuple[Standing, Earlier, Difference | None]:
        standing = await self._press.standing(invoice.usage_point_id, invoice.starts_on)
        earlier = next(one for one in standing.earlier if one.id == invoice.id)
        return (
            standing,
            earlier,
            await self._press.drafts.difference(standing, earlier, await self._press.heard_of_none()),
        )

    async def _share(self, invoice: Invoice) -> CreditShare:
        """What readings give back on an invoice by now, when it is this very one that charged it all."""
        standing, _, found = await self._difference(invoice)
        mine = mine_of(standing, invoice.customer.customer_id)
        shares = shares_of([found], mine) if found is not None else []
        if not shares:
            raise Conflict("credit_note.nothing_to_give", number=invoice.number)
        if len(shares) > 1 or shares[0].on.id != invoice.id:
            raise Conflict("credit_note.with_next_invoice", number=invoice.number)
        return shares[0]

    async def _issued(self, invoice_id: str, *, created: bool) -> Issued:
        document, digest = await self.document(invoice_id)
        return Issued(invoice=read_invoice(document), sha256=digest, created=created)


def unknown(invoice_id: str) -> NotFound:
    """What is said of an invoice that is not there, and of one that is somebody else's."""
    return NotFound("invoice.unknown", invoice_id=invoice_id)


def _overlap(usage_point_id: str, there: Earlier) -> Conflict:
    return Conflict(
        "invoice.period_billed",
        usage_point_id=usage_point_id,
        number=there.number,
        starts_on=there.days.starts_on.isoformat(),
        ends_on=there.days.ends_on.isoformat(),
    )


def _is_money(amount: Decimal) -> bool:
    """Whether it is an amount that somebody may owe: not nothing, and in whole cents."""
    return amount.is_finite() and 0 < abs(amount) < MONEY_MAX and amount == cents(amount)


def _tidy(note: str) -> str:
    """A note in one line. Raises: Invalid."""
    tidy = " ".join(note.split())
    if len(tidy) > NOTE_MAX or not tidy.isprintable():
        raise Invalid("invoice.note_malformed", max_length=NOTE_MAX)
    return tidy
