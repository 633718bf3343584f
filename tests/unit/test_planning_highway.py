"""The highway world: distances against a plain search, the speed model, caches that change nothing."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.base.geo import EARTH_RADIUS_KM, Point
from eletrovia.planning import highway
from eletrovia.planning.highway import ACCESS_DETOUR, ACCESS_KM_H, HIGHWAY_KM_H, HighwayRoads
from eletrovia.planning.network import About, RoadNetwork

JOAO_PESSOA = Point(-7.115, -34.86306)
FEIRA = Point(-12.26667, -38.96667)
MACEIO = Point(-9.66583, -35.73528)
DEGREE_KM = EARTH_RADIUS_KM * math.pi / 180


def network(points: list[tuple[float, float]], arcs: list[tuple[int, int, float]]) -> RoadNetwork:
    return RoadNetwork(
        about=About(region="test", source="test", attribution="nobody", licence="none"),
        lat_e6=np.array([round(lat * 1e6) for lat, _ in points], dtype=np.int32),
        lon_e6=np.array([round(lon * 1e6) for _, lon in points], dtype=np.int32),
        tail=np.array([tail for tail, _, _ in arcs], dtype=np.int32),
        head=np.array([head for _, head, _ in arcs], dtype=np.int32),
        length_m=np.array([round(km * 1000) for *_, km in arcs], dtype=np.int32),
    )


@pytest.fixture(scope="module")
def brazil() -> RoadNetwork:
    return RoadNetwork.carried("BR")


@pytest.fixture(scope="module")
def roads(brazil: RoadNetwork) -> HighwayRoads:
    return HighwayRoads(brazil)


def some_towns(brazil: RoadNetwork, count: int, seed: int) -> list[Point]:
    """Points near the roads of the north-east, but not on them."""
    chance = random.Random(seed)
    inside = np.flatnonzero((brazil.lat_e6 > -13e6) & (brazil.lat_e6 < -5e6) & (brazil.lon_e6 > -40e6))
    return [
        Point(
            brazil.lat_e6[at] / 1e6 + chance.uniform(-0.1, 0.1),
            brazil.lon_e6[at] / 1e6 + chance.uniform(-0.1, 0.1),
        )
        for at in chance.sample(list(inside), count)
    ]


def test_highway_the_known_distances_come_out(roads: HighwayRoads) -> None:
    # 859 and 363 km are highway only; a town's centre is about a km of streets away at either end.
    assert roads.distance_km(JOAO_PESSOA, FEIRA) == pytest.approx(859, rel=0.005)
    assert on_the_graph_km(roads, JOAO_PESSOA, FEIRA) == pytest.approx(859, rel=0.005)
    assert on_the_graph_km(roads, JOAO_PESSOA, MACEIO) == pytest.approx(363, rel=0.005)


def on_the_graph_km(roads: HighwayRoads, start: Point, end: Point) -> float:
    """The highway's part of a way: km and seconds are two equations in highway and access km."""
    legs = roads.legs(start, (), end)
    km, seconds = legs.distance_km[0, 1], legs.drive_s[0, 1]
    access_km = (seconds - km * 3600 / HIGHWAY_KM_H) / (3600 / ACCESS_KM_H - 3600 / HIGHWAY_KM_H)
    return float(km - access_km)


def test_highway_legs_equal_a_plain_search_from_every_door(brazil: RoadNetwork, roads: HighwayRoads) -> None:
    ways: dict[int, list[tuple[int, float]]] = {}
    for tail, head, metres in zip(
        brazil.tail.tolist(), brazil.head.tolist(), brazil.length_m.tolist(), strict=True
    ):
        ways.setdefault(tail, []).append((head, metres / 1000))
        ways.setdefault(head, []).append((tail, metres / 1000))

    def plain(start: int) -> dict[int, float]:
        settled: dict[int, float] = {}
        queue = [(0.0, start)]
        while queue:
            km, node = heapq.heappop(queue)
            if node not in settled:
                settled[node] = km
                for other, far in ways[node]:
                    heapq.heappush(queue, (km + far, other))
        return settled

    chance = random.Random(5)
    ends = [int(at) for at in chance.sample(range(len(brazil.lat_e6)), 6)]
    places = [Point(brazil.lat_e6[at] / 1e6, brazil.lon_e6[at] / 1e6) for at in ends]
    for start, place in zip(ends, places, strict=True):
        settled = plain(start)
        for end, other in zip(ends, places, strict=True):
            expected = settled.get(end, math.inf)
            if place.km_to(other) > highway.LOCAL_KM:
                # Never more than the plain way; less only where streets between near doors cut a corner.
                found = roads.distance_km(place, other)
                assert found == pytest.approx(expected, rel=0.01, abs=1.0)
                assert roads.legs(place, (), other).drive_s[0, 1] <= expected * 3600 / HIGHWAY_KM_H + 1


