"""Migrations: once each, in order, all or nothing, and the same schema every time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

import psycopg
import pytest

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.store.migration import Migration, carried, in_order, migrate
from eletrovia.store.pool import Store

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Source(Protocol):
    def new(self, *, migrated: bool = True) -> str: ...
    def url(self, name: str) -> str: ...
    def retire(self, name: str) -> None: ...


@pytest.fixture
async def empty(databases: Source) -> AsyncIterator[Store]:
    """A store on a database in which nothing was ever done."""
    name = databases.new(migrated=False)
    store = await Store.open(databases.url(name))
    yield store
    await store.close()
    databases.retire(name)


def files(**statements: str) -> list[Migration]:
    """``m0010_people="…"`` as the file 0010_people.sql."""
    return in_order({f"{name[1:]}.sql": text.encode() for name, text in statements.items()})


async def tables(store: Store) -> set[str]:
    async with store.connection() as connection:
        rows = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in await rows.fetchall()}


# Everything that a migration can make and a later reader could trip over, in words.
SCHEMA = """
SELECT 'column', format('%I.%I', n.nspname, c.relname), a.attname,
       concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, a.attnum,
                 format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                 a.attstorage, a.attcompression, pg_get_expr(d.adbin, d.adrelid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE n.nspname !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace::regnamespace::text !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class c ON c.oid = indrelid
WHERE c.relnamespace::regnamespace::text !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'view', format('%I.%I', schemaname, viewname), '', definition
FROM pg_views WHERE schemaname !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'routine', oid::regprocedure::text, prokind::text, md5(pg_get_functiondef(oid))
FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^pg_|^information_schema$' AND prokind <> 'a'
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'type', oid::regtype::text, typtype::text,
       (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
FROM pg_type t WHERE typnamespace::regnamespace::text !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'sequence', format('%I.%I', schemaname, sequencename), data_type::text,
       concat_ws(' ', start_value, min_value, max_value, increment_by, cycle, cache_size)
FROM pg_sequences
ORDER BY 1, 2, 3, 4
"""


async def schema(store: Store) -> list[tuple[object, ...]]:
    async with store.connection() as connection:
        return await (await connection.execute(SCHEMA)).fetchall()


async def test_what_the_package_carries_builds_the_same_schema_every_time(
    empty: Store, databases: Source
) -> None:
    applied = await migrate(empty, now=NOW)
    assert applied == [migration.name for migration in carried()]
    assert applied == sorted(applied)
    again = databases.new(migrated=False)
    try:
        async with await Store.open(databases.url(again)) as other:
            await migrate(other, now=NOW)
            first, second = await schema(empty), await schema(other)
            assert len(first) > 20
            assert first == second
            async with other.connection() as connection:
                await connection.execute("ALTER TABLE schema_migration ALTER name DROP NOT NULL")
            assert await schema(other) != first  # the comparison has eyes
    finally:
        databases.retire(again)
    assert await migrate(empty, now=NOW) == []


async def test_each_file_is_applied_once_in_order_and_written_down(empty: Store) -> None:
    two = files(
        m0020_stop="ALTER TABLE trip ADD stops integer; CREATE TABLE stop ()",
        m0010_trip="CREATE TABLE trip ()",
    )
    assert await migrate(empty, now=NOW, migrations=two) == ["0010_trip.sql", "0020_stop.sql"]
    assert await migrate(empty, now=NOW, migrations=two) == []
    async with empty.connection() as connection:
        rows = await connection.execute("SELECT number, name, checksum, applied_at FROM schema_migration")
        assert await rows.fetchall() == [(each.number, each.name, each.checksum, NOW) for each in two]


async def test_a_room_may_add_in_its_own_tens_after_later_ones_were_applied(empty: Store) -> None:
    await migrate(empty, now=NOW, migrations=files(m0010_a="CREATE TABLE a ()", m0020_b="CREATE TABLE b ()"))
    three = files(m0010_a="CREATE TABLE a ()", m0011_c="CREATE TABLE c ()", m0020_b="CREATE TABLE b ()")
    assert await migrate(empty, now=NOW, migrations=three) == ["0011_c.sql"]


async def test_a_file_that_fails_leaves_nothing_and_stops_what_comes_after(empty: Store) -> None:
    broken = files(
        m0010_good="CREATE TABLE good ()",
        m0020_bad="CREATE TABLE half (); INSERT INTO nowhere VALUES (1)",
        m0030_after="CREATE TABLE after ()",
    )
    with pytest.raises(psycopg.errors.UndefinedTable):
        await migrate(empty, now=NOW, migrations=broken)
    assert await tables(empty) == {"good", "schema_migration"}
    mended = [broken[0], *files(m0020_bad="CREATE TABLE half ()"), broken[2]]
    assert await migrate(empty, now=NOW, migrations=mended) == ["0020_bad.sql", "0030_after.sql"]


async def test_an_applied_file_that_was_edited_is_refused(empty: Store) -> None:
    await migrate(empty, now=NOW, migrations=files(m0010_trip="CREATE TABLE trip ()\n"))
    with pytest.raises(Conflict) as caught:
        await migrate(empty, now=NOW, migrations=files(m0010_trip="CREATE TABLE trip (a text)\n"))
    assert (caught.value.code, caught.value.facts["file"]) == ("store.migration_changed", "0010_trip.sql")
    assert await migrate(empty, now=NOW, migrations=files(m0010_trip="CREATE TABLE trip ()\r\n")) == []


async def test_a_database_newer_than_the_code_is_refused_untouched(empty: Store) -> None:
    await migrate(empty, now=NOW, migrations=files(m0010_a="CREATE TABLE a ()", m0099_z="CREATE TABLE z ()"))
    older = files(m0010_a="CREATE TABLE a ()", m0020_b="CREATE TABLE b ()")
    with pytest.raises(Conflict) as caught:
        await migrate(empty, now=NOW, migrations=older)
    assert (caught.value.code, caught.value.facts["file"]) == ("store.newer_than_code", "0099_z.sql")
    assert "b" not in await tables(empty)


async def test_several_at_once_apply_each_file_once(empty: Store) -> None:
    slow = files(**{f"m00{n}0_t": f"SELECT pg_sleep(0.02); CREATE TABLE t{n} ()" for n in range(1, 6)})
    told = await asyncio.gather(*(migrate(empty, now=NOW, migrations=slow) for _ in range(4)))
    assert sorted(name for names in told for name in names) == [each.name for each in slow]


async def test_a_file_that_commits_by_itself_is_caught(empty: Store) -> None:
    with pytest.raises(Invalid) as caught:
        await migrate(empty, now=NOW, migrations=files(m0010_sly="CREATE TABLE a (); COMMIT; BEGIN"))
    assert caught.value.code == "store.migration_commits"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["people.sql"], "store.migration_name"),
        (["10_people.sql"], "store.migration_name"),
        (["0010_people.sql", "0010_trips.sql"], "store.migration_number"),
    ],
)
def test_names_that_give_no_order_are_refused(names: list[str], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        in_order(dict.fromkeys(names, b""))
    assert caught.value.code == code
