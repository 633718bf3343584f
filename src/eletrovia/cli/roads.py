"""``eletrovia roads``: road graphs for other parts of the world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eletrovia.base.errors import Conflict
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb

app = typer.Typer(
    name="roads", help="Road graphs: Brazil is carried along, others are built.", no_args_is_help=True
)


@app.callback()
@verb
def default(terminal: Terminal) -> None:
    """Road graphs: Brazil is carried along, others are built."""


@app.command("build")
@verb
def build(
    terminal: Terminal,
    region: Annotated[
        str, typer.Argument(help='A country\'s ISO code (AR), or "south,west,north,east" in degrees.')
    ],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="Folder of scgraph_data where it is not installed."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Cut a region out of the world's highways (OpenStreetMap, from the package scgraph_data).

    [bold]Examples[/]

      eletrovia roads build AR var/argentina.npz

      eletrovia roads build "-35,-60,-20,-50" var/south.npz
    """
    if out.exists() and not force:
        raise Conflict("file.exists", file=str(out))

    from eletrovia.planning.extract import build_region

    with terminal.busy("roads.building") as status:

        def told(what: str, share: float) -> None:
            if status is not None:
                status.update(f"{what} · {share:.0%}")

        out.parent.mkdir(parents=True, exist_ok=True)
        network = build_region(region.strip(), out, told, source)
    size = out.stat().st_size
    nodes, arcs = len(network.lat_e6), len(network.length_m)
    if terminal.json:
        terminal.answer({"file": str(out), "octets": size, "nodes": nodes, "roads": arcs})
    else:
        terminal.say(
            "roads.built", file=str(out), kb=f"{size / 1000:.0f}", nodes=f"{nodes:,}", roads=f"{arcs:,}"
        )
