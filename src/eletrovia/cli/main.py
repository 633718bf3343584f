"""The command ``eletrovia``. Verbs are one file each; what they need is imported when they run."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final

import typer

from eletrovia.cli import (
    alerts,
    classroom,
    config,
    customers,
    demo,
    doctor,
    gateway,
    invoices,
    marks,
    meter,
    meters,
    operators,
    places,
    prune,
    readings,
    roads,
    serve,
    simulate,
    stations,
    tariffs,
    trip,
    trips,
    usage,
    vehicles,
)
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

_EXIT_CODES = (
    "Exit codes: 0 done · 1 internal error · 2 invalid · 3 denied · 4 not found · 5 conflict · "
    "6 overloaded · 7 no answer · 8 still pending"
)

app = typer.Typer(
    name="eletrovia",
    help="The electric city: trips over several charging companies, every stop booked or none.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"eletrovia {version('eletrovia')}")
        raise typer.Exit


@app.callback()
@client_verb
def everywhere(
    terminal: Terminal,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """The electric city: trips over several charging companies, every stop booked or none."""


_CITY, _ASK, _RUN = "A city to try", "Ask a running server", "Run and look after servers"
app.command(rich_help_panel=_CITY)(demo.demo)
app.command(rich_help_panel=_CITY)(classroom.classroom)
app.command(rich_help_panel=_CITY)(meter.meter)
app.add_typer(simulate.app, rich_help_panel=_CITY)
app.command(rich_help_panel=_ASK)(trip.trip)
app.command(rich_help_panel=_ASK)(trips.trips)
app.command(rich_help_panel=_ASK)(alerts.alerts)
app.add_typer(stations.app, rich_help_panel=_ASK)
app.add_typer(meters.app, rich_help_panel=_ASK)
app.add_typer(customers.app, rich_help_panel=_ASK)
app.add_typer(readings.app, rich_help_panel=_ASK)
readings.app.command("prune")(prune.prune)
app.command(rich_help_panel=_ASK)(usage.usage)
app.command(rich_help_panel=_ASK)(marks.marks)
app.add_typer(invoices.app, rich_help_panel=_ASK)
app.command(rich_help_panel=_ASK)(places.places)
app.command(rich_help_panel=_ASK)(vehicles.vehicles)
app.command(rich_help_panel=_RUN)(serve.serve)
app.command(rich_help_panel=_RUN)(gateway.gateway)
app.add_typer(operators.app, rich_help_panel=_RUN)
app.add_typer(roads.app, rich_help_panel=_RUN)
app.add_typer(tariffs.app, rich_help_panel=_RUN)
app.add_typer(config.app, rich_help_panel=_RUN)
app.command(rich_help_panel=_RUN)(doctor.doctor)


_SOUTHERN: Final = re.compile(r"-\d{1,2}(\.\d+)?(\s*,\s*-?\d{1,3}(\.\d+)?)+")


def main(arguments: list[str] | None = None) -> None:
    """The console script. Ends with an exit code of the table above."""
    given = sys.argv[1:] if arguments is None else arguments
    # "-7.12,-34.86" is south of the equator, not an option; behind a space it is taken as it is written.
    app([f" {one}" if _SOUTHERN.fullmatch(one) else one for one in given], prog_name="eletrovia")


if __name__ == "__main__":
    main()
