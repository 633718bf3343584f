"""What the 2023 course's meters over TCP, and its page, can ask for, on the rooms' own books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import groupby

import numpy as np

from eletrovia.base.errors import Invalid
from eletrovia.classroom.meter_numbers import MeterNumbers
from eletrovia.classroom.meter_patience import patiently
from eletrovia.classroom.meter_tally import Tally
from eletrovia.classroom.meter_words import (
    NULL,
    Filter,
    Join,
    Message,
    Spent,
    Which,
    alert_from,
    historic_row,
    invoice,
    is_number,
    meter_id_of,
    read,
    written,
)
from eletrovia.metering.history import History
from eletrovia.metering.intake import SETTLED, Intake
from eletrovia.metering.reading import Reading, Readings, Source


class MeterDesk:
    """Answers meters and their page. What is answered to a reading is answered after its commit."""

    def __init__(self, intake: Intake, history: History, numbers: MeterNumbers, tally: Tally) -> None:
        self.tally = tally
        self._intake = intake
        self._history = history
        self._numbers = numbers

    async def hear(self, objects: Sequence[bytes]) -> list[bytes]:
        """An answer to each message of one meter, in their order; ``null`` to what makes no sense."""
        messages = [self._read(octets) for octets in objects]
        answers: list[bytes] = []
        # Readings that came together are committed together.
        for kind, some in groupby(messages, type):
            if kind is Spent:
                answers += await self.spent([one for one in some if isinstance(one, Spent)])
            else:
                answers += [await self._answer(one) for one in some]
        return answers

    async def post(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        """The answer to a POST of the page, in pieces."""
        message = self._read(body, path)
        if isinstance(message, Filter):
            async for piece in self._filtered(message):
                yield piece
        else:
            yield (await self.spent([message]))[0] if isinstance(message, Spent) else NULL

    async def join(self) -> int:
        """A new meter's number, given for good."""
        while True:
            number = await patiently(self._numbers.next)
            # Another server may have given this one to a meter that now comes to us.
            if await self._meter(str(number)) is None:
                await self._taken_in({str(number)})
                return number

    async def knows(self, number: str) -> bool:
        """Whether there is such a meter."""
        return await self._meter(number) is not None

    async def invoice(self, number: str) -> bytes:
        """What a meter's register costs; ``null`` for one that nobody knows."""
        meter = await self._meter(number)
        return NULL if meter is None else invoice(await self._last(meter))

    async def historic(
        self, number: str, *, first: datetime | None = None, last: datetime | None = None
    ) -> AsyncIterator[bytes]:
        """All that a meter sent, in pieces of JSON; ``null`` for one that nobody knows."""
        meter = await self._meter(number)
        if meter is None:
            yield NULL
            return
        alert = written(alert_from(await self._last(meter)))
        yield b'{"alert": ' + alert + b', "historic": ['
        between = b""
        async for page in self._history.pages(meter, first=first, last=last):
            yield between + written([historic_row(one) for one in page])[1:-1]
            between = b", "
        yield b"]}"

    async def spent(self, told: Sequence[Spent]) -> list[bytes]:
        """Answers to readings that are on the disk now."""
        keys = await self._taken_in({one.number for one in told})
        readings = Readings.of(Source.CLASSROOM_TCP, [one.reading(keys[one.meter_id]) for one in told])
        fates = await patiently(lambda: self._intake.take(readings))
        self.tally.settled(fates)
        settled = (fates <= np.int8(SETTLED)).tolist()
        return [one.answer() if good else NULL for one, good in zip(told, settled, strict=True)]

    async def _answer(self, message: Message | None) -> bytes:
        if isinstance(message, Join):
            return str(await self.join()).encode()
        if isinstance(message, Filter):
            return b"".join([piece async for piece in self._filtered(message)])
        return NULL

    def _filtered(self, wanted: Filter) -> AsyncIterator[bytes]:
        first = None if wanted.which is Which.LOWER else wanted.at
        last = None if wanted.which is Which.UPPER else wanted.at
        return self.historic(wanted.number, first=first, last=last)

    def _read(self, octets: bytes, path: str | None = None) -> Message | None:
        self.tally.heard += 1
        try:
            return read(octets, path)
        except Invalid:
            self.tally.unreadable(octets)
            return None

    async def _meter(self, number: str) -> int | None:
        if not is_number(number):
            return None
        id_ = meter_id_of(number)
        return (await patiently(lambda: self._intake.roster.keys_of([id_]))).get(id_)

    async def _taken_in(self, numbers: set[str]) -> dict[str, int]:
        ids = [meter_id_of(number) for number in numbers]
        return await patiently(lambda: self._intake.roster.keys_taking_in(ids))

    async def _last(self, meter: int) -> Reading | None:
        found = await patiently(lambda: self._history.latest(meter, 1))
        return found[-1] if found else None
