"""Publish and subscribe by topic, over any NATS: ours or the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nats.js.errors import APIError

from eletrovia.base.errors import Conflict
from eletrovia.bus.bunch import Bunches, BunchHandler
from eletrovia.bus.durable import Durable, DurableHandler, StreamRule
from eletrovia.bus.line import Line
from eletrovia.bus.subscription import Handler, Subscription
from eletrovia.bus.topic import check_filter, subject_of


class Bus:
    """Topics over a line that mends itself for ever.

    ``counts`` tells ``published``, ``handled``, ``failed`` (handlers that raised), ``malformed`` (came on
    a subject that is no topic: dropped), ``dropped`` (the handler too slow), ``reconnects``.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    @classmethod
    async def connect(
        cls, url: str, *, name: str = "eletrovia", creds_file: Path | None = None, timeout_s: float = 10.0
    ) -> Bus:
        """Connects; credentials stand in the URL (``nats://user:password@host:port``) or in a creds file.

        Raises: Denied ``bus.denied``; Unavailable ``bus.unreachable`` after ``timeout_s``; Invalid.
        """
        return cls(await Line.connect(url, name=name, creds_file=creds_file, timeout_s=timeout_s))

    @property
    def connected(self) -> bool:
        """Whether the line is up right now."""
        return self._line.connected

    @property
    def counts(self) -> Counter[str]:
        return self._line.counts

    async def publish(self, topic: str, payload: bytes) -> None:
        """Sends at most once: buffered while the line is down, lost if we end before it is back.

        Raises: Invalid ``topic.malformed``, ``bus.payload_too_big``; Unavailable when the buffer is full.
        """
        await self._line.send(subject_of(topic), payload)
        self.counts["published"] += 1

    async def flush(self, *, timeout_s: float = 5.0) -> None:
        """Waits until the broker has seen all that was published and every subscription.

        Raises: Unavailable.
        """
        await self._line.flush(timeout_s=timeout_s)

    async def subscribe(
        self, topic_filter: str, handler: Handler, *, queue: str | None = None, concurrency: int = 1
    ) -> Subscription:
        """Calls ``handler(topic, payload)`` for what comes, ``concurrency`` at once; 1 keeps the order.

        Subscribers with the same ``queue`` share the messages. A handler that raises is logged and
        counted, and ends nothing. While the line is down it is only noted, and stands once it is back.

        Raises: Invalid ``topic.malformed``; Unavailable when closed.
        """
        made = Subscription(
            check_filter(topic_filter),
            handler,
            queue=queue,
            concurrency=concurrency,
            counts=self.counts,
            forget=self._line.unbind,
        )
        try:
            await self._line.bind(made)
        except BaseException:
            await made.close()
            raise
        return made

    async def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """As ``publish``, for many; topics here may hold what ``topic.check_topic`` refuses.

        Raises: as ``publish``.
        """
        await self._line.send_all([(topic.replace("/", "."), payload) for topic, payload in messages])
        self.counts["published"] += len(messages)

    async def gather(
        self,
        subjects: Sequence[str],
        handler: BunchHandler,
        *,
        queue: str | None = None,
        most: int = 10_000,
        at_once: int = 2,
    ) -> Bunches:
        """Calls ``handler([(topic, payload), …])`` with all that came meanwhile, ``most`` at a time.

        ``subjects`` are NATS's own, so that devices may use topics that are none of ours
        (``x/status/switch:0``). Subscribers with the same ``queue`` share them. Else as ``subscribe``.

        Raises: Unavailable when closed.
        """
        made = Bunches(
            subjects,
            handler,
            queue=queue,
            most=most,
            at_once=at_once,
            counts=self.counts,
            forget=self._line.unbind,
        )
        try:
            await self._line.bind(made)
        except BaseException:
            await made.close()
            raise
        return made

    async def durable(
        self,
        stream: str,
        topics: Sequence[str],
        consumer: str,
        handler: DurableHandler,
        *,
        concurrency: int = 16,
        max_age_s: float = 600.0,
        max_octets: int = 256 << 20,
        ack_wait_s: float = 5.0,
    ) -> Durable:
        """Calls ``handler(topic, payload, sequence)`` at least once for every message on ``topics``.

        The broker keeps what comes for ``max_age_s``, also while we are down; a message is acknowledged
        after its handler returned and comes again otherwise, so a handler must bear it twice. Processes
        that name the same ``consumer`` share the messages; another consumer gets them all again.

        Raises: Invalid for malformed names and topics; Conflict ``bus.stream_refused`` when the broker
        refuses (topics of another stream, no JetStream); Unavailable when closed.
        """
        rule = StreamRule(
            stream=stream,
            topics=tuple(topics),
            consumer=consumer,
            concurrency=concurrency,
            max_age_s=max_age_s,
            max_octets=max_octets,
            ack_wait_s=ack_wait_s,
        )
        made = Durable(rule, handler, send=self._line.send, counts=self.counts, forget=self._line.unbind)
        try:
            await self._line.bind(made)
        except APIError as problem:
            await made.close()
            raise Conflict("bus.stream_refused", stream=stream, reason=str(problem)) from problem
        except BaseException:
            await made.close()
            raise
        return made

    async def close(self) -> None:
        """Takes no more messages, lets the handlers end, sends what is buffered, hangs up."""
        await self._line.close()
