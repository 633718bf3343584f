"""Driving on the highway network.

The speed model: highways at ``HIGHWAY_KM_H``; between a place and the network (its *doors*, the nearest
nodes) the straight line times ``ACCESS_DETOUR`` at ``ACCESS_KM_H``. Ways are the quickest ones. So that one
search gives time and distance, lengths count as *effort*: highway km, an access km as many as take its time.

Roads are undirected (as their source is), so whatever lies between two places is the same both ways.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from eletrovia.base.errors import NotFound
from eletrovia.base.geo import EARTH_RADIUS_KM, Point
from eletrovia.planning.network import Floats, RoadNetwork, unit_vectors
from eletrovia.planning.plan import Legs

HIGHWAY_KM_H = 80.0
ACCESS_KM_H = 40.0
ACCESS_DETOUR = 1.3
MAX_ACCESS_KM = 100.0
"""Straight line to the nearest node beyond which a place has no road: islands, the roadless forest."""
LOCAL_KM = 5.0
"""Places this near each other are also joined by local streets (as access), not only over the network."""
DOORS = 4
STEP_KM = 10.0
"""Longer arcs get nodes in between, so that a place half-way along one need not go to its end."""
MAX_LEG_KM = 1200.0
"""More than any car of the catalogue drives on one charge; only origin to destination may be farther."""
MAX_SITES = 2048
MAX_ROWS = 128

_ACCESS_EFFORT = HIGHWAY_KM_H / ACCESS_KM_H
_SECONDS_PER_EFFORT = 3600 / HIGHWAY_KM_H


class _Doors(msgspec.Struct, frozen=True, eq=False):
    """Where places join the network. Shape: all but ``where`` (places, DOORS), ``where`` (places, 3).

    Units: access_km along streets, inf where there is no such door.
    """

    where: Floats
    nodes: npt.NDArray[np.int64]
    access_km: Floats

    def of(self, at: npt.NDArray[np.int64] | slice) -> _Doors:
        return _Doors(self.where[at], self.nodes[at], self.access_km[at])


class _Row(msgspec.Struct, frozen=True, eq=False):
    """From one place to every node; ``door`` is which of the place's own doors the way left by.

    Shape: effort, door (nodes,).
    """

    doors: _Doors
    effort: npt.NDArray[np.float32]
    door: npt.NDArray[np.int8]
    whole: bool


class HighwayRoads:
    """``Roads`` on a highway network. Any thread may ask; they take turns.

    ``max_leg_km`` bounds the legs from and to sites: longer ones are ``inf``.
    """

    def __init__(self, network: RoadNetwork, max_leg_km: float = MAX_LEG_KM) -> None:
        self.about = network.about
        self.max_leg_km = max_leg_km
        self._lock = threading.Lock()
        self._lat, self._lon, arcs, km = _with_steps(network)
        self._nodes = len(self._lat)
        self._given_nodes = len(network.lat_e6)
        self._tree = cKDTree(unit_vectors(self._lat, self._lon))
        self._graph = _graph(self._nodes, arcs, km)
        self._rows: OrderedDict[Point, _Row] = OrderedDict()
        self._forget_sites()

    def legs(self, origin: Point, sites: Sequence[Point], destination: Point) -> Legs:
        """Driving between origin, sites and destination, in that order; the quickest ways."""
        asked = tuple(sites)
        with self._lock:
            if asked != self._asked:
                self._remember_sites(asked)
            begin, end = self._row(origin, whole=False), self._row(destination, whole=False)
            straight = _between(begin, end.doors, np.inf)
            if not straight[1][0] <= self.max_leg_km * _SECONDS_PER_EFFORT and not begin.whole:
                begin = self._row(origin, whole=True)
                straight = _between(begin, end.doors, np.inf)
            ends = [*(_between(row, self._asked_doors, self.max_leg_km) for row in (begin, end)), straight]
            block_km, block_s = self._asked_legs
        size = len(asked) + 2
        matrices = np.empty((2, size, size))
        for matrix, block, part in ((matrices[0], block_km, 0), (matrices[1], block_s, 1)):
            matrix[1:-1, 1:-1] = block
            matrix[0, 1:-1] = matrix[1:-1, 0] = ends[0][part]
            matrix[-1, 1:-1] = matrix[1:-1, -1] = ends[1][part]
            matrix[0, -1] = matrix[-1, 0] = ends[2][part][0]
            np.fill_diagonal(matrix, 0.0)
        return Legs(distance_km=matrices[0], drive_s=matrices[1])

    def distance_km(self, start: Point, end: Point) -> float:
        """The quickest way's length, however far; ``inf`` when there is none."""
        return float(self.legs(start, (), end).distance_km[0, 1])

    def path(self, start: Point, end: Point) -> list[Point]:
        """The quickest way as a line to draw, both ends included: nodes of the network, straight in between.

        The source keeps crossings and few bends, so the line is a sketch of the road, and not its measure.
        Raises: NotFound("roads.no_way").
        """
        with self._lock:
            row = self._row(start, whole=True)
            doors = self._doors((end,))
            efforts = row.effort[doors.nodes[0]] + _ACCESS_EFFORT * doors.access_km[0]
            best = int(efforts.argmin())
            if not np.isfinite(efforts[best]):
                raise NotFound("roads.no_way", start=[start.lat, start.lon], end=[end.lat, end.lon])
            self._open(row.doors)
            _, before = dijkstra(self._graph, indices=self._nodes, return_predecessors=True)
            way, node = [end], int(doors.nodes[0, best])
            while node != self._nodes:
                if node < self._given_nodes:
                    way.append(Point(float(self._lat[node]), float(self._lon[node])))
                node = int(before[node])
        return [start, *reversed(way)]

    def _doors(self, places: Sequence[Point]) -> _Doors:
        lat, lon = (
            np.array([getattr(place, name) for place in places], dtype=np.float64) for name in ("lat", "lon")
        )
        where = unit_vectors(lat, lon)
        near = min(DOORS, self._nodes)
        chord, nodes = self._tree.query(where, k=list(range(1, near + 1)))
        straight_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, chord / 2))
        access_km = np.where(straight_km <= MAX_ACCESS_KM, straight_km * ACCESS_DETOUR, np.inf)
        return _Doors(where, nodes.astype(np.int64), access_km)

    def _open(self, doors: _Doors) -> bool:
        """Let the graph's spare last node lead to one place's doors; False when it has none."""
        access_km = doors.access_km[0]
        nodes = np.where(np.isfinite(access_km), doors.nodes[0], doors.nodes[0, 0])
        first = self._graph.indptr[self._nodes]
        self._graph.indices[first : first + len(nodes)] = nodes
        self._graph.data[first : first + len(nodes)] = _ACCESS_EFFORT * np.minimum(
            access_km, MAX_ACCESS_KM * 2
        )
        return bool(np.isfinite(access_km[0]))

    def _row(self, place: Point, *, whole: bool) -> _Row:
        row = self._rows.get(place)
        if row is None or (whole and not row.whole):
            row = self._search(self._doors((place,)), np.inf if whole else self.max_leg_km)
            self._rows[place] = row
            if len(self._rows) > MAX_ROWS:
                self._rows.popitem(last=False)
        self._rows.move_to_end(place)
        return row

    def _search(self, doors: _Doors, limit_km: float) -> _Row:
        whole = limit_km == np.inf
        if not self._open(doors):
            nowhere = np.full(self._nodes, np.inf, dtype=np.float32)
            return _Row(doors, nowhere, np.zeros(self._nodes, dtype=np.int8), whole)
        # The way out to a door is part of the effort, and counts once more than its km do.
        limit = limit_km + (_ACCESS_EFFORT - 1) * ACCESS_DETOUR * MAX_ACCESS_KM
        effort, before = dijkstra(self._graph, indices=self._nodes, limit=limit, return_predecessors=True)
        # Which door a node is reached by: follow all ways back at once, each step twice as far as the last.
        before = before[: self._nodes]
        itself = np.arange(self._nodes, dtype=before.dtype)
        root = np.where((before < 0) | (before == self._nodes), itself, before)
        while True:
            farther = root[root]
            if np.array_equal(farther, root):
                break
            root = farther
        number = np.zeros(self._nodes, dtype=np.int8)
        number[doors.nodes[0][::-1]] = np.arange(doors.nodes.shape[1], dtype=np.int8)[::-1]
        return _Row(doors, effort[: self._nodes].astype(np.float32), number[root], whole)

    def _forget_sites(self) -> None:
        self._site_numbers: dict[Point, int] = {}
        self._site_doors = self._doors(())
        self._site_km = np.empty((0, 0), dtype=np.float32)
        self._site_s = np.empty((0, 0), dtype=np.float32)
        self._asked: tuple[Point, ...] = ()
        self._asked_doors = self._site_doors
        self._asked_legs: tuple[Floats, Floats] = (np.empty((0, 0)), np.empty((0, 0)))

    def _remember_sites(self, asked: tuple[Point, ...]) -> None:
        """Make ``asked`` the sites at hand; only those never seen are searched from."""
        new = [place for place in dict.fromkeys(asked) if place not in self._site_numbers]
        if new and len(self._site_numbers) + len(new) > MAX_SITES:
            self._forget_sites()
            new = list(dict.fromkeys(asked))
        if new:
            self._add_sites(new)
        numbers = np.array([self._site_numbers[place] for place in asked], dtype=np.int64)
        block = np.ix_(numbers, numbers)
        self._asked_legs = (self._site_km[block].astype(np.float64), self._site_s[block].astype(np.float64))
        self._asked_doors = self._site_doors.of(numbers)
        self._asked = asked

    def _add_sites(self, new: list[Point]) -> None:
        known, added = self._site_doors, self._doors(new)
        first, size = len(self._site_numbers), len(self._site_numbers) + len(new)
        doors = _Doors(
            np.concatenate([known.where, added.where]),
            np.concatenate([known.nodes, added.nodes]),
            np.concatenate([known.access_km, added.access_km]),
        )
        grown = np.zeros((2, size, size), dtype=np.float32)
        grown[0, :first, :first], grown[1, :first, :first] = self._site_km, self._site_s
        for number in range(first, size):
            row = self._search(doors.of(slice(number, number + 1)), self.max_leg_km)
            # Two ways of the same effort may differ in km by their streets: one of them counts both ways.
            for matrix, line in zip(
                grown, _between(row, doors.of(slice(0, number)), self.max_leg_km), strict=True
            ):
                matrix[number, :number] = matrix[:number, number] = line
        self._site_km, self._site_s = grown
        self._site_doors = doors
        self._site_numbers |= {place: first + at for at, place in enumerate(new)}


