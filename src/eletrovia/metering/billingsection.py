"""What bills say of a customer: told when they ask, and kept when they are erased, as the law demands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Conflict
from eletrovia.metering.invoice import CreditNote, Invoice, Payment
from eletrovia.metering.invoicestore import read_invoice
from eletrovia.metering.monthrun import MonthRun
from eletrovia.metering.press import Press
from eletrovia.metering.section import Kept, kept_until
from eletrovia.metering.standing import month_holding
from eletrovia.store.pool import Connection

_PAGE: Final = 100


class BilledDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice with all that belongs to it."""

    invoice: Invoice
    credit_notes: list[CreditNote]
    payments: list[Payment]


class BillingSection:
    """Bills' share in telling and erasing: a ``section.Section``."""

    def __init__(self, press: Press) -> None:
        self.name = "invoices"
        self._press = press

    async def export(self, customer_id: str) -> Any:
        """Every invoice with its credit notes and payments, oldest first."""
        rows = self._press.rows
        told: list[BilledDocument] = []
        before: str | None = None
        while True:
            page = await rows.summaries(customer_id=customer_id, before=before, limit=_PAGE)
            for summary in page:
                found = await rows.document(summary.id)
                if found is not None:
                    told.append(
                        BilledDocument(
                            invoice=read_invoice(found[0]),
                            credit_notes=await rows.notes(summary.id),
                            payments=await rows.payments(summary.id),
                        )
                    )
            if len(page) < _PAGE:
                return told[::-1]
            before = page[-1].id

    async def settle(self, customer_id: str) -> None:
        """Issue what is left to bill, up to and without today.

        Raises: Conflict, as issuing itself, while a bill has to wait.
        """
        today = self._press.pen.today
        for point, billed_until in await self._press.stands.places(customer_id):
            standing = await self._press.standing(point, today)
            stays = [one for one in standing.stays if one.customer_id == customer_id]
            begun = max(standing.contracts[0].valid_from, min(stay.from_on for stay in stays))
            ended = max(today if stay.until_on is None else min(stay.until_on, today) for stay in stays)
            since = begun if billed_until is None else max(begun, billed_until)
            if since >= ended:
                continue
            month = month_holding(standing.contracts, since)
            last = month_holding(standing.contracts, ended - timedelta(days=1))
            while month <= last:
                run = MonthRun(self._press, month, only=customer_id, until=ended)
                report = await run.over([point])
                if report.held:
                    held = report.held[0]
                    raise Conflict(held.code, **{"usage_point_id": point} | held.facts)
                month = (month + timedelta(days=32)).replace(day=1)

    async def erase(self, connection: Connection, customer_id: str, now: datetime) -> Sequence[Kept]:
        """Erases nothing: fiscal documents are kept whole until nobody can ask for the taxes in them."""
        return [
            Kept(what=what, count=count, until=kept_until(last_at.date()))
            for what, count, last_at in await self._press.rows.kept(connection, customer_id)
        ]
