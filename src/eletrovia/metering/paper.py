"""Bills on paper: a document's words and numbers laid out on A4, as a PDF."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import segno
import typst

from eletrovia.metering.bill import BillLine
from eletrovia.metering.invoice import Billed, Invoice, MonthUse, RegisterRow
from eletrovia.metering.paperwords import PORTUGUESE, Speech

TEMPLATE: Final = Path(__file__).with_name("invoice.typ")
_MUCH: Final = Decimal("0.3")
_CODE_ROW: Final = 88

Said = Callable[[BillLine, str], str]
"""A bill's line in a language's words."""


class Paper:
    """Makes PDFs, one at a time, off the event loop. ``said`` puts a line in words.

    The same document in the same language gives the same octets: fonts are the compiler's own, and the PDF's
    date is the document's.
    """

    def __init__(self, zone: ZoneInfo, said: Said) -> None:
        self._zone = zone
        self._said = said
        self._compiler: typst.Compiler | None = None
        self._busy = threading.Lock()

    async def invoice(self, invoice: Invoice, sha256: bytes, language: str | None = None) -> bytes:
        """The bill as a PDF, in the customer's language or another."""
        return await asyncio.to_thread(self.render, invoice, sha256, language)

    def render(self, invoice: Invoice, sha256: bytes, language: str | None = None) -> bytes:
        """Likewise, here and now."""
        told = self.told(invoice, sha256, Speech(language or invoice.customer.language))
        inputs = {"data": msgspec.json.encode(told, enc_hook=str).decode()}
        with self._busy:
            if self._compiler is None:
                self._compiler = typst.Compiler(
                    TEMPLATE, root=TEMPLATE.parent, font_paths=typst.Fonts(include_system_fonts=False)
                )
            made = self._compiler.compile(
                format="pdf", sys_inputs=inputs, timestamp=int(invoice.issued_at.timestamp())
            )
        if not isinstance(made, bytes):
            raise TypeError("a PDF is one piece of octets")
        return made

    def told(self, invoice: Invoice, sha256: bytes, speech: Speech) -> dict[str, Any]:
        """Everything that stands on the paper, as text, and the few numbers that draw it."""
        currency = invoice.bill.currency
        text = speech.text
        local = invoice.issued_at.astimezone(self._zone)
        return {
            "lang": "pt" if speech.language == PORTUGUESE else "en",
            "region": "BR" if speech.language == PORTUGUESE else "GB",
            "title": text("title"),
            "utility": invoice.issuer.name,
            "number_label": text("number"),
            "number": invoice.number,
            "issued": text("issued", on=speech.day(local.date())),
            "date": {"year": local.year, "month": local.month, "day": local.day},
            "customer": {
                "label": text("customer"),
                "name": invoice.customer.name,
                "lines": _customer_lines(invoice.customer),
            },
            "facts": _facts(invoice, speech),
            "month": speech.long_month(invoice.month),
            "period": _period(invoice, speech),
            "pay": {
                "label": text("to_pay" if invoice.to_pay else "nothing_to_pay"),
                "amount": speech.money(invoice.to_pay, currency),
                "plain": speech.number(invoice.to_pay, 2),
                "due": text("due", on=speech.day(invoice.due_on)) if invoice.to_pay else "",
                "how_label": text("pay.how"),
                "how": text("pay.ask", contact=invoice.issuer.contact or invoice.issuer.name),
            },
            **_use(invoice, speech),
            "lines_label": text("lines"),
            "columns": [
                text("column.kwh"),
                text("column.unit_price"),
                f"{text('column.amount')} ({speech.money(Decimal(0), currency).split(chr(160))[0]})",
            ],
            "lines": [self._line(line, speech) for line in invoice.lines],
            "total_label": text("total"),
            "total": speech.number(invoice.total, 2),
            "set_offs": [
                {"said": text("set_off", number=one.number), "amount": f"−{speech.number(one.amount, 2)}"}
                for one in invoice.set_offs
            ],
            "taxes_label": text("taxes"),
            "taxes_none": text("taxes.none"),
            "tax_columns": [text(f"column.{name}") for name in ("tax", "base", "rate", "amount")],
            "taxes": [
                {
                    "name": tax.name,
                    "base": speech.number(tax.base, 2),
                    "rate": speech.share(tax.rate),
                    "amount": speech.number(tax.amount, 2),
                }
                for tax in invoice.taxes
            ],
            "readings_label": text("readings"),
            "reading_columns": [text(f"column.{name}") for name in ("meter", "previous", "current", "used")],
            "registers": [self._register(row, speech) for row in invoice.registers],
            "notes": self._notes(invoice, speech),
            "pix": _pix(invoice, speech),
            "help_label": text("help"),
            "help": _help(invoice, speech),
            "help_say": text("help.say", number=invoice.number),
            "sources": text("sources", sources="; ".join(invoice.bill.sources))
            if invoice.bill.sources
            else "",
            "digest_label": text("digest"),
            "digest": sha256.hex(),
            "page": text("page", n="{n}", all="{all}"),
        }

    def _line(self, line: BillLine, speech: Speech) -> dict[str, str]:
        if line.kind == "late":
            energy_wh: int | None = int(line.facts["energy_wh"])
        else:
            energy_wh = None if line.quantity_kwh is None else int(line.quantity_kwh * 1000)
        return {
            "said": self._said(line, speech.language),
            "flag": flag_of(line),
            "kwh": "" if energy_wh is None else speech.kwh(energy_wh),
            "price": "" if line.unit_price is None else speech.price(line.unit_price),
            "amount": speech.number(line.amount, 2).replace("-", "−"),
        }

    def _register(self, row: RegisterRow, speech: Speech) -> dict[str, str]:
        def said(moment: Any, measured: bool) -> str:
            day = speech.short_day(moment.astimezone(self._zone).date())
            return f"{day}, {speech.text('read' if measured else 'estimated')}"

        return {
            "meter": row.meter_id,
            "opening": speech.kwh(row.opening_wh),
            "opening_said": said(row.from_at, row.opening_measured),
            "closing": speech.kwh(row.closing_wh),
            "closing_said": said(row.until_at, row.closing_measured),
            "used": speech.kwh(row.energy_wh),
        }

    def _notes(self, invoice: Invoice, speech: Speech) -> list[str]:
        notes = []
        bill = invoice.bill
        if bill.estimated_wh and bill.energy_wh:
            share = Decimal(bill.estimated_wh) / bill.energy_wh
            notes.append(
                speech.text(
                    "estimated.share",
                    share=speech.share(share.quantize(Decimal("0.001"))),
                    kwh=speech.kwh(bill.estimated_wh),
                )
                + (f" {speech.text('estimated.much')}" if share >= _MUCH else "")
            )
        if invoice.unread_since is not None:
            since = invoice.unread_since.astimezone(self._zone)
            notes.append(speech.text("unread", at=speech.moment(since)))
        if invoice.note:
            notes.append(speech.text("looked_at", note=invoice.note))
        return notes


