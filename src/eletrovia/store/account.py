"""The operating-system user that PostgreSQL runs as, and what it needs to reach its files.

PostgreSQL refuses to run as root. When we are root it runs as ``nobody``, by number, with no account
made and no folder above its own touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eletrovia.base.errors import Unavailable

# Least first. Reading past closed folders is enough on a bare machine; containers often keep only the other.
CAPABILITIES = ("dac_read_search", "dac_override")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs PostgreSQL.

    Shape: ``capability`` is the one it is lent when its files lie behind folders closed to it.
    """

    uid: int
    gid: int
    capability: str | None = None

    @property
    def is_ourselves(self) -> bool:
        return self.uid == os.geteuid()

    def command(self, arguments: Sequence[str | Path]) -> tuple[list[str], dict[str, Any]]:
        """``arguments`` and Popen's keywords, so that the program runs as this account."""
        plain = [str(argument) for argument in arguments]
        # A session of its own: Ctrl-C in the terminal is for us, we stop PostgreSQL in good order.
        how: dict[str, Any] = {"start_new_session": True, "umask": 0o077, "cwd": "/"}
        if self.is_ourselves:
            return plain, how
        if self.capability is None:
            return plain, how | {"user": self.uid, "group": self.gid, "extra_groups": []}
        lend = [
            shutil.which("setpriv") or "/usr/bin/setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--no-new-privs",
            f"--inh-caps=-all,+{self.capability}",
            f"--ambient-caps=-all,+{self.capability}",
            # PostgreSQL looks for itself with access(2), which forgets capabilities without this bit.
            "--securebits=+no_setuid_fixup",
            "--",
        ]
        return lend + plain, how

    def give(self, path: Path) -> None:
        """Make the account the owner of a file or folder of ours."""
        if not self.is_ourselves:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def reaches(self, program: Path, readable: Path, folder: Path) -> bool:
        """Whether it can run ``program``, read ``readable`` and write in ``folder``: tried, not guessed."""
        test = shutil.which("test") or "/usr/bin/test"
        asked: list[str | Path] = [
            test,
            "-x",
            program,
            "-a",
            "-r",
            readable,
            "-a",
            "-x",
            folder,
            "-a",
            "-w",
            folder,
        ]
        command, how = self.command(asked)
        try:
            tried = subprocess.run(command, **how, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return False
        return tried.returncode == 0


def account_of(owner_uid: int | None) -> Account:
    """The account for data owned by ``owner_uid``, or for new data.

    Raises: Unavailable when the data belong to somebody else, or root finds nobody to run it as.
    """
    ours = os.geteuid()
    if ours != 0:
        if owner_uid not in (None, ours):
            raise Unavailable(
                "store.not_yours",
                owner_uid=owner_uid,
                our_uid=ours,
                do="run as the user who made these data (root's belong to nobody), or choose another folder",
            )
        return Account(ours, os.getegid())
    try:
        if owner_uid:
            try:
                return Account(owner_uid, pwd.getpwuid(owner_uid).pw_gid)
            except KeyError:  # made inside a container, say; the number is all PostgreSQL needs
                return Account(owner_uid, owner_uid)
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Unavailable(
            "store.no_account",
            do="PostgreSQL refuses to run as root and this machine has no user nobody: run as a normal user",
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def account_reaching(account: Account, program: Path, readable: Path, folder: Path) -> Account:
    """``account``, lent a capability when, and only when, it cannot reach its files without.

    Raises: Unavailable when no way is left.
    """
    if account.is_ourselves or account.reaches(program, readable, folder):
        return account
    for capability in CAPABILITIES:
        lent = Account(account.uid, account.gid, capability)
        if lent.reaches(program, readable, folder):
            return lent
    raise Unavailable(
        "store.folder_closed",
        uid=account.uid,
        program=str(program),
        folder=str(folder),
        setpriv=shutil.which("setpriv"),
        do="PostgreSQL refuses to run as root, and the user it runs as cannot reach these folders: "
        "move the project out of a closed folder such as /root, or run it as a normal user",
    )
