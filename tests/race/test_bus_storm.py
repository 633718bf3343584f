"""Messages from many sides while the broker is killed again and again: none lost, none invented."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from eletrovia.base.rng import Rng
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats

PUBLISHERS, EACH, KILLS = 4, 60, 3


async def test_every_message_is_handled_though_the_broker_is_killed_under_it(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    draw = Rng("bus storm").stream("kills")
    handled: list[bytes] = []

    async def handle(topic: str, payload: bytes, sequence: int) -> None:
        await asyncio.sleep(draw.random() * 0.004)
        if draw.random() < 0.05:
            raise RuntimeError("a passing fault")
        handled.append(payload)

    consumer = await Bus.connect(broker.url)
    await consumer.durable("STORM", ["storm/#"], "all", handle, concurrency=8, ack_wait_s=0.5)
    publishers = [await Bus.connect(broker.url) for _ in range(PUBLISHERS)]
    sent: set[bytes] = set()

    async def publish(number: int, bus: Bus) -> None:
        for count in range(EACH):
            payload = f"{number}/{count}".encode()
            # As a careful client does: again until the stream has it, which here means until it was handled.
            while payload not in handled:
                await bus.publish(f"storm/{number}", payload)
                sent.add(payload)
                for _ in range(100):
                    if payload in handled:
                        break
                    await asyncio.sleep(0.01)

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(0.3 + draw.random() * 0.5)
            if broker.pid is not None:
                os.kill(broker.pid, 9)

    async with asyncio.timeout(60):
        await asyncio.gather(kill(), *(publish(number, bus) for number, bus in enumerate(publishers)))
    assert broker.restarts >= 1
    assert consumer.counts["reconnects"] >= 1
    assert set(handled) == sent
    assert len(sent) == PUBLISHERS * EACH
    for bus in (consumer, *publishers):
        await bus.close()
    await broker.stop()
