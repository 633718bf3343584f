"""What comes in wrong, twice, or from a stranger: a clear problem, the right status, nothing changed."""

from __future__ import annotations

import asyncio
from typing import Any

import aiomqtt
import msgspec
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.people.account import Role, Who
from eletrovia.people.token import AccessTokens

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME = "BR*CAR"
OPERATORS = ["BR*CAR", "BR*MAN", "BR*SER"]
WAY = {"origin": "João Pessoa", "destination": "Feira de Santana", "soc": 0.6}
TRIPS = "/api/v1/trips"


async def footprint(city: Any) -> list[Any]:
    """Everything that a booking could have changed, in all three databases."""
    tables = ("trip", "intent", "decision", "outbox", "hold", "charge")
    return [
        await city.sql(operator_id, f"select count(*), max(t::text) from {table} t")  # noqa: S608
        for operator_id in OPERATORS
        for table in tables
    ]


async def test_a_replayed_post_is_the_same_trip(city: Any) -> None:
    first = await city.book(HOME, WAY, key="replay-1")
    assert first.status == 201, first.body
    await city.check_invariants()
    before = await footprint(city)
    again = await city.book(HOME, WAY, key="replay-1")
    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert again.body["itinerary"] == first.body["itinerary"]
    assert await footprint(city) == before


async def test_another_body_under_the_same_key(city: Any) -> None:
    await city.book(HOME, WAY, key="replay-2")
    await city.check_invariants()
    before = await footprint(city)
    changed = await city.book(HOME, {**WAY, "soc": 0.61}, key="replay-2")
    assert (changed.status, changed.body["code"]) == (422, "trip.key_reused")
    assert await footprint(city) == before


async def test_the_same_key_at_the_same_moment_is_one_trip(city: Any) -> None:
    answers = await asyncio.gather(*(city.book(HOME, WAY, key="replay-3") for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["id"] for answer in answers}) == 1
    await city.check_invariants()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**WAY, "destination": "Nowhere at all"}, 404, "place.unknown"),
        ({**WAY, "vehicle": "ox-cart"}, 404, "vehicle.unknown"),
        ({**WAY, "destination": {"lat": -3.85, "lon": -32.42}}, 422, "trip.no_way"),  # an island
        ({**WAY, "destination": "Manaus"}, 422, "trip.no_way"),  # no stations out there
        ({**WAY, "soc": 1.5}, 422, "trip.soc_out_of_range"),
        ({**WAY, "departs_at": "2020-01-01T00:00:00Z"}, 422, "trip.departure_past"),
        ({**WAY, "departs_at": "9999-12-31T23:59:59-14:00"}, 422, "trip.departure_too_far"),
        ({**WAY, "origin": {"lat": 123, "lon": 0}}, 422, None),
        ({"origin": "Recife"}, 422, None),
        ({**WAY, "sock": 1}, 422, None),
        ({**WAY, "soc": "full"}, 422, None),
        ([WAY], 422, None),
    ],
)
async def test_what_cannot_be(city: Any, body: Any, status: int, code: str | None) -> None:
    await city.check_invariants()
    before = await footprint(city)
    answer = await city.book(HOME, body)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.status == status, answer.body
    assert code is None or answer.body["code"] == code
    assert answer.body["title"]
    assert answer.body["detail"]
    assert await footprint(city) == before


async def test_malformed_and_huge_json(city: Any) -> None:
    before = await footprint(city)
    token = await city.token(HOME)
    headers = {"Idempotency-Key": "huge"}
    broken = await city.ask(HOME, "POST", TRIPS, raw=b'{"origin": ', token=token, headers=headers)
    assert (broken.status, broken.headers["Content-Type"]) == (400, "application/problem+json")
    padding = b'{"origin": "' + b"x" * 10_000_000 + b'"}'
    try:
        huge = await city.ask(HOME, "POST", TRIPS, raw=padding, token=token, headers=headers)
        assert huge.status == 413
        assert huge.body["code"]
    except (ConnectionError, OSError):
        pass  # closed before all of it was sent: as good an answer
    assert await footprint(city) == before
    assert (await city.ask(HOME, "GET", "/healthz")).status == 200


