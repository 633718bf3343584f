"""A new cluster: initdb under the right account, then our role and our database in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from eletrovia.base.errors import Conflict, Denied, Unavailable
from eletrovia.store.account import Account
from eletrovia.store.binaries import Binaries
from eletrovia.store.folder import ADMIN, OWNER, StoreFolder


def spawn(folder: StoreFolder, account: Account, arguments: list[str | Path]) -> subprocess.Popen[bytes]:
    """Run a program of PostgreSQL's; what it says goes to the folder's log.

    Raises: Unavailable when the machine does not let us.
    """
    command, how = account.command(arguments)
    log = folder.open_log(account)
    # A short environment: PG* variables of ours would change what the server does.
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **how
        )
    except (OSError, subprocess.SubprocessError) as failure:
        raise Unavailable("store.cannot_run", program=command[0], reason=str(failure)) from failure
    finally:
        os.close(log)


async def make_cluster(folder: StoreFolder, account: Account, binaries: Binaries) -> None:
    """Make the cluster aside and move it into place when it is whole and on the disk.

    Raises: Unavailable with what initdb said.
    """
    if folder.cluster.exists():
        raise Conflict("store.folder_not_empty", folder=str(folder.cluster), do="move it away")
    unfinished = folder.new_unfinished()
    folder.make_secrets(account)
    password = folder.home / "pwfile"
    password.write_text(folder.secret_of(ADMIN) + "\n")
    password.chmod(0o600)
    account.give(password)
    unfinished.mkdir(mode=0o700)
    account.give(unfinished)
    start = folder.log_octets()
    arguments: list[str | Path] = [
        binaries.initdb,
        f"--pgdata={unfinished}",
        f"--username={ADMIN}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",  # sorts by code point, yet knows that Ã is the capital of ã
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
    ]
    if sys.platform == "linux":
        arguments.append("--sync-method=syncfs")  # one call instead of a thousand
    initdb = spawn(folder, account, arguments)
    try:
        while initdb.poll() is None:
            await asyncio.sleep(0.01)
    finally:
        if initdb.poll() is None:
            os.killpg(initdb.pid, signal.SIGKILL)  # with the postgres that it drives
            initdb.wait()
            shutil.rmtree(unfinished, ignore_errors=True)
        password.unlink()
    if initdb.returncode != 0:
        raise failed(folder, "store.initdb_failed", start, exit=initdb.returncode)
    unfinished.rename(folder.cluster)
    home = os.open(folder.home, os.O_RDONLY)
    os.fsync(home)
    os.close(home)


async def make_database(folder: StoreFolder, admin_url: str) -> None:
    """Our role and our database, unless a start before this one got as far.

    Raises: Denied when the server has another password than the folder; psycopg.Error.
    """
    secret = folder.secret_of(OWNER)
    try:
        # The password outright: PGPASSWORD, if the user has set one, would go before the file's.
        admin = await psycopg.AsyncConnection.connect(
            admin_url, password=folder.secret_of(ADMIN), autocommit=True, connect_timeout=10
        )
    except psycopg.OperationalError as refused:
        if "password authentication failed" in str(refused):
            raise Denied(
                "store.secret_wrong",
                file=str(folder.secrets),
                do="put back the secret file that belongs to this data folder",
            ) from None
        raise
    async with admin:
        role, database = await _standing(admin)
        owner = sql.Identifier(OWNER)
        if not role:
            # Only its hash travels: a statement that fails is written to the log.
            known = admin.pgconn.encrypt_password(secret.encode(), OWNER.encode(), b"scram-sha-256").decode()
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, sql.Literal(known))
            await admin.execute(create)
        if not database:
            await admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))


async def _standing(admin: psycopg.AsyncConnection[tuple[object, ...]]) -> tuple[bool, bool]:
    found = await admin.execute(
        """
        SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(name)s),
               EXISTS (SELECT FROM pg_database WHERE datname = %(name)s)
        """,
        {"name": OWNER},
    )
    row = await found.fetchone()
    return (bool(row[0]), bool(row[1])) if row else (False, False)


def failed(folder: StoreFolder, code: str, start: int | None = None, **facts: object) -> Unavailable:
    """The error to raise, with the last lines of the log since octet ``start`` and what to do about them."""
    said = folder.log_since(start if start is not None else max(0, folder.log_octets() - 4000))
    text = "\n".join(said)
    cures = [cure for sign, cure in _CURES.items() if sign in text]
    return Unavailable(code, **facts, log=said, do=(cures or [f"read the whole log: {folder.log}"])[0])


_CURES = {
    "No space left on device": "make room on the disk that holds the data folder",
    "could not map anonymous shared memory": "free some memory, or set a smaller shared_buffers",
    "could not create shared memory segment": "remove what is left in shared memory (ipcs -m, ipcrm)",
    "incompatible with server": "these data come from another PostgreSQL version: use the one that made them",
    "invalid data directory": "the cluster is damaged: put the folder back from a copy",
    "Permission denied": "see that the data folder and all in it belong to the user that the error names",
}
