"""``eletrovia invoices``: yours, on screen and on paper; issuing, crediting and taking payments, as staff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from eletrovia.cli.server import Server

app = typer.Typer(
    name="invoices", help="Invoices: yours, on screen and on paper; issue and credit, as staff."
)

_AT_ONCE: Final = 100
_A_WHILE_S: Final = 300.0

InvoiceId = Annotated[str, typer.Argument(metavar="ID", help="The invoice's number or id, e.g. 2026-000123.")]
Point = Annotated[str, typer.Argument(metavar="POINT", help="The usage point.")]
Staff = Annotated[bool, typer.Option("--staff", metavar="", help="Look as the utility's staff.")]
Starts = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, e.g. 2026-09-01.")]
Ends = Annotated[str, typer.Option("--to", metavar="DATE", help="The day after the last, e.g. 2026-10-01.")]


@app.callback(invoke_without_command=True)
@client_verb
def default(terminal: Terminal) -> None:
    """Invoices: yours, on screen and on paper; issue and credit, as staff.

    [bold]Examples[/]

      eletrovia invoices

      eletrovia invoices show 2026-000123

      eletrovia invoices issue --month 2026-09
    """
    _list(terminal, staff=False, limit=20)


@app.command("list")
@client_verb
def listed(
    terminal: Terminal,
    staff: Staff = False,
    point: Annotated[str | None, typer.Option("--point", metavar="POINT", help="Of one usage point.")] = None,
    month: Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="Of one month.")] = None,
    before: Annotated[str | None, typer.Option("--before", metavar="ID", help="Older than this one.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many.")] = 20,
) -> None:
    """Your invoices, newest first; with --staff everybody's.

    [bold]Examples[/]

      eletrovia invoices list

      eletrovia invoices list --staff --month 2026-09 --json
    """
    _list(terminal, staff=staff, usage_point_id=point, month=month, before=before, limit=limit)


@app.command("show")
@client_verb
def show(terminal: Terminal, invoice_id: InvoiceId, staff: Staff = False) -> None:
    """One invoice: what for, line by line, and whether it is paid.

    [bold]Examples[/]

      eletrovia invoices show 2026-000123

      eletrovia invoices show 2026-000123 --staff --json
    """
    from eletrovia.cli.server import segment

    told = _server(terminal, staff).get(f"/invoices/{segment(invoice_id)}", dict[str, Any], signed_in=True)
    _show(terminal, told)


@app.command("pdf")
@client_verb
def pdf(
    terminal: Terminal,
    invoice_id: InvoiceId,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to (default: NUMBER.pdf).")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="en|pt-BR", help="Not the customer's own.")
    ] = None,
    staff: Staff = False,
) -> None:
    """An invoice on paper.

    [bold]Examples[/]

      eletrovia invoices pdf 2026-000123

      eletrovia invoices pdf 2026-000123 -o bill.pdf --language en
    """
    from eletrovia.cli.server import segment

    path = f"/invoices/{segment(invoice_id)}/pdf"
    answer = _server(terminal, staff).ask("GET", path, query={"language": language})
    file = out or Path(f"{segment(invoice_id)}.pdf")
    file.write_bytes(answer.body)
    if terminal.json:
        terminal.answer({"file": str(file), "octets": len(answer.body)})
    else:
        terminal.say("invoices.written", number=invoice_id, file=file)


@app.command("issue")
@client_verb
def issue(
    terminal: Terminal,
    points: Annotated[
        list[str] | None, typer.Argument(metavar="[POINT]...", help="Usage points; all of a month's without.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Periods that are called after it.")
    ] = None,
    starts_on: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="One: its first day.")
    ] = None,
    ends_on: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="The day after its last.")
    ] = None,
    despite: Annotated[
        str, typer.Option("--despite", metavar="NOTE", help="Why, although something is doubtful.")
    ] = "",
) -> None:
    """Issue a month's invoices, or one, as staff. What stands is never issued again.

    [bold]Examples[/]

      eletrovia invoices issue --month 2026-09

      eletrovia invoices issue --month 2026-09 UC-1 UC-2

      eletrovia invoices issue UC-1 --from 2026-09-01 --to 2026-09-18 --despite "moved out"
    """
    if month is not None and starts_on is None and ends_on is None and not despite:
        _issue_month(terminal, month, points)
    elif month is None and points is not None and len(points) == 1 and starts_on and ends_on:
        body = {
            "usage_point_id": points[0],
            "starts_on": starts_on,
            "ends_on": ends_on,
            "despite": despite,
        }
        _issue_one(terminal, body)
    else:
        raise Invalid("invoice.one_or_month")


@app.command("preview")
@client_verb
def preview(terminal: Terminal, point: Point, starts_on: Starts, ends_on: Ends, staff: Staff = False) -> None:
    """What days would cost as far as readings go. Nothing is issued.

    [bold]Examples[/]

      eletrovia invoices preview UC-1 --from 2026-10-01 --to 2026-11-01
    """
    import msgspec

    from eletrovia.cli.invoice_tables import doubts_of, lines_of, registers_of
    from eletrovia.cli.sentences import reason_of
    from eletrovia.metering.invoices import Preview

    told = _server(terminal, staff).get(
        "/invoices/preview",
        dict[str, Any],
        signed_in=True,
        usage_point_id=point,
        starts_on=starts_on,
        ends_on=ends_on,
    )
    if terminal.json:
        terminal.answer(told)
        return
    shown = msgspec.convert(told, Preview)
    terminal.show(terminal.text("invoices.preview", point=point, starts=starts_on, ends=ends_on), "")
    terminal.show(lines_of(terminal, shown.bill), "", registers_of(terminal, shown.registers))
    terminal.show(*doubts_of(terminal, shown))
    if shown.held is not None:
        reason = reason_of(shown.held, shown.held_facts, terminal.language)
        terminal.show(terminal.text("invoices.would_wait", reason=reason))


@app.command("review")
@client_verb
def review(terminal: Terminal, invoice_id: InvoiceId) -> None:
    """An invoice beside what readings say now, as staff.

    [bold]Examples[/]

      eletrovia invoices review 2026-000123
    """
    from decimal import Decimal

    from eletrovia.cli.numbers import number
    from eletrovia.cli.server import segment

    told = _server(terminal, staff=True).get(
        f"/invoices/{segment(invoice_id)}/review", dict[str, Any], signed_in=True
    )
    if terminal.json:
        terminal.answer(told)
        return
    facts = {
        name: number(Decimal(told[name]), terminal.language, 2) for name in ("charged", "now", "difference")
    }
    kwh = {
        f"{name}_kwh": number(Decimal(told[f"{name}_wh"]) / 1000, terminal.language, 3)
        for name in ("charged", "now")
    }
    terminal.show(terminal.text("invoices.review", number=told["number"], **facts, **kwh))


@app.command("credit")
@client_verb
def credit(
    terminal: Terminal,
    invoice_id: InvoiceId,
    amount: Annotated[
        str | None, typer.Argument(metavar="[AMOUNT]", help="How much; left out for --reason readings.")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="readings|correction|goodwill", help="Why.")
    ] = "correction",
    note: Annotated[str, typer.Option("--note", help="What the customer reads about it.")] = "",
    key: Annotated[
        str | None, typer.Option("--key", help="The same key is the same credit note, however often sent.")
    ] = None,
) -> None:
    """Give money back on an invoice by a credit note, as staff.

    [bold]Examples[/]

      eletrovia invoices credit 2026-000123 25.00 --reason goodwill --note "the power failed"

      eletrovia invoices credit 2026-000123 --reason readings
    """
    from decimal import Decimal

    from eletrovia.base.ids import new_secret
    from eletrovia.cli.numbers import money
    from eletrovia.cli.server import segment

    told = (
        _server(terminal, staff=True)
        .ask(
            "POST",
            f"/invoices/{segment(invoice_id)}/credit-notes",
            body={"reason": reason, "note": note} | ({} if amount is None else {"amount": amount}),
            headers={"Idempotency-Key": key or new_secret()},
        )
        .read(dict[str, Any])
    )
    if terminal.json:
        terminal.answer(told)
    else:
        shown = money(Decimal(told["amount"]), told["currency"], terminal.language)
        terminal.show(terminal.text("invoices.noted", number=told["number"], amount=shown))


@app.command("paid")
@client_verb
def paid(
    terminal: Terminal,
    invoice_id: InvoiceId,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="E.g. 150.00; below 0 for a refund.")],
    reference: Annotated[str, typer.Option("--reference", help="The bank's: the same one counts once.")],
    method: Annotated[
        str, typer.Option("--method", metavar="pix|boleto|cash|transfer|refund", help="How it came.")
    ] = "pix",
    on: Annotated[str | None, typer.Option("--on", metavar="DATE", help="The day (default: today).")] = None,
) -> None:
    """Record money that came in for an invoice, as staff.

    [bold]Examples[/]

      eletrovia invoices paid 2026-000123 150.00 --reference E18236120202610021530
    """
    from decimal import Decimal

    from eletrovia.cli.numbers import number
    from eletrovia.cli.server import segment

    server, path = _server(terminal, staff=True), f"/invoices/{segment(invoice_id)}"
    body = {"amount": amount, "method": method, "reference": reference}
    told = server.post(f"{path}/payments", dict[str, Any], body | ({} if on is None else {"paid_on": on}))
    if terminal.json:
        terminal.answer(told)
        return
    left = server.get(path, dict[str, Any], signed_in=True)["open"]
    shown = {
        name: number(Decimal(value), terminal.language, 2)
        for name, value in (("amount", told["amount"]), ("open", left))
    }
    terminal.show(terminal.text("invoices.recorded", **shown))


@app.command("contract")
@client_verb
def contract(
    terminal: Terminal,
    point: Point,
    tariff: Annotated[str, typer.Option("--tariff", metavar="ID", help="As `eletrovia tariffs` lists them.")],
    valid_from: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day it holds.")],
    phases: Annotated[int, typer.Option("--phases", min=1, max=3, help="How many phases.")] = 1,
    municipality: Annotated[str, typer.Option("--municipality", help="For public lighting.")] = "",
    low_income: Annotated[
        bool, typer.Option("--low-income", metavar="", help="The social tariff in its place.")
    ] = False,
    reading_day: Annotated[
        int, typer.Option("--reading-day", min=1, max=28, help="The day periods begin on.")
    ] = 1,
    due_days: Annotated[int, typer.Option("--due-days", min=1, max=90, help="Days to pay in.")] = 10,
) -> None:
    """Agree on terms for a usage point, as staff, from a day on that is not billed yet.

    [bold]Examples[/]

      eletrovia invoices contract UC-1 --tariff cariri-b1-convencional --from 2026-09-01

      eletrovia invoices contract UC-1 --tariff cariri-b1-branca --from 2026-10-01 --phases 3
    """
    from eletrovia.cli.server import segment

    body = {
        "valid_from": valid_from,
        "tariff_id": tariff,
        "phases": phases,
        "municipality": municipality,
        "low_income": low_income,
        "reading_day": reading_day,
        "due_days": due_days,
    }
    path = f"/usage-points/{segment(point)}/contract"
    told = _server(terminal, staff=True).ask("PUT", path, body=body).read(dict[str, Any])
    if terminal.json:
        terminal.answer(told)
    else:
        terminal.show(
            terminal.text("invoices.agreed", point=point, tariff=tariff, on=valid_from, day=reading_day)
        )


def _server(terminal: Terminal, staff: bool) -> Server:
    from eletrovia.cli.reach import reach

    return reach(terminal, role="staff" if staff else "driver")


def _list(terminal: Terminal, *, staff: bool, **query: Any) -> None:
    from eletrovia.cli.invoice_tables import list_of

    told = _server(terminal, staff).get("/invoices", dict[str, Any], signed_in=True, **query)
    if terminal.json:
        terminal.answer(told)
    elif told["invoices"]:
        terminal.show(list_of(terminal, told["invoices"]))
        if told["next"] is not None:
            terminal.say("invoices.more", before=told["next"])
    else:
        terminal.say("invoices.none")


def _show(terminal: Terminal, told: dict[str, Any]) -> None:
    import msgspec

    from eletrovia.cli.invoice_tables import invoice_of
    from eletrovia.metering.invoice import Invoice

    if terminal.json:
        terminal.answer(told)
        return
    invoice = msgspec.convert(told["invoice"], Invoice)
    terminal.show(*invoice_of(terminal, told, invoice))
    if invoice.pix and float(told["open"]) > 0:
        terminal.say("invoices.pix")
        # Whole, however long: it is copied.
        terminal.out.print(invoice.pix, soft_wrap=True, markup=False)


def _issue_one(terminal: Terminal, body: dict[str, Any]) -> None:
    from decimal import Decimal

    from eletrovia.cli.numbers import money

    answer = _server(terminal, staff=True).ask("POST", "/invoices", body=body)
    told = answer.read(dict[str, Any])
    if terminal.json:
        terminal.answer(told)
        return
    invoice = told["invoice"]
    total = money(Decimal(invoice["total"]), invoice["bill"]["currency"], terminal.language)
    key = "invoices.issued" if answer.status == 201 else "invoices.stands"
    terminal.show(terminal.text(key, number=invoice["number"], total=total))


def _issue_month(terminal: Terminal, month: str, points: list[str] | None) -> None:
    """Piece by piece, so that a long month shows how far it is, and may be broken off."""
    from eletrovia.cli.sentences import reason_of

    server = _server(terminal, staff=True)
    sums = {"looked_at": 0, "issued": 0, "standing": 0}
    held: list[dict[str, Any]] = []
    after: str | None = ""
    with terminal.busy("invoices.issuing", month=month, done="…") as status:
        while after is not None:
            body: dict[str, Any] = {"month": month, "after": after, "limit": _AT_ONCE}
            if points:
                body["usage_point_ids"] = points
            told = server.ask("POST", "/invoices", body=body, timeout_s=_A_WHILE_S).read(dict[str, Any])
            sums = {name: count + told[name] for name, count in sums.items()}
            held += told["held"]
            after = told["next"]
            if status is not None:
                status.update(terminal.text("invoices.issuing", month=month, done=str(sums["looked_at"])))
    if terminal.json:
        terminal.answer({"month": month, **sums, "held": held})
        return
    for one in held:
        facts = {"usage_point_id": one["usage_point_id"], **one["facts"]}
        reason = reason_of(one["code"], facts, terminal.language)
        terminal.show(terminal.text("invoices.held", point=one["usage_point_id"], reason=reason))
    terminal.show(terminal.text("invoices.month", month=month, held=len(held), **sums))
