"""The broker that comes with us: NATS, MQTT and MQTT over WebSocket on a private data folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from eletrovia.base.errors import Conflict, Invalid, Unavailable
from eletrovia.base.private import write_private
from eletrovia.bus import layout as setup
from eletrovia.bus.binary import check_version, find_binary
from eletrovia.bus.layout import BusPorts, Guests, Layout
from eletrovia.bus.process import POLL_S, ServerProcess, answers, choose_port, last_lines, port_free
from eletrovia.bus.secret import BusSecrets, keep_secrets

_log = logging.getLogger(__name__)
_PORT_TRIES = 8  # a chosen port may be taken between the choice and the start
_WATCH_S = 0.2
_ADOPT_S = 5.0


class CalloutAccess(NamedTuple):
    """What the callout needs of a broker: two connections and the key that the broker trusts.

    Shape: ``system_url`` None where nobody may close connections; ``account`` is where clients are put.
    """

    url: str
    system_url: str | None
    issuer_seed: str
    account: str


class EmbeddedNats:
    """A running broker of ours; whatever ends it but ``stop`` makes it start again on the same ports."""

    def __init__(self, layout: Layout, secrets: BusSecrets, binary: Path, lock: int) -> None:
        self._layout = layout
        self._secrets = secrets
        self._binary = binary
        self._lock = lock
        self._process: ServerProcess | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.adopted = False
        self.restarts = 0

    @classmethod
    async def start(
        cls,
        data_dir: Path,
        *,
        ports: BusPorts | None = None,
        host: str = "127.0.0.1",
        server_name: str = "eletrovia",
        sync_always: bool = True,
        max_store_bytes: int = 4 << 30,
        guests: Guests | None = None,
        start_timeout_s: float = 30.0,
    ) -> EmbeddedNats:
        """Starts the broker on ``data_dir``, or takes over the one that a killed owner left there.

        NATS itself listens on loopback; MQTT and WebSocket on ``host``. A port 0 is chosen once and kept
        for the data folder while it stays free. ``guests`` lets MQTT clients without credentials in.

        Raises: Conflict ``bus.data_in_use`` (another owner lives), ``bus.port_taken``; Invalid for ports
        that contradict each other; Unavailable when the binary is missing, of another series, or fails.
        """
        wanted = ports or BusPorts()
        binary = find_binary()
        await check_version(binary)
        data_dir = data_dir.absolute()  # noqa: ASYNC240 - touches no disk
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _take_lock(data_dir)
        try:
            secrets = keep_secrets(data_dir / "secrets.json")
            first = Layout(
                data_dir=data_dir,
                host=host,
                ports=_fill_in(wanted, _saved_ports(data_dir), host, only_saved=True),
                server_name=server_name,
                sync_always=sync_always,
                max_store_bytes=max_store_bytes,
                guests=guests,
            )
            nats = cls(first, secrets, binary, lock)
            if not await nats._adopt():
                await nats._start_fresh(wanted, start_timeout_s)
        except BaseException:
            os.close(lock)
            raise
        nats._watcher = asyncio.create_task(nats._watch(start_timeout_s))
        return nats

    @property
    def ports(self) -> BusPorts:
        """Where it listens, with the chosen ports filled in."""
        return self._layout.ports

    @property
    def host(self) -> str:
        """Where MQTT and WebSocket listen."""
        return self._layout.host

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it is down."""
        return self._process.pid if self._process is not None and self._process.alive() else None

    @property
    def url(self) -> str:
        """NATS for our own ``Bus``: it holds a secret, so it is not for logs."""
        return self._url(setup.CITY_USER, self._secrets.city_password)

    @property
    def callout(self) -> CalloutAccess:
        """What ``Callout.start`` takes."""
        return CalloutAccess(
            url=self._url(setup.CALLOUT_USER, self._secrets.callout_password),
            system_url=self._url(setup.SYSTEM_USER, self._secrets.system_password),
            issuer_seed=self._secrets.issuer_seed,
            account=setup.CITY_ACCOUNT,
        )

    async def stop(self) -> None:
        """Stops the broker cleanly; everything it stored stays. Twice is harmless."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self._process is not None:
            await self._process.end()
            self._process = None
            self._pid_file.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _url(self, user: str, password: str) -> str:
        return f"nats://{user}:{password}@127.0.0.1:{self.ports.nats}"

    @property
    def _config(self) -> Path:
        return self._layout.data_dir / "nats.conf"

    @property
    def _pid_file(self) -> Path:
        return self._layout.data_dir / "nats.pid"

    def _log_tail(self) -> list[str]:
        return last_lines(self._layout.data_dir / "nats.log", self._layout.data_dir / "nats.err")

    async def _adopt(self) -> bool:
        left = ServerProcess.find(self._pid_file, self._config)
        if left is None:
            return False
        try:
            same = self._config.read_text() == self._layout.render(self._secrets)
        except OSError:
            same = False
        if same and await self._is_ready(patience_s=_ADOPT_S, process=left):
            self._process, self.adopted = left, True
            _log.info("broker found running, taken over", extra={"pid": left.pid})
            return True
        await left.end(patience_s=_ADOPT_S)
        # A killed process is gone a moment before its ports are; the next should have the same ones.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ADOPT_S):
                while not all(port_free(at, port) for _, at, port in _listeners(self.ports, self.host)):
                    await asyncio.sleep(POLL_S)
        return False

    async def _start_fresh(self, wanted: BusPorts, timeout_s: float) -> None:
        host, saved = self._layout.host, _saved_ports(self._layout.data_dir)
        for _ in range(_PORT_TRIES):
            filled = _fill_in(wanted, saved, host)
            self._layout = msgspec.structs.replace(self._layout, ports=filled)
            try:
                await self._launch(timeout_s)
            except Unavailable:
                taken = [name for name, at, port in _listeners(filled, host) if not port_free(at, port)]
                if not taken:
                    raise
                saved = None
                _check_fixed(wanted, host)
                continue
            write_private(self._layout.data_dir / "ports.json", msgspec.json.encode(filled).decode())
            return
        raise Unavailable("bus.start_failed", reason="no free ports", log=self._log_tail())

    async def _launch(self, timeout_s: float) -> None:
        write_private(self._config, self._layout.render(self._secrets))
        process = await ServerProcess.launch(self._binary, self._config, self._layout.data_dir / "nats.err")
        try:
            write_private(self._pid_file, f"{process.pid}\n")
            if not await self._is_ready(patience_s=timeout_s, process=process):
                raise Unavailable("bus.start_failed", exit_code=process.exit_code, log=self._log_tail())
        except BaseException:
            await process.end()
            raise
        self._process = process

    async def _is_ready(self, *, patience_s: float, process: ServerProcess) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while process.alive():
                    if await answers(self.ports.nats, setup.CITY_USER, self._secrets.city_password):
                        return process.alive()
                    await asyncio.sleep(POLL_S)
        return False

    async def _watch(self, timeout_s: float) -> None:
        wait_s = _WATCH_S
        while True:
            await asyncio.sleep(wait_s)
            if self._process is not None and self._process.alive():
                wait_s = _WATCH_S
                continue
            _log.error("broker ended unasked, starting it again", extra={"log": self._log_tail()})
            try:
                await self._launch(timeout_s)
            except (Unavailable, OSError) as problem:
                wait_s = min(wait_s * 2, 5.0)
                _log.error("broker does not start: %s", problem)
            else:
                self.restarts += 1


def _take_lock(data_dir: Path) -> int:
    handle = os.open(data_dir / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(handle)
        raise Conflict("bus.data_in_use", path=str(data_dir)) from problem
    return handle


def _saved_ports(data_dir: Path) -> BusPorts | None:
    try:
        return msgspec.json.decode((data_dir / "ports.json").read_bytes(), type=BusPorts)
    except (OSError, msgspec.DecodeError):
        return None


def _listeners(ports: BusPorts, host: str) -> Iterator[tuple[str, str, int]]:
    for name in BusPorts.__struct_fields__:
        port = getattr(ports, name)
        if port is not None:
            yield name, host if name in ("mqtt", "websocket") else "127.0.0.1", port


def _check_fixed(wanted: BusPorts, host: str) -> None:
    for name, at, port in _listeners(wanted, host):
        if port and not port_free(at, port):
            raise Conflict("bus.port_taken", port=port, name=name)


def _fill_in(wanted: BusPorts, saved: BusPorts | None, host: str, *, only_saved: bool = False) -> BusPorts:
    """The ports to use: fixed ones must be free; chosen ones stay what they were, if they can.

    ``only_saved`` asks what an owner before us would have used, whether or not it is free now.
    """
    fixed = [port for _, _, port in _listeners(wanted, host) if port]
    if len(set(fixed)) < len(fixed) or not all(0 < port < 65536 for port in fixed):
        raise Invalid("bus.ports_malformed", ports=msgspec.to_builtins(wanted))
    if not only_saved:
        _check_fixed(wanted, host)
    filled: dict[str, int] = {}
    for name, at, port in _listeners(wanted, host):
        before = getattr(saved, name) if saved is not None else None
        if port:
            filled[name] = port
        elif before and before not in fixed and (only_saved or port_free(at, before)):
            filled[name] = before
        else:
            taken = {*fixed, *filled.values()}
            filled[name] = next(port for port in (choose_port(at) for _ in range(64)) if port not in taken)
    return msgspec.structs.replace(wanted, **filled)
