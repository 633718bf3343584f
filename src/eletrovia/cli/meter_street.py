"""Thousands of simulated meters at work, and what is said about them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from eletrovia.base.clock import SystemClock
from eletrovia.base.private import write_private
from eletrovia.base.rng import Rng
from eletrovia.cli.devices import gateway_place, place
from eletrovia.cli.numbers import number
from eletrovia.cli.terminal import Terminal
from eletrovia.metering.sender import TcpLink, UdpLink
from eletrovia.runtime.fleet import tether_ends
from eletrovia.sim import lines
from eletrovia.sim.device import Device
from eletrovia.sim.household import Households
from eletrovia.sim.street import Count, Line, SimulatedClock, Street

_LINKS: Final = 8


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. ``to`` is None where the settings, or ``url``, say where to speak to."""

    protocol: str
    to: str | None
    url: str
    meters: list[Device]
    speakers: list[tuple[Device, slice]]
    seed: int
    start: datetime
    speed: float
    interval_s: int
    rounds: int | None
    ready_file: Path | None = None


async def live(terminal: Terminal, plan: Plan, screen: Screen) -> None:
    """Until Ctrl-C or the end of who started us, or for so many rounds."""
    line, close = await _line(terminal, plan, screen)
    street = Street(
        Households(plan.seed, len(plan.meters)),
        plan.meters,
        plan.speakers,
        line,
        SimulatedClock(SystemClock(), plan.start, plan.speed),
        interval_s=plan.interval_s,
        noticed=screen.noticed,
    )
    screen.count = street.count
    running = asyncio.ensure_future(street.run(plan.rounds or float("inf")))
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, running.cancel)
    tether = asyncio.create_task(tether_ends())
    tether.add_done_callback(lambda _: running.cancel())
    if plan.ready_file is not None:
        write_private(plan.ready_file, b"")
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        tether.cancel()
        await close()


async def _line(terminal: Terminal, plan: Plan, screen: Screen) -> tuple[Line, Callable[[], Awaitable[None]]]:
    settings = terminal.config
    if plan.protocol == "http":
        over_http = lines.HttpLine(f"http://{plan.to}" if plan.to else plan.url, screen.silent)
        return over_http, over_http.close
    if plan.protocol == "mqtt":
        host, port = settings.bus.mqtt_public_host, settings.bus.mqtt_port
        over_mqtt = lines.MqttLine(*place(terminal, plan.to, host, port, "bus.mqtt_port"), screen.silent)
        return over_mqtt, over_mqtt.close
    if plan.protocol == "classroom":
        port = settings.classroom.meter_udp
        course = lines.CourseLine(*place(terminal, plan.to, "127.0.0.1", port, "classroom.meter_udp"))
        return course, course.close
    clock, chance = SystemClock(), Rng().stream("meters")
    over = "udp" if plan.protocol == "udp" else "tcp"
    host, port = gateway_place(terminal, plan.to, over)
    if over == "udp":
        compact = lines.CompactLine([await UdpLink.open(host, port) for _ in range(_LINKS)], clock, chance)
    else:
        links = [await TcpLink.open(host, port, chance=chance) for _ in range(_LINKS)]
        compact = lines.CompactLine(links, clock, chance)
    return compact, compact.close


class Screen:
    """What is said while it runs, and at the end."""

    def __init__(self, terminal: Terminal) -> None:
        self.count = Count()
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