def test_highway_access_is_slower_and_longer_than_the_straight_line() -> None:
    line = HighwayRoads(network([(0, 0), (0, 1)], [(0, 1, 120.0)]))
    origin, destination = Point(0, -0.1), Point(0, 1.2)
    access_km = 0.3 * DEGREE_KM * ACCESS_DETOUR
    legs = line.legs(origin, (), destination)
    assert legs.distance_km[0, 1] == pytest.approx(120 + access_km, rel=1e-5)
    assert legs.drive_s[0, 1] == pytest.approx(
        (120 / HIGHWAY_KM_H + access_km / ACCESS_KM_H) * 3600, rel=1e-5
    )
    assert legs.distance_km[0, 0] == legs.drive_s[1, 1] == 0


def test_highway_a_place_beside_a_long_arc_joins_it_there() -> None:
    line = HighwayRoads(network([(0, 0), (0, 1)], [(0, 1, 120.0)]))
    a, b = Point(0, 0.25), Point(0, 0.75)  # both on nodes that were put in: 12 steps of 10 km
    assert line.distance_km(a, b) == pytest.approx(60, rel=1e-4)


def test_highway_of_parallel_arcs_the_shorter_counts() -> None:
    line = HighwayRoads(network([(0, 0), (0, 0.06)], [(0, 1, 9.0), (0, 1, 7.0)]))
    assert line.distance_km(Point(0, 0), Point(0, 0.06)) == pytest.approx(7.0, rel=1e-5)


def test_highway_neighbours_meet_on_local_streets() -> None:
    line = HighwayRoads(network([(0, 0), (0, 0.06)], [(0, 1, 7.0)]))
    a, b = Point(0.2, 0), Point(0.2, 0.01)
    assert line.distance_km(a, b) == pytest.approx(a.km_to(b) * ACCESS_DETOUR, rel=1e-6)
    assert line.legs(a, [b], b).distance_km[0, 1] == pytest.approx(a.km_to(b) * ACCESS_DETOUR, rel=1e-6)


def test_highway_without_a_road_there_is_no_way(roads: HighwayRoads) -> None:
    noronha = Point(-3.85, -32.42)
    assert math.isinf(roads.distance_km(JOAO_PESSOA, noronha))
    legs = roads.legs(noronha, [MACEIO, JOAO_PESSOA], FEIRA)
    assert np.isinf(legs.distance_km[0, 1:]).all()
    assert np.isinf(legs.drive_s[1:, 0]).all()
    assert np.isfinite(legs.distance_km[1:, 1:]).all()
    with pytest.raises(NotFound, match=r"roads\.no_way"):
        roads.path(JOAO_PESSOA, noronha)


def test_highway_separate_pieces_are_no_way() -> None:
    world = HighwayRoads(network([(0, 0), (0, 0.5), (5, 0), (5, 0.5)], [(0, 1, 60.0), (2, 3, 60.0)]))
    legs = world.legs(Point(0, 0), [Point(5, 0), Point(0, 0.5)], Point(5, 0.5))
    assert np.isinf(legs.distance_km[0, [1, 3]]).all()
    assert np.isfinite(legs.distance_km[[0, 1], [2, 3]]).all()


def test_highway_max_leg_bounds_sites_but_not_the_straight_way(brazil: RoadNetwork) -> None:
    short = HighwayRoads(brazil, max_leg_km=300)
    legs = short.legs(JOAO_PESSOA, [MACEIO], FEIRA)
    assert math.isinf(legs.distance_km[0, 1])  # 365 km
    assert math.isinf(legs.drive_s[1, 2])
    assert legs.distance_km[0, 2] == pytest.approx(859, rel=0.005)


