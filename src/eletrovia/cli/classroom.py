"""``eletrovia classroom``: the course's protocols, on the course's ports."""

from __future__ import annotations

from typing import Annotated

import typer

from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb


@verb
def classroom(
    terminal: Terminal,
    bind: Annotated[str, typer.Option("--bind", help="Address to open the ports on.")] = "127.0.0.1",
    central: Annotated[
        int, typer.Option("--central", min=0, max=3, hidden=True, help="Be this central, for the others.")
    ] = 0,
) -> None:
    """Open the classroom protocols: three centrals, their brokers and their REST, until Ctrl-C.

    [bold]Examples[/]

      eletrovia classroom

      eletrovia classroom --bind 0.0.0.0 --data var/classroom
    """
    settings = terminal.config

    from eletrovia.runtime import classroom as room
    from eletrovia.runtime import logs

    logs.set_up(settings.log)
    if central:
        from eletrovia.runtime.central import serve_central

        run_to_end(serve_central(settings, central, bind=bind))
    else:
        run_to_end(room.serve(settings, bind=bind))
