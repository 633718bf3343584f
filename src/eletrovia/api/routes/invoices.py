"""/api/v1/invoices: what is billed, as JSON and as a PDF; issuing, crediting, paying."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from litestar import MediaType, Response, Router, get, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, FromPath, FromQuery, HeaderParameter, QueryParameter

from eletrovia.api.auth import Asked, signed_in, staff_only
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.api.problems import language_of
from eletrovia.api.wanted import KEY
from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.metering.access import Access
from eletrovia.metering.billwords import said
from eletrovia.metering.invoice import (
    Account,
    CreditNote,
    Invoice,
    Method,
    MonthUse,
    Payment,
    Reason,
    Summary,
)
from eletrovia.metering.invoices import Invoices, Preview, Review, unknown
from eletrovia.metering.monthrun import MonthReport
from eletrovia.metering.paper import Paper, compared_with
from eletrovia.people.account import Who
from eletrovia.people.people import People

MONTH_AT_ONCE: Final = 1000
_MONTH: Final = r"^\d{4}-(0[1-9]|1[0-2])$"

Month = Annotated[str, msgspec.Meta(pattern=_MONTH)]
InvoiceId = FromPath[str]
PaperLanguage = Annotated[
    Literal["en", "pt-BR"] | None, QueryParameter(description="The customer's own when left out.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Before = Annotated[str | None, QueryParameter(max_length=64, description="An invoice's id.")]
Key = Annotated[
    str | None,
    HeaderParameter(name="Idempotency-Key", description="Required: the same key is the same credit note."),
]


class InvoicePage(msgspec.Struct, frozen=True, kw_only=True):
    """Invoices, newest period first. ``next`` is the ``before`` of the following page; null on the last."""

    invoices: list[Summary]
    next: str | None = None


class InvoiceTold(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as it was issued, explained, and where it stands now.

    Shape:  ``lines`` says each of the invoice's lines in words, those of earlier periods last; ``sha256`` is
            that of the octets at ``document``; ``compared_with`` the month before and the same a year ago.
    """

    invoice: Invoice
    lines: list[str]
    compared_with: list[MonthUse]
    sha256: str
    account: Account
    open: Decimal
    credit_notes: list[CreditNote]
    payments: list[Payment]


class IssueWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One invoice by ``usage_point_id``, ``starts_on`` and ``ends_on`` (not included), or a ``month``'s.

    Shape:  ``despite`` is a note why one is issued although something is doubtful; a month goes on behind
            ``after``, with ``limit`` usage points at most, or those of ``usage_point_ids``.
    """

    usage_point_id: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    despite: str = ""
    month: Month | None = None
    usage_point_ids: Annotated[list[str], msgspec.Meta(max_length=MONTH_AT_ONCE)] | None = None
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MONTH_AT_ONCE)] = 200


class CreditWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money to give back. For ``readings`` the amount follows from them and is left out."""

    reason: Reason
    amount: Decimal | None = None
    note: str = ""


class PaymentSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that came in; ``reference`` is the bank's. A refund goes back: its amount is below nothing."""

    amount: Decimal
    method: Method
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    paid_on: date | None = None


_PDF: Final = {
    200: ResponseSpec(data_container=bytes, description="The bill on A4.", media_type="application/pdf")
}


