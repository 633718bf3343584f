"""One operator's server: opened on its database and broker, answering, stopped in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nkeys
import structlog
import uvicorn
from litestar import Litestar

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Invalid
from eletrovia.bus.bus import Bus
from eletrovia.bus.callout import Callout
from eletrovia.bus.embedded import CalloutAccess, EmbeddedNats
from eletrovia.bus.layout import CITY_ACCOUNT, BusPorts, Guests
from eletrovia.bus.secret import public_key
from eletrovia.charging.location import plain
from eletrovia.charging.stations import Stations
from eletrovia.federation.wire import Card
from eletrovia.metering.gateways.login import name_at_broker
from eletrovia.runtime.config import BusSection, Config
from eletrovia.runtime.fleet import tether_ends
from eletrovia.runtime.login import first_staff
from eletrovia.runtime.operator import Operator
from eletrovia.runtime.secret import kept_secret
from eletrovia.runtime.world import World, load_world
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.migration import migrate
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def opened(
    config: Config,
    *,
    world: World | None = None,
    guests: Guests | None = None,
    driver_ref: Callable[[str], str] = lambda driver_id: "",
) -> AsyncIterator[tuple[Operator, socket.socket]]:
    """An operator on its database and broker, ours or the user's, with the port it will answer on.

    ``guests`` opens the embedded broker to clients without credentials; ``driver_ref`` is the desk's.
    """
    clock = SystemClock()
    data = config.data.path
    async with contextlib.AsyncExitStack() as stack:
        listener = listen(config.http.host, config.http.port)
        stack.callback(listener.close)
        # Three slow starts that need nothing of each other.
        world_ready = asyncio.create_task(asyncio.to_thread(lambda: world or load_world(config.planning)))
        store_ready = asyncio.create_task(_open_store(config, data, stack))
        nats_ready = asyncio.create_task(_open_bus(config, data, stack, guests))
        starts = (world_ready, store_ready, nats_ready)
        try:
            await asyncio.gather(*starts)
        except BaseException:
            await asyncio.gather(*starts, return_exceptions=True)
            raise
        store, (bus, nats) = store_ready.result(), nats_ready.result()
        await migrate(store, now=clock.now())
        host, port = listener.getsockname()[:2]
        mqtt_port = nats.ports.mqtt if nats is not None else config.bus.mqtt_port
        own = Card(
            operator_id=config.operator.id,
            name=config.operator.name,
            base_url=config.operator.public_url.rstrip("/") or f"http://{host}:{port}",
            mqtt_url=f"mqtt://{config.bus.mqtt_public_host}:{mqtt_port}",
        )
        operator = Operator(
            config,
            world=world_ready.result(),
            store=store,
            bus=bus,
            stations=await Stations.open(config.operator.id, clock, store),
            own=own,
            token_secret=kept_secret(data / "token.key"),
            clock=clock,
            driver_ref=driver_ref,
        )
        access = nats.callout if nats is not None else _callout_of(config.bus)
        if access is not None:
            callout = await Callout.start(access, operator.authorise, clock=clock)
            stack.push_async_callback(callout.close)
            if access.system_url is not None:
                operator.directory.watch(_expelling(operator, callout))
                operator.metering.roster.watch(_expelling_devices(callout))
        await first_staff(operator.people, config.operator.id, data)
        await stack.enter_async_context(operator.running())
        if access is not None and access.system_url is not None:
            await callout.recheck(operator.metering.devices.still_good)
        yield operator, listener


async def _open_store(config: Config, data: Path, stack: contextlib.AsyncExitStack) -> Store:
    url = config.store.url
    if not url:
        postgres = await EmbeddedPostgres.start(data / "postgresql")
        stack.push_async_callback(postgres.stop)
        url = postgres.url
    store = await Store.open(url, size=config.store.pool_size)
    stack.push_async_callback(store.close)
    return store


async def _open_bus(
    config: Config, data: Path, stack: contextlib.AsyncExitStack, guests: Guests | None
) -> tuple[Bus, EmbeddedNats | None]:
    settings, nats, url = config.bus, None, config.bus.url
    name = plain(config.operator.id)
    if not url:
        ports = BusPorts(nats=settings.nats_port, mqtt=settings.mqtt_port, websocket=settings.websocket_port)
        nats = await EmbeddedNats.start(
            data / "nats", ports=ports, host=config.http.host, server_name=name, guests=guests
        )
        stack.push_async_callback(nats.stop)
        url = nats.url
    bus = await Bus.connect(url, name=name)
    stack.push_async_callback(bus.close)
    return bus, nats


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: Conflict where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Conflict("http.port_taken", host=host, port=port, reason=error.strerror) from error


def _callout_of(settings: BusSection) -> CalloutAccess | None:
    """How a NATS of the user's asks us who may come in; None where it decides by itself.

    Raises: Invalid without a readable seed.
    """
    if not settings.callout_url:
        return None
    try:
        seed = Path(settings.callout_seed_file).read_text().strip()
        public_key(seed)
    except (OSError, ValueError, nkeys.NkeysError) as problem:
        raise Invalid(
            "bus.callout_seed_unreadable", file=settings.callout_seed_file, reason=str(problem)
        ) from problem
    return CalloutAccess(settings.callout_url, settings.system_url or None, seed, CITY_ACCOUNT)


def _expelling(operator: Operator, callout: Callout) -> Callable[[str], None]:
    """When a partner's credentials change, its old connections to our broker end."""
    running: set[asyncio.Task[int]] = set()

    def changed(operator_id: str) -> None:
        task = asyncio.get_running_loop().create_task(callout.expel(plain(operator_id)))
        running.add(task)
        task.add_done_callback(running.discard)

    return changed


def _expelling_devices(callout: Callout) -> Callable[[int, int], None]:
    """When a device's secret is made anew, whoever came in with the old one has to leave."""
    running: set[asyncio.Task[int]] = set()

    def revoked(meter: int, epoch: int) -> None:
        task = asyncio.get_running_loop().create_task(callout.expel(name_at_broker(meter, epoch)))
        running.add(task)
        task.add_done_callback(running.discard)

    return revoked


class _Server(uvicorn.Server):
    """uvicorn without its own idea of signals: we stop the parts in our order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_server(app: Litestar) -> _Server:
    """A uvicorn server for the app, quiet, with the fast parts."""
    settings = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    return _Server(settings)


Beside = Callable[[Operator], contextlib.AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def _nothing_beside(operator: Operator) -> AsyncIterator[None]:
    yield


async def serve(
    config: Config,
    *,
    world: World | None = None,
    guests: Guests | None = None,
    driver_ref: Callable[[str], str] = lambda driver_id: "",
    beside: Beside = _nothing_beside,
) -> None:
    """Run one operator until SIGINT or SIGTERM, then stop everything in order.

    ``beside`` is what else runs on the operator's parts, from before it answers to after it has stopped.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with (
        opened(config, world=world, guests=guests, driver_ref=driver_ref) as (operator, listener),
        beside(operator),
    ):
        server = http_server(operator.app)
        # The graph, the names, the modules: they stay as they are, and a full look at them takes 50 ms.
        gc.collect()
        gc.freeze()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        _log.info(
            "operator.ready",
            operator_id=config.operator.id,
            url=operator.directory.own.base_url,
            mqtt=operator.directory.own.mqtt_url,
        )
        ends = [serving, asyncio.create_task(stop.wait()), asyncio.create_task(tether_ends())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        _log.info("operator.stopping", operator_id=config.operator.id)
        server.should_exit = True
        for end in ends[1:]:
            end.cancel()
        await serving
