"""Whoever is cancelled while it speaks to the broker ends, whichever step that meets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats

STEPS = 30


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    bus = await Bus.connect(broker.url)
    yield bus
    await bus.close()
    await broker.stop()


async def _ends_wherever_cancelled(work: object) -> list[int]:
    """After how many steps of the loop a cancellation was lost."""
    lost = []
    for steps in range(STEPS):
        task = asyncio.create_task(work())  # type: ignore[operator]
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.5)
        if not done:
            lost.append(steps)
            task.cancel()
            await asyncio.wait([task])
    return lost


async def test_subscribing(bus: Bus) -> None:
    async def hear(topic: str, payload: bytes) -> None:
        pass

    async def work() -> None:
        subscription = await bus.subscribe("usage/+", hear)
        try:
            await asyncio.sleep(3600)
        finally:
            await subscription.close()

    assert await _ends_wherever_cancelled(work) == []


async def test_publishing(bus: Bus) -> None:
    async def work() -> None:
        while True:
            await bus.publish("usage/meters", b"1")
            await asyncio.sleep(0)

    assert await _ends_wherever_cancelled(work) == []
