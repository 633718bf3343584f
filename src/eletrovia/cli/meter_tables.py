"""Meters and customers on the screen."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from eletrovia.cli.sentences import reason_of
from eletrovia.cli.terminal import Terminal

_STYLES: Final = {"in_service": "green", "blocked": "bold red", "removed": "dim"}


def draw_meters(terminal: Terminal, meters: list[Any], none: str) -> None:
    """A table, one line a meter."""
    if not meters:
        terminal.err.print(terminal.text(none), markup=False)
        return
    table = _table(terminal, "meter", "state", "usage_point", "area", "customer")
    for one in meters:
        state = str(one["state"])
        table.add_row(
            Text(one["id"]),
            Text(terminal.text(f"meter.state.{state}"), style=_STYLES.get(state, "")),
            Text(one.get("usage_point_id") or ""),
            Text(one.get("area") or ""),
            Text(one.get("customer_id") or ""),
        )
    terminal.show(table)


def draw_registered(terminal: Terminal, items: list[Any]) -> None:
    """What became of each new meter, with its secrets."""
    kept = [one["registered"] for one in items if one.get("registered")]
    if kept:
        names = [terminal.text(f"column.{name}") for name in ("meter", "number", "claim_code", "device_key")]
        rows = [
            [one["id"], str(one["number"]), one.get("claim_code") or "", one["device_key"]] for one in kept
        ]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        # No table: it would cut to the screen's width what is shown this once.
        for row in (names, *rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            terminal.out.print(line, soft_wrap=True, markup=False, style="dim" if row is names else None)
    refused = [one for one in items if one.get("problem")]
    if refused:
        table = _table(terminal, "meter", "problem")
        for one in refused:
            problem = one["problem"]
            said = reason_of(problem["code"], problem.get("facts", {}), terminal.language)
            table.add_row(Text(one["id"]), Text(said))
        terminal.show(table)


def draw_customers(terminal: Terminal, customers: list[Any]) -> None:
    """A table, one line a customer."""
    table = _table(terminal, "id", "name", "tax_id", "email")
    for one in customers:
        table.add_row(
            Text(one["id"]), Text(one["name"]), Text(one.get("tax_id") or ""), Text(one.get("email") or "")
        )
    terminal.show(table)


def draw_sheet(terminal: Terminal, told: dict[str, Any]) -> None:
    """A customer with where they live and lived."""
    customer = told["customer"]
    draw_customers(terminal, [customer])
    if customer.get("address"):
        lines = str(customer["address"]).splitlines()
        terminal.show(Text(f"{terminal.text('customer.address')}: {', '.join(lines)}"))
    table = _table(terminal, "usage_point", "area", "since", "until", "meter")
    for stay in told["stays"]:
        table.add_row(
            Text(stay["usage_point_id"]),
            Text(stay["area"]),
            _day(terminal, stay["from_at"]),
            _day(terminal, stay["until_at"]),
            Text(" ".join(stay["meter_ids"])),
        )
    if table.row_count:
        terminal.show("", table)


def draw_kept(terminal: Terminal, kept: list[Any]) -> None:
    """What an erasure had to leave, and why."""
    table = _table(terminal, "kept", "count", "until", "law")
    for one in kept:
        word = one["what"] if one["what"] in ("stays", "invoices") else "other"
        table.add_row(
            terminal.text(f"customer.kept.{word}"), str(one["count"]), str(one.get("until") or ""), one["law"]
        )
    if table.row_count:
        terminal.show(table)


def _table(terminal: Terminal, *names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(terminal.text(f"column.{name}"))
    return table


def _day(terminal: Terminal, moment: str | None) -> str:
    if moment is None:
        return ""
    return f"{datetime.fromisoformat(moment).astimezone(terminal.zone):%Y-%m-%d %H:%M}"
