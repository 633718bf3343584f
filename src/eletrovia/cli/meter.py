"""``eletrovia meter``: a simulated meter with a menu."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.devices import devices, gateway_place, place
from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from eletrovia.sim.device import Device
    from eletrovia.sim.meter import Voice

_A_SECOND: Final = 1
_AN_HOUR: Final = 3600


class Protocol(StrEnum):
    """What the meter speaks."""

    CLASSROOM_TCP = "classroom-tcp"
    CLASSROOM_UDP = "classroom-udp"
    COMPACT_TCP = "compact-tcp"
    COMPACT_UDP = "compact-udp"
    HTTP = "http"

    @property
    def is_course(self) -> bool:
        return self in (Protocol.CLASSROOM_TCP, Protocol.CLASSROOM_UDP)


@client_verb
def meter(
    terminal: Terminal,
    protocol: Annotated[
        Protocol, typer.Option("--protocol", help="What it speaks.")
    ] = Protocol.CLASSROOM_TCP,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="HOST:PORT",
            help="Where it speaks to (default: the running city's or the settings' port).",
        ),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="Its id: of its run before, a registration number, or the utility's."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", envvar="ELETROVIA_METER_KEY", show_envvar=False, help="The key it was given."),
    ] = None,
    meter_number: Annotated[
        int | None, typer.Option("--number", min=1, help="The number it was given, for compact frames.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0, help="kWh a second for the classroom's, else kW (default: 1)."),
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.01, help="Seconds from reading to reading.")] = 1.0,
    kwh: Annotated[float, typer.Option("--kwh", min=0, help="What its register begins with.")] = 0.0,
    for_s: Annotated[
        float | None, typer.Option("--for", min=0, metavar="SECONDS", help="Without a menu, for so long.")
    ] = None,
) -> None:
    """A simulated meter: its rate increased, decreased, set; it tells its register every second.

    Of a utility's own protocols it obeys when it is cut off; without a key it is registered first, as staff.

    [bold]Examples[/]

      eletrovia meter

      eletrovia meter --protocol classroom-udp --id 13456789

      eletrovia meter --protocol compact-tcp --to 127.0.0.1:47809 --rate 2.5 --for 60
    """
    from eletrovia.base.clock import SystemClock
    from eletrovia.cli.meter_menu import Screen, live
    from eletrovia.sim.meter import Dial, SimulatedMeter

    if for_s is None and terminal.json:
        raise Invalid("option.needed", option="--for")
    seconds, unit = (_A_SECOND, "kWh/s") if protocol.is_course else (_AN_HOUR, "kW")
    dial = Dial(1.0 if rate is None else rate, seconds=seconds, kwh=kwh)
    voice = _voice(terminal, protocol, to, id_, key, meter_number)
    screen = Screen(terminal, dial, unit)
    made = SimulatedMeter(dial, voice, SystemClock(), every_s=every, noticed=screen.noticed)
    run_to_end(live(made, screen, for_s))
    screen.done(made)


def _voice(
    terminal: Terminal,
    protocol: Protocol,
    to: str | None,
    id_: str | None,
    key: str | None,
    meter_number: int | None,
) -> Voice:
    from eletrovia.base.clock import SystemClock
    from eletrovia.base.rng import Rng
    from eletrovia.sim import voices

    settings, silent = terminal.config, _once(terminal)
    if protocol is Protocol.CLASSROOM_TCP:
        host, port = place(terminal, to, "127.0.0.1", settings.classroom.meter_tcp, "classroom.meter_tcp")
        return voices.CourseTcp(host, port, silent, id_ or "")
    if protocol is Protocol.CLASSROOM_UDP:
        host, port = place(terminal, to, "127.0.0.1", settings.classroom.meter_udp, "classroom.meter_udp")
        return voices.CourseUdp(host, port, _registration(id_), silent)
    if protocol is Protocol.HTTP:
        device, url = _device(terminal, id_, key, meter_number or 1)
        return voices.Http(f"http://{to}" if to else url, device, silent)
    over = "udp" if protocol is Protocol.COMPACT_UDP else "tcp"
    host, port = gateway_place(terminal, to, over)
    device, _ = _device(terminal, id_, key, meter_number)
    chance = Rng().stream(device.id)
    return voices.Compact(host, port, device, over=over, clock=SystemClock(), chance=chance)


def _registration(id_: str | None) -> int:
    """A classroom meter's number; its leading zero is lost on the wire."""
    told = id_ or "13456789"
    if not told.isascii() or not told.isdigit() or not 10**6 <= int(told) < 10**8:
        raise Invalid("simulation.registration_number", id=told)
    return int(told)


def _device(
    terminal: Terminal, id_: str | None, key: str | None, meter_number: int | None
) -> tuple[Device, str]:
    """What the meter needs to speak for itself, and where its utility answers."""
    from eletrovia.cli.reach import reach
    from eletrovia.sim.device import Device

    if key is not None and id_ is not None:
        try:
            octets = bytes.fromhex(key)
        except ValueError:
            raise Invalid("simulation.key_malformed") from None
        if meter_number is None:
            raise Invalid("option.needed", option="--number")
        return Device(id_, meter_number, octets), terminal.options.server or terminal.config.public_url
    server = reach(terminal, role="staff")
    wanted: dict[str, Any] = {"id": id_ or "MENU-1", "area": "Simulated", "interval_s": 60}
    return devices(terminal, server, [wanted])[0], server.url


def _once(terminal: Terminal) -> Callable[[Exception], None]:
    """Says that nobody answers, and not again until something else is wrong."""
    said = ""

    def silent(problem: Exception) -> None:
        nonlocal said
        reason = str(problem) or type(problem).__name__
        if reason != said:
            said = reason
            terminal.say("meter.no_answer", reason=reason)

    return silent
