"""Where things are: points sorted into cells of half a degree, for the nearest ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from eletrovia.base.geo import EARTH_RADIUS_KM, Point

Item = TypeVar("Item")

_CELLS_PER_DEGREE: Final = 2
_COLUMNS: Final = 360 * _CELLS_PER_DEGREE
_KM_PER_DEGREE: Final = math.pi * EARTH_RADIUS_KM / 180


def _row(lat: float) -> int:
    return math.floor(lat * _CELLS_PER_DEGREE)


def _column(lon: float) -> int:
    return math.floor(lon * _CELLS_PER_DEGREE) % _COLUMNS


class Grid(Generic[Item]):
    """An index over points; built once from ``(point, item)`` pairs."""

    def __init__(self, items: Iterable[tuple[Point, Item]]) -> None:
        self._cells: dict[tuple[int, int], list[tuple[Point, Item]]] = {}
        for point, item in items:
            self._cells.setdefault((_row(point.lat), _column(point.lon)), []).append((point, item))

    def within(
        self, centre: Point, radius_km: float, keep: Callable[[Item], bool] | None = None
    ) -> list[tuple[float, Item]]:
        """Items at most ``radius_km`` away, with their distance in km, nearest first."""
        found = [
            (away, order, item)
            for order, (point, item) in enumerate(self._around(centre, radius_km))
            if (keep is None or keep(item)) and (away := centre.km_to(point)) <= radius_km
        ]
        return [(away, item) for away, _, item in sorted(found, key=lambda one: one[:2])]

    def _around(self, centre: Point, radius_km: float) -> Iterator[tuple[Point, Item]]:
        """Whatever lies in the cells that the circle touches."""
        reach_lat = radius_km / _KM_PER_DEGREE + 1e-9
        south, north = centre.lat - reach_lat, centre.lat + reach_lat
        columns: range | set[int] = range(_COLUMNS)
        # The widest parallel of a circle lies poleward of its centre; over a pole it holds every meridian.
        if south > -90 and north < 90:
            sine = math.sin(math.radians(reach_lat)) / math.cos(math.radians(centre.lat))
            reach_lon = math.degrees(math.asin(min(1.0, sine))) + 1e-9
            first = math.floor((centre.lon - reach_lon) * _CELLS_PER_DEGREE)
            last = math.floor((centre.lon + reach_lon) * _CELLS_PER_DEGREE)
            columns = {column % _COLUMNS for column in range(first, last + 1)}
        rows = range(_row(max(-90.0, south)), _row(min(90.0, north)) + 1)
        if len(rows) * len(columns) > len(self._cells):
            for (row, column), items in self._cells.items():
                if row in rows and column in columns:
                    yield from items
            return
        for row in rows:
            for column in columns:
                yield from self._cells.get((row, column), ())
