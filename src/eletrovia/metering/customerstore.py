"""PostgreSQL for customers, usage points and who lived at them."""

from __future__ import annotations

from datetime import datetime

from eletrovia.store.pool import Store

# When a meter counted at a place while the customer lived there: where both last, the earlier end counts.
_STAYS = """
select m.key, m.id, f.usage_point_id,
       greatest(f.from_at, o.from_at) as since, least(f.until_at, o.until_at) as until
from customer c
join occupancy o on o.customer_id = c.id
join fitting f on f.usage_point_id = o.usage_point_id
              and tstzrange(f.from_at, f.until_at) && tstzrange(o.from_at, o.until_at)
join meter m on m.key = f.meter
where c.account_id = %s and (%s::text is null or m.id = %s)
order by m.id, since
"""
_PLACE = """
select m.key, coalesce(f.usage_point_id, '')
from meter m
left join lateral (
    select usage_point_id from fitting where meter = m.key order by from_at desc limit 1
) f on true
where m.id = %s
"""
_STAYS_AT = """
select o.from_at, o.until_at
from customer c join occupancy o on o.customer_id = c.id
where c.account_id = %s and o.usage_point_id = %s
order by o.from_at
"""


class CustomerStore:
    """Reads and writes customers and their stays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- who may see what ----------------------------------------------------------------------------------

    async def stays(
        self, account_id: str, meter_id: str | None
    ) -> list[tuple[int, str, str, datetime, datetime | None]]:
        """Key, id, usage point, from and until of every meter while this account's customer lived with it."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_STAYS, (account_id, meter_id, meter_id))
            return await rows.fetchall()

    async def stays_at(self, account_id: str, usage_point_id: str) -> list[tuple[datetime, datetime | None]]:
        """When this account's customer lived there."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_STAYS_AT, (account_id, usage_point_id))
            return await rows.fetchall()

    async def place_of(self, meter_id: str) -> tuple[int, str] | None:
        """A meter's key and the usage point that it counts for, or counted for last."""
        async with self._store.connection() as connection:
            row = await (await connection.execute(_PLACE, (meter_id,))).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    async def is_usage_point(self, usage_point_id: str) -> bool:
        async with self._store.connection() as connection:
            rows = await connection.execute("select from usage_point where id = %s", (usage_point_id,))
            return await rows.fetchone() is not None

    async def customer_id_of(self, account_id: str) -> str | None:
        async with self._store.connection() as connection:
            rows = await connection.execute("select id from customer where account_id = %s", (account_id,))
            row = await rows.fetchone()
        return None if row is None else str(row[0])
