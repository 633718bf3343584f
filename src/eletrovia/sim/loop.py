"""An event loop whose time is virtual: nothing waits, and the same seed gives the same run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Answer = TypeVar("Answer")
DAY_ONE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class _Leap(selectors.DefaultSelector):
    """A selector that, asked to wait, moves the loop's clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulated world stands still: everybody waits and nothing is due")
        self.loop.elapsed_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready; when nothing is, time leaps to whatever is due next."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        leap = _Leap()
        leap.loop = self
        super().__init__(leap)

    def time(self) -> float:
        return self.elapsed_s


class VirtualClock:
    """The loop's time as a clock; the wall clock starts at ``begins_at``."""

    def __init__(
        self, loop: VirtualLoop, begins_at: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    ) -> None:
        self._loop = loop
        self._begins_at = begins_at

    def now(self) -> datetime:
        return self._begins_at + timedelta(seconds=self._loop.elapsed_s)

    def monotonic(self) -> float:
        return self._loop.elapsed_s


def run_virtual(main: Coroutine[Any, Any, Answer], loop: VirtualLoop) -> Answer:
    """Run ``main`` to its end in virtual time; whatever still runs then is cancelled."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:  # gathering nothing would look for a loop of its own
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
