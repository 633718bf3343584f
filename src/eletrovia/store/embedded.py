"""The PostgreSQL that comes with us: started as a child, found again after a crash, stopped in good order."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import structlog
from psycopg import sql

from eletrovia.base.errors import Conflict, Denied, EletroviaError, Unavailable
from eletrovia.store.account import Account, account_of, account_reaching
from eletrovia.store.binaries import Binaries, find_binaries
from eletrovia.store.folder import ADMIN, OWNER, SOCKET_NAME, StoreFolder
from eletrovia.store.postmaster import (
    Postmaster,
    disown_stale,
    end_orphans,
    read_postmaster,
    runs_on,
)

# A small machine shared by several operators; what was committed is on the disk (fsync stays on).
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "96MB",
    "max_wal_size": "512MB",
    "io_method": "sync",  # no helper processes: our data fit in memory
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_NAP_S = 0.01
_FAST_STOP_S = 60.0
_LOOK_S = 0.1
_REVIVALS = 10  # in a row
_STABLE_S = 30.0  # who lived this long does not die at every start

_log = structlog.get_logger("eletrovia.store")


class EmbeddedPostgres:
    """One PostgreSQL on a private data folder, reached through a Unix socket and a password.

    It outlives us when we are killed, and the next ``start`` on the folder adopts it.
    """

    def __init__(
        self, folder: StoreFolder, account: Account, settings: Mapping[str, str], timeout_s: float
    ) -> None:
        self._folder = folder
        self._account = account
        self._settings = {**SETTINGS, **settings}
        self._timeout_s = timeout_s
        self._socket_folder = Path()
        self._child: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.pid = 0
        self.adopted = False

    @classmethod
    async def start(
        cls,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        revive: bool = True,
    ) -> EmbeddedPostgres:
        """Run PostgreSQL on ``data_dir``, made at the first start, and return when it answers.

        With ``revive``, a server that dies without being asked to is started again.
        Raises: Conflict("store.in_use") when another process of ours holds the folder; Unavailable
                with what PostgreSQL said, and what to do, when it cannot run.
        """
        folder = StoreFolder(data_dir)
        account = account_of(folder.owner_uid)
        try:
            folder.take(account)
        except PermissionError as closed:
            raise Unavailable(
                "store.folder_closed",
                folder=str(folder.home),
                file=closed.filename,
                do="choose another folder",
            ) from None
        self = cls(folder, account, settings or {}, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self._bring_up()
        except BaseException as failure:
            if self._child is not None:  # never leave behind what nobody knows of
                await asyncio.shield(self._end())
            folder.release()
            if isinstance(failure, TimeoutError):
                raise self._failed("store.start_timeout", timeout_s=timeout_s) from None
            raise
        if revive:
            self._watch = asyncio.create_task(self._keep_alive(), name="store-keep-alive")
        return self

    @property
    def url(self) -> str:
        """Our database, as its owner; a libpq URL that names the password's file, not the password."""
        return self._folder.url(self._socket_folder)

    @property
    def admin_url(self) -> str:
        """The server's maintenance database, as its superuser."""
        return self._folder.url(self._socket_folder, ADMIN, ADMIN)

    def url_of(self, database: str) -> str:
        """Another database of this server, as our owner role."""
        return self._folder.url(self._socket_folder, OWNER, database)

    @property
    def log_file(self) -> Path:
        return self._folder.log

    @property
    def is_alive(self) -> bool:
        """Whether the server's first process lives."""
        if self._child is not None:
            return self._child.poll() is None
        return self.pid > 0 and runs_on(self.pid, self._folder.cluster)

    async def stop(self) -> None:
        """End all sessions, write everything out, and return when PostgreSQL is gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        await self._end()
        self._folder.leave_socket_folder(self._socket_folder)
        self._folder.release()

    async def _end(self) -> None:
        for how, patience_s in ((signal.SIGINT, _FAST_STOP_S), (signal.SIGQUIT, 10.0)):
            if not self.is_alive:
                break
            os.kill(self.pid, how)
            try:
                async with asyncio.timeout(patience_s):
                    await _until(lambda: not self.is_alive)
            except TimeoutError:
                _log.warning("store.slow_to_stop", pid=self.pid, signal=how.name)
        if self.is_alive:
            raise Unavailable("store.will_not_stop", pid=self.pid, log=str(self._folder.log))
        self._child = None
        self.pid = 0

    async def _bring_up(self) -> None:
        cluster = self._folder.cluster
        made = (cluster / "PG_VERSION").exists()
        binaries = find_binaries(int((cluster / "PG_VERSION").read_text()) if made else None)
        standing = read_postmaster(cluster) if made else None
        if standing is not None and await self._adopt(standing):
            return
        self._account = await asyncio.to_thread(
            account_reaching, self._account, binaries.postgres, binaries.catalog, self._folder.home
        )
        if not made:
            await self._make_cluster(binaries)
        await self._launch(binaries)
        try:
            await self._make_database()
        except psycopg.Error as failure:
            raise self._failed("store.no_database", reason=str(failure).strip()) from failure

    async def _adopt(self, standing: Postmaster) -> bool:
        """Take over the server that a killed process of ours left running; False when there is none."""
        cluster = self._folder.cluster
        if not runs_on(standing.pid, cluster):
            disown_stale(cluster)
            return False
        self.pid, self.adopted = standing.pid, True
        while self.is_alive:  # it may be starting still, or stopping already
            now = read_postmaster(cluster)
            if now is not None and now.is_ready and now.socket_folder is not None:
                self._socket_folder = now.socket_folder
                with suppress(psycopg.OperationalError):
                    await self._make_database()
                    return True
            await asyncio.sleep(_NAP_S)
        self.pid, self.adopted = 0, False
        return False

    async def _make_cluster(self, binaries: Binaries) -> None:
        folder = self._folder
        if folder.cluster.exists():
            raise Conflict("store.folder_not_empty", folder=str(folder.cluster), do="move it away")
        shutil.rmtree(folder.unfinished, ignore_errors=True)
        folder.make_secrets(self._account)
        password = folder.home / "pwfile"
        password.write_text(folder.secret_of(ADMIN) + "\n")
        password.chmod(0o600)
        self._account.give(password)
        folder.unfinished.mkdir(mode=0o700)
        self._account.give(folder.unfinished)
        start = folder.log_octets()
        arguments: list[str | Path] = [
            binaries.initdb,
            f"--pgdata={folder.unfinished}",
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
        initdb = self._spawn(arguments)
        try:
            await _until(lambda: initdb.poll() is not None)
        finally:
            if initdb.poll() is None:
                os.killpg(initdb.pid, signal.SIGKILL)
                initdb.wait()
            password.unlink()
        if initdb.returncode != 0:
            raise self._failed("store.initdb_failed", start, exit=initdb.returncode)
        folder.unfinished.rename(folder.cluster)
        home = os.open(folder.home, os.O_RDONLY)
        os.fsync(home)
        os.close(home)

    async def _launch(self, binaries: Binaries) -> None:
        cluster = self._folder.cluster
        self._socket_folder = self._folder.socket_folder(self._account)
        arguments: list[str | Path] = [binaries.postgres, "-D", cluster]
        quoted = str(self._socket_folder).replace('"', '""')
        settings = {**self._settings, "unix_socket_directories": f'"{quoted}"'}
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        while True:
            for left in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):  # nobody runs here: we hold the folder's lock
                (self._socket_folder / left).unlink(missing_ok=True)
            start = self._folder.log_octets()
            self._child = self._spawn(arguments)
            self.pid = self._child.pid
            while self._child.poll() is None:
                told = read_postmaster(cluster)
                if told is not None and told.pid == self.pid and told.is_ready:
                    return
                await asyncio.sleep(_NAP_S)
            if not any("shared memory block" in line for line in self._folder.log_since(start)):
                exit_status, self._child = self._child.returncode, None
                raise self._failed("store.start_failed", start, exit=exit_status)
            # Children of a postmaster killed with -9 are still in its memory.
            end_orphans(cluster)
            await asyncio.sleep(0.1)

    def _spawn(self, arguments: list[str | Path]) -> subprocess.Popen[bytes]:
        command, how = self._account.command(arguments)
        log = self._folder.open_log(self._account)
        # PG* variables of ours would change what the server does.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **how
            )
        except (OSError, subprocess.SubprocessError) as failure:
            raise Unavailable("store.cannot_run", program=command[0], reason=str(failure)) from failure
        finally:
            os.close(log)

    async def _make_database(self) -> None:
        """Our role and our database, unless a start before this one got as far."""
        secret = self._folder.secret_of(OWNER)
        async with await self._as_admin() as admin:
            role, database = await self._standing(admin)
            owner = sql.Identifier(OWNER)
            if not role:
                create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, sql.Literal(secret))
                await admin.execute(create)
            if not database:
                await admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))

    async def _as_admin(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        # The password outright: PGPASSWORD, if the user has set one, would go before the file's.
        secret = self._folder.secret_of(ADMIN)
        try:
            return await psycopg.AsyncConnection.connect(
                self.admin_url, password=secret, autocommit=True, connect_timeout=10
            )
        except psycopg.OperationalError as refused:
            if "password authentication failed" in str(refused):
                raise Denied(
                    "store.secret_wrong",
                    file=str(self._folder.secrets),
                    do="put back the secret file that belongs to this data folder",
                ) from None
            raise

    async def _standing(self, admin: psycopg.AsyncConnection[tuple[object, ...]]) -> tuple[bool, bool]:
        found = await admin.execute(
            """
            SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(name)s),
                   EXISTS (SELECT FROM pg_database WHERE datname = %(name)s)
            """,
            {"name": OWNER},
        )
        row = await found.fetchone()
        return (bool(row[0]), bool(row[1])) if row else (False, False)

    async def _keep_alive(self) -> None:
        """Start the server again when it dies unasked, so often in a row and no more."""
        in_a_row = 0
        while in_a_row < _REVIVALS:
            looks = 0
            while self.is_alive:
                await asyncio.sleep(_LOOK_S)
                looks += 1
            in_a_row = 1 if looks * _LOOK_S > _STABLE_S else in_a_row + 1
            _log.error("store.died", pid=self.pid, log=str(self._folder.log))
            await asyncio.sleep(0 if in_a_row == 1 else min(0.1 * 2**in_a_row, 10))
            self._child = None
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._bring_up()
                _log.warning("store.revived", pid=self.pid)
            except (EletroviaError, psycopg.Error, TimeoutError) as failure:
                _log.error("store.not_revived", reason=str(failure))
        _log.critical("store.given_up", times=_REVIVALS, log=str(self._folder.log))

    def _failed(self, code: str, start: int | None = None, **facts: object) -> Unavailable:
        since = start if start is not None else max(0, self._folder.log_octets() - 4000)
        said = self._folder.log_since(since)
        text = "\n".join(said)
        do = f"read the whole log: {self._folder.log}"
        for sign, cure in _CURES.items():
            if sign in text:
                do = cure
        return Unavailable(code, **facts, log=said, do=do)


async def _until(true: Callable[[], bool], nap_s: float = _NAP_S) -> None:
    while not true():
        await asyncio.sleep(nap_s)


_CURES = {
    "No space left on device": "make room on the disk that holds the data folder",
    "could not map anonymous shared memory": "free some memory, or set a smaller shared_buffers",
    "could not create shared memory segment": "remove what is left in shared memory (ipcs -m, ipcrm)",
    "incompatible with server": "these data come from another PostgreSQL version: use the one that made them",
    "invalid data directory": "the cluster is damaged: put the folder back from a copy",
    "Permission denied": "see that the data folder and all in it belong to the user that the error names",
}
