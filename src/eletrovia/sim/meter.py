"""One simulated meter: a dial that a person turns, and a voice that tells what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Invalid

MOST_RATE: Final = 1_000_000.0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for a reading. ``cut_off`` is None where the protocol does not tell."""

    alert: str = ""
    cut_off: bool | None = None


class Voice(Protocol):
    """A public protocol, spoken as a meter speaks it."""

    async def open(self) -> str:
        """Reach the server, as patiently as it takes; the meter's id there."""
        ...

    async def tell(self, at: datetime, kwh: float, power_w: int | None) -> Heard:
        """Tell what the register shows, and again until somebody took it; what was answered.

        Raises: Denied, Invalid where it will never be taken.
        """
        ...

    async def close(self) -> None:
        """Say no more."""
        ...


class Dial:
    """A register and how fast it turns.

    Units: ``rate`` is kWh a second where ``seconds`` is 1, as the course has it, and kW where it is 3,600.
    """

    def __init__(self, rate: float, *, seconds: int, kwh: float = 0.0) -> None:
        self.rate = 0.0
        self.kwh = kwh
        self.cut_off = False
        """Nothing flows, whatever the rate."""
        self._seconds = seconds
        self.set_rate(rate)

    def increase(self, by: float) -> None:
        """Turn faster. Raises: Invalid."""
        self.set_rate(self.rate + _sane(by))

    def decrease(self, by: float) -> None:
        """Turn slower, and at least not at all. Raises: Invalid."""
        self.set_rate(max(0.0, self.rate - _sane(by)))

    def set_rate(self, rate: float) -> None:
        """Turn as fast as this. Raises: Invalid for a rate that is below 0, or none."""
        self.rate = _sane(rate)

    def turn(self, seconds: float) -> None:
        """Time goes by."""
        if not self.cut_off:
            self.kwh += self.rate * seconds / self._seconds

    @property
    def power_w(self) -> int:
        """What flows now."""
        return 0 if self.cut_off else round(self.rate * 3_600_000 / self._seconds)


def _sane(rate: float) -> float:
    if not 0 <= rate <= MOST_RATE:
        raise Invalid("simulation.rate", rate=rate, most=MOST_RATE)
    return rate


class SimulatedMeter:
    """A dial that is told about, again and again, until it is stopped. Obeys when it is cut off."""

    def __init__(
        self,
        dial: Dial,
        voice: Voice,
        clock: Clock,
        *,
        every_s: float,
        noticed: Callable[[Heard], None] = lambda heard: None,
    ) -> None:
        self.dial = dial
        self.id = ""
        self.told = 0
        self.last = Heard()
        self._voice = voice
        self._clock = clock
        self._every_s = every_s
        self._noticed = noticed

    async def run(self) -> None:
        """Until cancelled. Raises: what ``Voice.tell`` raises."""
        try:
            self.id = await self._voice.open()
            due_s = self._clock.monotonic()
            while True:
                # From due time to due time, or every turn would come a little later than the one before.
                due_s = max(due_s + self._every_s, self._clock.monotonic())
                await asyncio.sleep(due_s - self._clock.monotonic())
                self.dial.turn(self._every_s)
                await self._tell()
        finally:
            await self._voice.close()

    async def _tell(self) -> None:
        heard = await self._voice.tell(self._clock.now(), self.dial.kwh, self.dial.power_w)
        self.told += 1
        if heard.cut_off is not None:
            self.dial.cut_off = heard.cut_off
        self.last = heard
        self._noticed(heard)
