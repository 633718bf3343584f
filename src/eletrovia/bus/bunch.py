"""One handler for many messages at a time: for what comes in by the ten thousand a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from eletrovia.bus.subscription import end_subscription
from eletrovia.bus.swift import SwiftParser

_log = logging.getLogger(__name__)

BunchHandler = Callable[[list[tuple[str, bytes]]], Awaitable[None]]
"""Takes topics with their payloads, in the order in which they came."""

MAX_WAITING_OCTETS = 128 << 20
_OCTETS_EACH = 200
"""What a waiting message takes beside its payload, about."""


class Bunches:
    """Calls a handler with all that came since its last call, ``most`` at a time, until ``close``.

    What comes while ``MAX_WAITING_OCTETS`` wait (half a million small messages) is dropped and counted:
    senders are answered by the handler, and repeat what nobody answered.
    """

    def __init__(
        self,
        subjects: Sequence[str],
        handler: BunchHandler,
        *,
        queue: str | None,
        most: int,
        at_once: int,
        counts: Counter[str],
        forget: Callable[[Bunches], None],
    ) -> None:
        self._subjects = tuple(subjects)
        self._handler = handler
        self._queue = queue or ""
        self._most = most
        self._counts = counts
        self._forget = forget
        self._waiting: list[tuple[str, bytes]] = []
        self._waiting_octets = 0
        self._came = asyncio.Event()
        self._at_work = 0
        self._rested = asyncio.Event()
        self._hands = [asyncio.create_task(self._work()) for _ in range(at_once)]
        self._bound: list[NatsSubscription] = []

    async def bind(self, client: Client) -> None:
        """Subscribes on this connection; called again on every new one."""
        swift = SwiftParser.of(client)
        self._bound = []
        for subject in self._subjects:
            bound = await client.subscribe(subject, queue=self._queue, cb=self._receive)
            swift.take(bound, self._take)
            self._bound.append(bound)

    async def close(self, *, patience_s: float = 10.0) -> None:
        """Takes no more messages, and waits until those that came are handled, for so long."""
        self._forget(self)
        for bound in self._bound:
            await end_subscription(bound)
        self._bound = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._waiting or self._at_work:
                    self._rested.clear()
                    await self._rested.wait()
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)

    async def _receive(self, message: Msg) -> None:
        self._take(message.subject, message.data)

    def _take(self, subject: str, payload: bytes) -> None:
        octets = len(payload) + _OCTETS_EACH
        if self._waiting_octets + octets > MAX_WAITING_OCTETS:
            self._counts["dropped"] += 1
            return
        self._waiting_octets += octets
        self._waiting.append((subject.replace(".", "/"), payload))
        self._came.set()

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
            bunch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._waiting_octets -= sum([len(payload) + _OCTETS_EACH for _, payload in bunch])
            self._at_work += 1
            try:
                await self._handler(bunch)
                self._counts["handled"] += len(bunch)
            except Exception:
                self._counts["failed"] += len(bunch)
                _log.exception("handler failed", extra={"topic": bunch[0][0]})
            finally:
                self._at_work -= 1
                self._rested.set()
