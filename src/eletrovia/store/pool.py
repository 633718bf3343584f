"""The store: a pool of connections to one PostgreSQL database, embedded or the user's own."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from eletrovia.base.errors import EletroviaError, Invalid, Overloaded, Unavailable

Connection = psycopg.AsyncConnection[TupleRow]

OLDEST_SERVER = 15
# admin_shutdown, crash_shutdown, cannot_connect_now: the server goes, or is not there yet.
_SERVER_GONE = frozenset({"57P01", "57P02", "57P03"})


class Store:
    """One database.

    Shape: ``connection()`` commits each statement by itself; ``transaction()`` all or nothing.
    """

    def __init__(self, url: str, size: int, pool: AsyncConnectionPool[Connection]) -> None:
        self._url = url
        self._size = size
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, size: int = 8, wait_s: float = 10.0) -> Store:
        """Connect to ``url``, any PostgreSQL from 15 on.

        Units:  ``wait_s`` is how long a caller waits for a free connection.
        Raises: Unavailable when the server does not answer, or is too old; Invalid when ``url`` is no URL.
        """
        url = _with_password(url)
        pool = AsyncConnectionPool(
            url,
            connection_class=Connection,
            kwargs={"autocommit": True, "connect_timeout": 5, "application_name": "eletrovia"},
            min_size=1,
            max_size=size,
            timeout=wait_s,
            # The pool's own retries wait longer and longer, then end; these go on, once or twice a second.
            reconnect_timeout=1.0,
            reconnect_failed=_try_again,
            configure=_configure,
            open=False,
        )
        # One connection outside the pool first: it fails at once and says why, a pool only times out.
        try:
            async with await Connection.connect(url, autocommit=True, connect_timeout=5) as first:
                version = first.info.server_version // 10_000
        except psycopg.Error as failure:
            raise _unreachable(failure) from failure
        if version < OLDEST_SERVER:
            raise Unavailable(
                "store.version", server=version, do=f"use PostgreSQL {OLDEST_SERVER} or a later one"
            )
        await pool.open()
        return cls(url, size, pool)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection on which every statement commits by itself.

        Raises: Unavailable("store.unreachable") when the server is gone, even in the middle;
                Overloaded("store.busy") when all connections stay in use.
        """
        connection = await self._take()
        try:
            yield connection
        except psycopg.OperationalError as failure:
            if is_gone(connection, failure):
                raise _unreachable(failure) from failure
            raise
        finally:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed at the end, rolled back by any exception.

        Raises: as ``connection``; Unavailable("store.outcome_unknown") when the server went away during
                the commit: it may stand or not, so ask before doing it again.
        """
        async with self.connection() as connection:
            finished = False
            try:
                async with connection.transaction():
                    yield connection
                    finished = True
            except psycopg.OperationalError as failure:
                if finished and is_gone(connection, failure):
                    raise Unavailable("store.outcome_unknown", reason=str(failure)) from failure
                raise

    async def _take(self) -> Connection:
        try:
            while True:
                connection = await self._pool.getconn()
                if _still_there(connection):
                    return connection
                # The server restarted behind our back: drop this one and try the next, or a fresh one.
                await connection.close()
                await self._pool.putconn(connection)
        except TooManyRequests as failure:
            raise Overloaded("store.busy", size=self._size) from failure
        except PoolTimeout as failure:
            raise await self._why_none_came(failure) from failure
        except PoolClosed as failure:
            raise Unavailable("store.closed") from failure

    async def _why_none_came(self, failure: PoolTimeout) -> EletroviaError:
        try:
            async with await Connection.connect(self._url, connect_timeout=2):
                return Overloaded("store.busy", size=self._size)
        except psycopg.Error as refused:
            return _unreachable(refused)


def constraint_of(error: BaseException) -> str | None:
    """The name of the database constraint that ``error`` says was broken, if any."""
    return error.diag.constraint_name if isinstance(error, psycopg.Error) else None


def is_gone(connection: Connection, failure: psycopg.Error) -> bool:
    """Whether ``failure`` means that the server left, not that it refused a statement."""
    return connection.closed or connection.broken or failure.sqlstate in _SERVER_GONE


def _with_password(url: str) -> str:
    """``url`` as libpq's key and value pairs, with the password from the file that it names, if any.

    libpq reads such a file too, but lets PGPASSWORD, meant for some other server, go before it.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as failure:
        raise Invalid("store.url_malformed", reason=str(failure).strip()) from None
    file, user = given.get("passfile"), given.get("user")
    if file and user and not given.get("password"):
        with suppress(OSError, UnicodeDecodeError):
            for line in Path(str(file)).read_text().splitlines():
                if line.startswith("*:*:*:") and line.split(":")[3] == user:
                    given["password"] = line.split(":")[4]
    return make_conninfo("", **given)


async def _configure(connection: Connection) -> None:
    await connection.execute("SET TIME ZONE 'UTC'")


async def _try_again(pool: AsyncConnectionPool[Connection]) -> None:
    await pool.check()


def _still_there(connection: Connection) -> bool:
    """Whether the connection lives, without a round trip: an idle server only speaks to say goodbye."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)  # still readable after all was read: the end of the stream


def _unreachable(failure: psycopg.Error) -> Unavailable:
    return Unavailable("store.unreachable", reason=str(failure).strip())
