"""News of alerts as they are written, by whichever process, for those who follow the page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from eletrovia.base.errors import EletroviaError
from eletrovia.metering.alert import Told
from eletrovia.metering.alertstore import AlertStore

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 1.0
_PATIENCE_S: Final = 5.0
_REMEMBERED: Final = 50_000

Hear = Callable[[Told], None]


class AlertFeed:
    """Looks once a second while anybody listens, and at once when this very process wrote something."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store
        self._listeners: set[Hear] = set()
        self._wake = asyncio.Event()
        self._placed = asyncio.Event()

    async def listen(self, hear: Hear) -> Callable[[], None]:
        """Calls ``hear`` with all news that is written from now on, some perhaps twice; the answer ends it.

        Returns when that is sure, or after five seconds without the database.
        """
        self._listeners.add(hear)
        self._wake.set()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._placed.wait()
        except TimeoutError:
            pass
        except BaseException:  # gone before it began
            self._listeners.discard(hear)
            raise
        return lambda: self._listeners.discard(hear)

    def poke(self) -> None:
        """Something was written."""
        if self._listeners:
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        since = ""
        seen: dict[int, None] = {}
        while True:
            if not self._listeners:
                since = ""
                self._placed.clear()
                await self._wake.wait()
            self._wake.clear()
            try:
                news, since = await self._store.told_since(since)
                self._placed.set()
            except EletroviaError as gone:
                _log.warning("alerts.feed_unreachable", reason=str(gone))
                news = []
            # What was written by transactions as young as the oldest at work comes again until that one ends.
            for told in news:
                if told.id not in seen:
                    seen[told.id] = None
                    for hear in list(self._listeners):
                        hear(told)
            while len(seen) > _REMEMBERED:
                del seen[next(iter(seen))]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