def test_highway_what_is_remembered_never_changes_an_answer(brazil: RoadNetwork, roads: HighwayRoads) -> None:
    chance = random.Random(7)
    places = some_towns(brazil, 30, seed=1)
    used = HighwayRoads(brazil)
    for _ in range(8):
        sites = chance.sample(places, chance.randrange(0, 12))
        origin, destination = chance.sample(places, 2)
        seen, fresh = (
            used.legs(origin, sites, destination),
            HighwayRoads(brazil).legs(origin, sites, destination),
        )
        np.testing.assert_allclose(seen.distance_km, fresh.distance_km, rtol=1e-5, atol=0.01)
        np.testing.assert_allclose(seen.drive_s, fresh.drive_s, rtol=1e-5, atol=1)
        assert (seen.distance_km == seen.distance_km.T).all()


def test_highway_bounded_memory_starts_anew(brazil: RoadNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highway, "MAX_SITES", 6)
    monkeypatch.setattr(highway, "MAX_ROWS", 2)
    places = some_towns(brazil, 12, seed=2)
    small, large = HighwayRoads(brazil), HighwayRoads(brazil)
    expected = large.legs(JOAO_PESSOA, places[:5], FEIRA).distance_km
    for sites in (places[:5], places[5:10], places, places[:5]):
        small.legs(places[-1], sites, FEIRA)
    np.testing.assert_allclose(small.legs(JOAO_PESSOA, places[:5], FEIRA).distance_km, expected, rtol=1e-5)
    assert len(small._rows) == 2
    small.legs(JOAO_PESSOA, [*places[:4], MACEIO], FEIRA)  # one more than fits
    assert len(small._site_numbers) == 5


def test_highway_a_caller_may_write_into_its_legs(roads: HighwayRoads) -> None:
    first = roads.legs(JOAO_PESSOA, [MACEIO], FEIRA)
    kept = first.distance_km.copy()
    first.distance_km[:] = 0
    np.testing.assert_array_equal(roads.legs(JOAO_PESSOA, [MACEIO], FEIRA).distance_km, kept)


def test_highway_the_same_place_twice_is_no_distance(roads: HighwayRoads) -> None:
    legs = roads.legs(MACEIO, [MACEIO, MACEIO], MACEIO)
    np.testing.assert_allclose(legs.distance_km, 0, atol=1e-6)


def test_highway_many_threads_get_the_same_answers(brazil: RoadNetwork) -> None:
    shared = HighwayRoads(brazil)
    places = some_towns(brazil, 16, seed=3)
    asks = [(places[at], places[at % 5 : at % 5 + 6], places[-1 - at]) for at in range(16)] * 3
    expected = [HighwayRoads(brazil).legs(*ask).distance_km for ask in asks[:16]] * 3
    with ThreadPoolExecutor(8) as pool:
        for legs, right in zip(pool.map(lambda ask: shared.legs(*ask), asks), expected, strict=True):
            np.testing.assert_allclose(legs.distance_km, right, rtol=1e-5, atol=0.01)


def test_highway_path_is_a_line_about_as_long_as_the_way(roads: HighwayRoads) -> None:
    line = roads.path(JOAO_PESSOA, FEIRA)
    assert (line[0], line[-1]) == (JOAO_PESSOA, FEIRA)
    drawn_km = sum(a.km_to(b) for a, b in itertools.pairwise(line))
    assert 0.85 * 859 < drawn_km < 1.01 * 861
    assert max(a.km_to(b) for a, b in itertools.pairwise(line)) < 100


def test_highway_the_file_says_whose_work_it_is(brazil: RoadNetwork) -> None:
    assert "OpenStreetMap" in brazil.about.attribution
    assert brazil.about.licence == "ODbL-1.0"
    assert brazil.about.source == "scgraph_data 2.0.0 world_highways"


def test_highway_a_file_comes_back_as_written_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    made = network([(0, 0), (-1, 2), (3, 179.5)], [(0, 1, 250.0), (0, 2, 1.5), (1, 2, 77.25)])
    file = tmp_path / "deep" / "roads_xx.npz"
    made.write(file)
    back = RoadNetwork.load(file)
    assert back.about == made.about
    for name in ("lat_e6", "lon_e6", "tail", "head", "length_m"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
    first = file.read_bytes()
    made.write(file)
    assert file.read_bytes() == first
    for broken in (first[: len(first) // 2], b"", b"PK not a zip"):
        file.write_bytes(broken)
        with pytest.raises(Invalid, match=r"roads\.file_unreadable"):
            RoadNetwork.load(file)
    with pytest.raises(NotFound, match=r"roads\.file_missing"):
        RoadNetwork.load(tmp_path / "none.npz")
    with pytest.raises(NotFound, match=r"roads\.region_not_carried"):
        RoadNetwork.carried("zz")
