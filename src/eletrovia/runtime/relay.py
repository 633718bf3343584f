"""A second door to a port: every byte is passed on, nothing is read."""

from __future__ import annotations

import asyncio
import contextlib

_OCTETS = 1 << 16


class Relay:
    """Listens on one port and passes every connection on to another."""

    def __init__(self, server: asyncio.Server, connections: set[asyncio.Task[None]]) -> None:
        self._server = server
        self._connections = connections

    @classmethod
    async def start(cls, host: str, port: int, *, to_host: str, to_port: int) -> Relay:
        """Raises: OSError when the port is taken."""
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - asyncio runs this in a task of its own
            connections.add(task)
            try:
                await _pass_on(reader, writer, to_host, to_port)
            finally:
                connections.discard(task)

        return cls(await asyncio.start_server(connected, host, port), connections)

    async def close(self) -> None:
        """Ends the listener and every connection."""
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_host: str, to_port: int
) -> None:
    """Both ways, until either side ends; a side that cannot be reached ends the other."""
    with contextlib.closing(writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(to_host, to_port)
        except OSError:
            return
        with contextlib.closing(far_writer):
            ways = [
                asyncio.create_task(_pump(reader, far_writer)),
                asyncio.create_task(_pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while octets := await reader.read(_OCTETS):
            writer.write(octets)
            await writer.drain()
