"""Messages that a stream keeps while we are away, each handled at least once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from eletrovia.base.errors import Invalid
from eletrovia.bus.subscription import end_subscription
from eletrovia.bus.topic import is_level, subjects_of, topic_of

_log = logging.getLogger(__name__)

DurableHandler = Callable[[str, bytes, int], Awaitable[None]]

_ACK, _BACK, _TERM, _PROGRESS = b"+ACK", b"-NAK", b"+TERM", b"+WPI"
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.2, 10.0
_REMEMBERED = 10_000


class StreamRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, for how long, and how it is handed out.

    Units: ``ack_wait_s`` is how soon a message comes again when its handler's process died.
    """

    stream: str
    topics: tuple[str, ...]
    consumer: str
    concurrency: int
    max_age_s: float
    max_octets: int
    ack_wait_s: float

    def __post_init__(self) -> None:
        if not (is_level(self.stream) and is_level(self.consumer)):
            raise Invalid("stream.name_malformed", stream=self.stream, consumer=self.consumer)
        if not self.topics or self.concurrency < 1 or self.max_age_s <= 0 or self.ack_wait_s <= 0:
            raise Invalid("stream.rule_malformed", stream=self.stream)
        for topic in self.topics:
            subjects_of(topic)

    @property
    def subjects(self) -> list[str]:
        return sorted({subject for topic in self.topics for subject in subjects_of(topic)})

    @property
    def deliver_subject(self) -> str:
        # Fixed, so that the next process takes over where this one ends; with `$`: no topic reaches it.
        return f"$ELETROVIA.deliver.{self.stream}.{self.consumer}"


class _Held:
    """A message in our hands; its reply changes when the broker hands it out again meanwhile."""

    __slots__ = ("message", "reply", "tries")

    def __init__(self, message: Msg, tries: int) -> None:
        self.message = message
        self.reply = message.reply
        self.tries = tries


class Durable:
    """Hands each message of a stream to a handler, and acknowledges it after the handler returned.

    A message whose handler raised comes again, later each time; one whose process died comes again after
    ``ack_wait_s``. So a handler must bear the same message twice: ``sequence`` tells it apart.
    """

    def __init__(
        self,
        rule: StreamRule,
        handler: DurableHandler,
        *,
        send: Callable[[str, bytes], Awaitable[None]],
        counts: Counter[str],
        forget: Callable[[Durable], None],
    ) -> None:
        self.rule = rule
        self._handler = handler
        self._send = send
        self._counts = counts
        self._forget = forget
        # (sequence, time of storing): a stream that was made anew counts from 1 again.
        self._held: dict[tuple[int, str], _Held] = {}
        self._done: dict[tuple[int, str], None] = {}
        self._waiting: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._closing = False
        self.made_at = ""
        """When the stream was made, once bound: another stream of this name counts from 1 again."""
        self._bound: NatsSubscription | None = None
        self._hands = [asyncio.create_task(self._work()) for _ in range(rule.concurrency)]
        self._pulse = asyncio.create_task(self._tell_progress())

    async def bind(self, client: Client) -> None:
        """Makes stream and consumer what the rule says, and listens."""
        rule = self.rule
        manager = client.jsm(timeout=5)
        wanted = StreamConfig(
            name=rule.stream,
            subjects=rule.subjects,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            storage=StorageType.FILE,
            max_age=rule.max_age_s,
            max_bytes=rule.max_octets,
            duplicate_window=min(rule.max_age_s, 120),
        )
        try:
            standing = await manager.stream_info(rule.stream)
        except NotFoundError:
            standing = await manager.add_stream(wanted)
        else:
            # Another consumer of the same stream may want more than we do.
            wanted.subjects = sorted({*rule.subjects, *(standing.config.subjects or [])})
            await manager.update_stream(wanted)
        self.made_at = standing.created.isoformat() if standing.created is not None else ""
        await manager.add_consumer(
            rule.stream,
            ConsumerConfig(
                durable_name=rule.consumer,
                deliver_subject=rule.deliver_subject,
                deliver_group=rule.consumer,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=rule.ack_wait_s,
                max_ack_pending=rule.concurrency,
                max_deliver=-1,
                filter_subjects=rule.subjects,
            ),
        )
        self._bound = await client.subscribe(rule.deliver_subject, queue=rule.consumer, cb=self._receive)

    async def close(self) -> None:
        """Takes no more messages and waits for the handlers under way; what they left comes again later."""
        self._closing = True
        self._forget(self)
        if self._bound is not None:
            await end_subscription(self._bound)
        while not self._waiting.empty():
            await self._give_back(self._waiting.get_nowait(), 0.0)
            self._waiting.task_done()
        await self._waiting.join()
        for task in (*self._hands, self._pulse):
            task.cancel()
        await asyncio.gather(*self._hands, self._pulse, return_exceptions=True)

    async def _receive(self, message: Msg) -> None:
        facts = message.metadata
        key = (facts.sequence.stream, facts.timestamp.isoformat())
        if key in self._done:  # our word that it is done got lost
            await self._send(message.reply, _ACK)
        elif (held := self._held.get(key)) is not None:
            held.reply = message.reply
        elif topic_of(message.subject) is None:
            self._counts["malformed"] += 1
            await self._send(message.reply, _TERM)
        elif self._closing:
            await self._send(message.reply, _BACK)
        else:
            self._held[key] = _Held(message, facts.num_delivered or 1)
            self._waiting.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._waiting.get()
            try:
                await self._handle(key)
            except Exception:
                # The line is down and its buffer full: unacknowledged, it comes again.
                self._held.pop(key, None)
                _log.exception("message not acknowledged", extra={"stream": self.rule.stream})
            finally:
                self._waiting.task_done()

    async def _handle(self, key: tuple[int, str]) -> None:
        held = self._held[key]
        topic = topic_of(held.message.subject)
        assert topic is not None  # noqa: S101 - checked on receipt
        try:
            await self._handler(topic, held.message.data, key[0])
        except Exception:
            self._counts["failed"] += 1
            wait_s = min(_FIRST_RETRY_S * 2 ** min(held.tries - 1, 16), _LONGEST_RETRY_S)
            _log.exception("handler failed, again later", extra={"topic": topic, "sequence": key[0]})
            await self._give_back(key, wait_s)
            return
        self._counts["handled"] += 1
        self._done[key] = None
        if len(self._done) > _REMEMBERED:
            del self._done[next(iter(self._done))]
        await self._send(self._held.pop(key).reply, _ACK)

    async def _give_back(self, key: tuple[int, str], wait_s: float) -> None:
        held = self._held.pop(key)
        delay = msgspec.json.encode({"delay": round(wait_s * 1_000_000_000)})
        await self._send(held.reply, b"-NAK " + delay)

    async def _tell_progress(self) -> None:
        # A slow handler is not a dead one.
        while True:
            await asyncio.sleep(self.rule.ack_wait_s / 3)
            for held in list(self._held.values()):
                with contextlib.suppress(Exception):
                    await self._send(held.reply, _PROGRESS)
