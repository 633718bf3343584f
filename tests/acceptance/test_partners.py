"""Partners that hang, come back, and are shown the door."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest

from eletrovia.charging.demo import demo_network

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME, MIDDLE, SOUTH = "BR*CAR", "BR*MAN", "BR*SER"
NEAR = {"origin": "João Pessoa", "destination": "Palmares", "soc": 0.5}
FAR = {"origin": "João Pessoa", "destination": "Feira de Santana", "soc": 0.6}


async def reach(city: Any, at: str) -> dict[str, bool]:
    shown = await city.ask(at, "GET", "/api/v1/operators", token=await city.token(at))
    return {one["operator_id"]: one.get("up", True) for one in shown.body["operators"]}


async def until(true: Any, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.1)


async def test_a_partner_that_hangs_is_shown_and_planned_around(city: Any) -> None:
    pid = city.city.fleet.pid(city.member(SOUTH).name)
    os.kill(pid, signal.SIGSTOP)
    try:
        stuck = asyncio.create_task(city.book(HOME, FAR, patience_s=90))

        async def seen_down() -> bool:
            return (await reach(city, HOME))[SOUTH] is False

        await until(seen_down)
        near = await city.book(HOME, NEAR)
        assert near.status == 201, near.body
        assert {stop["operator_id"] for stop in near.body["itinerary"]["stops"]} <= {HOME, MIDDLE}
        refused = await stuck
        assert refused.status in (409, 422), refused.body
        assert refused.body["detail"]
    finally:
        os.kill(pid, signal.SIGCONT)

    async def seen_up() -> bool:
        return (await reach(city, HOME))[SOUTH] is True

    await until(seen_up)
    again = await city.book(HOME, FAR)
    assert again.status == 201, again.body
    assert {stop["operator_id"] for stop in again.body["itinerary"]["stops"]} == {HOME, MIDDLE, SOUTH}
    await city.check_invariants(settle_s=30)


async def test_what_a_partner_takes_is_soon_seen_by_all(city: Any) -> None:
    trip = (await city.book(HOME, FAR)).body
    stop = next(one for one in trip["itinerary"]["stops"] if one["operator_id"] == SOUTH)
    day = stop["starts_at"][:10]
    path = f"/api/v1/stations/{SOUTH.replace('*', '-')}/{stop['location_id']}/availability?day={day}"

    async def seen() -> bool:
        answer = await city.ask(MIDDLE, "GET", path, token=await city.token(MIDDLE))
        assert answer.status == 200, answer.body
        return str(stop["window"]["starts_at"]) in str(answer.body)

    await until(seen, within_s=10.0)


async def test_a_partners_new_price_is_learned_when_the_old_one_is_refused(city: Any) -> None:
    before = (await city.book(HOME, FAR)).body["itinerary"]
    staff = (await city.ask(SOUTH, "POST", "/api/v1/tokens", city.file.staff[SOUTH])).body["access_token"]
    _, tariffs = demo_network(SOUTH)
    dearer = [
        msgspec.structs.replace(
            tariff,
            components=tuple(
                msgspec.structs.replace(component, price=component.price * 3)
                for component in tariff.components
            ),
        )
        for tariff in tariffs
    ]
    put = await city.ask(SOUTH, "PUT", "/api/v1/tariffs", {"tariffs": dearer}, token=staff)
    assert put.body["refused"] == 0, put.body
    after = await city.book(HOME, FAR)
    assert after.status == 201, after.body

    def per_kwh(itinerary: Any) -> float:
        stops = [stop for stop in itinerary["stops"] if stop["operator_id"] == SOUTH]
        return sum(float(stop["price"]) for stop in stops) / sum(stop["energy_wh"] for stop in stops)

    assert per_kwh(after.body["itinerary"]) > 2 * per_kwh(before)
    refused = await city.sql(
        HOME,
        "select document from refusal where trip_id = %s and document ->> 'reason' = 'price_changed'",
        after.body["id"],
    )
    assert refused, "the home must have planned with the old price first"
    await city.check_invariants(settle_s=30)


async def test_a_revoked_partner_gets_nothing_until_it_is_invited_again(city: Any) -> None:
    staff = city.file.staff[HOME]
    token = (await city.ask(HOME, "POST", "/api/v1/tokens", staff)).body["access_token"]
    gone = await city.ask(HOME, "DELETE", f"/api/v1/operators/{MIDDLE}", token=token)
    assert gone.status in (200, 204), gone.body

    async def shut_out() -> bool:
        return (await reach(city, HOME)).get(MIDDLE) is not True

    await until(shut_out)
    refused = await city.book(MIDDLE, FAR)  # its own way lies over the stations of whoever revoked it
    assert refused.status in (409, 422), refused.body
    planned = await city.ask(HOME, "POST", "/api/v1/trips/plan", FAR, token=await city.token(HOME))
    assert planned.status == 422, planned.body
    invited = await city.ask(
        HOME, "POST", "/api/v1/operators/invitations", {"operator_id": MIDDLE}, token=token
    )
    there = (await city.ask(MIDDLE, "POST", "/api/v1/tokens", city.file.staff[MIDDLE])).body
    join = {"url": city.url(HOME), "registration_token": invited.body["registration_token"]}
    joined = await city.ask(MIDDLE, "POST", "/api/v1/operators", join, token=there["access_token"])
    assert joined.status in (200, 201), joined.body

    async def back() -> bool:
        again = await city.ask(HOME, "POST", "/api/v1/trips/plan", FAR, token=await city.token(HOME))
        return bool(again.status in (200, 201))

    await until(back)
    assert (await city.book(HOME, FAR)).status == 201
    await city.check_invariants(settle_s=30)
