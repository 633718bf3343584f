"""``eletrovia demo``: a whole city on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Options, Terminal
from eletrovia.cli.verb import verb


@verb
def demo(
    terminal: Terminal,
    port: Annotated[
        int,
        typer.Option("--port", "-p", min=1, max=65533, help="HTTP port of the first of the three servers."),
    ] = 8001,
    once: Annotated[
        bool, typer.Option("--once", metavar="", help="End after the trip is booked instead of staying up.")
    ] = False,
) -> None:
    """Three operators on this machine and a trip booked over all of them; stays up until Ctrl-C.

    [bold]Examples[/]

      eletrovia demo

      eletrovia demo --data /tmp/other-city --port 9001
    """
    settings = terminal.config

    from eletrovia.runtime import city, logs

    logs.set_up(settings.log)

    def ready() -> None:
        """Books a trip as any driver would, over the servers' own HTTP."""
        from eletrovia.cli.trip import ask_of, book_and_show

        fresh = Terminal(Options(data=terminal.options.data, lang=terminal.options.lang))
        book_and_show(fresh, ask_of(fresh, "João Pessoa", "Feira de Santana", battery=60.0))

    run_to_end(city.demo(settings, first_port=port, ready=ready, stay=not once))
