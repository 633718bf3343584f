"""The PostgreSQL that comes with us: started as a child, found again after a crash, stopped in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import structlog

from eletrovia.base.errors import EletroviaError, Unavailable
from eletrovia.store.account import Account, account_of, account_reaching
from eletrovia.store.binaries import Binaries, find_binaries
from eletrovia.store.cluster import failed, make_cluster, make_database, spawn
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
                raise failed(folder, "store.start_timeout", timeout_s=timeout_s) from None
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
            with suppress(ProcessLookupError):
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
        self._folder.sweep()
        made = (cluster / "PG_VERSION").exists()
        binaries = find_binaries(int((cluster / "PG_VERSION").read_text()) if made else None)
        standing = read_postmaster(cluster) if made else None
        if standing is not None and await self._adopt(standing):
            return
        self._account = await asyncio.to_thread(
            account_reaching, self._account, binaries.postgres, binaries.catalog, self._folder.home
        )
        if not made:
            await make_cluster(self._folder, self._account, binaries)
        await self._launch(binaries)
        try:
            await make_database(self._folder, self.admin_url)
        except psycopg.Error as failure:
            raise failed(self._folder, "store.no_database", reason=str(failure).strip()) from failure

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
                    await make_database(self._folder, self.admin_url)
                    return True
            await asyncio.sleep(_NAP_S)
        self.pid, self.adopted = 0, False
        return False

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
            self._child = spawn(self._folder, self._account, arguments)
            self.pid, self.adopted = self._child.pid, False
            while self._child.poll() is None:
                told = read_postmaster(cluster)
                if told is not None and told.pid == self.pid and told.is_ready:
                    return
                await asyncio.sleep(_NAP_S)
            if not any("shared memory block" in line for line in self._folder.log_since(start)):
                exit_status, self._child = self._child.returncode, None
                raise failed(self._folder, "store.start_failed", start, exit=exit_status)
            # Children of a postmaster killed with -9 are still in its memory.
            end_orphans(cluster)
            await asyncio.sleep(0.1)

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


def standing_url(data_dir: Path) -> str | None:
    """The URL of the server that runs on ``data_dir`` now, started by whomever; None while none is ready.

    Locks:  none: it only looks.
    Raises: Unavailable when the folder is closed to us.
    """
    folder = StoreFolder(data_dir)
    try:
        told = read_postmaster(folder.cluster) if folder.secrets.exists() else None
    except PermissionError:
        raise Unavailable(
            "store.not_yours", folder=str(folder.home), do="run as the user who made these data"
        ) from None
    if told is None or not told.is_ready or told.socket_folder is None:
        return None
    return folder.url(told.socket_folder) if runs_on(told.pid, folder.cluster) else None


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(_NAP_S)
