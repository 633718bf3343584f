"""Planning, booking and calling off, over HTTP: what each of the desk's answers looks like."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eletrovia.base.errors import Conflict
from eletrovia.planning.vehicle import Vehicle

TRIPS = "/api/v1/trips"


async def _book(
    operator: Any, headers: dict[str, str], trip: dict[str, Any], key: str = "k1", **query: Any
) -> Any:
    return await operator.ask(
        "POST", TRIPS, json=trip, params=query, headers={**headers, "Idempotency-Key": key}
    )


async def test_a_plan_books_nothing(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    status, plans, _ = await operator.ask("POST", f"{TRIPS}/plan", json=trip, headers=headers)
    assert status == 200
    assert len(plans["itineraries"]) == 2
    assert plans["itineraries"][0]["price"] == "42.00"
    assert (await operator.ask("GET", TRIPS, headers=headers))[1] == {"trips": [], "next": None}


async def test_confirmed_is_201_with_its_address(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    status, booked, response = await _book(operator, headers, trip)
    assert (status, booked["state"]) == (201, "confirmed")
    assert response.headers["location"] == f"{TRIPS}/{booked['id']}"
    status, found, _ = await operator.ask("GET", response.headers["location"], headers=headers)
    assert (status, found) == (200, booked)


async def test_the_same_key_books_once(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    answers = await asyncio.gather(*(_book(operator, headers, trip) for _ in range(5)))
    assert {(status, body["id"]) for status, body, _ in answers} == {(201, answers[0][1]["id"])}
    status, problem, _ = await _book(operator, headers, {**trip, "soc": 0.7})
    assert (status, problem["code"]) == (422, "trip.key_reused")
    assert len((await operator.ask("GET", TRIPS, headers=headers))[1]["trips"]) == 1


async def test_not_known_yet_is_202(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    status, pending, response = await _book(operator, headers, trip, wait_s=0)
    assert (status, pending["state"]) == (202, "pending")
    assert response.headers["retry-after"] == "1"
    for _ in range(100):
        _, found, _ = await operator.ask("GET", response.headers["location"], headers=headers)
        if found["state"] != "pending":
            break
        await asyncio.sleep(0.02)
    assert found["state"] == "confirmed"


async def test_failed_is_a_409_that_carries_the_trip_and_its_alternatives(
    operator: Any, trip: dict[str, Any]
) -> None:
    headers = await operator.driver()
    await _book(operator, headers, trip)
    status, problem, response = await _book(operator, headers, trip, "k2")
    assert status == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["code"] == problem["trip"]["setback"]["code"] == "trip.taken"
    assert problem["facts"] == problem["trip"]["setback"]["facts"]
    assert problem["trip"]["state"] == "failed"
    assert len(problem["trip"]["alternatives"]) == 2
    again = await _book(operator, headers, trip, "k2")
    assert (again[0], again[1]["trip"]) == (409, problem["trip"])


async def test_no_way_is_a_409_and_keeps_nothing(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    operator.planner.surprise = Conflict("trip.no_way", reason="battery", short_km=131.5)
    status, problem, _ = await _book(operator, headers, trip)
    assert (status, problem["code"]) == (409, "trip.no_way")
    assert problem["facts"] == {"reason": "battery", "short_km": 131.5}
    assert "131.5 km" in problem["detail"]
    assert (await operator.ask("GET", TRIPS, headers=headers))[1]["trips"] == []


async def test_an_unknown_place_is_404(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    status, problem, _ = await _book(operator, headers, {**trip, "destination": "Atlantis"})
    assert (status, problem["code"], problem["facts"]["text"]) == (404, "place.unknown", "Atlantis")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "missing"),
        ("", "malformed"),
        ("x" * 256, "malformed"),
        ("olá", "malformed"),
        ("a\tb", "malformed"),
    ],
)
async def test_a_booking_needs_a_plain_key(
    operator: Any, trip: dict[str, Any], key: str | None, code: str
) -> None:
    headers = await operator.driver() | ({} if key is None else {"Idempotency-Key": key})
    status, problem, _ = await operator.ask("POST", TRIPS, json=trip, headers=headers)
    assert (status, problem["code"]) == (422, f"trip.idempotency_key_{code}")


async def test_keys_are_each_drivers_own(operator: Any, trip: dict[str, Any]) -> None:
    mine = await operator.driver()
    theirs = await operator.driver("other@example.org")
    later = {**trip, "departs_at": "2030-03-02T08:00:00-03:00"}
    one, two = await _book(operator, mine, trip), await _book(operator, theirs, later)
    assert (one[0], two[0]) == (201, 201)
    assert one[1]["id"] != two[1]["id"]


async def test_another_drivers_trip_is_not_there(operator: Any, trip: dict[str, Any]) -> None:
    mine = await operator.driver()
    theirs = await operator.driver("other@example.org")
    _, booked, _ = await _book(operator, mine, trip)
    path = f"{TRIPS}/{booked['id']}"
    for method, at in [("GET", path), ("DELETE", path), ("POST", f"{path}/stops/0/arrival")]:
        status, problem, _ = await operator.ask(method, at, headers=theirs)
        assert (status, problem["code"]) == (404, "trip.unknown")
        other, nothing, _ = await operator.ask(method, at.replace(booked["id"], "trip_none"), headers=theirs)
        assert (other, nothing["detail"]) == (404, problem["detail"])
    assert (await operator.ask("GET", path, headers=mine))[1]["state"] == "confirmed"
    assert (await operator.ask("GET", TRIPS, headers=theirs))[1]["trips"] == []


async def test_without_a_token_nothing_is_read(operator: Any, trip: dict[str, Any]) -> None:
    for method, path in [("POST", TRIPS), ("POST", f"{TRIPS}/plan"), ("GET", TRIPS), ("GET", f"{TRIPS}/x"),
                         ("DELETE", f"{TRIPS}/x"), ("POST", f"{TRIPS}/x/stops/0/arrival"),
                         ("GET", "/api/v1/events")]:  # fmt: skip
        status, problem, _ = await operator.ask(method, path, data=b"{" if method == "POST" else None)
        assert (status, problem["code"]) == (401, "token.missing"), path
    assert operator.planner.asked == []


async def test_calling_off_is_previewed_then_done(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    _, booked, _ = await _book(operator, headers, {**trip, "departs_at": soon})
    path = f"{TRIPS}/{booked['id']}"
    status, fee, _ = await operator.ask("DELETE", path, params={"preview": "true"}, headers=headers)
    assert (status, fee) == (200, {"trip_id": booked["id"], "cancellation_fee": "8.40", "currency": "BRL"})
    assert (await operator.ask("GET", path, headers=headers))[1]["state"] == "confirmed"
    status, cancelled, _ = await operator.ask("DELETE", path, headers=headers)
    assert (status, cancelled["state"], cancelled["cancellation_fee"]) == (200, "cancelled", "8.40")


async def test_arriving(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    _, far_off, _ = await _book(operator, headers, trip, "far off")
    early = f"{TRIPS}/{far_off['id']}/stops/0/arrival"
    status, problem, _ = await operator.ask("POST", early, headers=headers)
    assert (status, problem["code"]) == (409, "trip.arrival_too_early")
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    _, booked, _ = await _book(operator, headers, {**trip, "departs_at": soon})
    path = f"{TRIPS}/{booked['id']}/stops"
    assert (await operator.ask("POST", f"{path}/0/arrival", headers=headers))[0] == 204
    status, problem, _ = await operator.ask("POST", f"{path}/7/arrival", headers=headers)
    assert (status, problem["code"]) == (404, "trip.stop_unknown")


async def test_trips_come_in_pages(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver()
    made = []
    for day in range(1, 6):
        wanted = {**trip, "departs_at": f"2030-04-0{day}T08:00:00Z"}
        made.append((await _book(operator, headers, wanted, f"key {day}"))[1])
    seen: list[str] = []
    before: dict[str, str] = {}
    for _ in range(4):
        _, page, _ = await operator.ask("GET", TRIPS, params={"limit": "2", **before}, headers=headers)
        seen += [one["id"] for one in page["trips"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [one["id"] for one in reversed(made)]


CAR = {"id": "mine", "name": "Mine", "battery_wh": 40000, "consumption_wh_per_km": 140,
       "dc_curve": [{"soc": 0, "power_w": 50000}], "connectors": ["IEC_62196_T2_COMBO"]}  # fmt: skip


async def test_a_vehicle_is_an_id_or_a_description_and_a_place_a_name_or_a_point(
    operator: Any, trip: dict[str, Any]
) -> None:
    headers = await operator.driver()
    wanted = {**trip, "vehicle": CAR, "origin": {"lat": -7.1, "lon": -34.9}}
    assert (await operator.ask("POST", f"{TRIPS}/plan", json=wanted, headers=headers))[0] == 200
    asked = operator.planner.asked[-1]
    assert isinstance(asked.vehicle, Vehicle)
    assert asked.vehicle.dc_curve[0].power_w == 50000
    assert (asked.origin.lat, asked.destination) == (-7.1, "Recife")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"soc": "0.6"}, "body.wrong_type", "soc"),
        ({"soc": None}, "body.wrong_type", "soc"),
        ({"origin": 5}, "body.wrong_type", "origin"),
        ({"origin": ""}, "body.wrong_type", "origin"),
        ({"origin": {"lat": 1, "lon": 2, "alt": 3}}, "body.unknown_field", "origin.alt"),
        ({"origin": {"lat": 1}}, "body.missing_field", "origin.lon"),
        ({"vehicle": {"id": "x"}}, "body.missing_field", "vehicle.name"),
        ({"objective": "fun"}, "body.wrong_type", "objective"),
        ({"departs_at": "tomorrow"}, "body.wrong_type", "departs_at"),
        ({"passengers": 2}, "body.unknown_field", "passengers"),
        ({"soc": 1.5}, "trip.soc_out_of_range", None),
        ({"reserve_soc": -1}, "trip.reserve_out_of_range", None),
        ({"departs_at": "2030-03-01T08:00:00"}, "trip.departure_without_zone", None),
        ({"origin": {"lat": 91, "lon": 0}}, "point.off_globe", None),
        ({"origin": "a\x00b"}, "body.nul_character", None),
        ({"attempts": 10**18}, "body.wrong_type", "attempts"),
        ({"vehicle": CAR | {"fixed_charge_s": -1000}}, "body.wrong_type", "vehicle.fixed_charge_s"),
        ({"vehicle": CAR | {"fixed_charge_s": 10**9}}, "body.wrong_type", "vehicle.fixed_charge_s"),
        ({"vehicle": CAR | {"battery_wh": 1e300}}, "body.wrong_type", "vehicle.battery_wh"),
        (
            {"vehicle": CAR | {"consumption_wh_per_km": 1e-9}},
            "body.wrong_type",
            "vehicle.consumption_wh_per_km",
        ),
        (
            {"vehicle": CAR | {"dc_curve": [{"soc": 0, "power_w": 1e-9}]}},
            "body.wrong_type",
            "vehicle.dc_curve[0].power_w",
        ),
        (
            {"vehicle": CAR | {"dc_curve": [{"soc": n / 200, "power_w": 5e4} for n in range(200)]}},
            "body.wrong_type",
            "vehicle.dc_curve",
        ),
        ({"vehicle": CAR | {"name": "n" * 101}}, "body.wrong_type", "vehicle.name"),
        ({"vehicle": CAR | {"handling_s": 10**6}}, "body.wrong_type", "vehicle.handling_s"),
    ],
)
async def test_what_is_wrong_in_a_body_is_named(
    operator: Any, trip: dict[str, Any], change: dict[str, Any], code: str, field: str | None
) -> None:
    headers = await operator.driver()
    status, problem, _ = await _book(operator, headers, {**trip, **change})
    assert (status, problem["code"]) == (422, code)
    if field is not None:
        assert problem["facts"]["field"] == field
        assert f"“{field}”" in problem["detail"]
    assert operator.planner.asked == []


@pytest.mark.parametrize("wait_s", ["-1", "31", "soon", "nan"])
async def test_a_wait_is_0_to_30_s(operator: Any, trip: dict[str, Any], wait_s: str) -> None:
    headers = await operator.driver()
    status, problem, _ = await _book(operator, headers, trip, wait_s=wait_s)
    assert (status, problem["code"], problem["facts"]["field"]) == (422, "parameter.invalid", "wait_s")


async def test_events_tell_ones_own_trips_only(operator: Any, trip: dict[str, Any]) -> None:
    mine = await operator.driver()
    theirs = await operator.driver("other@example.org")
    async with (
        asyncio.timeout(5),
        operator.client.get(operator.url + "/api/v1/events", headers=mine) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert (await stream.content.readuntil(b"\n")).startswith(b": hello")
        await _book(operator, theirs, trip)
        _, booked, _ = await _book(operator, mine, {**trip, "departs_at": "2030-03-02T08:00:00Z"})
        event = {}
        while "data" not in event:
            name, _, value = (await stream.content.readuntil(b"\n")).decode().strip().partition(": ")
            event[name] = value
    assert event["event"] == "trip"
    assert json.loads(event["data"]) == booked


async def test_one_driver_has_a_bounded_number_of_streams(operator: Any) -> None:
    headers = await operator.driver()
    streams = [await operator.client.get(operator.url + "/api/v1/events", headers=headers) for _ in range(9)]
    assert sorted(stream.status for stream in streams) == [200] * 8 + [429]
    for stream in streams:
        stream.close()
