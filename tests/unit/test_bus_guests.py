"""Clients without credentials: let in by the broker alone, to two topics and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.layout import Guests

GUESTS = Guests(publish=("Solicitar.Reserva",), subscribe=("Resposta.Reserva",))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    started = await EmbeddedNats.start(tmp_path / "bus", guests=GUESTS)
    yield started
    await started.stop()


def client(broker: EmbeddedNats, transport: str = "tcp", **given: str) -> aiomqtt.Client:
    port = broker.ports.mqtt if transport == "tcp" else broker.ports.websocket
    assert port
    return aiomqtt.Client("127.0.0.1", port, transport=transport, websocket_path="/mqtt", timeout=3, **given)


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_guest_asks_and_hears_with_nobody_at_the_door(
    broker: EmbeddedNats, transport: str, qos: int
) -> None:
    bus = await Bus.connect(broker.url)
    came: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def heard(topic: str, payload: bytes) -> None:
        await came.put((topic, payload))

    await bus.subscribe("#", heard)
    await bus.flush()
    async with asyncio.timeout(10), client(broker, transport) as guest:
        await guest.subscribe("Resposta/Reserva", qos=qos)
        await guest.publish("Solicitar/Reserva", b"?", qos=qos)
        assert await came.get() == ("Solicitar/Reserva", b"?")
        await bus.publish("Resposta/Reserva", b"!")
        async for message in guest.messages:
            assert message.payload == b"!"
            break
    await bus.close()


@pytest.mark.parametrize("topic", ["trips/request", "Resposta/Reserva", "operators/BR-CE1/stations/x"])
async def test_a_guest_says_nothing_elsewhere(broker: EmbeddedNats, topic: str) -> None:
    bus = await Bus.connect(broker.url)
    came: asyncio.Queue[str] = asyncio.Queue()

    async def heard(at: str, payload: bytes) -> None:
        await came.put(at)

    await bus.subscribe("#", heard)
    await bus.flush()
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):  # hung up on, or not heard: both will do
        async with client(broker) as guest:
            await guest.publish(topic, b"x", qos=1, timeout=0.5)
    async with client(broker) as guest:
        await guest.publish("Solicitar/Reserva", b"?", qos=0)
        async with asyncio.timeout(5):
            assert await came.get() == "Solicitar/Reserva"
    await bus.close()


@pytest.mark.parametrize("topic", ["#", "Solicitar/Reserva", "trips/reply/+", "$MQTT/sub/#"])
async def test_a_guest_hears_nothing_elsewhere(broker: EmbeddedNats, topic: str) -> None:
    refused = False
    try:
        async with client(broker) as guest:
            granted = await guest.subscribe(topic, qos=0)
            refused = granted[0] in (0x80,) or getattr(granted[0], "value", 0) == 0x80
    except aiomqtt.MqttError:
        refused = True
    assert refused


async def test_wrong_credentials_are_no_guest(broker: EmbeddedNats) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with client(broker, username="BR-CE1", password="wrong"):
            raise AssertionError


async def test_without_guests_nobody_comes_in_unasked(tmp_path: Path) -> None:
    closed = await EmbeddedNats.start(tmp_path / "closed")
    with pytest.raises(aiomqtt.MqttError):
        async with client(closed):
            raise AssertionError
    await closed.stop()
