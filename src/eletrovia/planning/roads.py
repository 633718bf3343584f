"""Distances and driving times between places, whatever the world is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eletrovia.base.geo import Point
from eletrovia.planning.plan import Legs


class Roads(Protocol):
    """A world to drive in: the highway graph, or a classroom's plane."""

    def legs(self, origin: Point, sites: Sequence[Point], destination: Point) -> Legs:
        """Driving between origin, sites and destination, in that order.

        Asking again with the same sites is cheap: what lies between sites is remembered.
        """
        ...
