"""A real PostgreSQL for every test that asks: one server for a test process, one fresh database for a test.

The server keeps its data between runs in a folder of the temporary directory, so that only the first run
ever pays for ``initdb``; a run that is killed leaves a server behind, and the next one adopts it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import sql

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.folder import OWNER
from eletrovia.store.migration import carried, migrate
from eletrovia.store.pool import Store

Result = TypeVar("Result")

_SLOTS = 64
# Test data may be lost with the machine's power; tests of durability start a server of their own.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "150"}


def run_apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` in a loop and a thread of its own, clear of the loops of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _start_in_a_free_slot() -> EmbeddedPostgres:
    for slot in range(_SLOTS):
        folder = Path(tempfile.gettempdir()) / f"eletrovia-tests-{os.getuid()}-{slot}"
        for last in (False, True):
            try:
                return run_apart(EmbeddedPostgres.start(folder, settings=_SETTINGS, revive=False))
            except Conflict as taken:
                if taken.code != "store.in_use":
                    raise
                break
            except Unavailable as broken:
                if last or broken.code != "store.start_failed":
                    raise
                shutil.rmtree(folder)
    raise RuntimeError(f"all {_SLOTS} test servers are in use")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test process's own."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]  # what the user has set for another server
    server = _start_in_a_free_slot()
    yield server
    run_apart(server.stop())


class Databases:
    """Fresh, migrated databases on one server."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._admin = psycopg.connect(server.admin_url, autocommit=True)
        self._made = 0
        self._done_with: list[str] = []
        content = "".join(migration.checksum for migration in carried())
        self._template = f"template_{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        self._drop_all_but(self._template)
        self._make_template()

    def _drop_all_but(self, kept: str) -> None:
        rows = self._admin.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^(test|template)_' AND datname <> %s", (kept,)
        )
        for (name,) in rows.fetchall():
            self.drop(name)

    def _make_template(self) -> None:
        found = self._admin.execute("SELECT FROM pg_database WHERE datname = %s", (self._template,))
        if found.fetchone() is not None:
            return
        unfinished = self._template.replace("template_", "test_template_")
        self._create(unfinished, "template1")

        async def fill() -> None:
            async with await Store.open(self._server.url_of(unfinished), size=1) as store:
                await migrate(store, now=SystemClock().now())

        run_apart(fill())
        self._admin.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(unfinished), sql.Identifier(self._template)
            )
        )

    def _create(self, name: str, template: str) -> None:
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
            )
        )

    def new(self, *, migrated: bool = True) -> str:
        """The name of a new database; ``url`` says where it is."""
        while self._done_with:
            self.drop(self._done_with.pop())
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        self._create(name, self._template if migrated else "template1")
        return name

    def url(self, name: str) -> str:
        return self._server.url_of(name)

    def retire(self, name: str) -> None:
        """Drop it later: right after its last session PostgreSQL would wait a tenth of a second."""
        self._done_with.append(name)

    def drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        self._admin.close()


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Iterator[Databases]:
    """Where fresh databases come from."""
    source = Databases(postgres)
    yield source
    source.close()


@pytest.fixture
def new_database(databases: Databases) -> Iterator[Callable[[], str]]:
    """Makes as many fresh, migrated databases as a test likes (one an operator, say) and gives their URLs."""
    made: list[str] = []

    def new() -> str:
        made.append(databases.new())
        return databases.url(made[-1])

    yield new
    for name in made:
        databases.retire(name)


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """The URL of one fresh, migrated database."""
    return new_database()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store on one fresh, migrated database."""
    opened = await Store.open(database_url)
    yield opened
    await opened.close()
