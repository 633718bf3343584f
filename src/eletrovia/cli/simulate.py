"""``eletrovia simulate meters``: a neighbourhood of meters from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.devices import devices
from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from eletrovia.sim.device import Device

app = typer.Typer(
    name="simulate", help="Simulated meters, by the thousand, from a seed.", no_args_is_help=True
)

_BEHIND_MQTT: Final = 500
_FIRST_REGISTRATION: Final = 70_000_000
_FAST_HISTORY: Final = timedelta(days=1)


@app.callback()
def simulate() -> None:
    """Simulated meters, by the thousand, from a seed."""


class Protocol(StrEnum):
    """What the meters speak."""

    COMPACT = "compact"
    UDP = "udp"
    MQTT = "mqtt"
    HTTP = "http"
    CLASSROOM = "classroom"


@app.command("meters")
@client_verb
def meters(
    terminal: Terminal,
    count: Annotated[int, typer.Option("--count", min=1, max=1_000_000, help="How many.")] = 1000,
    protocol: Annotated[
        Protocol,
        typer.Option("--protocol", help="Compact over TCP or UDP, MQTT, HTTP, or the classroom's datagrams."),
    ] = Protocol.HTTP,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="HOST:PORT",
            help="Where they speak to (default: the running city's or the settings' port).",
        ),
    ] = None,
    interval: Annotated[
        int, typer.Option("--interval", min=1, max=86_400, help="Seconds from reading to reading.")
    ] = 900,
    speed: Annotated[
        float, typer.Option("--speed", min=0.01, max=1_000_000, help="How much faster time goes by.")
    ] = 1.0,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="When their time begins (default: now, or a day ago)."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same households.")] = 1,
    name: Annotated[str, typer.Option("--name", help="What their ids begin with.")] = "SIM",
    area: Annotated[str, typer.Option("--area", help="Their neighbourhood.")] = "Simulated",
    behind: Annotated[
        int | None,
        typer.Option("--behind", min=1, max=5000, help="So many behind one concentrator (MQTT: 500)."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="End after so many readings of each.")
    ] = None,
    ready_file: Annotated[Path | None, typer.Option("--ready-file", hidden=True)] = None,
) -> None:
    """Meters whose registers a seed decides: mornings, evenings, weekends, seasons, a fridge in each.

    They are registered first, as staff; their keys stay in the data folder. What each shows depends on
    nothing but seed and time, so they go on where they were. With --speed, time begins in the past and
    runs faster until it has caught up. Each obeys when it is cut off, where its protocol tells.

    [bold]Examples[/]

      eletrovia simulate meters --count 200

      eletrovia simulate meters --count 5000 --protocol compact --to 127.0.0.1:47809 --speed 60

      eletrovia simulate meters --count 1000 --protocol mqtt --interval 60
    """
    from eletrovia.cli.meter_street import Plan, Screen, live

    start = _start(since, speed)
    if protocol is Protocol.MQTT and behind is None:
        behind = _BEHIND_MQTT
    made, speakers, url = _devices(terminal, protocol, name, area, count, behind, interval, start)
    plan = Plan(
        protocol=protocol.value, to=to, url=url, meters=made, speakers=speakers, seed=seed,
        start=start, speed=speed, interval_s=interval, rounds=rounds,
        ready_file=ready_file,
    )  # fmt: skip
    screen = Screen(terminal)
    run_to_end(live(terminal, plan, screen))
    screen.done()


def _start(since: str | None, speed: float) -> datetime:
    from eletrovia.base.clock import SystemClock

    now = SystemClock().now()
    if since is None:
        return now - _FAST_HISTORY if speed > 1 else now
    try:
        told = datetime.fromisoformat(since)
    except ValueError:
        raise Invalid("simulation.date", date=since) from None
    start = (told if told.tzinfo else told.astimezone()).astimezone(UTC)
    if start > now:
        raise Invalid("simulation.date", date=since)
    return start


def _devices(
    terminal: Terminal,
    protocol: Protocol,
    name: str,
    area: str,
    count: int,
    behind: int | None,
    interval: int,
    start: datetime,
) -> tuple[list[Device], list[tuple[Device, slice]], str]:
    """The meters, who speaks for which of them, and where their utility answers."""
    from eletrovia.cli.reach import reach
    from eletrovia.sim.device import Device

    if protocol is Protocol.CLASSROOM:
        course = [Device(f"{name}-{n}", _FIRST_REGISTRATION + n, b"") for n in range(count)]
        return course, [(one, slice(n, n + 1)) for n, one in enumerate(course)], ""
    server = reach(terminal, role="staff")
    groups = [] if behind is None else [slice(n, min(n + behind, count)) for n in range(0, count, behind)]
    heads = [f"{name}-C{n}" for n in range(len(groups))]
    speaking = devices(terminal, server, [{"id": id_, "kind": "concentrator"} for id_ in heads])
    wanted: list[dict[str, Any]] = []
    for n in range(count):
        one = {"id": f"{name}-{n}", "area": area, "interval_s": interval, "from_at": start.isoformat()}
        wanted.append(one if behind is None else one | {"via": heads[n // behind]})
    made = devices(terminal, server, wanted)
    if behind is None:
        return made, [(one, slice(n, n + 1)) for n, one in enumerate(made)], server.url
    return made, list(zip(speaking, groups, strict=True)), server.url
