"""The 2023 course's port for meters over TCP: JSON objects without framing, and HTTP beside them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

import structlog

from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.classroom.meter_desk import MeterDesk
from eletrovia.classroom.meter_http import (
    CONTINUE,
    NO_HTTP,
    PlainRequest,
    Requests,
    answered,
    may_be_http,
)
from eletrovia.classroom.meter_json import Objects
from eletrovia.classroom.meter_words import NULL

_log = structlog.get_logger(__name__)

_READ: Final = 65_536
_MOST_CONNECTIONS: Final = 5_000
_HTTP_QUIET_S: Final = 75.0
_WHITE: Final = b" \t\r\n"
_POSTS: Final = ("/spent", "/historic", "/historic/upper", "/historic/lower")


class MetersOverTcp:
    """Serves meters and their page on one listening socket."""

    def __init__(self, desk: MeterDesk) -> None:
        self._desk = desk
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve from now on."""
        self._server = await asyncio.start_server(self._accepted, sock=listener)

    async def close(self) -> None:
        """Serve nobody any more."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._serving) >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            pass
        except EletroviaError as gone:
            _log.warning("classroom.connection_ended", reason=str(gone))
        except Exception:
            _log.exception("classroom.connection_failed")
        finally:
            self._serving.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = b""
        while (http := may_be_http(start) if start else None) is None:
            octets = await reader.read(_READ)
            if not octets:
                return
            start = (start + octets).lstrip(_WHITE)
        if http:
            await self._serve_page(start, reader, writer)
        else:
            await self._serve_meter(start, reader, writer)

    async def _serve_meter(
        self, octets: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        objects = Objects()
        noise = 0
        while octets:
            complete = objects.feed(octets)
            if objects.noise > noise:
                self._desk.tally.unreadable(objects.last_noise, objects.noise - noise)
                noise = objects.noise
            if complete:
                writer.write(b"".join(await self._desk.hear(complete)))
                await writer.drain()
            octets = await reader.read(_READ)

    async def _serve_page(
        self, octets: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        requests = Requests()
        while octets:
            try:
                complete = requests.feed(octets)
            except Invalid:
                self._desk.tally.unreadable(octets)
                writer.write(NO_HTTP)
                await writer.drain()
                return
            for request in complete:
                writer.write(answered(request, await self._answer(request)))
                await writer.drain()
                if not request.lasting:
                    return
            if requests.wants_continue:
                requests.wants_continue = False
                writer.write(CONTINUE)
            async with asyncio.timeout(_HTTP_QUIET_S):
                octets = await reader.read(_READ)

    async def _answer(self, request: PlainRequest) -> bytes:
        """JSON for one request; ``null`` for what there is not."""
        if request.method == "POST" and request.path in _POSTS:
            return b"".join([piece async for piece in self._desk.post(request.path, request.body)])
        if request.method in ("GET", "HEAD"):
            match request.path.split("/"):
                case ["", "measurer", number]:
                    return b"true" if await self._desk.knows(number) else b"false"
                case ["", "historic", number]:
                    return b"".join([piece async for piece in self._desk.historic(number)])
                case ["", "invoice", number]:
                    return await self._desk.invoice(number)
        return b"" if request.method == "OPTIONS" else NULL
