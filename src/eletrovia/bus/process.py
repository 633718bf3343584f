"""One nats-server process: started apart from us, found again, asked whether it is ours, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

POLL_S = 0.05


class ServerProcess:
    """A nats-server known by its pid and its configuration file, our child or not."""

    def __init__(self, pid: int, config: Path, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._config = config
        self._child = child

    @classmethod
    async def launch(cls, binary: Path, config: Path, errors: Path) -> ServerProcess:
        """Starts the server in a session of its own, so that Ctrl-C reaches us first.

        A plain Popen and not asyncio's: that one kills its child when the loop closes.
        """

        def spawn() -> subprocess.Popen[bytes]:
            with errors.open("wb") as sink:
                return subprocess.Popen(
                    [str(binary), "-c", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=config.parent,
                )

        child = await asyncio.to_thread(spawn)
        return cls(child.pid, config, child)

    @classmethod
    def find(cls, pid_file: Path, config: Path) -> ServerProcess | None:
        """The server that an earlier owner left running, if it still runs with our configuration file."""
        try:
            pid = int(pid_file.read_text().strip())
        except (OSError, ValueError):
            return None
        found = cls(pid, config)
        return found if found.alive() else None

    def alive(self) -> bool:
        """Whether it runs; a pid that the machine has given to another program does not count."""
        if self._child is not None:
            return self._child.poll() is None
        return str(self._config) in _arguments(self.pid)

    @property
    def exit_code(self) -> int | None:
        return None if self._child is None else self._child.poll()

    async def end(self, *, patience_s: float = 10.0) -> None:
        """Asks it to stop, and insists after ``patience_s``."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    while self.alive():
                        await asyncio.sleep(POLL_S)


def _arguments(pid: int) -> list[str]:
    """The command line of a process; empty when there is none, or only a zombie of it."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    told = subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
    )
    return told.stdout.split()


async def answers(port: int, user: str, password: str, *, timeout_s: float = 2.0) -> bool:
    """Whether a NATS server on loopback lets this user in: then it is ours and ready."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if not (await reader.readline()).startswith(b"INFO "):
                return False
            options = {"user": user, "pass": password, "verbose": False, "pedantic": False, "lang": "ready"}
            writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
            while line := await reader.readline():
                if line.startswith(b"PONG"):
                    return True
                if line.startswith(b"-ERR"):
                    return False
            return False
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()


def port_free(host: str, port: int) -> bool:
    """Whether somebody could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def choose_port(host: str) -> int:
    """A port that the machine holds free right now; nobody promises that it stays so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def last_lines(*files: Path, count: int = 8) -> list[str]:
    """The ends of the given logs, for an error that has to say why."""
    lines: list[str] = []
    for file in files:
        with contextlib.suppress(OSError), file.open("rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - 8192))
            lines += source.read().decode(errors="replace").splitlines()[-count:]
    return lines[-count:]
