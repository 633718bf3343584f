"""One of the classroom's centrals: an operator like any other, with the course's protocols beside it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
import msgspec

from eletrovia.base.errors import NotFound, Unavailable
from eletrovia.base.rng import Rng
from eletrovia.classroom.plane import CENTRALS, FREE, MARGINS, Central, client_id_of, stations
from eletrovia.classroom.rest import central_app
from eletrovia.classroom.stations import CentralStations
from eletrovia.classroom.trips import GUESTS, TripsOnMqtt
from eletrovia.classroom.wire import StationRequest
from eletrovia.planning.catalogue import Catalogue
from eletrovia.planning.gazetteer import Gazetteer
from eletrovia.planning.plane import PlaneRoads
from eletrovia.planning.search import warm_up
from eletrovia.runtime.config import Config, with_values
from eletrovia.runtime.operator import Operator
from eletrovia.runtime.secret import kept_secret
from eletrovia.runtime.server import http_server, listen, serve
from eletrovia.runtime.world import World

_YEARS_S = 10 * 365 * 86_400.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_FORWARD_S = 10.0


class Ports(NamedTuple):
    """Where one central listens."""

    http: int
    mqtt: int
    websocket: int
    api: int


def ports_of(config: Config, number: int) -> Ports:
    """The ports that the settings give a central."""
    section = config.classroom
    return Ports(*(getattr(section, f"central{number}_{name}") for name in Ports._fields))


def reached_at(bind: str) -> str:
    """The host by which this machine itself reaches what is bound to ``bind``, as it stands in a URL."""
    host = _ANYWHERE.get(bind, bind)
    return f"[{host}]" if ":" in host else host


def central_config(config: Config, number: int, *, bind: str) -> Config:
    """The settings of one central's operator, tuned for a room full of clients that ask at once."""
    central, ports, host = CENTRALS[number], ports_of(config, number), reached_at(bind)
    return with_values(
        config,
        {
            "operator.id": central.operator_id,
            "operator.name": central.name,
            "operator.public_url": f"http://{host}:{ports.api}",
            "http.host": bind,
            "http.port": ports.api,
            "store.url": "",
            "bus.url": "",
            "bus.nats_port": 0,
            "bus.mqtt_port": ports.mqtt,
            "bus.websocket_port": ports.websocket,
            "bus.mqtt_public_host": host,
            "booking.attempts": 12,
            "booking.deadline_s": 60.0,
            # The course's clients never say that they have come, so nobody is given up for not coming.
            "booking.no_show_grace_s": _YEARS_S,
            "data.dir": str(config.data.path / f"central{number}"),
        },
    )


def plane_world() -> World:
    """The course's plane. Slow enough for a thread of its own."""
    warm_up()
    return World(roads=PlaneRoads(), gazetteer=Gazetteer.load(), catalogue=Catalogue.load(), margins=MARGINS)


async def serve_central(config: Config, number: int, *, bind: str) -> None:
    """Run one central until SIGINT or SIGTERM."""
    await serve(
        central_config(config, number, bind=bind),
        world=await asyncio.to_thread(plane_world),
        guests=GUESTS,
        driver_ref=client_id_of,
        beside=partial(_classroom, config, CENTRALS[number], bind),
    )


@contextlib.asynccontextmanager
async def _classroom(config: Config, central: Central, bind: str, operator: Operator) -> AsyncIterator[None]:
    """The course's REST and MQTT on the operator's parts."""
    chance = random.SystemRandom()
    await _furnish(operator, central)
    async with contextlib.AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=_FORWARD_S)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))

        async def cancel_at(operator_id: str, request: StationRequest) -> None:
            await _cancel_at(config, bind, session, operator_id, request)

        own = CentralStations(
            central,
            stations=operator.stations,
            desk=operator.desk,
            outbox=operator.outbox,
            holds=operator.holds,
            added=operator.publisher.touch,
            cancel_at=cancel_at,
            clock=operator.clock,
            ids=operator.ids,
            chance=chance,
        )
        listener = listen(bind, ports_of(config, central.number).http)
        stack.callback(listener.close)
        server = http_server(central_app(own))
        serving = asyncio.create_task(server.serve(sockets=[listener]))

        def everybody_here() -> bool:
            known = set(operator.stations.operator_ids())
            ids = [other.operator_id for other in CENTRALS.values()]
            return all(one in known and operator.is_up(one) for one in ids)

        trips = TripsOnMqtt(operator.bus, operator.desk, operator.outbox, operator.clock, everybody_here)
        stack.push_async_callback(trips.close)
        await trips.start()
        try:
            yield
        finally:
            server.should_exit = True
            await serving


async def _furnish(operator: Operator, central: Central) -> None:
    """The central's 500 stations at its first start, all or none; later starts find them."""
    if any(True for _ in operator.stations.all(central.operator_id)):
        return
    seed = await asyncio.to_thread(kept_secret, operator.config.data.path / "stations.seed")
    chance = Rng(seed).stream("stations")
    await operator.stations.put_own(stations(central, operator.clock.now(), chance), [FREE])


async def _cancel_at(
    config: Config, bind: str, session: aiohttp.ClientSession, operator_id: str, request: StationRequest
) -> None:
    """Asks the central that is the trip's home. Raises: NotFound, Unavailable."""
    number = next((one.number for one in CENTRALS.values() if one.operator_id == operator_id), None)
    if number is None:
        raise Unavailable("central.silent")
    url = f"http://{reached_at(bind)}:{ports_of(config, number).http}/cancelar"
    try:
        async with session.post(url, data=msgspec.json.encode(request)) as response:
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        raise Unavailable("central.silent") from None
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound(
            "station.no_such_booking",
            nome=request.station,
            cliente_id=request.client_id,
            horario=request.moment,
        )
    if status != HTTPStatus.OK:
        raise Unavailable("central.silent")
