"""The classroom's world: a plane without roads, where cars drive straight.

``base.geo.Point`` takes the globe only, so plane coordinates travel as ``lat = y / 100``, ``lon = x / 100``;
the classroom's plane (±3000) fits many times over. One plane unit counts as one km.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from eletrovia.base.geo import Point
from eletrovia.planning.network import Floats
from eletrovia.planning.plan import Legs

UNITS_PER_DEGREE = 100.0
UNITS_PER_S = 10.0


def plane_point(x: float, y: float) -> Point:
    """The plane's (x, y) as a point. Raises: Invalid beyond ±18000 (x) or ±9000 (y)."""
    return Point(y / UNITS_PER_DEGREE, x / UNITS_PER_DEGREE)


def plane_xy(point: Point) -> tuple[float, float]:
    """What ``plane_point`` was made from, to nine places."""
    return round(point.lon * UNITS_PER_DEGREE, 9), round(point.lat * UNITS_PER_DEGREE, 9)


class PlaneRoads:
    """``Roads`` on the plane. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: tuple[Point, ...] = ()
        self._where: Floats = np.empty((0, 2))
        self._block: Floats = np.empty((0, 0))

    def legs(self, origin: Point, sites: Sequence[Point], destination: Point) -> Legs:
        """Straight lines between all places. Units: distance_km holds plane units."""
        asked = tuple(sites)
        with self._lock:
            if asked != self._asked:
                self._where = _units(asked)
                # As complex numbers the differences are made in place of two big arrays each.
                flat = self._where[:, 0] + 1j * self._where[:, 1]
                self._block, self._asked = np.abs(flat[:, None] - flat[None, :]), asked
            where, block = self._where, self._block
        size = len(asked) + 2
        distance = np.empty((size, size))
        distance[1:-1, 1:-1] = block
        ends = _units((origin, destination))
        for row, end in zip((0, -1), ends, strict=True):
            distance[row, 1:-1] = distance[1:-1, row] = np.hypot(*(where - end).T)
        distance[0, -1] = distance[-1, 0] = np.hypot(*(ends[1] - ends[0]))
        distance[0, 0] = distance[-1, -1] = 0.0
        return Legs(distance_km=distance, drive_s=distance / UNITS_PER_S)


def _units(places: Sequence[Point]) -> Floats:
    """Shape: (places, 2): x and y."""
    degrees = np.array([(place.lon, place.lat) for place in places], dtype=np.float64)
    return degrees.reshape(-1, 2) * UNITS_PER_DEGREE
