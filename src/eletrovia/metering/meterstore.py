"""What gateways need of the meters' table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eletrovia.store.pool import Store

ROW = np.dtype([("key", "i4"), ("state", "i1"), ("via", "i4"), ("epoch", "i4")])
STATES = {"in_service": 1, "blocked": 2, "removed": 3}

# A transaction still at work may commit a change with an older number: all from the oldest such one on.
_CHANGES = """
select key, state, coalesce(via, 0), secret_epoch, pg_snapshot_xmin(pg_current_snapshot())::text
from meter where changed_in >= %s::xid8
"""
_TAKE_IN = """
with asked as (select unnest(%b::text[]) as id),
     born as (
         insert into meter (id, registered_at) select id, %s from asked order by id
         on conflict do nothing returning key, id
     ),
     point as (
         insert into usage_point (id, created_at) select id, %s from born on conflict do nothing returning id
     ),
     put as (
         insert into fitting (usage_point_id, meter, from_at, start_wh)
         select point.id, born.key, %s, 0 from point join born using (id)
     )
select id, key from born
"""


class MeterStore:
    """Reads and takes in meters for those who keep them in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def changes(self, since: str) -> tuple[NDArray[Any], str]:
        """Meters changed since, as an array of ``ROW``, and what to ask for next; "0" is the beginning."""
        async with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_CHANGES, (since,))
            rows = await cursor.fetchall()
        found = np.array([(key, STATES[state], via, epoch) for key, state, via, epoch, _ in rows], ROW)
        return found, str(rows[0][4]) if rows else since

    async def keys_of(self, ids: Collection[str]) -> dict[str, int]:
        """The keys of the meters with these ids; those that are not there are left out."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select id, key from meter where id = any (%b::text[])", (list(ids),)
            )
            return {str(id_): int(key) for id_, key in await rows.fetchall()}

    async def take_in(self, ids: Collection[str], now: datetime, since: datetime) -> dict[str, int]:
        """Meters nobody registered, each with a usage point of its name and no customer; all their keys."""
        async with self._store.transaction() as connection:
            await connection.execute(_TAKE_IN, (list(ids), now, now, since))
        return await self.keys_of(ids)
