"""``eletrovia trips``: what you have booked, and calling it off."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb


@client_verb
def trips(
    terminal: Terminal,
    trip_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One trip; all of yours without.")
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", metavar="", help="Call it off; a fee may be due.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before cancelling.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many, newest first.")] = 20,
) -> None:
    """Your trips: all, one with its timeline, or one called off.

    [bold]Examples[/]

      eletrovia trips

      eletrovia trips trip_06f1r3v0x8c2m4q9t7n5

      eletrovia trips trip_06f1r3v0x8c2m4q9t7n5 --cancel
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment
    from eletrovia.cli.showing import show_trip, show_trips

    if cancel and trip_id is None:
        raise Invalid("trips.cancel_which")
    server = reach(terminal)
    if trip_id is None:
        page = server.get("/trips", dict[str, Any], signed_in=True, limit=limit)
        if terminal.json:
            terminal.answer(page)
        else:
            show_trips(terminal, page["trips"])
        return
    path = f"/trips/{segment(trip_id)}"
    if cancel:
        if not yes and terminal.interactive:
            _confirm(terminal, server.ask("DELETE", path, query={"preview": "true"}).read(dict[str, Any]))
        told = server.ask("DELETE", path).read(dict[str, Any])
    else:
        told = server.get(path, dict[str, Any], signed_in=True)
    if terminal.json:
        terminal.answer(told)
    else:
        show_trip(terminal, told)


def _confirm(terminal: Terminal, preview: dict[str, Any]) -> None:
    """Asks, with what it costs. Ends the verb when the answer is no."""
    from decimal import Decimal

    from eletrovia.cli.numbers import money

    fee = money(
        Decimal(str(preview.get("cancellation_fee", "0"))),
        str(preview.get("currency", "BRL")),
        terminal.language,
    )
    typer.confirm(terminal.text("trips.cancel_sure", fee=fee), abort=True)
