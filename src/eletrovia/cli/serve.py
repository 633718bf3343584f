"""``eletrovia serve``: one operator's server."""

from __future__ import annotations

from typing import Annotated

import typer

from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb


@verb
def serve(
    terminal: Terminal,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on (default: http.host).")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="HTTP port (default: http.port).")
    ] = None,
    operator_id: Annotated[
        str | None,
        typer.Option(
            "--operator", metavar="ID", help="Whose server it is, e.g. BR*MAN (default: operator.id)."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The operator's name (default: operator.name).")
    ] = None,
) -> None:
    """Run the server of one operator until Ctrl-C.

    PostgreSQL and NATS come along and start on the data folder, unless the settings name yours.

    [bold]Examples[/]

      eletrovia serve

      eletrovia serve --data var/mandacaru --port 8002 --operator "BR*MAN" --name Mandacaru

      ELETROVIA_STORE_URL=postgresql://me@db/city eletrovia serve --set log.format=json
    """
    terminal.set_flag("http.host", host, "--host")
    terminal.set_flag("http.port", port, "--port")
    terminal.set_flag("operator.id", operator_id, "--operator")
    terminal.set_flag("operator.name", name, "--name")
    settings = terminal.config

    from eletrovia.runtime import logs, server

    logs.set_up(settings.log)
    run_to_end(server.serve(settings))
