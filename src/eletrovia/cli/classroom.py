"""``eletrovia classroom``: the course's protocols, on the course's ports."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb


class Part(StrEnum):
    """What can be opened by itself."""

    TRIPS = "trips"
    METERS = "meters"


@verb
def classroom(
    terminal: Terminal,
    bind: Annotated[str, typer.Option("--bind", help="Address to open the ports on.")] = "127.0.0.1",
    only: Annotated[
        list[Part] | None, typer.Option("--only", help="Open this part only: trips or meters.")
    ] = None,
    central: Annotated[
        int, typer.Option("--central", min=0, max=3, hidden=True, help="Be this central, for the others.")
    ] = 0,
    meters: Annotated[
        bool, typer.Option("--meters", hidden=True, help="Be the meters' server, for the others.")
    ] = False,
) -> None:
    """Open the classroom protocols: trips over three centrals, meters over UDP and TCP, until Ctrl-C.

    [bold]Examples[/]

      eletrovia classroom

      eletrovia classroom --only meters

      eletrovia classroom --bind 0.0.0.0 --data var/classroom
    """
    settings = terminal.config

    from eletrovia.runtime import classroom as room
    from eletrovia.runtime import logs

    logs.set_up(settings.log)
    if central:
        from eletrovia.runtime.central import serve_central

        run_to_end(serve_central(settings, central, bind=bind))
    elif meters:
        from eletrovia.runtime.classroom_meters import serve_meters

        run_to_end(serve_meters(settings, bind=bind))
    else:
        parts = [part for part in room.ALL if not only or part in only]
        run_to_end(room.serve(settings, bind=bind, parts=parts))
