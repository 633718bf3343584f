"""Whether a partner answers, and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, Unavailable

_SILENCES = 2  # that many calls in a row without an answer: it is down
_PROBE_FIRST_S = 0.2
_PROBE_LONGEST_S = 2.0


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an operator answers, and since when that is so."""

    up: bool
    since: datetime


class Circuit:
    """Closed while an operator answers; open, so that nobody waits for it, from when it does not.

    While it is open ``probe`` is tried with growing pauses; no call of a driver is spent on finding out.
    """

    def __init__(
        self, clock: Clock, probe: Callable[[], Awaitable[None]], changed: Callable[[Reach], None]
    ) -> None:
        self._clock = clock
        self._probe = probe
        self._changed = changed
        self._silences = 0
        self._probing: asyncio.Task[None] | None = None
        self.reach = Reach(up=True, since=clock.now())

    def answered(self) -> None:
        """It answered, whatever it said."""
        self._silences = 0
        self._turn(True)

    def silent(self, *, for_sure: bool) -> None:
        """It did not answer; ``for_sure`` where nobody listens there at all."""
        self._silences += 1
        if for_sure or self._silences >= _SILENCES:
            self._turn(False)

    def _turn(self, up: bool) -> None:
        if up == self.reach.up:
            return
        self.reach = Reach(up=up, since=self._clock.now())
        if not up and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._probe_on())
        self._changed(self.reach)

    async def _probe_on(self) -> None:
        pause_s = _PROBE_FIRST_S
        while not self.reach.up:
            await asyncio.sleep(pause_s)
            pause_s = min(_PROBE_LONGEST_S, pause_s * 1.5)
            try:
                await self._probe()
            except Unavailable:
                continue
            except Denied:
                pass  # it answers, though not to us: let the next call be told so
            self.answered()

    async def close(self) -> None:
        """Ask no more."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