def flag_of(line: BillLine) -> str:
    """The colour of a flag's line; empty for all others."""
    return str(line.facts.get("flag", "none")) if line.kind == "flag" else ""


def masked_tax_id(tax_id: str | None) -> str:
    """A CPF without its first and last digits, a CNPJ whole: what may lie open in a letterbox."""
    if not tax_id:
        return ""
    if len(tax_id) == 11:
        return f"CPF ***.{tax_id[3:6]}.{tax_id[6:9]}-**"
    return f"CNPJ {tax_id[:2]}.{tax_id[2:5]}.{tax_id[5:8]}/{tax_id[8:12]}-{tax_id[12:]}"


def compared_with(invoice: Invoice) -> list[MonthUse]:
    """The months that this one is held against: the one before, and the same a year ago, where known."""
    month = invoice.month
    before = (month.replace(day=1).toordinal()) - 1
    wanted = [date.fromordinal(before).replace(day=1), month.replace(year=month.year - 1)]
    known = {use.month: use for use in invoice.history}
    return [known[one] for one in wanted if one in known]


def _customer_lines(customer: Billed) -> list[str]:
    written = [line.strip() for line in customer.address.splitlines()]
    return [line for line in (*written, masked_tax_id(customer.tax_id)) if line]


def _facts(invoice: Invoice, speech: Speech) -> list[tuple[str, str]]:
    meters = list(dict.fromkeys(row.meter_id for row in invoice.registers))
    terms = invoice.terms
    connection = [speech.text(f"phases.{terms.phases}")]
    if terms.low_income:
        connection.append(speech.text("low_income"))
    facts = [(speech.text("usage_point"), invoice.usage_point_id)]
    if meters:
        facts.append((speech.text("meters" if len(meters) > 1 else "meter"), ", ".join(meters)))
    return [
        *facts,
        (speech.text("connection"), ", ".join(connection)),
        (speech.text("tariff"), invoice.tariff_name or terms.tariff_id),
    ]


