"""``eletrovia stations``: where to charge, and bringing stations in from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

app = typer.Typer(name="stations", help="Stations: find them, look at one, import them from a file.")

Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")]


@app.callback(invoke_without_command=True)
@client_verb
def default(terminal: Terminal) -> None:
    """Stations: find them, look at one, import them from a file."""
    _list(terminal, limit=50)


@app.command("list")
@client_verb
def listed(
    terminal: Terminal,
    words: Annotated[str, typer.Argument(metavar="[WORDS]", help="Words of a station's name or city.")] = "",
    near: Annotated[
        str | None, typer.Option("--near", metavar="PLACE", help="Nearest to a place first.")
    ] = None,
    radius_km: Annotated[float | None, typer.Option("--radius", metavar="KM", min=0.1, max=20000)] = None,
    connector: Annotated[
        str | None, typer.Option("--connector", metavar="NAME", help="ccs2, type2, chademo … or OCPI's name.")
    ] = None,
    min_power_kw: Annotated[float | None, typer.Option("--min-power", metavar="KW", min=0)] = None,
    operator: Annotated[
        str | None, typer.Option("--of", metavar="ID", help="One operator's, e.g. BR*MAN.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """Stations of all operators, by words, place, plug, power or operator.

    [bold]Examples[/]

      eletrovia stations

      eletrovia stations list --near "feira de santana" --radius 80 --connector ccs2

      eletrovia stations list recife --of "BR*CAR" --json
    """
    standard = None
    if connector is not None:
        from eletrovia.charging.plugs import connector_standard

        found = connector_standard(connector)
        if found is None:
            raise Invalid("connector.unknown", connector=connector, expected="CCS2, TYPE2, CHADEMO …")
        standard = found.value
    _list(
        terminal,
        q=words,
        near=near and near.strip(),
        radius_km=radius_km,
        connector=standard,
        min_power_kw=min_power_kw,
        operator=operator,
        limit=limit,
    )


@app.command("show")
@client_verb
def show(
    terminal: Terminal,
    station: Annotated[
        str, typer.Argument(help="Operator and station as the list tells them: BR-CAR/recife-1.")
    ],
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="2026-12-01; today if left out.")
    ] = None,
) -> None:
    """One station: its plugs, its prices, and what is free on a day.

    [bold]Examples[/]

      eletrovia stations show BR-CAR/recife-1

      eletrovia stations show BR-CAR/recife-1 --day 2026-12-01
    """
    from eletrovia.cli.reach import reach
    from eletrovia.cli.server import segment
    from eletrovia.cli.station_tables import draw_station

    operator, slash, location_id = station.partition("/")
    if not slash:
        raise Invalid("station.which", station=station, expected="BR-CAR/recife-1")
    path = f"/stations/{segment(operator.replace('*', '-'))}/{segment(location_id)}"
    server = reach(terminal)
    sheet = server.get(path, dict[str, Any])
    availability = server.get(f"{path}/availability", dict[str, Any], day=day)
    if terminal.json:
        terminal.answer(sheet | {"availability": availability})
    else:
        draw_station(terminal, sheet, availability)


@app.command("import")
@client_verb
def imported(
    terminal: Terminal,
    file: Annotated[Path, typer.Argument(help="Open Charge Map JSON, GeoJSON or CSV; which is found out.")],
    format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="openchargemap, geojson or csv.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only read and report; send nothing.")
    ] = False,
    operator: Annotated[
        str | None,
        typer.Option("--of", metavar="ID", help="Owner of the stations (default: the server's operator)."),
    ] = None,
    tariff: Annotated[
        str | None,
        typer.Option("--tariff", metavar="ID", help="Price of plugs that name none; see stations price."),
    ] = None,
) -> None:
    """Bring in stations from a file, as the operator's staff, with a report of what was skipped and why.

    [bold]Examples[/]

      eletrovia stations import stations_br.json --dry-run --of "BR*CAR"

      eletrovia stations import mine.csv --server "BR*CAR" --tariff normal
    """
    from eletrovia.cli.station_import import bring_in

    bring_in(terminal, file, format=format, dry_run=dry_run, operator_id=operator, tariff_id=tariff)


@app.command("price")
@client_verb
def price(
    terminal: Terminal,
    tariff: Annotated[str, typer.Argument(help="The tariff's id, e.g. normal.")],
    per_kwh: Annotated[str, typer.Option("--kwh", metavar="MONEY", help="Per kWh, e.g. 1.95.")] = "0",
    per_hour: Annotated[str, typer.Option("--hour", metavar="MONEY", help="Per hour of charging.")] = "0",
    per_session: Annotated[str, typer.Option("--session", metavar="MONEY", help="Per charge.")] = "0",
    vat: Annotated[str, typer.Option("--vat", metavar="PERCENT", help="Added to all of them.")] = "0",
    currency: Annotated[str, typer.Option("--currency")] = "BRL",
) -> None:
    """Set a tariff of the server's operator, as its staff; what is booked keeps its price.

    [bold]Examples[/]

      eletrovia stations price normal --kwh 1.95

      eletrovia stations price fast --kwh 2.30 --session 1.50
    """
    from eletrovia.cli.station_prices import set_price

    prices = {"ENERGY": per_kwh, "TIME": per_hour, "FLAT": per_session}
    set_price(terminal, tariff, prices, vat=vat, currency=currency)


def _list(terminal: Terminal, **query: Any) -> None:
    from eletrovia.cli.reach import reach
    from eletrovia.cli.station_tables import draw_stations

    found = reach(terminal).get(
        "/stations", dict[str, Any], **{name: value for name, value in query.items() if value}
    )
    if terminal.json:
        terminal.answer(found)
    else:
        draw_stations(terminal, found["stations"], query["limit"])
