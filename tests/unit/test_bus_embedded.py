"""The broker's life: started, killed, taken over, refused."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from eletrovia.base.errors import Conflict, Invalid, Unavailable
from eletrovia.bus import binary
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.layout import BusPorts
from eletrovia.bus.process import ServerProcess, answers, port_free


async def until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_ports_are_chosen_kept_and_left_off(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus", ports=BusPorts(websocket=None, monitor=0))
    ports = broker.ports
    assert ports.websocket is None
    assert len({ports.nats, ports.mqtt, ports.monitor}) == 3
    for port in (ports.nats, ports.mqtt, ports.monitor):
        assert port
        assert not port_free("127.0.0.1", port)
    await broker.stop()
    await broker.stop()
    again = await EmbeddedNats.start(tmp_path / "bus", ports=BusPorts(websocket=None, monitor=0))
    assert again.ports == ports
    assert not again.adopted
    await again.stop()
    assert port_free("127.0.0.1", ports.nats)


async def test_a_taken_port_is_named_if_fixed_and_replaced_if_chosen(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        with pytest.raises(Conflict) as refused:
            await EmbeddedNats.start(tmp_path / "bus", ports=BusPorts(mqtt=port))
        assert refused.value.code == "bus.port_taken"
        assert refused.value.facts == {"port": port, "name": "mqtt"}
        # Chosen once and taken by another meanwhile: chosen again.
        (tmp_path / "bus" / "ports.json").write_text(json.dumps({"nats": port, "mqtt": 0, "websocket": 0}))
        broker = await EmbeddedNats.start(tmp_path / "bus")
        assert broker.ports.nats != port
        await broker.stop()


@pytest.mark.parametrize(
    "ports", [BusPorts(nats=5000, mqtt=5000), BusPorts(mqtt=70000), BusPorts(websocket=-1)]
)
async def test_ports_that_cannot_be_are_refused(tmp_path: Path, ports: BusPorts) -> None:
    with pytest.raises(Invalid):
        await EmbeddedNats.start(tmp_path / "bus", ports=ports)


async def test_one_owner_at_a_time(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    with pytest.raises(Conflict) as refused:
        await EmbeddedNats.start(tmp_path / "bus")
    assert refused.value.code == "bus.data_in_use"
    await broker.stop()
    await (await EmbeddedNats.start(tmp_path / "bus")).stop()


async def test_a_broker_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir()
    (tmp_path / "bus" / "jetstream").write_text("a file where a folder has to be")
    with pytest.raises(Unavailable) as failed:
        await EmbeddedNats.start(tmp_path / "bus")
    assert failed.value.code == "bus.start_failed"
    assert "jetstream" in " ".join(failed.value.facts["log"]).lower()
    (tmp_path / "bus" / "jetstream").unlink()
    await (await EmbeddedNats.start(tmp_path / "bus")).stop()


async def test_a_broker_of_another_series_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for told, code in (("echo nats-server: v2.9.1", "version_unknown"), ("exit 3", "version_unknown")):
        fake = tmp_path / "nats-server"
        fake.write_text(f"#!/bin/sh\n{told}\n")
        fake.chmod(0o700)
        with pytest.raises(Unavailable) as refused:
            await binary.check_version(fake)
        assert refused.value.code == f"bus.{code}"
    with pytest.raises(Unavailable) as missing:
        await binary.check_version(tmp_path / "nothing")
    assert missing.value.code == "bus.binary_broken"
    assert (await binary.check_version(binary.find_binary())).startswith("2.15.")
    monkeypatch.setattr(binary, "EXPECTED_SERIES", "3.0.")
    with pytest.raises(Unavailable):
        await EmbeddedNats.start(tmp_path / "bus")


async def test_secrets_are_for_the_owner_only_and_last(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    url = broker.url
    await broker.stop()
    for name in ("secrets.json", "nats.conf"):
        assert (tmp_path / "bus" / name).stat().st_mode & 0o077 == 0
    assert (tmp_path / "bus").stat().st_mode & 0o077 == 0
    again = await EmbeddedNats.start(tmp_path / "bus")
    assert again.url == url
    await again.stop()
    (tmp_path / "bus" / "secrets.json").write_text("{")
    with pytest.raises(Unavailable) as refused:
        await EmbeddedNats.start(tmp_path / "bus")
    assert refused.value.code == "bus.secrets_unreadable"


async def test_it_stands_apart_from_our_terminal(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    assert broker.pid is not None
    assert os.getsid(broker.pid) != os.getsid(0)
    await broker.stop()


async def test_the_pid_of_a_stranger_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir()
    for left in (str(os.getpid()), "1", "999999999", "", "x"):
        (tmp_path / "bus" / "nats.pid").write_text(left)
        assert ServerProcess.find(tmp_path / "bus" / "nats.pid", tmp_path / "bus" / "nats.conf") is None
    broker = await EmbeddedNats.start(tmp_path / "bus")
    assert not broker.adopted
    await broker.stop()


async def test_only_our_own_broker_answers_us(tmp_path: Path) -> None:
    broker = await EmbeddedNats.start(tmp_path / "bus")
    assert not await answers(broker.ports.nats, "eletrovia", "wrong")
    assert not await answers(a_port(), "eletrovia", "x")
    await broker.stop()


async def test_what_a_stream_kept_outlives_a_stop(tmp_path: Path) -> None:
    async def ignore(topic: str, payload: bytes, sequence: int) -> None:
        raise RuntimeError("not yet")

    got: list[bytes] = []

    async def take(topic: str, payload: bytes, sequence: int) -> None:
        got.append(payload)

    broker = await EmbeddedNats.start(tmp_path / "bus")
    bus = await Bus.connect(broker.url)
    await bus.durable("TRIPS", ["trips/#"], "home", ignore)
    await bus.publish("trips/request", b"kept")
    await until(lambda: bus.counts["failed"] > 0)
    await bus.close()
    await broker.stop()

    broker = await EmbeddedNats.start(tmp_path / "bus")
    bus = await Bus.connect(broker.url)
    await bus.durable("TRIPS", ["trips/#"], "home", take)
    await until(lambda: got == [b"kept"])
    await bus.close()
    await broker.stop()
