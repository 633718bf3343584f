"""A gateway's own process: readings from datagrams and streams into an operator's database.

Any number may run beside each other and beside the operator's server. Nothing is kept here: what a killed
gateway had not committed was not acknowledged, and its sender sends it to the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from eletrovia.base.clock import Clock, SystemClock
from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.base.private import write_private
from eletrovia.metering.gateways.counts import Counts
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.tcp import TcpGateway
from eletrovia.metering.gateways.udp import UdpGateway
from eletrovia.metering.intake import Intake
from eletrovia.metering.roster import Roster
from eletrovia.runtime.config import Config
from eletrovia.runtime.fleet import tether_ends
from eletrovia.runtime.metering import device_keys, intake_of
from eletrovia.runtime.metrics import ReadingMetrics
from eletrovia.store.embedded import standing_url
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.5
_SAY_AGAIN_S: Final = 30.0
_TELL_S: Final = 60.0
_CONNECTIONS: Final = 6


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """Which ports to open: None leaves one shut, 0 takes any that is free.

    Shape: ``shared`` lets other processes listen on the same ports; ``ready_file`` is written once all are
           open.
    """

    host: str
    udp: int | None = None
    tcp: int | None = None
    http: int | None = None
    metrics: int | None = None
    shared: bool = False
    ready_file: Path | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The ports that are open."""

    host: str
    udp: int | None
    tcp: int | None
    http: int | None
    metrics: int | None


async def serve(config: Config, doors: Doors, *, ready: Callable[[Opened], None] = lambda _: None) -> None:
    """Run a gateway until SIGINT or SIGTERM, then answer what is under way and end.

    Waits for the database for as long as it takes, and says so.
    Raises: Invalid without a port to open; Conflict where one is taken.
    """
    if doors.udp is None and doors.tcp is None and doors.http is None:
        raise Invalid("gateway.no_port")
    # The thread that drains the socket must not wait long for Python's lock.
    sys.setswitchinterval(0.001)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tether = asyncio.create_task(tether_ends())
    tether.add_done_callback(lambda _: stop.set())
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(tether.cancel)
        store = await _store_of(config, stop)
        if store is None:
            return
        stack.push_async_callback(store.close)
        opened = await stack.enter_async_context(_at_work(config, doors, store, clock))
        gc.collect()
        gc.freeze()
        if doors.ready_file is not None:
            write_private(doors.ready_file, msgspec.json.encode(opened))
        ready(opened)
        _log.info("gateway.ready", **msgspec.structs.asdict(opened))
        await stop.wait()
        _log.info("gateway.stopping")


@contextlib.asynccontextmanager
async def _at_work(config: Config, doors: Doors, store: Store, clock: Clock) -> AsyncIterator[Opened]:
    registry = CollectorRegistry()
    roster = Roster(store, clock)
    intake = intake_of(config, store, roster, clock, ReadingMetrics(registry))
    seals = await asyncio.to_thread(Seals, device_keys(config))
    await roster.refresh()
    counted: dict[str, Counts] = {}
    udp: UdpGateway | None = None
    tcp: TcpGateway | None = None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(intake.close)
        workers = [asyncio.create_task(roster.run()), asyncio.create_task(_tell(counted, intake))]
        stack.push_async_callback(_cancelled, workers)
        if doors.udp is not None:
            udp = await UdpGateway.open(
                doors.host, doors.udp, intake=intake, seals=seals, clock=clock, shared=doors.shared
            )
            counted["udp"] = udp.counts
        if doors.tcp is not None:
            try:
                tcp = await TcpGateway.open(
                    doors.host, doors.tcp, intake=intake, seals=seals, clock=clock, shared=doors.shared
                )
            except BaseException:
                if udp is not None:
                    await udp.close()
                raise
            counted["tcp"] = tcp.counts

        async def shut() -> None:
            await asyncio.gather(*(one.close() for one in (udp, tcp) if one is not None))
            _log.info("gateway.counted", **_flat(counted))

        stack.push_async_callback(shut)
        http = None
        if doors.http is not None:
            http = await stack.enter_async_context(
                _over_http(config, doors, intake, roster, store, clock, registry)
            )
        metrics = None
        if doors.metrics is not None:
            registry.register(_Figures(counted))
            server, _ = start_http_server(doors.metrics, addr=doors.host, registry=registry)
            stack.callback(server.shutdown)
            metrics = int(server.server_port)
        yield Opened(
            host=doors.host,
            udp=None if udp is None else udp.port,
            tcp=None if tcp is None else tcp.port,
            http=http,
            metrics=metrics,
        )


@contextlib.asynccontextmanager
async def _over_http(
    config: Config,
    doors: Doors,
    intake: Intake,
    roster: Roster,
    store: Store,
    clock: Clock,
    registry: CollectorRegistry,
) -> AsyncIterator[int]:
    """Devices post their readings here, too; the port. Whoever logs in with a token goes to the server."""
    from eletrovia.api.desks import OperatorCard
    from eletrovia.api.readings_app import create_readings_app
    from eletrovia.base.ids import Ids
    from eletrovia.metering.gateways.login import DeviceLogin
    from eletrovia.runtime.server import http_server, listen

    async def check_store() -> None:
        async with store.connection() as connection:
            await connection.execute("select 1")

    listener = listen(doors.host, doors.http or 0)
    host, port = listener.getsockname()[:2]
    app = create_readings_app(
        intake=intake,
        roster=roster,
        devices=DeviceLogin(roster, device_keys(config)),
        operator=OperatorCard(
            operator_id=config.operator.id, name=config.operator.name, url=f"http://{host}:{port}"
        ),
        clock=clock,
        ids=Ids(clock),
        registry=registry,
        parts={"store": check_store},
    )
    server = http_server(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield int(port)
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


class _Figures(Collector):
    """What the gateways count, for Prometheus."""

    def __init__(self, counted: dict[str, Counts]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "eletrovia_gateway", "What came to a gateway, and went", labels=["gateway", "what"]
        )
        for gateway, counts in self._counted.items():
            for what, many in counts.told().items():
                family.add_metric([gateway, what], many)
        yield family


async def _tell(counted: dict[str, Counts], intake: Intake) -> None:
    """Once a minute, what was counted, when it has changed."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(_TELL_S)
        now = _flat(counted)
        if now != told:
            _log.info("gateway.counted", waiting=intake.waiting, **now)
            told = now


def _flat(counted: dict[str, Counts]) -> dict[str, int]:
    return {
        f"{gateway}_{what}": many
        for gateway, counts in counted.items()
        for what, many in counts.told().items()
        if many
    }


async def _store_of(config: Config, stop: asyncio.Event) -> Store | None:
    """The operator's database as soon as it is there and furnished; None when we are stopped before."""
    loop = asyncio.get_running_loop()
    said, said_at = "", 0.0
    while not stop.is_set():
        why = "nobody runs it yet"
        try:
            url = config.store.url or standing_url(config.data.path / "postgresql")
            if url:
                store = await Store.open(url, size=_CONNECTIONS)
                if await _is_furnished(store):
                    return store
                await store.close()
                why = "it is not furnished yet"
        except Unavailable as gone:
            why = str(gone)
        if why != said or loop.time() - said_at > _SAY_AGAIN_S:
            said, said_at = why, loop.time()
            _log.warning("gateway.waits_for_database", reason=why, data=str(config.data.path))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    return None


async def _is_furnished(store: Store) -> bool:
    async with store.connection() as connection:
        found = await connection.execute("select to_regclass('meter'), to_regclass('reading')")
        row = await found.fetchone()
        return row is not None and None not in row


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
