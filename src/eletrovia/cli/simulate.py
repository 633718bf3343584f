"""``eletrovia simulate meters``: a neighbourhood of meters from a seed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eletrovia.base.errors import Invalid
from eletrovia.cli.devices import devices, place
from eletrovia.cli.numbers import number
from eletrovia.cli.running import run_to_end
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.verb import client_verb

if TYPE_CHECKING:
    from eletrovia.sim.device import Device
    from eletrovia.sim.street import Count, Line

app = typer.Typer(
    name="simulate", help="Simulated meters, by the thousand, from a seed.", no_args_is_help=True
)

_LINKS: Final = 8
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
        typer.Option("--to", metavar="HOST:PORT", help="Where they speak to [the settings' port]."),
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
    start = _start(since, speed)
    if protocol is Protocol.MQTT and behind is None:
        behind = _BEHIND_MQTT
    made, speakers, url = _devices(terminal, protocol, name, area, count, behind, interval, start)
    screen = _Screen(terminal)
    work = _live(terminal, protocol, to, url, made, speakers, seed, start, speed, interval, rounds, screen)
    run_to_end(work)
    screen.done()


async def _live(
    terminal: Terminal,
    protocol: Protocol,
    to: str | None,
    url: str,
    made: Sequence[Device],
    speakers: Sequence[tuple[Device, slice]],
    seed: int,
    start: datetime,
    speed: float,
    interval: int,
    rounds: int | None,
    screen: _Screen,
) -> None:
    from eletrovia.base.clock import SystemClock
    from eletrovia.sim.household import Households
    from eletrovia.sim.street import SimulatedClock, Street

    line, close = await _line(terminal, protocol, to, url, screen)
    clock = SimulatedClock(SystemClock(), start, speed)
    street = Street(
        Households(seed, len(made)), made, speakers, line, clock, interval_s=interval, noticed=screen.noticed
    )
    screen.count = street.count
    running = asyncio.ensure_future(street.run(rounds or float("inf")))
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, running.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        await close()


async def _line(
    terminal: Terminal, protocol: Protocol, to: str | None, url: str, screen: _Screen
) -> tuple[Line, Any]:
    from eletrovia.base.clock import SystemClock
    from eletrovia.base.rng import Rng
    from eletrovia.metering.sender import TcpLink, UdpLink
    from eletrovia.sim import lines

    settings, chance = terminal.config, Rng().stream("meters")
    if protocol is Protocol.HTTP:
        over_http = lines.HttpLine(f"http://{to}" if to else url, screen.silent)
        return over_http, over_http.close
    if protocol is Protocol.MQTT:
        port = settings.bus.mqtt_port
        over_mqtt = lines.MqttLine(
            *place(terminal, to, settings.bus.mqtt_public_host, port, "bus.mqtt_port"), screen.silent
        )
        return over_mqtt, over_mqtt.close
    if protocol is Protocol.CLASSROOM:
        port = settings.classroom.meter_udp
        course = lines.CourseLine(*place(terminal, to, "127.0.0.1", port, "classroom.meter_udp"))
        return course, course.close
    over = "udp" if protocol is Protocol.UDP else "tcp"
    port = getattr(settings.metering, f"{over}_port")
    host, port = place(terminal, to, settings.http.host, port, f"metering.{over}_port")
    if over == "udp":
        compact = lines.CompactLine(
            [await UdpLink.open(host, port) for _ in range(_LINKS)], SystemClock(), chance
        )
    else:
        compact = lines.CompactLine(
            [await TcpLink.open(host, port, chance=chance) for _ in range(_LINKS)], SystemClock(), chance
        )
    return compact, compact.close


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
) -> tuple[Sequence[Device], Sequence[tuple[Device, slice]], str]:
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


class _Screen:
    """What is said while it runs, and at the end."""

    def __init__(self, terminal: Terminal) -> None:
        from eletrovia.base.clock import SystemClock
        from eletrovia.sim.street import Count

        self.count: Count = Count()
        self._terminal = terminal
        self._clock = SystemClock()
        self._began_s = self._said_s = self._clock.monotonic()
        self._silent = ""

    def noticed(self, count: Count) -> None:
        """A round is over; said once a second at most."""
        now_s = self._clock.monotonic()
        if now_s - self._said_s >= 1.0 or count.rounds == 1:
            self._said_s = now_s
            self._terminal.say("simulate.round", **self._facts(count))

    def silent(self, problem: Exception) -> None:
        """Nobody answers; the same is not said twice."""
        reason = str(problem) or type(problem).__name__
        if reason != self._silent:
            self._silent = reason
            self._terminal.say("meter.no_answer", reason=reason)

    def done(self) -> None:
        """The last word."""
        took_s = self._clock.monotonic() - self._began_s
        if self._terminal.json:
            names = ("told", "refused", "rounds", "cut_off", "until")
            told = {name: getattr(self.count, name) for name in names}
            self._terminal.answer(told | {"took_s": round(took_s, 3)})
        else:
            self._terminal.say("simulate.done", **self._facts(self.count))

    def _facts(self, count: Count) -> dict[str, str]:
        took_s = max(1e-3, self._clock.monotonic() - self._began_s)
        until = "" if count.until is None else count.until.astimezone(self._terminal.zone)
        language = self._terminal.language
        return {
            "until": f"{until:%Y-%m-%d %H:%M}" if until else "–",
            "told": number(count.told, language),
            "refused": number(count.refused, language),
            "cut_off": number(count.cut_off, language),
            "each_s": number(count.told / took_s, language),
        }
