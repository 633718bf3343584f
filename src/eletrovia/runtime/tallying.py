"""Usage inside an operator's server: worked out, told live, decided about, and old readings dropped."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
from litestar import Router
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Gauge

from eletrovia.api.routes.areas import areas
from eletrovia.api.routes.retention import retention
from eletrovia.api.routes.usage import usage
from eletrovia.base.clock import Clock
from eletrovia.bus.bus import Bus
from eletrovia.metering.access import Sight
from eletrovia.metering.areas import Areas
from eletrovia.metering.hours import Hours
from eletrovia.metering.intake import Observer
from eletrovia.metering.live import Live
from eletrovia.metering.reading import Source
from eletrovia.metering.retention import Retention, StillNeeded
from eletrovia.metering.tally import Tally
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.usagequery import UsageQuery
from eletrovia.metering.verdicts import Verdicts
from eletrovia.people.account import Who
from eletrovia.people.people import People
from eletrovia.store.pool import Store


class Tallying:
    """Parts of metering that make usage of readings; ``running`` starts and stops them."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        hours: Hours,
        registry: CollectorRegistry,
        *,
        keep_readings_months: int,
        still_needed: StillNeeded,
    ) -> None:
        query = UsageQuery(store)
        self._clock = clock
        self._hours = hours
        self.book = StoredUsage(store, hours)
        self.live = Live(query, clock, secrets.token_bytes(8), bus)
        self.touched: Callable[[NDArray[np.int32]], None] = lambda _: None
        """Called with the keys of meters whose usage is another now, in the process that works it out."""
        self.tally = Tally(store, clock, hours, audience=_Telling(self))
        self.areas = Areas(query, self.live, hours)
        self.verdicts = Verdicts(store, clock, hint=self.tally.hint)
        self.retention = Retention(store, clock, keep_readings_months, still_needed=still_needed)
        for name, told in (
            ("leads", lambda: float(self.tally.leads)),
            ("turns", lambda: float(self.tally.turns)),
            ("stretches", lambda: float(self.tally.stretches)),
        ):
            gauge = Gauge(f"eletrovia_usage_{name}", f"Working out usage: {name}", registry=registry)
            gauge.set_function(told)

    def observer(self, also: Observer) -> Observer:
        """Hears what was committed here, so that it is worked out at once, and passes it on."""
        return _Hinting(also, self.tally.hint)

    def routes(self, may_see: Callable[[Who, str], Awaitable[Sight]], people: People) -> list[Router]:
        """What it answers below /api/v1."""
        return [
            usage(self.book, self.live, self.verdicts, self._hours, may_see, people, self._clock),
            areas(self.areas, self._hours, people, self._clock),
            retention(self.retention, people),
        ]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work until the block ends."""
        work = (self.tally.run(), self.live.run(), self.retention.run(lambda: self.tally.leads))
        tasks = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Telling:
    """Tells whoever follows live, and whoever watches over usage."""

    def __init__(self, to: Tallying) -> None:
        self._to = to

    async def led(self) -> None:
        await self._to.live.led()

    def tell(self, changes: NDArray[Any]) -> None:
        self._to.live.tell(changes)
        self._to.touched(changes["meter"])

    def stepped_down(self) -> None:
        self._to.live.stepped_down()


class _Hinting:
    def __init__(self, also: Observer, hint: Callable[[], None]) -> None:
        self._also = also
        self._hint = hint

    def settled(self, source: Source, fates: NDArray[np.int8]) -> None:
        self._also.settled(source, fates)
        self._hint()
