"""PostgreSQL for customers, usage points and who lived at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.metering.customer import Claimant, Customer, Stay
from eletrovia.store.pool import Connection, Store, constraint_of

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
_CUSTOMER: Final = """
select id, account_id, name, tax_id, email, address, language, created_at, erased_at from customer
"""
_ADD: Final = """
insert into customer (id, account_id, name, tax_id, email, address, language, created_at)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_FOUND: Final = f"""{_CUSTOMER}
where id > %(after)s
  and (%(words)s::text is null or (erased_at is null and (
       id = %(words)s or tax_id = %(tax_id)s or email = lower(%(words)s)
       or strpos(lower(name), lower(%(words)s)) > 0)))
order by id limit %(limit)s
"""
_STAY: Final = """
select o.usage_point_id, p.area, o.customer_id, o.from_at, o.until_at,
       array(select m.id from fitting f join meter m on m.key = f.meter
             where f.usage_point_id = o.usage_point_id
               and tstzrange(f.from_at, f.until_at) && tstzrange(o.from_at, o.until_at)
             order by f.from_at)
from occupancy o join usage_point p on p.id = o.usage_point_id
"""
_TRY: Final = """
insert into claim_try as t (account_id, tries, since) values (%(account)s, 1, %(now)s)
on conflict (account_id) do update set
    tries = case when t.since <= %(forgotten)s then 1 else t.tries + 1 end,
    since = case when t.since <= %(forgotten)s then excluded.since else t.since end
returning tries, since
"""
_CHANGE: Final = """
update customer set
    name = case when %(has_name)s then %(name)s else name end,
    tax_id = case when %(has_tax_id)s then %(tax_id)s else tax_id end,
    email = case when %(has_email)s then %(email)s else email end,
    address = case when %(has_address)s then %(address)s else address end,
    language = case when %(has_language)s then %(language)s else language end
where id = %(id)s and erased_at is null
"""
# What hangs there is claimed with it; a code that was used is known, so that its user is told so.
_CLAIMED: Final = """
select m.key, f.usage_point_id, m.claim_code_sha256 is not null and m.claim_code_sha256 = %(code)s
from meter m join fitting f on f.meter = m.key and f.until_at is null
where m.id = %(id)s and m.state <> 'removed'
  and (m.claim_code_sha256 = %(code)s or m.spent_code_sha256 = %(code)s)
"""
_SPEND: Final = """
update meter set spent_code_sha256 = claim_code_sha256, claim_code_sha256 = null
where key = %s and claim_code_sha256 = %s
"""
# The constraint decides who was first; with ON CONFLICT the second waits and is told, instead of a deadlock.
_MOVE_IN: Final = """
insert into occupancy (usage_point_id, customer_id, from_at) values (%s, %s, %s)
on conflict do nothing returning from_at
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

    # -- customers -----------------------------------------------------------------------------------------

    async def add(self, customer: Customer) -> None:
        """Raises: Conflict for an account that is a customer already."""
        async with self._store.connection() as connection:
            try:
                await connection.execute(_ADD, _row(customer))
            except UniqueViolation as taken:
                if constraint_of(taken) != "customer_account_once":
                    raise
                raise Conflict("customer.account_taken", account_id=customer.account_id) from taken

    async def customer(self, customer_id: str) -> Customer | None:
        async with self._store.connection() as connection:
            row = await (await connection.execute(f"{_CUSTOMER} where id = %s", (customer_id,))).fetchone()
        return None if row is None else customer_of(row)

    async def customers(
        self, *, words: str | None, tax_id: str | None, after: str, limit: int
    ) -> list[Customer]:
        """A page of customers by id; ``words`` are of a name, or a whole id, e-mail address or tax number."""
        asked = {"words": words, "tax_id": tax_id, "after": after, "limit": limit}
        async with self._store.connection() as connection:
            rows = await connection.execute(_FOUND, asked)
            return [customer_of(row) for row in await rows.fetchall()]

    async def change(self, customer_id: str, columns: dict[str, str | None]) -> bool:
        """Whether there is such a customer, not erased. ``columns`` are those of the table."""
        told = {"id": customer_id}
        values = {name: columns.get(name) for name in ("name", "tax_id", "email", "address", "language")}
        given = {f"has_{name}": name in columns for name in values}
        async with self._store.connection() as connection:
            done = await connection.execute(_CHANGE, told | values | given)
            return done.rowcount == 1

    # -- stays ---------------------------------------------------------------------------------------------

    async def stays_of(self, customer_id: str) -> list[Stay]:
        """Everywhere a customer lives or lived, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"{_STAY} where o.customer_id = %s order by o.from_at, o.usage_point_id", (customer_id,)
            )
            return [_stay(row) for row in await rows.fetchall()]

    async def stays_in(self, usage_point_id: str) -> list[Stay]:
        """Everybody who lives or lived there, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"{_STAY} where o.usage_point_id = %s order by o.from_at", (usage_point_id,)
            )
            return [_stay(row) for row in await rows.fetchall()]

    async def move_in(
        self, usage_point_id: str, customer_id: str, from_at: datetime, *, taking_over: bool
    ) -> None:
        """Raises: NotFound; Conflict while somebody lives there; Invalid to take over before they came."""
        async with self._store.transaction() as connection:
            known = await connection.execute(
                "select from customer where id = %s and erased_at is null for share", (customer_id,)
            )
            if await known.fetchone() is None:
                raise NotFound("customer.unknown", customer_id=customer_id)
            if taking_over:
                await _end_stay(connection, usage_point_id, from_at)
            try:
                moved = await connection.execute(_MOVE_IN, (usage_point_id, customer_id, from_at))
            except ForeignKeyViolation as nowhere:
                raise NotFound("usage_point.unknown", usage_point_id=usage_point_id) from nowhere
            if await moved.fetchone() is None:
                raise Conflict("usage_point.occupied", usage_point_id=usage_point_id)

    async def move_out(self, usage_point_id: str, at: datetime, *, customer_id: str | None = None) -> bool:
        """Whether somebody (that customer, where one is named) lived there until now.

        Raises: Invalid for a moment before they came.
        """
        async with self._store.connection() as connection:
            return await _end_stay(connection, usage_point_id, at, customer_id)

    # -- claiming ------------------------------------------------------------------------------------------

    async def count_try(self, account_id: str, now: datetime, forgotten: datetime) -> tuple[int, datetime]:
        """The tries of an account, this one included, and since when they count."""
        asked = {"account": account_id, "now": now, "forgotten": forgotten}
        async with self._store.connection() as connection:
            row = await (await connection.execute(_TRY, asked)).fetchone()
        assert row is not None  # noqa: S101 - an upsert answers with its row
        return int(row[0]), row[1]

    async def give_try_back(self, account_id: str) -> None:
        """It was no guess: the code was right."""
        async with self._store.connection() as connection:
            await connection.execute(
                "update claim_try set tries = tries - 1 where account_id = %s and tries > 0", (account_id,)
            )

    async def claim(
        self, claimant: Claimant, customer_id: str, meter_id: str, code_sha256: bytes, now: datetime
    ) -> tuple[str, str]:
        """Customer and usage point; ``customer_id`` is for a claimant who is no customer yet.

        Raises: NotFound for a meter that is not there and for a wrong code alike; Conflict.
        """
        async with self._store.transaction() as connection:
            asked = {"id": meter_id, "code": code_sha256}
            row = await (await connection.execute(_CLAIMED, asked)).fetchone()
            if row is None:
                raise NotFound("meter.claim_refused", meter_id=meter_id)
            key, usage_point_id, fresh = row
            owner = await _customer_for(connection, claimant, customer_id, now)
            moved = False
            if fresh:
                inserted = await connection.execute(_MOVE_IN, (usage_point_id, owner, now))
                moved = await inserted.fetchone() is not None
            if moved:
                await connection.execute(_SPEND, (key, code_sha256))
            elif not await _lives_there(connection, usage_point_id, owner):
                raise Conflict("meter.claimed", meter_id=meter_id)
            return owner, usage_point_id


async def _customer_for(connection: Connection, claimant: Claimant, customer_id: str, now: datetime) -> str:
    """The customer that this account is, or becomes."""
    new = Customer(
        id=customer_id,
        account_id=claimant.account_id,
        name=claimant.name,
        tax_id=None,
        email=claimant.email,
        address="",
        language=claimant.language,
        created_at=now,
    )
    await connection.execute(f"{_ADD} on conflict (account_id) do nothing", _row(new))
    rows = await connection.execute(
        "select id from customer where account_id = %s for share", (claimant.account_id,)
    )
    row = await rows.fetchone()
    if row is None:  # erased between the two statements
        raise Conflict("customer.erased")
    return str(row[0])


async def _lives_there(connection: Connection, usage_point_id: str, customer_id: str) -> bool:
    rows = await connection.execute(
        "select from occupancy where usage_point_id = %s and customer_id = %s and until_at is null",
        (usage_point_id, customer_id),
    )
    return await rows.fetchone() is not None


async def _end_stay(
    connection: Connection, usage_point_id: str, at: datetime, customer_id: str | None = None
) -> bool:
    try:
        ended = await connection.execute(
            "update occupancy set until_at = %s where usage_point_id = %s and until_at is null"
            " and customer_id = coalesce(%s, customer_id)",
            (at, usage_point_id, customer_id),
        )
    except CheckViolation as early:
        if constraint_of(early) != "occupancy_ends_later":
            raise
        raise Invalid(
            "stay.ends_before_it_begins", usage_point_id=usage_point_id, at=at.isoformat()
        ) from early
    return ended.rowcount == 1


def _row(customer: Customer) -> tuple[object, ...]:
    *columns, _ = msgspec.structs.astuple(customer)
    return tuple(columns)


def customer_of(row: Sequence[Any]) -> Customer:
    """Of a row as ``_CUSTOMER`` gives it."""
    return Customer(
        id=row[0],
        account_id=row[1],
        name=row[2],
        tax_id=row[3],
        email=row[4],
        address=row[5],
        language=row[6],
        created_at=row[7],
        erased_at=row[8],
    )


def _stay(row: Sequence[Any]) -> Stay:
    return Stay(
        usage_point_id=row[0],
        area=row[1],
        customer_id=row[2],
        from_at=row[3],
        until_at=row[4],
        meter_ids=tuple(row[5]),
    )