def _between(row: _Row, doors: _Doors, limit_km: float) -> tuple[Floats, Floats]:
    """km and seconds from a row's place to those of ``doors``; ``inf`` where farther than ``limit_km``."""
    if not len(doors.nodes):
        return np.empty(0), np.empty(0)
    efforts = row.effort[doors.nodes] + _ACCESS_EFFORT * doors.access_km
    best = efforts.argmin(axis=1)[:, None]
    effort = np.take_along_axis(efforts, best, axis=1)[:, 0]
    left_by = row.door[np.take_along_axis(doors.nodes, best, axis=1)[:, 0]]
    access_km = row.doors.access_km[0][left_by] + np.take_along_axis(doors.access_km, best, axis=1)[:, 0]
    km = np.full(len(effort), np.inf)
    found = np.isfinite(effort)
    km[found] = effort[found] - (_ACCESS_EFFORT - 1) * access_km[found]
    chord = np.linalg.norm(doors.where - row.doors.where, axis=1)
    straight_km = chord * EARTH_RADIUS_KM  # only looked at where it is short
    by_streets = straight_km * ACCESS_DETOUR
    local = (straight_km <= LOCAL_KM) & (by_streets * _ACCESS_EFFORT < effort)
    km[local], effort[local] = by_streets[local], by_streets[local] * _ACCESS_EFFORT
    near = km <= limit_km
    return np.where(near, km, np.inf), np.where(near, effort * _SECONDS_PER_EFFORT, np.inf)


