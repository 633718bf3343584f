"""Several servers on one machine, each a child process of its own, looked after until the end.

A child is tied to us by a pipe: when we die, however we die, it reads the pipe's end and stops in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec
import structlog

from eletrovia.base.errors import Conflict, Unavailable

_log = structlog.get_logger(__name__)

TETHER = "EVTETHER"
"""Set for a child that must stop when its standard input ends."""

_POLL_S = 0.05
_STOP_S = 30.0
_QUICK_S = 3.0
_QUICK_DEATHS = 5  # so often may a child die so soon before we say what is wrong instead


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One server: how it is started, and where it answers.

    Shape: one with a ``ready_file`` is ready once it has written that; any other when ``url`` answers.
    """

    name: str
    data_dir: Path
    url: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = {}
    ready_file: Path | None = None
    log_name: str = "server.log"

    @property
    def log_file(self) -> Path:
        return self.data_dir / self.log_name


class Fleet:
    """Starts the members, starts again what dies, stops all at the end."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._stopping = False

    def pid(self, name: str) -> int:
        """The process that runs a member now."""
        return self._children[name].pid

    async def start(self, *, ready_s: float = 120.0) -> None:
        """All members up and answering. Raises: Unavailable with the log's last lines."""
        for member in self.members:
            self._spawn(member)
        try:
            await asyncio.gather(*(self._ready(member, ready_s) for member in self.members))
        except BaseException:
            await self.stop()
            raise
        self._watchers = [asyncio.create_task(self._watch(member)) for member in self.members]

    async def stop(self) -> None:
        """Every child asked to stop, all at once, and waited for."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        await asyncio.gather(*(self._ended(child) for child in self._children.values()))

    async def _ended(self, child: subprocess.Popen[bytes]) -> None:
        try:
            async with asyncio.timeout(_STOP_S):
                while child.poll() is None:
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            child.kill()
            child.wait()
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()

    def _spawn(self, member: Member) -> None:
        member.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if member.ready_file is not None:
            member.ready_file.unlink(missing_ok=True)
        environment: Mapping[str, str] = {**os.environ, **member.environment, TETHER: "1"}
        with member.log_file.open("ab") as log:
            self._children[member.name] = subprocess.Popen(
                [sys.executable, "-m", "eletrovia", *member.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; we tell the children
            )

    async def _ready(self, member: Member, ready_s: float) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            try:
                async with asyncio.timeout(ready_s):
                    while not await _is_ready(session, member):
                        code = self._children[member.name].poll()
                        if code is not None:
                            raise Unavailable("server.died", **self._account(member), exit_code=code)
                        await asyncio.sleep(_POLL_S)
            except TimeoutError:
                raise Unavailable("server.silent", **self._account(member), waited_s=ready_s) from None

    def _account(self, member: Member) -> dict[str, str]:
        lines = member.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        return {"server": member.name, "log": str(member.log_file), "last_lines": "\n".join(lines)}

    async def _watch(self, member: Member) -> None:
        """A server that dies is started again: its ledger says where it was."""
        deaths = 0
        while deaths < _QUICK_DEATHS:
            if deaths:
                await asyncio.sleep(0.2 * deaths)
                self._spawn(member)
            child = self._children[member.name]
            began = asyncio.get_running_loop().time()
            while child.poll() is None:
                await asyncio.sleep(_POLL_S)
            if self._stopping:
                return
            lived_s = asyncio.get_running_loop().time() - began
            # Whoever was killed, however often, is not to blame; whoever ends by itself again and again is.
            to_blame = lived_s < _QUICK_S and child.returncode >= 0
            deaths = deaths + 1 if to_blame else 1
            _log.warning(
                "server.died", server=member.name, exit_code=child.returncode, log=str(member.log_file)
            )
        _log.error("server.given_up", **self._account(member))


async def _is_ready(session: aiohttp.ClientSession, member: Member) -> bool:
    if member.ready_file is not None:
        return member.ready_file.exists()
    return await _answers(session, member.url)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/healthz") as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def tether_ends() -> None:
    """Returns when whoever started us is gone; never where nobody holds the other end."""
    if os.environ.get(TETHER) != "1":
        await asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            ended.set()

    loop.add_reader(sys.stdin.fileno(), read)
    await ended.wait()


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the lock file while the block runs. Raises: Conflict when somebody else holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("city.runs_already", data=str(path.parent)) from None
        yield
