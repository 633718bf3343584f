"""Natural batching: what arrives while one batch is away leaves together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from eletrovia.base.errors import EletroviaError, Overloaded, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

Flush = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]


class Lane(Generic[Item, Result]):
    """Items put one by one travel in batches, without ever waiting for company.

    A quiet lane sends an item at once, alone; a busy one fills each batch with what came while the
    last one was away, so its size follows the load and no delay is ever chosen.

    Shape:  ``flush`` takes items in the order they were put and answers one result each, in that
            order; an Exception among the results is raised to that putter only, one that flush
            raises goes to every putter of the batch.
    Units:  ``most`` items in a batch, ``in_flight`` batches away at once, ``room`` items waiting.
    """

    def __init__(
        self, flush: Flush[Item, Result], *, most: int = 256, in_flight: int = 1, room: int = 10_000
    ) -> None:
        if most < 1 or in_flight < 1 or room < 1:
            raise ValueError("a lane carries at least one item, in one batch, with room for one")
        self._flush = flush
        self._most = most
        self._in_flight = in_flight
        self._room = room
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._closed = False
        self.batches = 0
        self.items = 0

    @property
    def waiting(self) -> int:
        """Items that have not left yet."""
        return len(self._waiting)

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Send ``item``; await the answer for its result.

        A putter that is cancelled before its batch leaves takes its item along; later, the item is
        away and only its answer is dropped.

        Raises: Overloaded when too many wait, Unavailable when the lane is closed, both at once;
                the awaited answer raises what the flush answered for this item.
        """
        if self._closed:
            raise Unavailable("lane.closed")
        if len(self._waiting) >= self._room:
            raise Overloaded("lane.full", room=self._room)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._flights) < self._in_flight:
            # The task starts only after everything that is ready now has had its turn to put.
            flight = loop.create_task(self._fly())
            self._flights.add(flight)
            flight.add_done_callback(self._landed)
        return answer

    async def close(self) -> None:
        """Take nothing more, and return when everything that was put is answered."""
        self._closed = True
        while self._flights:
            await asyncio.wait(list(self._flights))

    async def __aenter__(self) -> Lane[Item, Result]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _fly(self) -> None:
        """Carry batch after batch until nobody waits."""
        try:
            while batch := self._board():
                await self._carry(batch)
        finally:
            # Here, not in a done callback: an item put between the two would find no flight to take it.
            self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _landed(self, flight: asyncio.Task[None]) -> None:
        if flight.cancelled():  # the loop is going down: nobody may be left waiting for ever
            self._flights.discard(flight)
            while self._waiting:
                self._waiting.popleft()[1].cancel()

    async def _carry(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        self.batches += 1
        self.items += len(items)
        try:
            answers = await self._flush(items)
            if len(answers) != len(items):
                raise EletroviaError("lane.answers", items=len(items), answers=len(answers))
        except Exception as failure:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(failure)
            return
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), result in zip(batch, answers, strict=True):
            if answer.done():  # its putter was cancelled while the batch was away
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    def _board(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        waiting = self._waiting
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while waiting and len(batch) < self._most:
            pair = waiting.popleft()
            if not pair[1].done():
                batch.append(pair)
        return batch