async def test_strangers_and_other_drivers(city: Any) -> None:
    trip = (await city.book(HOME, WAY, key="mine")).body
    await city.check_invariants()
    before = await footprint(city)
    path = f"{TRIPS}/{trip['id']}"
    forged = AccessTokens(b"x" * 64, HOME, SystemClock()).sign(Who("acct_x", Role.STAFF))
    elsewhere = await city.token("BR*MAN")
    for token in (None, "nonsense", forged, elsewhere):
        for method in ("GET", "DELETE"):
            refused = await city.ask(HOME, method, path, token=token)
            assert refused.status == 401, (token, refused.body)
        posted = await city.ask(
            HOME, "POST", TRIPS, WAY, token=token, headers={"Idempotency-Key": "stranger"}
        )
        assert posted.status == 401
    other = await city.new_driver(HOME)
    for method in ("GET", "DELETE"):
        assert (await city.ask(HOME, method, path, token=other)).status == 404
    assert (await city.ask(HOME, "GET", TRIPS, token=other)).body["trips"] == []
    for route in ("holds", "decisions", "decisions/proposals", "cancellations", "arrivals"):
        asked = await city.ask(HOME, "POST", f"/federation/v1/{route}", {}, token=other)
        assert asked.status == 401, route
    assert await footprint(city) == before


async def test_cancelling_frees_every_stop_once(city: Any) -> None:
    token = await city.token(HOME)
    trip = (await city.book(HOME, WAY)).body
    path = f"{TRIPS}/{trip['id']}"
    preview = await city.ask(HOME, "DELETE", f"{path}?preview=true", token=token)
    assert preview.status == 200
    assert (await city.ask(HOME, "GET", path, token=token)).body["state"] == "confirmed"
    cancelled = await city.ask(HOME, "DELETE", path, token=token)
    assert cancelled.body["state"] == "cancelled"
    assert cancelled.body["cancellation_fee"] == preview.body["cancellation_fee"]
    again = await city.ask(HOME, "DELETE", path, token=token)
    assert again.body["cancellation_fee"] == cancelled.body["cancellation_fee"]
    await city.check_invariants()
    for operator_id in OPERATORS:
        standing = await city.sql(
            operator_id, "select * from hold where trip_id = %s and ended_by is null", trip["id"]
        )
        assert standing == []


async def test_a_trip_over_mqtt(city: Any) -> None:
    token = await city.token(HOME)
    who = (await city.ask(HOME, "GET", "/api/v1/drivers/me", token=token)).body["id"]
    sheet = await city.ask(HOME, "GET", "/healthz")
    assert sheet.body["status"] == "ok"
    log = (city.member(HOME).data_dir / "server.log").read_text()
    ready = [msgspec.json.decode(line) for line in log.splitlines() if '"operator.ready"' in line][-1]
    port = int(ready["mqtt"].rsplit(":", 1)[1])
    request = msgspec.json.encode({"token": token, "ask": WAY, "reference": "r1"})
    async with (
        asyncio.timeout(30),
        aiomqtt.Client("127.0.0.1", port, username="driver", password=token) as client,
    ):
        await client.subscribe(f"trips/reply/{who}")
        await client.publish("trips/request", request, qos=1)
        async for message in client.messages:
            reply = msgspec.json.decode(message.payload)
            break
    assert reply["reference"] == "r1"
    assert reply["trip"]["state"] == "confirmed", reply
    await city.check_invariants()


async def test_a_stranger_does_not_get_into_the_broker(city: Any) -> None:
    log = (city.member(HOME).data_dir / "server.log").read_text()
    ready = [msgspec.json.decode(line) for line in log.splitlines() if '"operator.ready"' in line][-1]
    port = int(ready["mqtt"].rsplit(":", 1)[1])
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", port, username="BR-MAN", password="guess"):
            pass
