"""One meter's raw readings, as they stand in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eletrovia.store.pool import Store

_READINGS = """
select at, energy_wh, sent_kwh, power_w, source, estimated
from reading
where meter = %s and at >= %s and at < %s
order by at limit %s
"""
_CONFLICTS = """
select at, energy_wh, sent_kwh, source, arrived_at
from reading_conflict
where meter = %s and at >= %s and at <= %s
order by at, energy_wh
"""
_AT = """
select asked.meter, reading.energy_wh, reading.sent_kwh
from unnest(%b::integer[], %b::timestamptz[]) as asked (meter, at)
cross join lateral (
    select energy_wh, sent_kwh from reading
    where reading.meter = asked.meter and reading.at = asked.at offset 0
) reading
"""


class ReadingLogStore:
    """Reads readings back, one by one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def readings(
        self, meter: int, since: datetime, until: datetime, most: int
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Up to ``most`` of the readings in ``[since, until)``, oldest first, and what contradicts them."""
        async with self._store.connection() as connection:
            found = await connection.execute(_READINGS, (meter, since, until, most))
            rows = await found.fetchall()
            if not rows:
                return [], []
            found = await connection.execute(_CONFLICTS, (meter, rows[0][0], rows[-1][0]))
            return rows, await found.fetchall()

    async def at(self, meters: list[int], moments: list[datetime]) -> list[tuple[int, int, float | None]]:
        """Meter, Wh and the kWh it sent, for each with a reading at its moment."""
        async with self._store.connection() as connection:
            found = await connection.execute(_AT, (meters, moments))
            return [(int(meter), int(wh), sent_kwh) for meter, wh, sent_kwh in await found.fetchall()]