def _with_steps(network: RoadNetwork) -> tuple[Floats, Floats, npt.NDArray[np.int64], Floats]:
    """Points, arcs and their km, with long arcs cut into equal steps along the straight line."""
    lat, lon = network.lat_e6 / 1e6, network.lon_e6 / 1e6
    arcs = np.stack([network.tail, network.head]).astype(np.int64)
    km = network.length_m / 1000
    steps = np.maximum(1, np.ceil(km / STEP_KM)).astype(np.int64)
    long = steps > 1
    (tail, head), cuts = arcs[:, long], steps[long] - 1
    arc_of_cut = np.repeat(np.arange(len(cuts)), cuts)
    first = np.cumsum(cuts) - cuts
    share = (np.arange(int(cuts.sum())) - first[arc_of_cut] + 1) / (cuts + 1)[arc_of_cut]
    across = (lon[head] - lon[tail] + 180) % 360 - 180  # the short way, over the date line too
    new_lat = lat[tail][arc_of_cut] + share * (lat[head] - lat[tail])[arc_of_cut]
    new_lon = (lon[tail][arc_of_cut] + share * across[arc_of_cut] + 180) % 360 - 180
    new = len(lat) + np.arange(len(arc_of_cut))
    is_last = np.append(np.diff(arc_of_cut) > 0, True)[: len(new)]
    is_first = np.append(True, np.diff(arc_of_cut) > 0)[: len(new)]
    # From each cut on to the next one or to the arc's head; and from the arc's tail to its first cut.
    onward = np.stack([new, np.where(is_last, head[arc_of_cut], new + 1)])
    begin = np.stack([tail, new[is_first]])
    step_km = (km / steps)[long]
    return (
        np.append(lat, new_lat),
        np.append(lon, new_lon),
        np.hstack([arcs[:, ~long], begin, onward]),
        np.concatenate([km[~long], step_km, step_km[arc_of_cut]]),
    )


def _graph(nodes: int, arcs: npt.NDArray[np.int64], km: Floats) -> csr_matrix:
    """Both directions of every arc, and a spare last node with room for a place's doors."""
    doors = min(DOORS, nodes)
    tail = np.concatenate([arcs[0], arcs[1], np.full(doors, nodes)])
    head = np.concatenate([arcs[1], arcs[0], np.arange(doors)])
    length = np.concatenate([km, km, np.ones(doors)])
    # Of parallel arcs the shortest counts; adding them up, as scipy would, is wrong.
    order = np.lexsort((length, head, tail))
    keep = np.append(True, (np.diff(tail[order]) != 0) | (np.diff(head[order]) != 0))
    order = order[keep]
    return coo_matrix((length[order], (tail[order], head[order])), shape=(nodes + 1, nodes + 1)).tocsr()
