"""``eletrovia demo``: a whole city on this machine."""

from __future__ import annotations

from collections.abc import Callable
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
        bool, typer.Option("--once", metavar="", help="End after all is shown instead of staying up.")
    ] = False,
) -> None:
    """Three operators on this machine, a trip booked over all of them, a home's bills; stays up until Ctrl-C.

    The first of them is the city's electricity utility, too: 120 simulated homes tell it their meters, and
    one of them is yours, with a year of bills.

    [bold]Examples[/]

      eletrovia demo

      eletrovia demo --data /tmp/other-city --port 9001
    """
    settings = terminal.config

    from eletrovia.runtime import city, logs

    logs.set_up(settings.log)

    def say(key: str, /, **facts: object) -> None:
        print(terminal.text(key, **facts), flush=True)

    def asking() -> Terminal:
        """Asks as any client would: what the city left for the command line is all it knows."""
        return Terminal(Options(data=terminal.options.data, lang=terminal.options.lang))

    def trip(stopped: Callable[[], bool]) -> None:
        from eletrovia.cli.trip import ask_of, book_and_show

        fresh = asking()
        book_and_show(fresh, ask_of(fresh, "João Pessoa", "Feira de Santana", battery=60.0))

    def home(stopped: Callable[[], bool]) -> None:
        from eletrovia.base.clock import SystemClock
        from eletrovia.cli.demo_home import DemoHome
        from eletrovia.cli.reach import reach

        if stopped():
            return
        fresh = asking()
        staff, driver = (reach(fresh, role=role) for role in ("staff", "driver"))
        made = DemoHome(fresh, SystemClock(), staff, driver)
        if made.settle(stopped):
            fresh.show("")
            made.show(terminal.data_dir)
            fresh.show("")

    run_to_end(city.demo(settings, first_port=port, trip=trip, home=home, stay=not once, say=say))
