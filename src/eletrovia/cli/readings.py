"""``eletrovia readings``: bringing meters' readings in from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

app = typer.Typer(name="readings", help="Readings of meters: import them from files.", no_args_is_help=True)

_FILE = "What is in the files (recognised where it is left out)"


@app.callback()
@client_verb
def default(terminal: Terminal) -> None:
    """Readings of meters: import them from files."""


@app.command("import")
@client_verb
def bring_in(
    terminal: Terminal,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV, plain or gzip.")],
    meter: Annotated[
        str | None,
        typer.Option("--meter", metavar="ID", help="Whose all of them are.", rich_help_panel=_FILE),
    ] = None,
    meter_column: Annotated[
        str | None, typer.Option("--meter-column", metavar="NAME", rich_help_panel=_FILE)
    ] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            "--time-column", metavar="NAME", help="Or DATE+TIME, two columns.", rich_help_panel=_FILE
        ),
    ] = None,
    value_column: Annotated[
        str | None, typer.Option("--value-column", metavar="NAME", rich_help_panel=_FILE)
    ] = None,
    shape: Annotated[
        Literal["long", "wide"] | None,
        typer.Option(
            "--shape", help="A row for each reading; or for each day, or time.", rich_help_panel=_FILE
        ),
    ] = None,
    told: Annotated[
        Literal["differences", "registers"] | None,
        typer.Option(
            "--values",
            help="What was used in each interval; or what the meter showed.",
            rich_help_panel=_FILE,
        ),
    ] = None,
    unit: Annotated[
        Literal["kwh", "wh"] | None, typer.Option("--unit", help="kWh or Wh.", rich_help_panel=_FILE)
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Of the times: America/Recife, or -03:00 for a clock that is never changed "
            "(default: metering.time_zone).",
            rich_help_panel=_FILE,
        ),
    ] = None,
    stamp: Annotated[
        Literal["start", "end"] | None,
        typer.Option(
            "--stamp",
            help="Which end of its interval a difference's time is (default: start).",
            rich_help_panel=_FILE,
        ),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(
            "--interval", metavar="MINUTES", min=1, max=1440, help="Of differences.", rich_help_panel=_FILE
        ),
    ] = None,
    dates: Annotated[
        Literal["dmy", "mdy"] | None,
        typer.Option("--dates", help="Day or month first.", rich_help_panel=_FILE),
    ] = None,
    decimal: Annotated[
        Literal["comma", "point"] | None,
        typer.Option("--decimal", help="What stands before decimals.", rich_help_panel=_FILE),
    ] = None,
    start_wh: Annotated[
        int | None,
        typer.Option(
            "--start-wh",
            metavar="WH",
            min=0,
            help="What registers show where differences begin (default: what is stored there, else 0).",
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", metavar="", help="Register meters that are not known.")
    ] = False,
    direct: Annotated[
        bool,
        typer.Option(
            "--direct", metavar="", help="Into the database of the data folder or store.url, past the server."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only read the files, and say what is in them.")
    ] = False,
) -> None:
    """Bring readings in from CSV files, long or wide, differences or registers, packed or plain.

    How a file is laid out is recognised and said. Differences are added up to registers exactly, and each
    stands at its interval's end. Reading a file in again changes nothing: all of it is there already.

    [bold]Examples[/]

      eletrovia readings import january.csv february.csv.gz

      eletrovia readings import export.csv --meter JPA-000123 --unit kwh --zone America/Fortaleza

      eletrovia readings import homes.csv.gz --zone +10:00 --register --direct

      eletrovia readings import unknown.csv --dry-run
    """
    from eletrovia.cli.readings_import import run
    from eletrovia.metering.files.amounts import Point
    from eletrovia.metering.files.shape import Stamp, Unit, Values, Wishes
    from eletrovia.metering.files.times import DateOrder

    if meter is not None and meter_column is not None:
        raise Invalid("readings.meter_twice")
    wishes = Wishes(
        zone=zone or terminal.config.metering.time_zone,
        meter=meter,
        meter_column=meter_column,
        time_column=time_column,
        value_column=value_column,
        wide=None if shape is None else shape == "wide",
        values=None if told is None else Values(told),
        unit=None if unit is None else Unit(unit),
        dates=None if dates is None else DateOrder(dates),
        point=None if decimal is None else Point.COMMA if decimal == "comma" else Point.POINT,
        stamp=None if stamp is None else Stamp(stamp),
        interval_s=None if interval is None else interval * 60,
    )
    run(terminal, files, wishes, start_wh=start_wh, register=register, direct=direct, dry_run=dry_run)
