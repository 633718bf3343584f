"""The private folder of one embedded PostgreSQL: its lock, its secrets, its cluster, its socket, its log."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.base.ids import new_secret
from eletrovia.store.account import Account

PORT = 5432  # part of the socket's name; no TCP port is opened
SOCKET_NAME = f".s.PGSQL.{PORT}"
SUN_PATH_OCTETS = 107  # the longest socket path Linux takes, its NUL not counted
OWNER = "eletrovia"  # the role that owns our database, and the database
ADMIN = "postgres"
_LOG_OCTETS_KEPT = 10_000_000


class StoreFolder:
    """Paths and files of one embedded PostgreSQL; everything in it is for its owner's eyes only."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.cluster = self.home / "cluster"
        self.secrets = self.home / "secret"
        self.log = self.home / "postgres.log"
        self._lock_file = self.home / "lock"
        self._lock: int | None = None

    @property
    def owner_uid(self) -> int | None:
        """Who owns the folder; None before it is made, or while it is empty and anybody's."""
        try:
            return self.home.stat().st_uid if self._lock_file.exists() else None
        except FileNotFoundError:
            return None
        except PermissionError:
            raise Unavailable(
                "store.not_yours", folder=str(self.home), do="run as the user who made these data"
            ) from None

    def take(self, account: Account) -> None:
        """Make the folder if need be, close it to others, and hold its lock until ``release``.

        Raises: Conflict when another process holds it, or when the folder is full of other things.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = os.listdir(self.home)
        if there and self._lock_file.name not in there:
            raise Conflict(
                "store.folder_not_empty", folder=str(self.home), do="name a new or an empty folder"
            )
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # The kernel lets go of it when we die, however we die; our children never inherit it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            raise Conflict(
                "store.in_use",
                folder=str(self.home),
                holder_pid=int(holder) if holder.isdigit() else None,
                do="stop the other eletrovia that uses this folder, or choose another folder",
            ) from None
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self.home.chmod(0o700)
        account.give(self.home)
        if not account.is_ourselves:
            self._give_what_is_roots(account)

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _give_what_is_roots(self, account: Account) -> None:
        # Data copied or restored by root belong to root, and PostgreSQL would refuse them.
        for path in (self.log, self.secrets, self._lock_file):
            if path.exists():
                account.give(path)
        if self.cluster.exists() and self.cluster.stat().st_uid == 0:
            for folder, _, names in os.walk(self.cluster):
                for name in (".", *names):
                    account.give(Path(folder, name))

    def socket_folder(self, account: Account) -> Path:
        """A private folder for the socket, short enough for the kernel.

        Raises: Conflict when somebody else sits on the short one.
        """
        inside = self.home / "socket"
        if len(os.fsencode(inside / SOCKET_NAME)) <= SUN_PATH_OCTETS:
            inside.mkdir(mode=0o700, exist_ok=True)
            account.give(inside)
            return inside
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        outside = Path(_short_temporary_folder()) / f"eletrovia-{account.uid}-{name}"
        try:
            outside.mkdir(mode=0o700)
            account.give(outside)
        except FileExistsError:
            found = outside.lstat()
            if found.st_uid != account.uid or not outside.is_dir() or outside.is_symlink():
                raise Conflict(
                    "store.socket_folder", folder=str(outside), owner_uid=found.st_uid, do="remove it"
                ) from None
        outside.chmod(0o700)
        return outside

    def sweep(self) -> None:
        """Remove the clusters that earlier starts, cut short, left unfinished."""
        for left in self.home.glob("unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)

    def new_unfinished(self) -> Path:
        """Where to make a cluster; never twice the same: the initdb of a killed process writes on a while."""
        return self.home / f"unfinished-{new_secret(6)}"

    def leave_socket_folder(self, folder: Path) -> None:
        """Leave nothing of ours outside once the server is gone."""
        if folder.parent != self.home:
            with suppress(OSError):
                folder.rmdir()

    def make_secrets(self, account: Account) -> None:
        """New passwords, once, in the format of libpq's password file: URLs then need not carry them."""
        if self.secrets.exists():
            return
        half = self.secrets.with_suffix(".unfinished")
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"*:*:*:{role}:{new_secret()}\n" for role in (ADMIN, OWNER))
            file.flush()
            os.fsync(file.fileno())
        account.give(half)
        half.rename(self.secrets)

    def secret_of(self, role: str) -> str:
        """The password of ``role``.

        Raises: Unavailable when the file is gone or says nothing of it.
        """
        try:
            for line in self.secrets.read_text().splitlines():
                *_, named, secret = line.split(":")
                if named == role:
                    return secret
        except (OSError, ValueError):
            pass
        raise Unavailable(
            "store.secret_missing",
            file=str(self.secrets),
            do="put the file back from your copy of this folder; the data cannot be opened without it",
        )

    def url(self, socket_folder: Path, role: str = OWNER, database: str = OWNER) -> str:
        """A libpq URL that any program of ours, and psql, can open; it carries no secret."""
        there = urlencode({"host": socket_folder, "port": PORT, "passfile": self.secrets}, quote_via=quote)
        return f"postgresql://{quote(role)}@/{quote(database)}?{there}"

    def open_log(self, account: Account) -> int:
        """The log, to append to; one older is kept when it has grown large."""
        if self.log.exists() and self.log.stat().st_size > _LOG_OCTETS_KEPT:
            self.log.rename(self.log.with_suffix(".log.1"))
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        account.give(self.log)
        return log

    def log_since(self, start: int, *, lines: int = 12) -> list[str]:
        """The last lines that were written after octet ``start``."""
        try:
            with self.log.open("rb") as file:
                file.seek(start)
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            return []

    def log_octets(self) -> int:
        try:
            return self.log.stat().st_size
        except OSError:
            return 0


def _short_temporary_folder() -> str:
    return "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - short on purpose
