"""One handler on one filter: a bounded queue and a bounded number of hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from eletrovia.bus.topic import subjects_of, topic_of

_log = logging.getLogger(__name__)

Handler = Callable[[str, bytes], Awaitable[None]]

MAX_WAITING = 65_536
_GOODBYE_S = 5.0


class Subscription:
    """Calls a handler until ``close``; the queue is ours, so a lost connection loses nothing that came."""

    def __init__(
        self,
        topic_filter: str,
        handler: Handler,
        *,
        queue: str | None,
        concurrency: int,
        counts: Counter[str],
        forget: Callable[[Subscription], None],
    ) -> None:
        self.topic_filter = topic_filter
        self._subjects = subjects_of(topic_filter)
        self._handler = handler
        self._queue = queue or ""
        self._counts = counts
        self._forget = forget
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._hands = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        self._bound: list[NatsSubscription] = []

    async def bind(self, client: Client) -> None:
        """Subscribes on this connection; called again on every new one."""
        self._bound = [
            await client.subscribe(subject, queue=self._queue, cb=self._receive) for subject in self._subjects
        ]

    async def close(self) -> None:
        """Takes no more messages, and waits until those that came are handled."""
        self._forget(self)
        for bound in self._bound:
            await end_subscription(bound)
        self._bound = []
        await self._waiting.join()
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)

    async def _receive(self, message: Msg) -> None:
        topic = topic_of(message.subject)
        if topic is None:
            self._counts["malformed"] += 1
            return
        try:
            self._waiting.put_nowait((topic, message.data))
        except asyncio.QueueFull:
            self._counts["dropped"] += 1

    async def _work(self) -> None:
        while True:
            topic, payload = await self._waiting.get()
            try:
                await self._handler(topic, payload)
                self._counts["handled"] += 1
            except Exception:
                self._counts["failed"] += 1
                _log.exception("handler failed", extra={"topic": topic})
            finally:
                self._waiting.task_done()


async def end_subscription(bound: NatsSubscription) -> None:
    """Ends the broker's sending, and takes what it had sent before it heard of that."""
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            await bound.drain()  # type: ignore[no-untyped-call]
