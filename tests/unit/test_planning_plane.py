"""The classroom's plane: straight lines, ten units a second."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from eletrovia.base.errors import Invalid
from eletrovia.planning.plane import PlaneRoads, plane_point, plane_xy


def test_plane_distance_is_euclid_and_ten_units_take_a_second() -> None:
    legs = PlaneRoads().legs(plane_point(0, 0), [plane_point(30, 40)], plane_point(-3000, 1000))
    assert legs.distance_km[0, 1] == pytest.approx(50)
    assert legs.drive_s[1, 0] == pytest.approx(5)
    assert legs.distance_km[0, 2] == pytest.approx(math.hypot(3000, 1000))
    assert legs.distance_km[1, 2] == pytest.approx(math.hypot(3030, 960))
    assert legs.distance_km.shape == legs.drive_s.shape == (3, 3)


def test_plane_every_leg_of_a_big_world_is_right_whatever_was_asked_before() -> None:
    chance = random.Random(1)
    spots = [(chance.uniform(-3000, 3000), chance.uniform(-3000, 3000)) for _ in range(300)]
    points = [plane_point(*spot) for spot in spots]
    roads = PlaneRoads()
    for sites in (slice(1, -1), slice(1, 40), slice(40, 40), slice(1, -1)):
        asked = [spots[0], *spots[sites], spots[-1]]
        legs = roads.legs(points[0], points[sites], points[-1])
        expected = np.array([[math.hypot(a - c, b - d) for c, d in asked] for a, b in asked])
        np.testing.assert_allclose(legs.distance_km, expected, atol=1e-9)
        np.testing.assert_allclose(legs.drive_s, expected / 10, atol=1e-9)


def test_plane_a_caller_may_write_into_its_legs() -> None:
    roads, sites = PlaneRoads(), [plane_point(1, 1), plane_point(4, 5)]
    roads.legs(sites[0], sites, sites[1]).distance_km[:] = 7
    assert roads.legs(sites[0], sites, sites[1]).distance_km[1, 2] == pytest.approx(5)


@pytest.mark.parametrize("spot", [(0, 0), (-3000, 3000), (123.456789, -987.654321)])
def test_plane_coordinates_come_back(spot: tuple[float, float]) -> None:
    assert plane_xy(plane_point(*spot)) == spot


def test_plane_has_an_end() -> None:
    with pytest.raises(Invalid, match=r"point\.off_globe"):
        plane_point(0, 9001)
