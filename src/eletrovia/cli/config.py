"""``eletrovia config``: which settings hold, and where each came from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eletrovia.base.errors import Conflict
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb

app = typer.Typer(name="config", help="Settings: show them with their origin, write a file to change them.")


@app.callback(invoke_without_command=True)
@verb
def default(terminal: Terminal) -> None:
    """Settings: show them with their origin, write a file to change them."""
    _show(terminal, "")


@app.command("show")
@verb
def show(
    terminal: Terminal,
    only: Annotated[str, typer.Argument(metavar="[KEY]", help="One key or section, e.g. http.port.")] = "",
) -> None:
    """Every setting with its value and where it came from; passwords are masked.

    [bold]Examples[/]

      eletrovia config show

      ELETROVIA_HTTP_PORT=9001 eletrovia config show http --json
    """
    _show(terminal, only)


@app.command("init")
@verb
def init(
    terminal: Terminal,
    file: Annotated[
        Path | None,
        typer.Argument(help="Where to write it (default: eletrovia.toml, in DIR with --data DIR)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Write a settings file with every default explained and commented out.

    [bold]Examples[/]

      eletrovia config init

      eletrovia config init --data var
    """
    from eletrovia.runtime.config import commented_out

    file = file or (terminal.options.data or Path()) / "eletrovia.toml"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(commented_out())
    except FileExistsError:
        raise Conflict("file.exists", file=str(file)) from None
    if terminal.json:
        terminal.answer({"file": str(file)})
    else:
        terminal.say("config.written", file=str(file))


def _show(terminal: Terminal, only: str) -> None:
    from eletrovia.base.errors import NotFound
    from eletrovia.runtime.config import SECTIONS, TYPES, masked, nearest_key

    layered = terminal.layered
    keys = [key for key in TYPES if not only or key == only or key.partition(".")[0] == only]
    if not keys:
        raise NotFound("config.no_such_key", key=only, nearest=nearest_key(only))
    values = {
        key: masked(getattr(getattr(layered.config, key.partition(".")[0]), key.partition(".")[2]))
        for key in keys
    }
    if terminal.json:
        terminal.answer(
            [
                {
                    "key": key,
                    "value": value,
                    "layer": layered.origins[key].layer,
                    "where": layered.origins[key].where,
                }
                for key, value in values.items()
            ]
        )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("key", "value", "origin"):
        table.add_column(terminal.text(f"column.{name}"), overflow="fold")
    for section in SECTIONS:
        for key in (key for key in keys if key.partition(".")[0] == section):
            origin = layered.origins[key]
            ours = origin.layer == "default"
            told = (
                terminal.text("config.default")
                if ours
                else f"{terminal.text(f'config.{origin.layer}')} {origin.where}"
            )
            value = values[key]
            shown = f'"{value}"' if isinstance(value, str) else str(value)
            table.add_row(
                key, Text(shown, style="" if ours else "bold"), Text(told, style="dim" if ours else "cyan")
            )
    terminal.show(table)
