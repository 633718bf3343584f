"""Numbered SQL files, each applied once, under a lock, in a transaction of its own."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.store.pool import Connection, Store

# Any constant will do, as long as nobody else locks it: "eletrovia" in octets, cut to 63 bits.
_LOCK = int.from_bytes(b"eletrovi", "big") & (2**63 - 1)
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_BOOK = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer     CONSTRAINT schema_migration_once PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL
)
"""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One file of SQL.

    Shape: ``name`` is ``0010_people.sql``; its number says when it comes, its room owns the tens.
    """

    number: int
    name: str
    statements: bytes

    @property
    def checksum(self) -> str:
        """Of what it does; line ends may differ between check-outs."""
        return hashlib.sha256(self.statements.replace(b"\r\n", b"\n")).hexdigest()


def carried() -> list[Migration]:
    """The migrations inside the package, in order."""
    folder = resources.files("eletrovia.store") / "migrations"
    return in_order({file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".sql")})


def found_in(folder: Path) -> list[Migration]:
    """The migrations in ``folder``, in order."""
    return in_order({file.name: file.read_bytes() for file in folder.glob("*.sql")})


def in_order(files: Mapping[str, bytes]) -> list[Migration]:
    """``files`` by name, in order.

    Raises: Invalid for a name without a number, or a number used twice.
    """
    migrations = []
    for name, statements in files.items():
        named = _NAME.fullmatch(name)
        if named is None:
            raise Invalid("store.migration_name", file=name, do="name it like 0010_people.sql")
        migrations.append(Migration(int(named[1]), name, statements))
    migrations.sort()
    for one, other in itertools.pairwise(migrations):
        if one.number == other.number:
            raise Invalid("store.migration_number", files=[one.name, other.name])
    return migrations


async def migrate(store: Store, *, now: datetime, migrations: Iterable[Migration] | None = None) -> list[str]:
    """Bring the database up to the code, and name the files that were applied.

    Rooms number in their own tens, so a file may come after one with a higher number was applied.
    Locks:  one advisory lock for each file's transaction: of two at once, the second waits and looks again.
    Raises: Conflict("store.migration_changed") for a file that was edited after it was applied,
            Conflict("store.newer_than_code") for a database that knows files this code does not;
            psycopg.Error when a file fails, and then nothing of it stays.
    """
    known = carried() if migrations is None else list(migrations)
    applied: list[str] = []
    while True:
        async with store.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            pending = await _next(connection, known)
            if pending is None:
                return applied
            await _apply(connection, pending, now)
        applied.append(pending.name)


async def _next(connection: Connection, known: list[Migration]) -> Migration | None:
    await connection.execute(_BOOK)
    rows = await connection.execute("SELECT number, name, checksum FROM schema_migration ORDER BY number")
    stands = {int(number): (str(name), str(checksum)) for number, name, checksum in await rows.fetchall()}
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in stands.items():
        if number not in by_number:
            raise Conflict(
                "store.newer_than_code",
                file=name,
                do="a later eletrovia has used this database: run that one, or restore an older copy",
            )
        if by_number[number].checksum != checksum:
            raise Conflict(
                "store.migration_changed",
                file=by_number[number].name,
                do="an applied file is never edited: put it back and write the change into a new one",
            )
    return next((migration for migration in known if migration.number not in stands), None)


async def _apply(connection: Connection, migration: Migration, now: datetime) -> None:
    before = await _transaction_id(connection)
    await connection.execute(migration.statements)
    if await _transaction_id(connection) != before:
        raise Invalid("store.migration_commits", file=migration.name, do="take COMMIT and BEGIN out of it")
    await connection.execute(
        "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES (%s, %s, %s, %s)",
        (migration.number, migration.name, migration.checksum, now),
    )


async def _transaction_id(connection: Connection) -> str:
    row = await (await connection.execute("SELECT pg_current_xact_id()::text")).fetchone()
    return str(row[0]) if row else ""