def _period(invoice: Invoice, speech: Speech) -> str:
    days = (invoice.ends_on - invoice.starts_on).days
    starts = speech.short_day(invoice.starts_on)
    if days == 1:
        return speech.text("period.one_day", starts=starts)
    last = date.fromordinal(invoice.ends_on.toordinal() - 1)
    return speech.text("period.of", starts=starts, ends=speech.short_day(last), days=str(days))


def _use(invoice: Invoice, speech: Speech) -> dict[str, Any]:
    now = MonthUse(
        month=invoice.month,
        energy_wh=invoice.bill.energy_wh,
        days=(invoice.ends_on - invoice.starts_on).days,
    )
    held_against = compared_with(invoice)
    most = max([use.energy_wh for use in invoice.history] + [1])
    shown = invoice.history[-13:]
    return {
        "history_label": speech.text("history"),
        "history": [
            {
                "month": speech.month(use.month),
                "year": str(use.month.year) if place == 0 or use.month.month == 1 else "",
                "kwh": speech.round_kwh(use.energy_wh),
                "share": use.energy_wh / most,
                "now": use.month == invoice.month,
                "compared": use in held_against,
            }
            for place, use in enumerate(shown)
        ],
        "used_label": speech.text("used"),
        "used": speech.round_kwh(now.energy_wh),
        "daily": speech.text("daily", daily=_daily(now, speech)),
        "compared_none": speech.text("compared.none"),
        "by_day": speech.text("compared.by_day"),
        "compared": [_comparison(now, then, speech) for then in held_against],
    }


def _comparison(now: MonthUse, then: MonthUse, speech: Speech) -> dict[str, Any]:
    """Held against another month by daily average: months have different lengths."""
    share = Decimal(0)
    if then.energy_wh and then.days and now.days:
        share = Decimal(now.energy_wh * then.days) / (then.energy_wh * now.days) - 1
    rounded = abs(share).quantize(Decimal("0.01"))
    key = "same" if not rounded else "more" if share > 0 else "less"
    return {
        "verdict": speech.text(f"compared.{key}", share=speech.share(rounded)),
        "more": key == "more",
        "with": speech.text(
            f"compared.{'as' if key == 'same' else 'than'}", month=speech.long_month(then.month)
        ),
        "then": speech.text(
            "compared.then", kwh=speech.round_kwh(then.energy_wh), daily=_daily(then, speech)
        ),
    }


def _daily(use: MonthUse, speech: Speech) -> str:
    return speech.number(Decimal(use.energy_wh) / 1000 / max(use.days, 1), 1)


def _pix(invoice: Invoice, speech: Speech) -> dict[str, Any]:
    code = invoice.pix
    return {
        "code": code,
        "rows": code_rows(code),
        "qr": _qr_svg(code) if code else "",
        "label": speech.text("pix"),
        "alt": speech.text("pix"),
        "how": speech.text("pix.how"),
    }


def code_rows(code: str, most: int = _CODE_ROW) -> list[str]:
    """A code cut into rows that give it back when put together; none begins or ends with a blank.

    Signs that only allow a break would be copied along, and blanks at a row's end would not.
    """
    rows = []
    while code:
        end = min(most, len(code))
        while end > 1 and " " in code[end - 1 : end + 1]:
            end -= 1
        rows.append(code[:end])
        code = code[end:]
    return rows


def _qr_svg(code: str) -> str:
    drawn = io.BytesIO()
    # One of the eight masks: to find the prettiest costs more than all the rest of the page.
    segno.make_qr(code, error="m", mask=0).save(
        drawn, kind="svg", border=4, xmldecl=False, svgns=True, omitsize=True
    )
    return drawn.getvalue().decode()


def _help(invoice: Invoice, speech: Speech) -> list[str]:
    issuer = invoice.issuer
    said = []
    if issuer.contact:
        said.append(speech.text("help.us", contact=issuer.contact))
    if issuer.regulator:
        said.append(speech.text("help.regulator", regulator=issuer.regulator))
    return said
