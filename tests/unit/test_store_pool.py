"""The store: transactions, errors by name, and a server that goes away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from eletrovia.base.errors import Overloaded, Unavailable
from eletrovia.store.pool import Store, constraint_of


@pytest.fixture
async def table(store: Store) -> str:
    async with store.connection() as connection:
        await connection.execute(
            "CREATE TABLE berth (number integer CONSTRAINT berth_number_positive CHECK (number > 0))"
        )
    return "berth"


async def count(store: Store) -> int:
    async with store.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM berth")).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_transaction_stands_whole_or_not_at_all(store: Store, table: str) -> None:
    async with store.transaction() as connection:
        await connection.execute("INSERT INTO berth VALUES (1), (2)")

    async def fail() -> None:
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO berth VALUES (3)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count(store) == 2


async def test_outside_transactions_each_statement_stands_by_itself(store: Store, table: str) -> None:
    async def fail() -> None:
        async with store.connection() as connection:
            await connection.execute("INSERT INTO berth VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count(store) == 1


async def test_a_broken_rule_is_known_by_its_name(store: Store, table: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO berth VALUES (0)")
    assert constraint_of(caught.value) == "berth_number_positive"
    assert constraint_of(ValueError()) is None
    assert constraint_of(psycopg.OperationalError()) is None


async def test_moments_come_back_aware_and_utc(store: Store) -> None:
    moment = datetime(2026, 3, 1, 8, tzinfo=UTC)
    async with store.connection() as connection:
        row = await (await connection.execute("SELECT %s::timestamptz", (moment,))).fetchone()
    assert row is not None
    assert row[0] == moment
    assert row[0].utcoffset() == moment.utcoffset()


async def test_sessions_ended_by_the_server_are_replaced_unseen(store: Store, table: str) -> None:
    async def sleepy() -> None:
        async with store.connection() as connection:
            await connection.execute("SELECT pg_sleep(0.02)")

    await asyncio.gather(*(sleepy() for _ in range(8)))  # several connections stand now
    async with store.connection() as connection:
        ended = await connection.execute(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'eletrovia'
            """
        )
        assert ended.rowcount > 1
    await asyncio.gather(*(count(store) for _ in range(16)))


async def test_a_session_ended_in_the_middle_is_unavailable_and_the_next_use_works(
    store: Store, table: str
) -> None:
    async def lose() -> None:
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO berth VALUES (1)")
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable) as caught:
        await lose()
    assert caught.value.code == "store.unreachable"
    assert await count(store) == 0


async def test_a_session_ended_before_the_commit_leaves_the_outcome_open(store: Store, table: str) -> None:
    async def lose() -> None:
        async with store.transaction() as connection:
            pid = connection.info.backend_pid
            async with store.connection() as other:
                await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    with pytest.raises(Unavailable) as caught:
        await lose()
    assert caught.value.code == "store.outcome_unknown"


async def test_an_address_without_a_server_is_unavailable(postgres: object) -> None:
    with pytest.raises(Unavailable) as caught:
        await Store.open("postgresql://eletrovia@/eletrovia?host=/nonexistent")
    assert caught.value.code == "store.unreachable"


async def test_a_pool_in_full_use_is_overload_not_absence(database_url: str) -> None:
    async with (
        await Store.open(database_url, size=1, wait_s=0.2) as store,
        store.connection(),
    ):
        with pytest.raises(Overloaded) as caught:
            async with store.connection():
                pass
    assert caught.value.code == "store.busy"


async def test_a_closed_store_says_so(database_url: str) -> None:
    store = await Store.open(database_url)
    await store.close()
    with pytest.raises(Unavailable) as caught:
        async with store.connection():
            pass
    assert caught.value.code == "store.closed"
