"""Server-sent events: a bounded number of lines, each with a bounded queue and a beat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar.response import ServerSentEvent, ServerSentEventMessage

from eletrovia.base.errors import Denied, NotFound, Overloaded

STREAMS_MAX: Final = 1000
STREAMS_EACH_MAX: Final = 8
WAITING_MAX: Final = 100
"""News kept for a reader that is slow; beyond that the oldest is dropped, for the newest counts."""
BEAT_S: Final = 15.0
"""A comment goes out this often, so that proxies keep the line and a gone reader is noticed."""

Put = Callable[[Any], None]
Stop = Callable[[], None]
Follow = Callable[[Put], Awaitable[Stop]]


class Streams:
    """The open lines of one kind of event."""

    def __init__(self, event: str, too_many: str) -> None:
        self._event = event
        self._too_many = too_many
        self._open: dict[str, int] = {}

    def answer(
        self, account_id: str, follow: Follow, *, still: Callable[[], Awaitable[object]]
    ) -> ServerSentEvent:
        """A line to one reader: everything put after ``follow`` was called, as JSON.

        ``still`` is asked every ``BEAT_S``, however much there is to tell; it ends the line by raising
        NotFound or Denied.
        Raises: Overloaded when there are too many lines.
        """
        mine = self._open.get(account_id, 0)
        if mine >= STREAMS_EACH_MAX or sum(self._open.values()) >= STREAMS_MAX:
            raise Overloaded(self._too_many, retry_after_s=int(BEAT_S))
        return ServerSentEvent(
            self._lines(account_id, follow, still),
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _lines(
        self, account_id: str, follow: Follow, still: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[ServerSentEventMessage]:
        waiting: asyncio.Queue[Any] = asyncio.Queue(WAITING_MAX)

        def put(news: Any) -> None:
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(news)

        self._open[account_id] = self._open.get(account_id, 0) + 1
        try:
            stop = await follow(put)
            try:
                yield ServerSentEventMessage(comment="hello", retry=2000)
                loop = asyncio.get_running_loop()
                beat_at = loop.time() + BEAT_S
                while True:
                    news: Any = None
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(beat_at):
                            news = await waiting.get()
                    if loop.time() >= beat_at:  # also where news never cease
                        try:
                            await still()
                        except (NotFound, Denied):
                            return
                        beat_at = loop.time() + BEAT_S
                        if news is None:
                            yield ServerSentEventMessage(comment="beat")
                    if news is not None:
                        yield ServerSentEventMessage(
                            event=self._event, data=msgspec.json.encode(news).decode()
                        )
            finally:
                stop()
        finally:
            self._open[account_id] -= 1
            if self._open[account_id] == 0:
                del self._open[account_id]
