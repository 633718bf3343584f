"""The course's world: its stations, its car, and what a booking blocks."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.charging.stations import Stations
from eletrovia.classroom.plane import (
    CAR,
    CENTRALS,
    FREE,
    ask_of,
    client_id_of,
    driver_id,
    moment_of,
    one_stop,
    stations,
    window_at,
)
from eletrovia.classroom.wire import Spot, TripRequest
from eletrovia.planning.plane import plane_xy
from eletrovia.store.pool import Store

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_central_has_five_hundred_stations_spread_over_its_square(number: int) -> None:
    central = CENTRALS[number]
    made = stations(central, NOON, random.Random(7))
    assert len({one.name for one in made}) == len(made) == 500
    spots = [plane_xy(one.coordinates) for one in made]
    assert all(central.low <= value <= central.high for spot in spots for value in spot)
    # Spread: no quarter of the square is without its quarter of the stations.
    middle = (central.low + central.high) / 2
    for left in (True, False):
        for below in (True, False):
            assert sum((x < middle) is left and (y < middle) is below for x, y in spots) == pytest.approx(
                125, abs=30
            )
    for one in made:
        assert re.fullmatch(rf"Posto_Central{number}_{int(NOON.timestamp())}_[A-Za-z0-9]{{6}}", one.name)
        assert (len(one.evses), len(one.evses[0].connectors)) == (1, 1)


def test_the_world_is_its_seeds() -> None:
    central = CENTRALS[1]
    assert stations(central, NOON, random.Random(1)) == stations(central, NOON, random.Random(1))
    assert stations(central, NOON, random.Random(1)) != stations(central, NOON, random.Random(2))


async def test_a_server_takes_the_stations_in_and_has_them_after_a_restart(store: Store) -> None:
    central, clock = CENTRALS[2], SystemClock()
    made = stations(central, NOON, random.Random(3))
    await (await Stations.open(central.operator_id, clock, store)).put_own(made, [FREE])
    again = await Stations.open(central.operator_id, clock, store)
    assert {one.name: plane_xy(one.coordinates) for one in again.all(central.operator_id)} == {
        one.name: plane_xy(one.coordinates) for one in made
    }
    location = again.get(central.operator_id, made[0].id)
    tariff = again.tariff(central.operator_id, location.evses[0].connectors[0])
    assert tariff is not None
    assert tariff.quote(1000, 300) == 0


@pytest.mark.parametrize(
    ("apart_s", "conflict"), [(0, True), (1, True), (600, True), (601, False), (3600, False)]
)
def test_two_bookings_conflict_up_to_ten_minutes_apart(apart_s: int, conflict: bool) -> None:
    other = NOON + timedelta(seconds=apart_s)
    assert window_at(NOON).overlaps(window_at(other)) is conflict
    assert window_at(other).overlaps(window_at(NOON)) is conflict


def test_a_booking_tells_its_moment_again() -> None:
    assert moment_of(window_at(NOON)) == NOON
    location = stations(CENTRALS[3], NOON, random.Random(1))[0]
    (stop,) = one_stop(location, NOON).stops
    assert stop.window == window_at(NOON)
    assert (stop.starts_at, stop.ends_at) == (NOON, NOON + timedelta(seconds=300))


def test_a_request_becomes_a_trip_of_the_courses_car() -> None:
    request = TripRequest(
        client_id="c", origin=Spot(x=-10, y=20), destination=Spot(x=30, y=40), battery_percent=55
    )
    ask = ask_of(request)
    assert not isinstance(ask.origin, str)
    assert plane_xy(ask.origin) == (-10, 20)
    assert (ask.soc, ask.reserve_soc, ask.vehicle) == (0.55, 0.2, CAR)
    assert CAR.battery_wh / CAR.consumption_wh_per_km == 1000  # ten units to the percent


def test_clients_never_have_the_name_of_an_account() -> None:
    assert client_id_of(driver_id("cliente_1")) == "cliente_1"
    assert client_id_of(driver_id("classroom/x")) == "classroom/x"
    assert client_id_of("drv_06f1r3v0x8c2m4q9t7n5") == ""
    ids = [driver_id(name) for name in ("", "a", "classroom/a")]
    assert all(one != other for one, other in pairwise(ids))
