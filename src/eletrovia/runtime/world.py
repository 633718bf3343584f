"""The world an operator plans in: roads, names of places, car models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from eletrovia.base.errors import NotFound
from eletrovia.booking.planner import Margins
from eletrovia.booking.trip import Place
from eletrovia.planning.catalogue import Catalogue
from eletrovia.planning.gazetteer import Gazetteer
from eletrovia.planning.highway import HighwayRoads
from eletrovia.planning.network import RoadNetwork
from eletrovia.planning.roads import Roads
from eletrovia.planning.search import warm_up
from eletrovia.planning.vehicle import Vehicle
from eletrovia.runtime.config import PlanningSection


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What planning needs to know that is not a station."""

    roads: Roads
    gazetteer: Gazetteer
    catalogue: Catalogue
    margins: Margins


def load_world(settings: PlanningSection) -> World:
    """The highways, the gazetteer and the catalogue; slow enough for a thread of its own."""
    network = RoadNetwork.load(Path(settings.roads_file)) if settings.roads_file else RoadNetwork.carried()
    world = World(
        roads=HighwayRoads(network, settings.max_leg_km),
        gazetteer=Gazetteer.load(),
        catalogue=Catalogue.load(),
        margins=Margins(),
    )
    warm_up()
    return world


class PlaceNames:
    """The gazetteer as the API searches it."""

    def __init__(self, gazetteer: Gazetteer) -> None:
        self._gazetteer = gazetteer

    def find(self, text: str, *, limit: int) -> Sequence[Place]:
        """The best matches first; none is an empty answer."""
        towns = self._gazetteer.suggest(text, limit)
        if not towns:
            try:
                towns = [self._gazetteer.find(text)]
            except NotFound:
                return []
        return [Place(town.label, town.point) for town in towns]


class CarModels:
    """The catalogue as the API searches it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def find(self, text: str, *, limit: int) -> Sequence[Vehicle]:
        return self._catalogue.search(text, limit)

    def vehicle(self, vehicle_id: str) -> Vehicle:
        """Raises: NotFound."""
        return self._catalogue.get(vehicle_id)
