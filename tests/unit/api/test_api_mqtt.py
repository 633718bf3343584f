"""Trip requests over MQTT: answered on the asker's own topic, and never so that they come again for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eletrovia.api.mqtt import TripsOverMqtt
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats

CAR = {"id": "x", "name": "X", "battery_wh": 40000, "consumption_wh_per_km": 150, "fixed_charge_s": -1000}


class Car:
    """Asks over the broker and takes the answers one by one."""

    def __init__(self, bus: Bus, token: str) -> None:
        self.bus = bus
        self.token = token
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(self, topic: str, payload: bytes) -> None:
        self.heard.put_nowait(msgspec.json.decode(payload))

    async def answer(self, **request: Any) -> dict[str, Any]:
        await self.bus.publish("trips/request", msgspec.json.encode({"token": self.token, **request}))
        async with asyncio.timeout(10):
            return await self.heard.get()


@pytest.fixture
async def car(operator: Any, tmp_path: Path) -> AsyncIterator[Car]:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    bus = await Bus.connect(broker.url)
    served = await TripsOverMqtt(bus, operator.desk, operator.people).start()
    token = (await operator.driver())["Authorization"].partition(" ")[2]
    car = Car(bus, token)
    await bus.subscribe(f"trips/reply/{operator.people.authenticate(token).account_id}", car.hear)
    yield car
    await served.close()
    await bus.close()
    await broker.stop()


async def test_a_trip_is_booked_and_its_key_books_once(car: Car, trip: dict[str, Any]) -> None:
    first = await car.answer(ask=trip, reference="one", idempotency_key="k")
    again = await car.answer(ask=trip, reference="two", idempotency_key="k")
    assert (first["reference"], again["reference"]) == ("one", "two")
    assert first["trip"]["state"] == "confirmed"
    assert again["trip"] == first["trip"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"vehicle": CAR}, "body.wrong_type"),
        ({"origin": "x" * 201}, "body.wrong_type"),
        ({"origin": "a\0b"}, "body.nul_character"),
        ({"soc": 2}, "trip.soc_out_of_range"),
        ({"passengers": 2}, "body.unknown_field"),
    ],
)
async def test_what_is_wrong_in_an_ask_is_answered(
    operator: Any, car: Car, trip: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    assert (await car.answer(ask={**trip, **change}))["code"] == code
    assert operator.planner.asked == []


async def test_a_key_is_printable(car: Car, trip: dict[str, Any]) -> None:
    assert (await car.answer(ask=trip, idempotency_key="a\0b"))["code"] == "trip.idempotency_key_malformed"


async def test_no_payload_comes_again_for_ever(car: Car, trip: dict[str, Any]) -> None:
    """More of them than are handed out at once: each must be done with, or the good one never comes."""
    deep = b'{"token": "%s", "ask": %s}' % (car.token.encode(), b"[" * 50_000 + b"]" * 50_000)
    for payload in (deep, b"", b"\xff", b"[]", b'{"token": "nobody", "ask": {}}', b'{"token": "\xff"}'):
        for _ in range(70):
            await car.bus.publish("trips/request", payload)
    assert (await car.answer(ask=trip))["trip"]["state"] == "confirmed"
