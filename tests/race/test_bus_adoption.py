"""The owner is killed with -9; its broker goes on, and the next owner takes it over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.layout import BusPorts
from eletrovia.bus.process import port_free

OWNER = """
import asyncio, sys
from pathlib import Path
from eletrovia.bus.embedded import EmbeddedNats

async def main():
    broker = await EmbeddedNats.start(Path(sys.argv[1]))
    print(broker.pid, broker.ports.nats, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def killed_owner(tmp_path: Path) -> Iterator[tuple[Path, int, int]]:
    """A data folder whose owner was killed: (folder, the broker's pid, its NATS port)."""
    data = tmp_path / "bus"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, port = map(int, owner.stdout.readline().split())
    owner.kill()
    owner.wait(10)
    owner.stdout.close()
    try:
        yield data, pid, port
    finally:
        for left in (pid, int((data / "nats.pid").read_text()) if (data / "nats.pid").exists() else pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)


async def test_the_broker_of_a_killed_owner_is_taken_over(killed_owner: tuple[Path, int, int]) -> None:
    data, pid, port = killed_owner
    broker = await EmbeddedNats.start(data)
    assert broker.adopted
    assert (broker.pid, broker.ports.nats) == (pid, port)
    bus = await Bus.connect(broker.url)
    # Not our child, and yet started again when it ends.
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while broker.pid in (None, pid) or not bus.connected:
            await asyncio.sleep(0.02)
    assert broker.ports.nats == port
    await bus.close()
    await broker.stop()


async def test_a_broker_taken_over_is_stopped_like_our_own(killed_owner: tuple[Path, int, int]) -> None:
    data, _, port = killed_owner
    broker = await EmbeddedNats.start(data)
    assert not port_free("127.0.0.1", port)
    await broker.stop()
    assert port_free("127.0.0.1", port)


async def test_a_broker_with_other_settings_is_ended_first(killed_owner: tuple[Path, int, int]) -> None:
    data, pid, port = killed_owner
    broker = await EmbeddedNats.start(data, ports=BusPorts(websocket=None))
    assert not broker.adopted
    assert broker.pid != pid
    assert broker.ports.nats == port
    await broker.stop()


async def test_a_broker_that_hangs_is_ended_first(killed_owner: tuple[Path, int, int]) -> None:
    data, pid, port = killed_owner
    os.kill(pid, signal.SIGSTOP)
    broker = await EmbeddedNats.start(data)
    assert not broker.adopted
    assert broker.ports.nats == port
    await broker.stop()


async def test_of_many_starting_owners_one_wins(killed_owner: tuple[Path, int, int]) -> None:
    data, pid, _ = killed_owner
    results = await asyncio.gather(*(EmbeddedNats.start(data) for _ in range(5)), return_exceptions=True)
    won = [result for result in results if isinstance(result, EmbeddedNats)]
    assert len(won) == 1
    assert won[0].pid == pid
    await won[0].stop()
