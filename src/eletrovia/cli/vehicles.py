"""``eletrovia vehicles``: car models that a trip can be planned for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eletrovia.base.errors import NotFound
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb


@client_verb
def vehicles(
    terminal: Terminal,
    words: Annotated[str, typer.Argument(metavar="[WORDS]", help="Words of a model's name.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 20,
) -> None:
    """Car models by name, with their ids for `eletrovia trip --vehicle`.

    [bold]Examples[/]

      eletrovia vehicles

      eletrovia vehicles dolphin
    """
    from eletrovia.cli.reach import reach

    found = reach(terminal).get("/vehicles", dict[str, Any], q=words, limit=limit)
    if terminal.json:
        terminal.answer(found)
        return
    if not found["vehicles"]:
        raise NotFound("vehicle.unknown", words=words)
    from rich.table import Table

    from eletrovia.cli.numbers import number

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "name"):
        table.add_column(terminal.text(f"column.{name}"))
    for name in ("battery_kwh", "range_km", "dc_kw", "ac_kw"):
        table.add_column(terminal.text(f"column.{name}"), justify="right", no_wrap=True)
    for car in found["vehicles"]:
        dc_w = max((point["power_w"] for point in car.get("dc_curve", ())), default=0)
        table.add_row(
            str(car["id"]),
            str(car["name"]),
            number(car["battery_wh"] / 1000, terminal.language, 1),
            number(car["battery_wh"] / car["consumption_wh_per_km"], terminal.language),
            number(dc_w / 1000, terminal.language) if dc_w else "–",
            number(car.get("ac_power_w", 0) / 1000, terminal.language, 1),
        )
    terminal.show(table)
