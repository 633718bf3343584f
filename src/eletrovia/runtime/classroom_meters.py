"""The classroom's meters: one light process with its own database, and no broker."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import structlog

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict
from eletrovia.classroom.meter_desk import MeterDesk
from eletrovia.classroom.meter_numbers import MeterNumbers
from eletrovia.classroom.meter_rest import meter_app
from eletrovia.classroom.meter_tally import Tally
from eletrovia.classroom.meter_tcp import MetersOverTcp
from eletrovia.classroom.meter_udp import FIRST_OCTET, MetersOverUdp
from eletrovia.metering import tally as usage
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.udp import UdpGateway
from eletrovia.metering.history import History
from eletrovia.metering.hours import Hours
from eletrovia.metering.intake import Intake, Limits
from eletrovia.metering.reading import Reading
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.runtime.classroom import METERS_FOLDER
from eletrovia.runtime.config import Config
from eletrovia.runtime.fleet import tether_ends
from eletrovia.runtime.server import http_server, listen
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)

Opened = TypeVar("Opened")

_TELL_S: Final = 10.0
_LONGEST_REST_S: Final = 8.0
_LIMITS: Final = Limits(
    # Students' clocks stand where they stand; years ahead are a mistake.
    future_s=10 * 366 * 86_400.0,
    # One at a time keeps the order: of two values for one second, the first counts.
    in_flight=1,
)

_PACE: Final = usage.Pace(look_s=2.0)


class Registers:
    """What a meter told, by its id."""

    def __init__(self, roster: Roster, history: History) -> None:
        self._roster = roster
        self._history = history

    async def latest(self, meter_id: str, count: int) -> list[Reading]:
        """Its last readings, oldest first; empty for a meter that nobody knows."""
        key = (await self._roster.keys_of([meter_id])).get(meter_id)
        return [] if key is None else await self._history.latest(key, count)


async def serve_meters(config: Config, *, bind: str) -> None:
    """Run the meters' part of the classroom until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with meters_open(config, bind=bind):
        _log.info("classroom.meters_ready")
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(tether_ends())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        _log.info("classroom.meters_stopping")
        for end in ends:
            end.cancel()


@contextlib.asynccontextmanager
async def meters_open(config: Config, *, bind: str) -> AsyncIterator[None]:
    """All three ports open and answering while the block runs."""
    clock, ports = SystemClock(), config.classroom
    async with contextlib.AsyncExitStack() as stack:
        http = await _opened_soon(lambda: _listening(bind, ports.meter_http))
        stack.callback(http.close)
        tcp = await _opened_soon(lambda: _listening(bind, ports.meter_tcp))
        stack.callback(tcp.close)
        postgres = await EmbeddedPostgres.start(config.data.path / METERS_FOLDER / "postgresql")
        stack.push_async_callback(postgres.stop)
        store = await Store.open(postgres.url, size=config.store.pool_size)
        stack.push_async_callback(store.close)
        await migrate(store, now=clock.now())
        roster = await Roster.open(store, clock)
        sink = ReadingStore(store, clock, partition=config.metering.partition)
        intake = Intake(sink, roster, clock, limits=_LIMITS)
        stack.push_async_callback(intake.close)
        history = History(store)
        over_udp, over_tcp = Tally("udp"), Tally("tcp")
        # Nobody has a key here: this port is for those who sign nothing.
        seals = Seals(DeviceKeys(secrets.token_bytes(32)))
        dialects = {FIRST_OCTET: MetersOverUdp(over_udp)}
        gateway = await _opened_soon(
            lambda: UdpGateway.open(
                bind, ports.meter_udp, intake=intake, seals=seals, clock=clock, dialects=dialects
            )
        )
        stack.push_async_callback(gateway.close)
        meters = MetersOverTcp(MeterDesk(intake, history, MeterNumbers(store), over_tcp))
        await meters.start(tcp)
        stack.push_async_callback(meters.close)

        async def status() -> dict[str, Any]:
            counts = gateway.counts
            # What does not even begin like JSON never comes to our decoder.
            told = {"heard": counts.datagrams, "malformed": counts.malformed + counts.wrong_tag}
            dropped = {"waiting": gateway.waiting, "dropped_by_kernel": counts.kernel_dropped}
            return {"udp": over_udp.shown() | told | dropped, "tcp": over_tcp.shown()}

        # Here, too, usage follows from readings: whoever looks into the database finds what a utility would.
        tallying = usage.Tally(store, clock, Hours(ZoneInfo(config.metering.time_zone)), pace=_PACE)
        work = (roster.run(), tallying.run(), _tell(gateway, over_udp, over_tcp))
        stack.push_async_callback(_cancelled, [asyncio.create_task(one) for one in work])
        server = http_server(meter_app(Registers(roster, history), status))
        serving = asyncio.create_task(server.serve(sockets=[http]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


async def _listening(host: str, port: int) -> socket.socket:
    return listen(host, port)


async def _opened_soon(open_port: Callable[[], Awaitable[Opened]]) -> Opened:
    """A port, opened as soon as it is free. Raises: Conflict when it stays taken.

    While a server that died was away, somebody's outgoing connection may have been given one of its ports:
    two of the course's are among those that systems give away.
    """
    rest_s = 0.1
    while True:
        try:
            return await open_port()
        except Conflict:
            if rest_s > _LONGEST_REST_S:
                raise
        await asyncio.sleep(rest_s)
        rest_s *= 2


async def _tell(gateway: UdpGateway, *tallies: Tally) -> None:
    """Bad messages are shown in the log, however many in one line."""
    dropped = 0
    while True:
        await asyncio.sleep(_TELL_S)
        for tally in tallies:
            tally.tell()
        if gateway.counts.kernel_dropped > dropped:
            dropped = gateway.counts.kernel_dropped
            _log.warning("classroom.datagrams_dropped", count=dropped)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
