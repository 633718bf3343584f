"""``eletrovia tariffs``: what homes are billed by, and checking a tariff file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb

if TYPE_CHECKING:
    from eletrovia.metering.tariff import TariffBook

app = typer.Typer(name="tariffs", help="Tariffs of homes: list them, look at a day, check a file.")


@app.callback(invoke_without_command=True)
@verb
def default(terminal: Terminal) -> None:
    """Tariffs of homes: list them, look at a day, check a file.

    [bold]Examples[/]

      eletrovia tariffs

      eletrovia tariffs show cariri-b1-branca --on 2026-02-17

      eletrovia tariffs check my-tariffs.toml
    """
    from eletrovia.cli.tariff_tables import list_of
    from eletrovia.metering.tariffday import home_tariffs_of

    known = home_tariffs_of(_book(terminal))
    if terminal.json:
        terminal.answer(known)
    else:
        terminal.show(list_of(terminal, known))


@app.command("show")
@verb
def show(
    terminal: Terminal,
    tariff_id: Annotated[str, typer.Argument(metavar="ID", help="As `eletrovia tariffs` lists them.")],
    on: Annotated[
        str | None, typer.Option("--on", metavar="DATE", help="The day, e.g. 2026-02-17 (default: today).")
    ] = None,
    use_kwh: Annotated[
        float, typer.Option("--use", metavar="KWH", min=0, max=1e6, help="A month's usage, for taxes by it.")
    ] = 150,
) -> None:
    """A tariff on one day: a picture of its windows, prices with taxes, the flag, and the sources.

    [bold]Examples[/]

      eletrovia tariffs show cariri-b1-branca

      eletrovia tariffs show cariri-b1-convencional --on 2025-06-01 --use 40 --json
    """
    from datetime import date
    from decimal import Decimal

    from eletrovia.base.clock import SystemClock
    from eletrovia.cli.tariff_tables import day_of
    from eletrovia.metering.tariffday import tariff_day
    from eletrovia.runtime.metering import time_zone

    try:
        day = (
            SystemClock().now().astimezone(time_zone(terminal.config)).date()
            if on is None
            else date.fromisoformat(on)
        )
    except ValueError:
        raise Invalid("date.malformed", written=on, expected="2026-02-17") from None
    shown = tariff_day(_book(terminal), tariff_id, day, use_kwh=Decimal(str(use_kwh)))
    if terminal.json:
        terminal.answer(shown)
    else:
        terminal.show(*day_of(terminal, shown))


@app.command("check")
@verb
def check(
    terminal: Terminal,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A tariff file (docs/tariffs.md).")],
) -> None:
    """Check a tariff file as the server would read it: over the tariffs carried along.

    [bold]Examples[/]

      eletrovia tariffs check my-tariffs.toml
    """
    from eletrovia.metering.tariffbook import read_book

    book = read_book(file)
    if terminal.json:
        terminal.answer(
            {"file": str(file), "tariffs": len(book.tariffs), "municipalities": len(book.lighting)}
        )
    else:
        terminal.say("tariffs.right", file=file, tariffs=len(book.tariffs), places=len(book.lighting))


def _book(terminal: Terminal) -> TariffBook:
    from eletrovia.metering.tariffbook import read_book

    named = terminal.config.metering.tariff_file
    return read_book(Path(named).expanduser() if named else None)
