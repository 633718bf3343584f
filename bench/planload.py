"""The load of ``bench.plans``: the planner behind ``trips/plan``, asked without a server around it."""

from __future__ import annotations

import gc
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter

import msgspec
import numpy as np
from scipy.sparse.csgraph import dijkstra

from bench.child import perform
from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import EletroviaError
from eletrovia.booking.board import Board
from eletrovia.booking.planner import RoadPlanner
from eletrovia.booking.trip import TripAsk
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import Connector, ConnectorStandard, Evse, Location, PowerType
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension
from eletrovia.planning.gazetteer import Town
from eletrovia.runtime.config import defaults
from eletrovia.runtime.world import World, load_world

OWN_ID = "BR*CAR"
_SPACING_KM = 60.0
_NEAR_KM = 40.0
"""So far from a station of the demo's its trips begin and end."""


class PlanJob(msgspec.Struct, frozen=True, kw_only=True):
    """``stations`` in real towns over all Brazil, or 0 for the demo's; ``trips`` to plan."""

    stations: int
    trips: int
    seed: int


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Units: ms.

    ``new`` places were never asked for, ``again`` were; ``best`` is only the best way, as booking asks;
    ``ready`` is the first question to these stations; ``row`` one Dijkstra over the whole graph.
    """

    stations: int
    nodes: int
    ready: float
    new: list[float]
    again: list[float]
    best: list[float]
    row: list[float]
    no_way: int


_worlds: list[World] = []


def _world() -> World:
    if not _worlds:
        _worlds.append(load_world(defaults().planning))
    return _worlds[0]


async def work(job: PlanJob) -> Planned:
    """Plan, one question after the other."""
    world, chance, clock = _world(), random.Random(job.seed), SystemClock()
    stations = Stations(OWN_ID, clock)
    # Roads of their own for every job: what lies between the stations is measured too.
    roads = load_world(defaults().planning).roads
    towns = [town for town in world.gazetteer.towns if town.population > 5_000]
    if job.stations:
        sites = _spread(towns, job.stations)
        await stations.put_own([_station(number, town) for number, town in enumerate(sites)], [_TARIFF])
    else:
        for operator_id in DEMO_OPERATORS:
            locations, tariffs = demo_network(operator_id)
            if operator_id == OWN_ID:
                await stations.put_own(locations, tariffs)
            else:
                await stations.put_partner(operator_id, locations, tariffs)
        towns = [
            town
            for town in towns
            if any(site.coordinates.km_to(town.point) < _NEAR_KM for site in stations.all())
        ]
    planner = RoadPlanner(
        stations=stations,
        board=Board(),
        roads=roads,
        gazetteer=world.gazetteer,
        catalogue=world.catalogue,
        clock=clock,
        is_up=lambda operator_id: True,
        margins=world.margins,
    )
    no_way = 0

    async def asked(ask: TripAsk, alternatives: bool) -> float:
        nonlocal no_way
        began_s = perf_counter()
        try:
            await planner.plan(ask, alternatives=alternatives)
        except EletroviaError:
            no_way += 1
        return (perf_counter() - began_s) * 1000

    ready = await asked(_ask(towns, chance), False)
    asks = [_ask(towns, chance) for _ in range(job.trips)]
    no_way = 0
    gc.collect()
    new, again, best, row = [], [], [], []
    for ask in asks:  # by turns, so that whatever else goes on here hits all alike
        row.append(_row(roads, chance))
        new.append(await asked(ask, True))
        again.append(await asked(ask, True))
        best.append(await asked(ask, False))
    count = sum(1 for _ in stations.all())
    return Planned(
        stations=count,
        nodes=_graph_of(roads).shape[0],
        ready=ready,
        new=new,
        again=again,
        best=best,
        row=row,
        no_way=no_way // 3,
    )


def _graph_of(roads: object) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return roads._graph  # type: ignore[attr-defined, no-any-return]  # the yardstick runs on the very same graph


def _row(roads: object, chance: random.Random) -> float:
    graph = _graph_of(roads)
    node = chance.randrange(graph.shape[0] - 1)
    began_s = perf_counter()
    dijkstra(graph, indices=node)
    return (perf_counter() - began_s) * 1000


def _ask(towns: list[Town], chance: random.Random) -> TripAsk:
    """A trip of 300 to 1,500 km as the crow flies between two towns."""
    while True:
        origin, destination = chance.choice(towns), chance.choice(towns)
        if 300 <= origin.point.km_to(destination.point) <= 1500:
            return TripAsk(
                origin=origin.point,
                destination=destination.point,
                soc=chance.randrange(50, 91) / 100,
                departs_at=datetime.now(UTC) + timedelta(days=1 + chance.randrange(30)),
            )


def _spread(towns: list[Town], count: int) -> list[Town]:
    """The largest town of each cell of a grid, then of finer grids until there are enough."""
    chosen: dict[str, Town] = {}
    by_size = sorted(towns, key=lambda town: -town.population)
    cell = _SPACING_KM / 111.0
    while len(chosen) < count:
        cells = {(int(town.point.lat // cell), int(town.point.lon // cell)) for town in chosen.values()}
        for town in by_size:
            at = (int(town.point.lat // cell), int(town.point.lon // cell))
            if at not in cells and len(chosen) < count:
                cells.add(at)
                chosen[f"{town.label} {town.point}"] = town
        cell /= 1.5
        if cell < 0.001:
            break
    return list(chosen.values())


_TARIFF = Tariff(id="bench", components=(PriceComponent(type=TariffDimension.ENERGY, price=Decimal("2.00")),))


def _station(number: int, town: Town) -> Location:
    country_code, party_id = OWN_ID.split("*")
    connector = Connector(
        id="1",
        standard=ConnectorStandard("IEC_62196_T2_COMBO"),
        power_type=PowerType.DC,
        max_electric_power_w=(50_000, 100_000, 150_000)[number % 3],
        tariff_ids=("bench",),
    )
    return Location(
        country_code=country_code,
        party_id=party_id,
        id=f"town-{number}",
        name=town.label,
        city=town.name,
        coordinates=town.point,
        evses=tuple(
            Evse(uid=f"town-{number}-{place}", evse_id=f"{OWN_ID}*E{number}X{place}", connectors=(connector,))
            for place in range(2)
        ),
        simulated=True,
        last_updated=datetime.now(UTC),
    )


if __name__ == "__main__":
    perform(PlanJob, work)
