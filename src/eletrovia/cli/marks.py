"""``eletrovia marks``: readings that a person has to look at, and what they decide."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb


@client_verb
def marks(
    terminal: Terminal,
    meter: Annotated[
        str | None, typer.Argument(metavar="[METER]", help="One meter; all that wait without.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Of one meter: a day, or a moment.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DAY", help="Not included.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar="", help="Also what is decided, or went away by itself.")
    ] = False,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="MOMENT", help="The reading at that moment counts.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option("--exclude", metavar="MOMENT", help="It is left out, and stays visible.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the decision.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Of all meters' marks.")] = 100,
) -> None:
    """Doubtful readings: of one meter, or of all for staff; and a verdict on one of them.

    [bold]Examples[/]

      eletrovia marks

      eletrovia marks JPA-000123 --from 2026-03-01

      eletrovia marks JPA-000123 --exclude 2026-03-02T12:07:00-03:00 --note "misread, see photo"
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment

    if accept is not None and exclude is not None:
        raise Invalid("marks.one_verdict")
    decided = accept or exclude
    if meter is None:
        if decided is not None:
            raise Invalid("marks.which_meter")
        query = {"open": "false" if everything else "true", "limit": limit}
        told = reach(terminal, role="staff").get("/marks", list[Any], signed_in=True, **query)
    elif decided is not None:
        path = f"/meters/{segment(meter)}/marks/{segment(decided)}/verdict"
        body = {"verdict": "accept" if accept else "exclude", "note": note}
        told = reach(terminal, role="staff").post(path, list[Any], body)
    else:
        asked = {"from": since, "until": until}
        told = reach(terminal, role="staff").get(
            f"/meters/{segment(meter)}/marks", list[Any], signed_in=True, **asked
        )
        if not everything and not terminal.json:
            told = [mark for mark in told if mark["cleared_at"] is None]
    if terminal.json:
        terminal.answer(told)
    else:
        _draw(terminal, told)


def _draw(terminal: Terminal, told: list[dict[str, Any]]) -> None:
    from datetime import datetime

    from rich.table import Table

    from eletrovia.cli.numbers import number

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("meter", "mark", "reading_at", "since"):
        table.add_column(terminal.text(f"column.{name}"), no_wrap=True)
    table.add_column("kWh", justify="right", no_wrap=True)
    table.add_column(terminal.text("column.verdict"))
    for mark in told:
        moments = [
            f"{datetime.fromisoformat(mark[name]).astimezone(terminal.zone):%Y-%m-%d %H:%M:%S}"
            for name in ("ends_at", "starts_at")
        ]
        verdict = "waits" if mark["needs_a_look"] else mark["verdict"] or ""
        if mark["cleared_at"] is not None:
            verdict = "cleared"
        table.add_row(
            mark["meter_id"],
            terminal.text(f"mark.{mark['kind']}"),
            *moments,
            number(mark["energy_wh"] / 1000, terminal.language, 3),
            terminal.text(f"verdict.{verdict}") if verdict else "",
            style="bold" if mark["needs_a_look"] else None,
        )
    if table.row_count:
        terminal.show(table)
    else:
        terminal.say("marks.none")
