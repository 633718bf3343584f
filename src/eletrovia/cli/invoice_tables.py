"""Invoices on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from eletrovia.cli.numbers import money, number
from eletrovia.cli.terminal import Terminal
from eletrovia.metering.bill import Bill, TaxShare
from eletrovia.metering.billwords import said
from eletrovia.metering.invoice import Invoice, MonthUse, RegisterRow

_BARS = " ▁▂▃▄▅▆▇█"
_FLAGS = {"green": "green", "yellow": "yellow", "red1": "red", "red2": "bold red"}


def list_of(terminal: Terminal, invoices: Sequence[dict[str, Any]]) -> Table:
    """Invoices in a table, newest first."""
    table = _table(terminal, ("number", "usage_point", "period", "due"), ("kwh", "total", "open"))
    for told in invoices:
        open_ = Decimal(told["open"])
        table.add_row(
            told["number"],
            told["usage_point_id"],
            _days(told["starts_on"], told["ends_on"]),
            told["due_on"],
            _kwh(terminal, int(told["energy_wh"])),
            money(Decimal(told["total"]), told["currency"], terminal.language),
            Text(
                money(open_, told["currency"], terminal.language),
                style="yellow" if open_ > 0 else "green",
            ),
        )
    return table


def invoice_of(terminal: Terminal, told: dict[str, Any], invoice: Invoice) -> Iterable[RenderableType]:
    """One invoice whole: who, how much, why, and what became of it."""
    language, currency = terminal.language, invoice.bill.currency
    head = Text.assemble(
        (f"{invoice.issuer.name}  ", "bold"),
        (f"{invoice.number}\n", "dim"),
        f"{invoice.customer.name} · {invoice.usage_point_id} · {_days(invoice.starts_on, invoice.ends_on)}\n",
        (money(invoice.to_pay, currency, language), "bold"),
        f" · {terminal.text('invoices.due', on=str(invoice.due_on))}",
    )
    yield Panel(head, expand=False)
    yield _history(invoice.history, invoice.month)
    yield Text()
    yield lines_of(terminal, invoice, told.get("lines"))
    if invoice.taxes:
        yield Text()
        yield taxes_of(terminal, invoice.taxes)
    if invoice.registers:
        yield Text()
        yield registers_of(terminal, invoice.registers)
    yield from doubts_of(terminal, invoice)
    yield Text()
    for note in told.get("credit_notes", []):
        what = terminal.text("invoices.credited", number=note["number"], note=note["note"] or note["reason"])
        yield Text(f"{what}  −{money(Decimal(note['amount']), currency, language)}")
    for paid in told.get("payments", []):
        what = terminal.text(
            "invoices.paid", on=paid["paid_on"], method=paid["method"], reference=paid["reference"]
        )
        yield Text(f"{what}  {money(Decimal(paid['amount']), currency, language)}")
    open_ = Decimal(told["open"])
    yield Text(
        f"{terminal.text('invoices.open')}: {money(open_, currency, language)}",
        style="bold yellow" if open_ > 0 else "bold green",
    )


def lines_of(terminal: Terminal, of: Invoice | Bill, words: Sequence[str] | None = None) -> Table:
    """What is paid for, line by line, and the sum."""
    language = terminal.language
    bill = of.bill if isinstance(of, Invoice) else of
    table = _table(terminal, ("line",), ("kwh", "unit_price", "amount"))
    for place, line in enumerate(of.lines):
        text = words[place] if words is not None else said(line, language.value)
        style = _FLAGS.get(str(line.facts.get("flag")), "") if line.kind == "flag" else ""
        table.add_row(
            Text(text, style=style),
            "" if line.quantity_kwh is None else _kwh(terminal, int(line.quantity_kwh * 1000)),
            "" if line.unit_price is None else number(line.unit_price, language, 5),
            money(line.amount, bill.currency, language),
        )
    table.add_section()
    total = money(of.total, bill.currency, language)
    table.add_row(terminal.text("invoices.total"), "", "", total, style="bold")
    if isinstance(of, Invoice) and of.set_offs:
        for one in of.set_offs:
            what = terminal.text("invoices.set_off", number=one.number)
            table.add_row(what, "", "", money(-one.amount, bill.currency, language))
        table.add_row(
            terminal.text("invoices.to_pay"), "", "", money(of.to_pay, bill.currency, language), style="bold"
        )
    return table


def taxes_of(terminal: Terminal, taxes: Sequence[TaxShare]) -> Table:
    """The taxes inside the prices."""
    table = _table(terminal, ("tax",), ("base", "rate", "amount"))
    for tax in taxes:
        rate = number(tax.rate * 100, terminal.language, 2).rstrip("0").rstrip(".,")
        table.add_row(
            tax.name,
            number(tax.base, terminal.language, 2),
            f"{rate}%",
            number(tax.amount, terminal.language, 2),
        )
    return table


def registers_of(terminal: Terminal, registers: Sequence[RegisterRow]) -> Table:
    """Each meter's readings at both ends."""
    table = _table(terminal, ("meter",), ("previous", "current", "kwh"))
    for row in registers:
        table.add_row(
            row.meter_id,
            *(_kwh(terminal, wh) for wh in (row.opening_wh, row.closing_wh, row.energy_wh)),
        )
    return table


def doubts_of(terminal: Terminal, of: Invoice | Any) -> Iterable[RenderableType]:
    """What is not quite certain about it."""
    if of.bill.estimated_wh:
        yield Text(
            terminal.text("invoices.estimated", kwh=_kwh(terminal, of.bill.estimated_wh)), style="yellow"
        )
    if of.unread_since is not None:
        at = of.unread_since.astimezone(terminal.zone)
        yield Text(terminal.text("invoices.unread", at=f"{at:%Y-%m-%d %H:%M}"), style="yellow")


def _history(history: Sequence[MonthUse], now: date) -> Text:
    """A bar for each month, this one bright."""
    most = max([use.energy_wh for use in history] + [1])
    drawn = Text()
    for use in history:
        style = "bold cyan" if use.month == now else "cyan"
        drawn.append(_BARS[-(-use.energy_wh * (len(_BARS) - 1) // most)] * 2 + " ", style=style)
    drawn.append("\n")
    for use in history:
        drawn.append(f"{use.month.month:02} ", style="dim")
    return drawn


def _table(terminal: Terminal, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in left:
        table.add_column(terminal.text(f"column.{name}"))
    for name in right:
        table.add_column(terminal.text(f"column.{name}"), justify="right", no_wrap=True)
    return table


def _days(starts_on: Any, ends_on: Any) -> str:
    last = (ends_on if isinstance(ends_on, date) else date.fromisoformat(ends_on)) - timedelta(days=1)
    return f"{starts_on} … {last}"


def _kwh(terminal: Terminal, energy_wh: int) -> str:
    return number(Decimal(energy_wh) / 1000, terminal.language, 0 if energy_wh % 1000 == 0 else 3)
