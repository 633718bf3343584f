"""A connection to NATS that mends itself for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from eletrovia.base.errors import Denied, Invalid, Unavailable
from eletrovia.bus import swift

_log = logging.getLogger(__name__)

_MEND_WAIT_S = 0.1
_MEND_WAIT_LONGEST_S = 3.0
_PING_S = 10
MAX_BUFFERED_OCTETS = 16 << 20


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    """Raises a cancellation that comes meanwhile: the client swallows one that meets it while it flushes."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


class Binding(Protocol):
    """Something that wants to be subscribed on every new connection."""

    async def bind(self, client: Client) -> None: ...

    async def close(self) -> None: ...


class Line:
    """What lasts while connections come and go: who is bound, and what waits to be sent.

    ``counts`` tells ``reconnects`` and ``dropped``.
    """

    # nats-py can reconnect by itself, but gives up for good on some of the server's errors; so each
    # connection here lives once, and the mending is in one place.

    def __init__(self, url: str, *, name: str, creds_file: Path | None) -> None:
        self.url = url
        self._name = name
        self._creds_file = creds_file
        self._client: Client | None = None
        self._last_problem: Exception | None = None
        self._bindings: list[Binding] = []
        self._buffer: deque[tuple[str, bytes]] = deque()
        self._buffered_octets = 0
        self._closing = False
        self._mending: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    @classmethod
    async def connect(
        cls, url: str, *, name: str = "eletrovia", creds_file: Path | None = None, timeout_s: float = 10.0
    ) -> Line:
        """Connects; credentials stand in the URL (``nats://user:password@host:port``) or in a creds file.

        Raises: Denied ``bus.denied``; Unavailable ``bus.unreachable`` after ``timeout_s``; Invalid.
        """
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("nats", "tls", "ws", "wss") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise Invalid("bus.url_malformed", url=shown(url))
        line = cls(url, name=name, creds_file=creds_file)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        await line._open()
                        return line
                    except (nats.errors.Error, OSError, TimeoutError) as problem:
                        reason = line._last_problem or problem
                        if "authorization violation" in str(reason).lower():
                            raise Denied("bus.denied", url=shown(url)) from problem
                        line._last_problem = reason
                    await asyncio.sleep(_MEND_WAIT_S)
        except TimeoutError as problem:
            reason = line._last_problem or problem
            raise Unavailable("bus.unreachable", url=shown(url), reason=str(reason)) from problem

    @property
    def connected(self) -> bool:
        """Whether it is up right now."""
        return self._client is not None and self._client.is_connected

    async def send(self, subject: str, payload: bytes) -> None:
        """Publishes on a bare NATS subject; buffered while the line is down.

        Raises: Invalid ``bus.payload_too_big``; Unavailable when closed, or the buffer is full.
        """
        if self._closing:
            raise Unavailable("bus.closed", url=shown(self.url))
        if self._client is not None and self._client.is_connected and not self._buffer:
            try:
                with _cancellable():
                    await self._client.publish(subject, payload)
                return
            except nats.errors.MaxPayloadError as problem:
                raise Invalid("bus.payload_too_big", octets=len(payload)) from problem
            except (nats.errors.Error, OSError):
                pass  # the line broke under us: buffer it
        if self._buffered_octets + len(payload) > MAX_BUFFERED_OCTETS:
            raise Unavailable("bus.disconnected", url=shown(self.url), buffered_octets=self._buffered_octets)
        self._buffer.append((subject, payload))
        self._buffered_octets += len(payload)

    async def send_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """As ``send``, many in one go."""
        if self._client is not None and self._client.is_connected and not self._buffer and not self._closing:
            try:
                await swift.send_all(self._client, messages)
                return
            except (nats.errors.Error, OSError):
                pass  # the line broke under us: twice is better than never
        for subject, payload in messages:
            await self.send(subject, payload)

    async def flush(self, *, timeout_s: float = 5.0) -> None:
        """Waits until the broker has seen all that was sent and every subscription.

        Raises: Unavailable.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._client is None or self._buffer or not self._client.is_connected:
                    await asyncio.sleep(0.02)
                await self._client.flush(timeout=max(1, round(timeout_s)))
        except (nats.errors.Error, OSError, TimeoutError) as problem:
            raise Unavailable("bus.disconnected", url=shown(self.url), reason=str(problem)) from problem

    async def ask_all(
        self, subject: str, payload: bytes, *, quiet_s: float, patience_s: float = 5.0
    ) -> list[bytes]:
        """All answers to a question on a bare NATS subject, until ``quiet_s`` pass without another.

        Raises: Unavailable when the line is down or nobody answers within ``patience_s``.
        """
        client = self._client
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: Msg) -> None:
            answers.put_nowait(message.data)

        if client is None or not client.is_connected:
            raise Unavailable("bus.disconnected", url=shown(self.url))
        told: list[bytes] = []
        try:
            inbox = client.new_inbox()
            listening = await client.subscribe(inbox, cb=take)
            await client.publish(subject, payload, reply=inbox)
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(quiet_s if told else patience_s):
                        told.append(await answers.get())
            await listening.unsubscribe()
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable("bus.disconnected", url=shown(self.url), reason=str(problem)) from problem
        # An empty answer is the broker saying that nobody listens there.
        told = [answer for answer in told if answer]
        if not told:
            raise Unavailable("bus.unanswered", subject=subject)
        return told

    async def bind(self, binding: Binding) -> None:
        """Binds now and on every later connection; when the line breaks meanwhile, as soon as it is back.

        Raises: APIError when JetStream refuses, and then it is not bound; Unavailable when closed.
        """
        if self._closing:
            raise Unavailable("bus.closed", url=shown(self.url))
        self._bindings.append(binding)
        client = self._client
        if client is None or not client.is_connected:
            return
        try:
            with _cancellable():
                await binding.bind(client)
                await client.flush()
        except APIError:
            self.unbind(binding)
            raise
        except (nats.errors.Error, OSError, TimeoutError) as problem:
            _log.warning("bound only after the next connection: %s", problem)
            await _hang_up(client)

    def unbind(self, binding: Binding) -> None:
        """Does not bind it again."""
        if binding in self._bindings:
            self._bindings.remove(binding)

    async def close(self) -> None:
        """Closes what is bound, sends what is buffered, hangs up. Twice is harmless."""
        if self._closing:
            return
        for binding in list(self._bindings):
            await binding.close()
        if self.connected:
            with contextlib.suppress(Unavailable):
                await self.flush()
        self._closing = True
        if self._mending is not None:
            self._mending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._mending
        if self._client is not None:
            await _hang_up(self._client)

    async def _open(self) -> None:
        client = Client()
        self._last_problem = None

        async def on_closed() -> None:
            if self._client is client and not self._closing and self._mending is None:
                self._mending = asyncio.create_task(self._mend())

        try:
            await client.connect(
                self.url,
                name=self._name,
                user_credentials=str(self._creds_file) if self._creds_file else None,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=5,
                ping_interval=_PING_S,
                max_outstanding_pings=2,
                error_cb=self._on_error,
                closed_cb=on_closed,
            )
            bound: list[Binding] = []
            while (new := [one for one in self._bindings if one not in bound]) or self._buffer:
                for binding in new:
                    await binding.bind(client)
                    bound.append(binding)
                if new:
                    await client.flush()
                await self._send_buffered(client)
            # No wait from the last look to here: what is bound or sent from now on finds this client.
        except BaseException:
            await _hang_up(client)
            raise
        self._client = client

    async def _send_buffered(self, client: Client) -> None:
        while self._buffer:
            subject, payload = self._buffer[0]
            try:
                await client.publish(subject, payload)
            except nats.errors.MaxPayloadError:
                self.counts["dropped"] += 1
                _log.error("buffered message too big for the broker", extra={"subject": subject})
            self._buffer.popleft()
            self._buffered_octets -= len(payload)

    async def _mend(self) -> None:
        wait_s = _MEND_WAIT_S
        _log.warning("bus disconnected", extra={"url": shown(self.url), "reason": str(self._last_problem)})
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._open()
            except Exception as problem:  # whatever it is, the next try may find it gone
                wait_s = min(wait_s * 1.5, _MEND_WAIT_LONGEST_S)
                _log.info("bus still down: %s", self._last_problem or problem)
                continue
            self._mending = None
            self.counts["reconnects"] += 1
            _log.info("bus connected again", extra={"url": shown(self.url)})
            return

    async def _on_error(self, problem: Exception) -> None:
        if isinstance(problem, nats.errors.SlowConsumerError):
            self.counts["dropped"] += 1
        self._last_problem = problem
        _log.debug("bus: %s", problem)


async def _hang_up(client: Client) -> None:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await client.close()


def shown(url: str) -> str:
    """A URL without its credentials, for logs and errors."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