def invoices(bills: Invoices, paper: Paper, access: Access, people: People) -> Router:
    """A customer's own invoices; all of them for staff."""

    async def seen(invoice_id: str, who: Who) -> str:
        # The same words as for an invoice that is not there: nobody learns which numbers exist.
        if not who.is_staff and not await bills.is_of(invoice_id, who.account_id):
            raise unknown(invoice_id)
        return invoice_id

    async def told(invoice_id: str, language: str) -> InvoiceTold:
        document, digest = await bills.document(invoice_id)
        invoice = bills.read(document)
        account = await bills.account(invoice.id)
        return InvoiceTold(
            invoice=invoice,
            lines=[said(line, language) for line in invoice.lines],
            compared_with=compared_with(invoice),
            sha256=digest.hex(),
            account=account,
            open=account.open,
            credit_notes=await bills.notes(invoice.id),
            payments=await bills.payments(invoice.id),
        )

    @get("/", responses=problems(422, signed_in=True), summary="Invoices", tags=["billing"])
    async def listed(
        request: Asked,
        usage_point_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
        customer_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
        month: Annotated[str | None, QueryParameter(pattern=_MONTH, description="e.g. 2026-09")] = None,
        mine: FromQuery[bool] = False,
        limit: Limit = 20,
        before: Before = None,
    ) -> InvoicePage:
        """Yours; staff sees all unless `mine` is true. A page at a time, newest period first."""
        who = request.user
        found = await bills.summaries(
            account_id=None if who.is_staff and not mine else who.account_id,
            customer_id=customer_id,
            usage_point_id=usage_point_id,
            month=None if month is None else _first(month),
            before=before,
            limit=limit,
        )
        return InvoicePage(invoices=found, next=found[-1].id if len(found) == limit else None)

    @get("/preview", responses=problems(404, 422, signed_in=True), summary="Preview", tags=["billing"])
    async def preview(
        request: Asked, usage_point_id: FromQuery[str], starts_on: FromQuery[date], ends_on: FromQuery[date]
    ) -> Preview:
        """What these days (`ends_on` not included) would cost as far as readings go. Nothing is issued."""
        windows = await access.usage_point(
            request.user.account_id, usage_point_id, is_staff=request.user.is_staff
        )
        if not any(_holds(bills, window, starts_on, ends_on) for window in windows):
            raise Invalid("invoice.not_your_days", usage_point_id=usage_point_id)
        return await bills.preview(usage_point_id, starts_on, ends_on)

    @get(
        "/{invoice_id:str}", responses=problems(404, signed_in=True), summary="One invoice", tags=["billing"]
    )
    async def one(request: Asked, invoice_id: InvoiceId) -> InvoiceTold:
        """By its id or its number: the document, its lines in words, payments and credit notes."""
        await seen(invoice_id, request.user)
        return await told(invoice_id, language_of(request.headers.get("accept-language", "")[:200]))

    @get(
        "/{invoice_id:str}/document",
        media_type=MediaType.JSON,
        responses=problems(404, signed_in=True),
        summary="The document itself",
        response_headers=[ResponseHeader(name="etag", description="Its SHA-256.", documentation_only=True)],
        tags=["billing"],
    )
    async def document(request: Asked, invoice_id: InvoiceId) -> Response[bytes]:
        """The invoice as it was issued, to the octet: what its SHA-256 is of."""
        await seen(invoice_id, request.user)
        octets, digest = await bills.document(invoice_id)
        return Response(
            octets, media_type=MediaType.JSON, headers={"etag": f'"{digest.hex()}"', **_KEPT_PRIVATE}
        )

    @get(
        "/{invoice_id:str}/pdf",
        media_type="application/pdf",
        responses={**problems(404, 422, signed_in=True), **_PDF},
        summary="On paper",
        tags=["billing"],
    )
    async def pdf(request: Asked, invoice_id: InvoiceId, language: PaperLanguage = None) -> Response[bytes]:
        """The bill as a PDF, in the customer's language or the one asked for."""
        await seen(invoice_id, request.user)
        octets, digest = await bills.document(invoice_id)
        invoice = bills.read(octets)
        made = await paper.invoice(invoice, digest, language)
        named = f'inline; filename="{invoice.number}.pdf"'
        return Response(
            made,
            media_type="application/pdf",
            headers={"content-disposition": named, **_KEPT_PRIVATE},
        )

    @post(
        "/",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Issue one, or a month (staff)",
        description=(
            "One: 201, or 200 with the invoice that stands. A month: 200 with a report, `limit` usage points "
            "at a time; go on with `after` set to its `next` until that is null."
        ),
        tags=["billing"],
    )
    async def issue(
        request: Asked,
        data: Annotated[
            IssueWanted,
            Body(examples=example("a month", {"month": "2026-09"})),
        ],
    ) -> Response[InvoiceTold | MonthReport]:
        if data.month is not None:
            if data.usage_point_id or data.starts_on or data.ends_on or data.despite:
                raise Invalid("invoice.one_or_month")
            report = await bills.issue_month(
                _first(data.month), points=data.usage_point_ids, after=data.after, limit=data.limit
            )
            return Response(report, status_code=200)
        if not data.usage_point_id or data.starts_on is None or data.ends_on is None:
            raise Invalid("invoice.one_or_month")
        issued = await bills.issue(data.usage_point_id, data.starts_on, data.ends_on, despite=data.despite)
        language = language_of(request.headers.get("accept-language", "")[:200])
        return Response(
            await told(issued.invoice.id, language),
            status_code=201 if issued.created else 200,
            headers={"location": f"/api/v1/invoices/{issued.invoice.id}"},
        )

    @get(
        "/{invoice_id:str}/review",
        guards=[staff_only],
        responses=problems(403, 404, signed_in=True),
        summary="What readings say now (staff)",
        tags=["billing"],
    )
    async def review(invoice_id: InvoiceId) -> Review:
        """An invoice beside what its days would cost by now."""
        return await bills.review(invoice_id)

    @post(
        "/{invoice_id:str}/credit-notes",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Credit (staff)",
        tags=["billing"],
    )
    async def credit(
        request: Asked,
        invoice_id: InvoiceId,
        data: Annotated[
            CreditWanted, Body(examples=example("kindness", {"reason": "goodwill", "amount": "10.00"}))
        ],
        idempotency_key: Key = None,
    ) -> CreditNote:
        """A credit note: its own document. The invoice stays as it is, and is never exceeded."""
        if idempotency_key is None or not KEY.fullmatch(idempotency_key):
            raise Invalid("credit_note.key_missing")
        return await bills.credit(
            invoice_id,
            reason=data.reason,
            amount=data.amount,
            note=data.note,
            request_id=idempotency_key,
            by=request.user.account_id,
        )

    @post(
        "/{invoice_id:str}/payments",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Record a payment (staff)",
        tags=["billing"],
    )
    async def pay(
        request: Asked,
        invoice_id: InvoiceId,
        data: Annotated[
            PaymentSeen,
            Body(examples=example("by Pix", {"amount": "150.00", "method": "pix", "reference": "E1"})),
        ],
    ) -> Payment:
        """The same reference again is the same payment."""
        return await bills.pay(
            invoice_id,
            amount=data.amount,
            method=data.method,
            reference=data.reference,
            paid_on=data.paid_on,
            by=request.user.account_id,
        )

    return Router(
        "/invoices",
        route_handlers=[listed, preview, one, document, pdf, issue, review, credit, pay],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )


_KEPT_PRIVATE: Final = {"cache-control": "private, no-cache"}


def _first(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


def _holds(bills: Invoices, window: Window, starts_on: date, ends_on: date) -> bool:
    """Whether somebody lived there on all these days; days are whole, as on a bill."""
    first, end = bills.day_of(window.starts_at), bills.day_of(window.ends_at)
    return first <= starts_on and ends_on <= end
