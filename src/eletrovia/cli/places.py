"""``eletrovia places``: names of places, as the planner knows them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eletrovia.base.errors import NotFound
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb


@client_verb
def places(
    terminal: Terminal,
    name: Annotated[
        str, typer.Argument(help="A name or the beginning of one; accents and case do not matter.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=50)] = 10,
) -> None:
    """Find a place by its name.

    [bold]Examples[/]

      eletrovia places "joao pessoa"

      eletrovia places "feira de santana, ba" --json
    """
    from eletrovia.cli.reach import reach

    found = reach(terminal).get("/places", dict[str, Any], q=name, limit=limit)
    if terminal.json:
        terminal.answer(found)
        return
    if not found["places"]:
        raise NotFound("place.unknown", name=name)
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(terminal.text("column.place"))
    table.add_column(terminal.text("column.point"), justify="right", no_wrap=True)
    for place in found["places"]:
        table.add_row(str(place["name"]), f"{place['point']['lat']:.4f},{place['point']['lon']:.4f}")
    terminal.show(table)
