"""Thousands of simulated meters in one process: what a seed says they used, told by public protocols only."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.sim.device import Device
from eletrovia.sim.household import Households

_WORKERS: Final = 4_000
_SPREAD: Final = 0.5
"""Of an interval: over so much of it the meters' messages are spread, when there is time for that."""


class Rows(msgspec.Struct, frozen=True):
    """Readings of some meters at one moment. Shape: arrays of one length; ``at_s`` seconds since 1970."""

    meters: Sequence[Device]
    at_s: int
    energy_wh: NDArray[np.int64]
    power_w: NDArray[np.int32]


class Told(msgspec.Struct, frozen=True):
    """What came of some rows. ``cut_off`` is None where nobody says."""

    refused: int = 0
    cut_off: bool | None = None


class Line(Protocol):
    """A protocol, for many devices."""

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        """Have these taken in, however long it takes, said by ``speaker``."""
        ...


class Count(msgspec.Struct, kw_only=True):
    """So far. Units: ``behind_s`` is simulated time that is not told yet."""

    told: int = 0
    refused: int = 0
    rounds: int = 0
    cut_off: int = 0
    behind_s: float = 0.0
    until: datetime | None = None


class SimulatedClock:
    """Runs ``speed`` times as fast from ``start`` on, until it has caught up with the real one."""

    def __init__(self, clock: Clock, start: datetime, speed: float) -> None:
        self.start_s = start.timestamp()
        self._clock = clock
        self._speed = speed
        self._began_s = clock.monotonic()

    def now_s(self) -> float:
        """Seconds since 1970."""
        fast_s = self.start_s + (self._clock.monotonic() - self._began_s) * self._speed
        return min(fast_s, self._clock.now().timestamp())

    def real_s(self, until_s: float) -> float:
        """How long it takes, as it runs now, until that moment; a little less where it will slow down."""
        now_s = self.now_s()
        caught_up = now_s >= self._clock.now().timestamp() - 1e-3
        return max(0.0, until_s - now_s) / (1.0 if caught_up else self._speed)


class Street:
    """Meters of one seed, each telling its register at every full interval.

    Shape: meter i of ``meters`` is household i. ``speakers`` tell for meters: each for itself, or a
           concentrator for a stretch of them.
    """

    def __init__(
        self,
        households: Households,
        meters: Sequence[Device],
        speakers: Sequence[tuple[Device, slice]],
        line: Line,
        clock: SimulatedClock,
        *,
        interval_s: int,
        noticed: Callable[[Count], None] = lambda count: None,
    ) -> None:
        self.count = Count()
        self._households = households
        self._meters = meters
        self._speakers = speakers
        self._line = line
        self._clock = clock
        self._interval_s = interval_s
        self._noticed = noticed
        # A household that is cut off uses nothing, so its register stays behind what the seed says.
        self._held_wh = np.full(len(meters), -1, np.int64)
        self._missed_wh = np.zeros(len(meters), np.int64)

    async def run(self, rounds: float = math.inf) -> None:
        """Interval by interval until cancelled, or for so many."""
        at_s = math.ceil(self._clock.start_s / self._interval_s) * self._interval_s
        while self.count.rounds < rounds:
            while (wait_s := self._clock.real_s(at_s)) > 0:
                await asyncio.sleep(min(wait_s, 60.0))
            await self._round(at_s)
            at_s += self._interval_s

    async def _round(self, at_s: int) -> None:
        at = datetime.fromtimestamp(at_s, UTC)
        shown = self._households.registers_wh(at) - self._missed_wh
        energy_wh = np.where(self._held_wh >= 0, self._held_wh, shown)
        power_w = np.where(self._held_wh >= 0, 0, self._households.power_w(at)).astype(np.int32)
        spread_s = self._clock.real_s(at_s + self._interval_s) * _SPREAD
        began_s = asyncio.get_running_loop().time()
        due = iter(enumerate(self._speakers))
        workers = [
            self._work(due, at_s, energy_wh, power_w, began_s, spread_s)
            for _ in range(min(_WORKERS, len(self._speakers)))
        ]
        await asyncio.gather(*workers)
        self.count.rounds += 1
        self.count.cut_off = int((self._held_wh >= 0).sum())
        self.count.behind_s = max(0.0, self._clock.now_s() - at_s)
        self.count.until = at
        self._noticed(self.count)

    async def _work(
        self,
        due: Iterable[tuple[int, tuple[Device, slice]]],
        at_s: int,
        energy_wh: NDArray[Any],
        power_w: NDArray[Any],
        began_s: float,
        spread_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        for place, (speaker, which) in due:
            turn_s = began_s + spread_s * place / len(self._speakers)
            if turn_s > loop.time():
                await asyncio.sleep(turn_s - loop.time())
            rows = Rows(self._meters[which], at_s, energy_wh[which], power_w[which])
            told = await self._line.tell(speaker, rows)
            self.count.told += len(rows.meters)
            self.count.refused += told.refused
            if told.cut_off is not None and len(rows.meters) == 1:
                self._obey(which.start, told.cut_off, int(energy_wh[which.start]), at_s)

    def _obey(self, meter: int, cut_off: bool, energy_wh: int, at_s: int) -> None:
        if cut_off and self._held_wh[meter] < 0:
            self._held_wh[meter] = energy_wh
        elif not cut_off and self._held_wh[meter] >= 0:
            by_seed = int(self._households.registers_wh(datetime.fromtimestamp(at_s, UTC))[meter])
            self._missed_wh[meter] = by_seed - self._held_wh[meter]
            self._held_wh[meter] = -1
