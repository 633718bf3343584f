"""Readings of files straight into an operator's database, beside its running server or without one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, EletroviaError, Unavailable
from eletrovia.metering.files.destination import Birth
from eletrovia.metering.files.table import Piece
from eletrovia.metering.intake import Intake
from eletrovia.metering.meter import NewMeter
from eletrovia.metering.meters import MOST_AT_ONCE, Meters
from eletrovia.metering.reading import Readings, Source
from eletrovia.metering.readinglog import ReadingLog
from eletrovia.metering.roster import Roster
from eletrovia.runtime.config import Config
from eletrovia.runtime.metering import device_keys, intake_of
from eletrovia.runtime.metrics import ReadingMetrics
from eletrovia.store.embedded import EmbeddedPostgres, standing_url
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

T = TypeVar("T")


class DirectReadings:
    """A ``files.destination.Destination``: the database itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._intake: Intake
        self._roster: Roster
        self._log: ReadingLog
        self._meters: Meters

    def put(self, piece: Piece) -> NDArray[np.int8]:
        return self._wait(self._put(piece))

    def registers_at(self, moments: Mapping[str, int]) -> dict[str, Decimal]:
        return self._wait(self._registers_at(moments))

    def register(self, births: Mapping[str, Birth]) -> int:
        return self._wait(self._register(births))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _put(self, piece: Piece) -> NDArray[np.int8]:
        keys = await self._roster.resolve(piece.meters)
        readings = Readings(
            Source.FILE,
            keys[piece.meter],
            piece.at_us,
            piece.energy_wh,
            sent_kwh=piece.sent_kwh,
            estimated=piece.estimated,
        )
        return await self._intake.take(readings)

    async def _registers_at(self, moments: Mapping[str, int]) -> dict[str, Decimal]:
        names = list(moments)
        keys = (await self._roster.resolve(names)).tolist()
        asked = {key: _moment(moments[name]) for name, key in zip(names, keys, strict=True) if key}
        found = await self._log.registers_at(asked)
        return {name: found[key] for name, key in zip(names, keys, strict=True) if key in found}

    async def _register(self, births: Mapping[str, Birth]) -> int:
        names = list(births)
        keys = (await self._roster.resolve(names)).tolist()
        new = [
            NewMeter(id=name, from_at=_moment(births[name].at_us), start_wh=births[name].energy_wh)
            for name, key in zip(names, keys, strict=True)
            if not key
        ]
        for start in range(0, len(new), MOST_AT_ONCE):
            for answer in await self._meters.register(new[start : start + MOST_AT_ONCE]):
                if isinstance(answer, EletroviaError) and not isinstance(answer, Conflict):
                    raise answer
        return len(new)

    async def open(self, config: Config, stack: contextlib.AsyncExitStack) -> None:
        """On the running server's PostgreSQL, else one of our own for as long as this lasts."""
        clock = SystemClock()
        folder = config.data.path / "postgresql"
        url = config.store.url or standing_url(folder)
        if not url:
            postgres = await EmbeddedPostgres.start(folder)
            stack.push_async_callback(postgres.stop)
            url = postgres.url
        store = await Store.open(url, size=config.store.pool_size)
        stack.push_async_callback(store.close)
        await migrate(store, now=clock.now())
        self._roster = await Roster.open(store, clock)
        self._intake = intake_of(config, store, self._roster, clock, ReadingMetrics(CollectorRegistry()))
        stack.push_async_callback(self._intake.close)
        self._log = ReadingLog(store)
        self._meters = Meters(store, device_keys(config), self._intake, clock=clock, tell=_nobody_hears)


@contextlib.contextmanager
def direct_readings(config: Config) -> Iterator[DirectReadings]:
    """The database of these settings, opened, in a loop and a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="readings", daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()
    direct = DirectReadings(loop)
    try:
        direct._wait(direct.open(config, stack))
        yield direct
    finally:
        with contextlib.suppress(Unavailable):
            direct._wait(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)


async def _nobody_hears(topic: str, payload: bytes) -> None:
    """Who registers meters from a file has no broker at hand, and none of them is listening yet."""
