"""Streams of signed frames, split anyhow; what is settled is answered after its commit, cumulatively.

Nobody waits for anybody else: a peer that sends too much is not read from, one that does not read is cut off,
one that does not prove who it is makes room for others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, EletroviaError
from eletrovia.metering.gateways.counts import Counts
from eletrovia.metering.gateways.dialect import Conversation
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.talk import READ_OCTETS, FrameTalk
from eletrovia.metering.gateways.window import Windows
from eletrovia.metering.intake import Intake

_log = structlog.get_logger(__name__)


class TcpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What connections may do.

    Units: ``connections`` at once; ``unproven`` of them without a rightly signed frame yet; readings in
           flight of one and of all; seconds until the first word, to finish a frame, between frames, to read
           our answers.
    """

    connections: int = 10_000
    unproven: int = 1_000
    each_in_flight: int = 20_000
    all_in_flight: int = 1_000_000
    first_s: float = 60.0
    frame_s: float = 30.0
    idle_s: float = 3_600.0
    unread_s: float = 30.0
    close_s: float = 10.0


class TcpGateway:
    """Signed frames, and other conversations, on one TCP port."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        intake: Intake,
        seals: Seals,
        clock: Clock,
        others: Mapping[int, Conversation],
        limits: TcpLimits,
    ) -> None:
        self.counts = Counts()
        self.intake = intake
        self.seals = seals
        self.clock = clock
        self.limits = limits
        self.windows = Windows()
        self.port = int(sock.getsockname()[1])
        self.stopping = False
        self._sock = sock
        self._others = dict(others)
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._unproven: dict[asyncio.Task[None], None] = {}  # oldest first
        self._in_flight = 0
        self._roomier = asyncio.Event()

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        intake: Intake,
        seals: Seals,
        clock: Clock,
        others: Mapping[int, Conversation] | None = None,
        limits: TcpLimits | None = None,
        shared: bool = False,
    ) -> TcpGateway:
        """Listen from now on.

        ``others`` are by first octet. With ``shared``, other processes may listen on the same port.
        Raises: Conflict where the port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.create_server((host, port), family=family, backlog=1024, reuse_port=shared)
        except OSError as error:
            raise Conflict("gateway.port_taken", host=host, port=port, reason=error.strerror) from error
        limits = limits or TcpLimits()
        self = cls(sock, intake=intake, seals=seals, clock=clock, others=others or {}, limits=limits)
        self._server = await asyncio.start_server(self._came, sock=sock, limit=READ_OCTETS)
        return self

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._writers)

    async def close(self) -> None:
        """Read nothing more, answer what the database lets us, and end every connection."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for _ in ("asked", "made to"):
            for task in self._writers:
                task.cancel()
            if self._writers:
                await asyncio.wait(list(self._writers), timeout=self.limits.close_s)

    # -- room for all of them -------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until so little is in flight that somebody may be read from again."""
        while self._in_flight >= self.limits.all_in_flight:
            self._roomier.clear()
            await self._roomier.wait()

    def flies(self, readings: int) -> None:
        """So many readings more are in flight, or fewer."""
        self._in_flight += readings
        if self._in_flight < self.limits.all_in_flight:
            self._roomier.set()

    def proved(self) -> None:
        """Whoever the present task serves need not make room for others."""
        task = asyncio.current_task()
        if task is not None:
            self._unproven.pop(task, None)

    def _makes_room(self) -> bool:
        """Whether one more may come in; the oldest that has proved nothing leaves for it, if need be."""
        full = len(self._writers) >= self.limits.connections
        if full or len(self._unproven) >= self.limits.unproven:
            self.counts.add(turned_away=1)
            if not self._unproven:
                return False
            oldest = next(iter(self._unproven))
            del self._unproven[oldest]
            self._writers[oldest].transport.abort()
        return not self.stopping

    # -- one of them ------------------------------------------------------------------------------------

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not self._makes_room():
            writer.transport.abort()
            return
        self.counts.add(connections=1)
        self._writers[task] = writer
        self._unproven[task] = None
        try:
            await self._talk(reader, writer)
        except (ConnectionError, EOFError):
            pass
        except TimeoutError:
            self.counts.add(stuck=1)
            self._say_closed(writer, "tcp.too_slow", {})
        except EletroviaError as why:  # where it is not known what became of readings, they will come again
            self._say_closed(writer, why.code, why.facts)
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        except Exception:
            _log.exception("tcp.stumbled")
        finally:
            self._unproven.pop(task, None)
            with contextlib.suppress(Exception):
                writer.close()
            self._writers.pop(task, None)

    @staticmethod
    def _say_closed(writer: asyncio.StreamWriter, reason: str, facts: dict[str, Any]) -> None:
        _log.info("tcp.closed", peer=str(writer.get_extra_info("peername")), reason=reason, **facts)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self.limits.first_s):
            first = await reader.read(READ_OCTETS)
        if not first:
            return
        other = self._others.get(first[0])
        if other is None:
            await FrameTalk(self, reader, writer).run(first)
        else:
            self.proved()  # as far as that language goes
            await other(first, reader, writer)
