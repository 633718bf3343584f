"""What a data folder says about the PostgreSQL that runs on it, or ran."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The first process of a PostgreSQL, as its ``postmaster.pid`` tells.

    Source: src/include/utils/pidfile.h of PostgreSQL 18: one fact a line.
    """

    pid: int
    socket_folder: Path | None
    status: str

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


def read_postmaster(cluster: Path) -> Postmaster | None:
    """Who runs on ``cluster`` according to its pid file; None when there is none, or only half of one."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    folder = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return Postmaster(abs(pid), folder, lines[7].strip() if len(lines) > 7 else "")


def is_alive(pid: int) -> bool:
    """Whether a process has this number, ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def runs_on(pid: int, cluster: Path) -> bool:
    """Whether process ``pid`` is a postmaster on ``cluster``: numbers are given out again after a crash."""
    return is_alive(pid) and f"-D\0{cluster}\0" in _command_line(pid)


def _command_line(pid: int) -> str:
    """Its arguments, each ended by a NUL."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip().replace(" ", "\0") + "\0"


def disown_stale(cluster: Path) -> None:
    """Make a pid file whose postmaster is dead harmless, when another process got its number.

    PostgreSQL would refuse to start beside that process. It never minds its own parent, us, and it
    still checks that nobody is left in the old shared memory, so the file is corrected, not removed.
    """
    stale = cluster / "postmaster.pid"
    lines = stale.read_text().splitlines(keepends=True)
    if lines and lines[0].strip() != str(os.getpid()):
        with stale.open("r+") as file:
            file.write(f"{os.getpid()}\n" + "".join(lines[1:]))
            file.truncate()


def end_orphans(cluster: Path) -> int:
    """Ask the children of a killed postmaster to end at once; says how many were asked.

    A child at work notices the death late, and no new server may start before. Their working folder
    tells whose they are, so this needs ``/proc``; elsewhere they end by themselves.
    """
    asked = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(entry.name)
            ours = (entry / "cwd").readlink() == cluster and (entry / "comm").read_text() == "postgres\n"
            if ours and not runs_on(pid, cluster):
                os.kill(pid, signal.SIGQUIT)
                asked += 1
        except OSError:
            continue
    return asked
