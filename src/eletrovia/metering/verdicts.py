"""What people decide about doubtful readings; usage is worked out again from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.metering.arrival import packed
from eletrovia.metering.markstore import MarkStore, decide
from eletrovia.metering.reading import epoch_us
from eletrovia.metering.register import MOST_POWER_W, SLACK_WH
from eletrovia.metering.usage import Mark, MarkKind
from eletrovia.store.pool import Connection, Store

NOTE_MAX: Final = 1000


class Verdict(StrEnum):
    """What becomes of a doubtful reading."""

    ACCEPT = "accept"
    """It counts: a jump by its whole difference; after a step back the register counts on from there."""
    EXCLUDE = "exclude"
    """As if it had never come. It stays where it is, and so does its mark."""


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """A mark of some meter, for those who look after all."""

    meter_id: str
    noticed_at: datetime
    mark: Mark


class Verdicts:
    """Decides, and lists what waits to be decided."""

    def __init__(self, store: Store, clock: Clock, *, hint: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._clock = clock
        self._marks = MarkStore(store)
        self._hint = hint

    async def marks(self, *, waiting: bool = True, limit: int = 100) -> list[Noticed]:
        """Marks of all meters, newest first: those that wait for a person, or all."""
        found = await self._marks.of_all(waiting=waiting, limit=limit)
        return [Noticed(meter_id=id_, noticed_at=noticed_at, mark=mark) for id_, noticed_at, mark in found]

    async def decide(self, meter: int, at: datetime, verdict: Verdict, *, account_id: str, note: str) -> None:
        """Write what was decided about the reading that stands at ``at``. The same again changes nothing.

        Raises: NotFound where nothing is marked there; Invalid for a note too long or empty; Conflict for a
                jump that no meter can have counted, so that it cannot be accepted.
        """
        note = note.strip()
        if not 0 < len(note) <= NOTE_MAX:
            raise Invalid("verdict.note_length", longest=NOTE_MAX)
        async with self._store.transaction() as connection:
            marks = await decide(connection, meter, at, verdict.value, account_id, note, self._clock.now())
            if not marks:
                raise NotFound("mark.unknown", at=at.isoformat())
            for kind, energy_wh, starts_at in marks:
                seconds = (at - starts_at).total_seconds()
                most_wh = MOST_POWER_W * seconds // 3600 + SLACK_WH
                if verdict is Verdict.ACCEPT and kind == MarkKind.JUMP and energy_wh > most_wh:
                    raise Conflict("verdict.too_much", energy_wh=energy_wh)
            await work_again(connection, meter, at, at, self._clock.now())
        self._hint()


async def work_again(
    connection: Connection, meter: int, first: datetime, last: datetime, now: datetime
) -> None:
    """Have a stretch of a meter worked out anew, as if readings had come in it."""
    spans = packed(np.array([meter, meter], np.int32), np.array([epoch_us(first), epoch_us(last)]))
    await connection.execute(
        "insert into arrival (spans, readings, arrived_at) values (%b, 0, %s)", (spans, now)
    )
