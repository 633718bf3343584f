"""The nearest stations by the grid are those that measuring them all would give."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.geo import Point
from eletrovia.base.rng import Rng
from eletrovia.charging.grid import Grid

# Poles and the date line are where such an index goes wrong.
LAT = st.one_of(st.sampled_from([-90.0, 90.0, 0.0, 89.9, -89.9]), st.floats(-90, 90))
LON = st.one_of(st.sampled_from([-180.0, 180.0, 0.0, 179.9, -179.9]), st.floats(-180, 180))
POINTS = st.builds(Point, LAT, LON)
NEAR = st.builds(lambda lat, lon: Point(-8 + lat, -35 + lon), st.floats(-2, 2), st.floats(-2, 2))


@given(st.lists(POINTS | NEAR, max_size=60), POINTS | NEAR, st.sampled_from([0, 1, 50, 300, 2_000, 30_000]))
def test_the_grid_finds_what_measuring_all_would(
    points: list[Point], centre: Point, radius_km: float
) -> None:
    found = Grid((point, number) for number, point in enumerate(points)).within(centre, radius_km)
    assert [away for away, _ in found] == sorted(away for away, _ in found)
    assert {number for _, number in found} == {
        number for number, point in enumerate(points) if centre.km_to(point) <= radius_km
    }
    assert all(away == centre.km_to(points[number]) for away, number in found)


@pytest.mark.parametrize("lat", [0.0, -8.0, 60.0, 84.0])
@pytest.mark.parametrize("radius_km", [100, 300])
def test_nothing_at_the_rim_is_missed(lat: float, radius_km: float) -> None:
    stream = Rng(7).stream(f"grid/{lat}")
    wide = 6 / math.cos(math.radians(lat))
    points = [
        Point(lat + stream.uniform(-5, 5), (179 + stream.uniform(-wide, wide) + 180) % 360 - 180)
        for _ in range(3_000)
    ]
    centre = Point(lat, 179.0)
    found = Grid((point, number) for number, point in enumerate(points)).within(centre, radius_km)
    expected = {number for number, point in enumerate(points) if centre.km_to(point) <= radius_km}
    assert {number for _, number in found} == expected
    assert len(expected) > 10
