"""The menu of the simulated meter, while it is at work."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
import threading
from collections.abc import Callable

from eletrovia.base.errors import EletroviaError
from eletrovia.cli.numbers import number
from eletrovia.cli.terminal import Terminal
from eletrovia.sim.meter import Dial, Heard, SimulatedMeter


async def live(made: SimulatedMeter, screen: Screen, for_s: float | None) -> None:
    """The meter at work until its menu is left, or for its time without one; Ctrl-C ends it in order."""
    until = screen.menu() if for_s is None else asyncio.sleep(for_s)
    working, leaving = asyncio.create_task(made.run()), asyncio.ensure_future(until)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopping.set)
    tasks = [working, leaving, asyncio.create_task(stopping.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Screen:
    """The menu, and what is said about it."""

    def __init__(self, terminal: Terminal, dial: Dial, unit: str) -> None:
        self._terminal = terminal
        self._dial = dial
        self._unit = unit
        self._cut_off = False
        self._alert = ""

    def noticed(self, heard: Heard) -> None:
        """Says what is new."""
        if heard.cut_off is not None and heard.cut_off != self._cut_off:
            self._cut_off = heard.cut_off
            self._terminal.say("meter.cut_off" if heard.cut_off else "meter.connected")
        if heard.alert != self._alert:
            self._alert = heard.alert
            self._terminal.say("meter.alert", alert=heard.alert)

    async def menu(self) -> None:
        """Asks and obeys until it is left, or nobody can answer any more."""
        lines = _lines()
        while True:
            self._terminal.say("meter.menu", kwh=self._number(self._dial.kwh), rate=self._rate())
            choice = await lines.get()
            match (choice or "4").strip():
                case "1":
                    await self._change(lines, "meter.by", self._dial.increase)
                case "2":
                    await self._change(lines, "meter.by", self._dial.decrease)
                case "3":
                    await self._change(lines, "meter.to", self._dial.set_rate)
                case "4":
                    return
                case other:
                    self._terminal.say("meter.no_choice", choice=other)

    async def _change(
        self, lines: asyncio.Queue[str | None], question: str, change: Callable[[float], None]
    ) -> None:
        self._terminal.say(question, unit=self._unit)
        told = (await lines.get() or "").strip()
        try:
            value = float(told.replace(",", "."))
            change(value if math.isfinite(value) else -1.0)
        except (ValueError, EletroviaError):
            self._terminal.say("meter.no_number", told=told)

    def done(self, made: SimulatedMeter) -> None:
        """The last word."""
        if self._terminal.json:
            told = {"id": made.id, "told": made.told, "kwh": self._dial.kwh, "rate": self._dial.rate}
            self._terminal.answer(told | {"alert": made.last.alert, "cut_off": self._dial.cut_off})
        else:
            self._terminal.say("meter.done", id=made.id, told=made.told, kwh=self._number(self._dial.kwh))

    def _rate(self) -> str:
        return f"{self._number(self._dial.rate)} {self._unit}"

    def _number(self, value: float) -> str:
        return number(value, self._terminal.language, places=3)


def _lines() -> asyncio.Queue[str | None]:
    """What is typed, line by line; None at its end. A thread reads: nothing else waits for a terminal."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return queue
