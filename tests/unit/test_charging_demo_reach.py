"""The demo's trip on real roads: it can be driven, and not without stops at all three operators."""

from __future__ import annotations

from itertools import chain

import pytest

from eletrovia.base.geo import Point
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import ConnectorStandard, Location
from eletrovia.planning.highway import HighwayRoads
from eletrovia.planning.network import RoadNetwork

JOAO_PESSOA, FEIRA_DE_SANTANA = Point(-7.115, -34.86306), Point(-12.26667, -38.96667)
AT_START, RESERVE = 0.6, 0.2


def fast(location: Location) -> bool:
    plugs = chain.from_iterable(evse.connectors for evse in location.evses)
    return any(plug.standard is ConnectorStandard.CCS2 for plug in plugs)


@pytest.fixture(scope="module")
def network() -> tuple[list[str], list[list[float]]]:
    """The operators of all fast sites, and the km between them; first the origin, last the destination."""
    sites = [one for operator in DEMO_OPERATORS for one in demo_network(operator)[0] if fast(one)]
    roads = HighwayRoads(RoadNetwork.carried())
    legs = roads.legs(JOAO_PESSOA, [one.coordinates for one in sites], FEIRA_DE_SANTANA)
    return ["", *(one.operator_id for one in sites), ""], legs.distance_km.tolist()


def arrives(network: tuple[list[str], list[list[float]]], range_km: float, without: str | None) -> bool:
    """Whether a car with ``range_km`` on a full battery gets there, filling up wherever it likes."""
    operators, km = network
    reached, waiting = {0}, [0]
    while waiting:
        here = waiting.pop()
        usable = range_km * ((AT_START if here == 0 else 1) - RESERVE)
        for there, operator in enumerate(operators):
            if there not in reached and operator != without and km[here][there] <= usable:
                reached.add(there)
                waiting.append(there)
    return len(operators) - 1 in reached


@pytest.mark.parametrize("range_km", [240, 270, 300])
def test_it_takes_all_three_operators(network: tuple[list[str], list[list[float]]], range_km: float) -> None:
    assert arrives(network, range_km, None)
    for operator_id in DEMO_OPERATORS:
        assert not arrives(network, range_km, operator_id), f"{operator_id} is not needed at {range_km} km"
