"""Readings as they were told, read back in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from eletrovia.metering.reading import Reading
from eletrovia.store.pool import Store

# A moment's first value, then the others as they came; of those that came together, the lower register first.
_TOLD: Final = """
select at, energy_wh, sent_kwh from (
    select at, energy_wh, sent_kwh, '-infinity'::timestamptz as arrived_at
    from reading where meter = %(meter)s and at between %(first)s and %(last)s
    union all
    select at, energy_wh, sent_kwh, arrived_at
    from reading_conflict where meter = %(meter)s and at between %(first)s and %(last)s
) as told
order by at, arrived_at, energy_wh, sent_kwh
"""
_LATEST: Final = """
with newest as (
    select at, energy_wh, sent_kwh, '-infinity'::timestamptz as arrived_at
    from reading where meter = %(meter)s order by at desc limit %(count)s
)
select at, energy_wh, sent_kwh from (
    select * from newest
    union all
    select at, energy_wh, sent_kwh, arrived_at
    from reading_conflict where meter = %(meter)s and at >= (select min(at) from newest)
) as told
order by at desc, arrived_at desc, energy_wh desc, sent_kwh desc
limit %(count)s
"""


class HistoryStore:
    """Reads one meter's readings, conflicts among them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def latest(self, meter: int, count: int) -> list[Reading]:
        """The last ones, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_LATEST, {"meter": meter, "count": count})
            return [_reading(meter, row) for row in reversed(await rows.fetchall())]

    async def pages(
        self, meter: int, first: datetime, last: datetime, size: int
    ) -> AsyncIterator[list[Reading]]:
        """All from ``first`` to ``last``, both included, oldest first, so many at a time."""
        # A cursor on the server: one look at one state of the table, however long the reader takes.
        async with self._store.transaction() as connection, connection.cursor("told") as cursor:
            await cursor.execute(_TOLD, {"meter": meter, "first": first, "last": last})
            while rows := await cursor.fetchmany(size):
                yield [_reading(meter, row) for row in rows]


def _reading(meter: int, row: tuple[Any, ...]) -> Reading:
    return Reading(meter=meter, at=row[0], energy_wh=row[1], sent_kwh=row[2])
