"""``eletrovia gateway``: a process that takes in readings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import verb

if TYPE_CHECKING:
    from eletrovia.runtime.gateway import Opened


@verb
def gateway(
    terminal: Terminal,
    udp: Annotated[
        int | None,
        typer.Option(
            "--udp",
            metavar="PORT",
            min=0,
            max=65535,
            help="UDP port, 0 for any (default: metering.udp_port).",
        ),
    ] = None,
    tcp: Annotated[
        int | None,
        typer.Option(
            "--tcp",
            metavar="PORT",
            min=0,
            max=65535,
            help="TCP port, 0 for any (default: metering.tcp_port).",
        ),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(
            "--http", metavar="PORT", min=0, max=65535, help="Port for devices that POST; 0 for any."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on (default: http.host).")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", metavar="PORT", min=0, max=65535, help="Port for Prometheus."),
    ] = None,
    share: Annotated[
        bool,
        typer.Option("--share", metavar="", help="Let other gateways listen on the same ports."),
    ] = False,
    ready_file: Annotated[Path | None, typer.Option("--ready-file", hidden=True)] = None,
) -> None:
    """Take in meters' readings over UDP, TCP and HTTP, in a process of its own, until Ctrl-C.

    It writes into the database of the operator whose data folder it is given; `eletrovia serve` there, or
    the database that store.url names, must run, or it waits for it. Any number may run beside each other.

    [bold]Examples[/]

      eletrovia gateway --udp 47808 --tcp 47809

      eletrovia gateway --data var/carcara --udp 47808 --share --metrics-port 9201

      ELETROVIA_STORE_URL=postgresql://me@db/city eletrovia gateway --tcp 47809 --host 0.0.0.0
    """
    settings = terminal.config

    from eletrovia.runtime import gateway as room
    from eletrovia.runtime import logs

    logs.set_up(settings.log)
    doors = room.Doors(
        host=host or settings.http.host,
        udp=udp if udp is not None else settings.metering.udp_port or None,
        tcp=tcp if tcp is not None else settings.metering.tcp_port or None,
        http=http,
        metrics=metrics_port,
        shared=share,
        ready_file=ready_file,
    )

    def ready(opened: Opened) -> None:
        if terminal.json:
            print(msgspec.json.encode(opened).decode(), flush=True)
            return
        for name in ("udp", "tcp", "http", "metrics"):
            port = getattr(opened, name)
            if port is not None:
                terminal.say(f"gateway.{name}", host=opened.host, port=port)

    run_to_end(room.serve(settings, doors, ready=ready))
