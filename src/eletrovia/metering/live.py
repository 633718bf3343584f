"""New latest values as they come about: for whoever listens in this process, and over the bus elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.bus.bus import Bus
from eletrovia.bus.subscription import Subscription
from eletrovia.metering.latest import CHANGE, TOTAL, Board
from eletrovia.metering.reading import epoch_us
from eletrovia.metering.usagequery import UsageQuery

_log = structlog.get_logger(__name__)

Rows = NDArray[Any]
Hear = Callable[[Any], None]
Stop = Callable[[], None]

METERS_TOPIC: Final = "usage/meters"
AREAS_TOPIC: Final = "usage/areas"
_MOST_ROWS: Final = 20_000
"""In one message, which may have a million octets."""
_EVERY_S: Final = 1.0
_BEAT_S: Final = 15.0
"""Totals are told again this often, changed or not: a process that has just started knows none."""


class Live:
    """Who listens to which meter or area, and what they are told.

    The process that works out usage tells (``tell``, ``led``); every process hears. ``origin`` is this one's
    own name on the bus, eight octets: what comes back from there was told here already.
    """

    def __init__(self, query: UsageQuery, clock: Clock, origin: bytes, bus: Bus | None = None) -> None:
        if len(origin) != 8:
            raise ValueError("an origin has eight octets")
        self._query = query
        self._clock = clock
        self._origin = origin
        self._bus = bus
        self._board = Board()
        self._leads = False
        self._changed = False
        self.hears = False
        """Whether news of other processes comes in."""
        self._waiting: list[Rows] = []
        self._woken = asyncio.Event()
        self._by_meter: dict[int, set[Hear]] = {}
        self._by_area: dict[int, set[Hear]] = {}
        self._totals: dict[int, Any] = {}

    # -- listening ----------------------------------------------------------------------------------------

    def follow_meter(self, meter: int, hear: Hear) -> Stop:
        """Calls ``hear`` with each new latest value (``CHANGE``) of a meter, until stopped."""
        return _listed(self._by_meter, meter, hear)

    def follow_area(self, area: int, hear: Hear) -> Stop:
        """Calls ``hear`` with each new total (``TOTAL``) of an area, at most one a second, until stopped."""
        return _listed(self._by_area, area, hear)

    def total_of(self, area: int) -> Any | None:
        """The area's last total (``TOTAL``), if one was heard."""
        return self._totals.get(area)

    # -- telling ------------------------------------------------------------------------------------------

    async def led(self) -> None:
        """This process works out usage from now on: it knows every meter's latest value."""
        self._board.clear()
        self._board.put(await self._query.all_latest())
        self._leads = self._changed = True
        self._woken.set()

    def tell(self, changes: Rows) -> None:
        """New latest values, one a meter (``CHANGE``)."""
        self._board.put(changes)
        self._changed = True
        self._meters_heard(changes)
        if self._bus is not None:
            self._waiting.append(changes)
        self._woken.set()

    def stepped_down(self) -> None:
        """Another process works out usage now."""
        self._leads = False

    async def run(self) -> None:
        """Exchange news with other processes, and add up, until cancelled."""
        heard: list[Subscription] = []
        try:
            if self._bus is not None:
                heard.append(await self._bus.subscribe(METERS_TOPIC, self._from_bus))
                heard.append(await self._bus.subscribe(AREAS_TOPIC, self._from_bus))
                self.hears = True
            added_up_at = float("-inf")
            while True:
                due = added_up_at + (_EVERY_S if self._changed else _BEAT_S) if self._leads else float("inf")
                await self._rest(due - self._clock.monotonic())
                await self._send_changes()
                now = self._clock.monotonic()
                if self._leads and now >= added_up_at + (_EVERY_S if self._changed else _BEAT_S):
                    added_up_at, self._changed = now, False
                    await self._add_up()
        finally:
            self.hears = False
            for subscription in heard:
                await subscription.close()

    async def _rest(self, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(None if at_most_s == float("inf") else max(0.0, at_most_s)):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def _add_up(self) -> None:
        totals = await asyncio.to_thread(self._board.totals, epoch_us(self._clock.now()))
        self._areas_heard(totals)
        await self._send(AREAS_TOPIC, totals)

    async def _send_changes(self) -> None:
        if self._waiting:
            changes, self._waiting = np.concatenate(self._waiting), []
            await self._send(METERS_TOPIC, changes)

    async def _send(self, topic: str, rows: Rows) -> None:
        if self._bus is None:
            return
        try:
            for start in range(0, len(rows), _MOST_ROWS):
                await self._bus.publish(topic, self._origin + rows[start : start + _MOST_ROWS].tobytes())
        except EletroviaError as silent:
            # Those who listen there see the next value; nothing is counted from these.
            _log.warning("live.unheard", topic=topic, reason=str(silent))

    # -- hearing ------------------------------------------------------------------------------------------

    async def _from_bus(self, topic: str, payload: bytes) -> None:
        if payload[:8] == self._origin:
            return
        kind = CHANGE if topic == METERS_TOPIC else TOTAL
        if (len(payload) - 8) % kind.itemsize:
            raise ValueError(f"{topic}: {len(payload)} octets are no rows")
        rows = np.frombuffer(payload, kind, offset=8)
        if topic == METERS_TOPIC:
            self._meters_heard(rows)
        else:
            self._areas_heard(rows)

    def _meters_heard(self, changes: Rows) -> None:
        if not self._by_meter:
            return
        followed = np.fromiter(self._by_meter, np.int64, len(self._by_meter))
        for place in np.flatnonzero(np.isin(changes["meter"], followed)):
            for hear in list(self._by_meter.get(int(changes["meter"][place]), ())):
                hear(changes[place])

    def _areas_heard(self, totals: Rows) -> None:
        for total in totals:
            area = int(total["area"])
            before, self._totals[area] = self._totals.get(area), total
            if before is None or before != total:
                for hear in list(self._by_area.get(area, ())):
                    hear(total)


def _listed(listeners: dict[int, set[Hear]], key: int, hear: Hear) -> Stop:
    listeners.setdefault(key, set()).add(hear)

    def stop() -> None:
        own = listeners.get(key, set())
        own.discard(hear)
        if not own:
            listeners.pop(key, None)

    return stop
