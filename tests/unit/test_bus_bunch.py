"""Many messages to one handler, over a real broker; and the parser that takes them out of the stream."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nats
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from eletrovia.base.errors import Unavailable
from eletrovia.bus import bunch
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.swift import SwiftParser


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    broker = await EmbeddedNats.start(tmp_path / "bus", sync_always=False)
    yield broker
    await broker.stop()


@pytest.fixture
async def bus(broker: EmbeddedNats) -> AsyncIterator[Bus]:
    bus = await Bus.connect(broker.url)
    yield bus
    await bus.close()


async def until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)


class Heard:
    def __init__(self) -> None:
        self.bunches: list[list[tuple[str, bytes]]] = []

    async def __call__(self, messages: list[tuple[str, bytes]]) -> None:
        self.bunches.append(messages)
        await asyncio.sleep(0)

    @property
    def all(self) -> list[tuple[str, bytes]]:
        return [message for one in self.bunches for message in one]


async def test_what_comes_quickly_comes_together_and_in_order(bus: Bus) -> None:
    heard = Heard()
    await bus.gather(("meters.*.reading",), heard, most=1000, at_once=1)
    sent = [(f"meters/M{number % 7}/reading", b"%d" % number) for number in range(5000)]
    await bus.publish_all(sent)
    await until(lambda: len(heard.all) == 5000)
    assert heard.all == sent
    assert max(map(len, heard.bunches)) <= 1000
    assert len(heard.bunches) < 2500
    assert bus.counts["published"] == 5000


async def test_topics_of_devices_come_as_they_are_and_headers_are_left_behind(
    bus: Bus, broker: EmbeddedNats
) -> None:
    heard = Heard()
    await bus.gather(("*.status.*",), heard)
    other = await nats.connect(broker.url)
    await other.publish("plug-1.status.switch:0", b"{}", headers={"Nmqtt-Pub": "0"})
    await other.publish("plug-1.status.switch:1", b"")
    await other.publish("plug-1.status.switch:2", b"x" * 300_000)
    await until(lambda: len(heard.all) == 3)
    assert heard.all == [
        ("plug-1/status/switch:0", b"{}"),
        ("plug-1/status/switch:1", b""),
        ("plug-1/status/switch:2", b"x" * 300_000),
    ]
    await other.close()


async def test_other_subscriptions_on_the_line_go_on_as_before(bus: Bus) -> None:
    heard, single = Heard(), Counter[str]()

    async def one(topic: str, payload: bytes) -> None:
        single[topic] += 1

    await bus.subscribe("stations/+", one)
    await bus.gather(("meters.*.reading",), heard)
    for number in range(200):
        await bus.publish(f"stations/{number % 2}", b"x" * 700)
        await bus.publish("meters/M1/reading", b"%d" % number)
    await bus.flush()
    await until(lambda: single.total() == 200 and len(heard.all) == 200)


async def test_gateways_of_one_queue_share(bus: Bus, broker: EmbeddedNats) -> None:
    other = await Bus.connect(broker.url)
    first, second = Heard(), Heard()
    await bus.gather(("meters.*.reading",), first, queue="metering")
    await other.gather(("meters.*.reading",), second, queue="metering")
    await other.flush()
    await bus.publish_all([("meters/M1/reading", b"%d" % number) for number in range(1000)])
    await until(lambda: len(first.all) + len(second.all) == 1000)
    assert first.all
    assert second.all
    assert {payload for _, payload in first.all + second.all} == {b"%d" % number for number in range(1000)}
    await other.close()


async def test_a_handler_that_raises_is_counted_and_ends_nothing(bus: Bus) -> None:
    heard = Heard()

    async def fragile(messages: list[tuple[str, bytes]]) -> None:
        if messages[0][1] == b"bad":
            raise ValueError("bad")
        await heard(messages)

    await bus.gather(("a",), fragile)
    await bus.publish("a", b"bad")
    await until(lambda: bus.counts["failed"] == 1)
    await bus.publish("a", b"good")
    await until(lambda: len(heard.all) == 1)


async def test_what_came_before_the_end_is_handled_before_the_end(broker: EmbeddedNats) -> None:
    bus = await Bus.connect(broker.url)
    done = 0

    async def slow(messages: list[tuple[str, bytes]]) -> None:
        nonlocal done
        await asyncio.sleep(0.005)
        done += len(messages)

    await bus.gather(("a",), slow, most=10, at_once=2)
    await bus.publish_all([("a", b"")] * 300)
    await bus.flush()
    await bus.close()
    assert done == 300
    with pytest.raises(Unavailable):
        await bus.publish_all([("a", b"")])


async def test_a_handler_that_never_ends_holds_nobody_up_for_ever(bus: Bus) -> None:
    async def stuck(messages: list[tuple[str, bytes]]) -> None:
        await asyncio.Event().wait()

    made = await bus.gather(("a",), stuck)
    await bus.publish("a", b"")
    async with asyncio.timeout(5):
        await made.close(patience_s=0.2)


async def test_too_much_waiting_is_dropped_and_counted(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunch, "MAX_WAITING_OCTETS", 10_000)
    going = asyncio.Event()
    heard = Heard()

    async def late(messages: list[tuple[str, bytes]]) -> None:
        await going.wait()
        await heard(messages)

    await bus.gather(("a",), late, at_once=1)
    await bus.publish_all([("a", b"x" * 100)] * 200)
    await bus.flush()
    await until(lambda: bus.counts["dropped"] > 0)
    going.set()
    await until(lambda: len(heard.all) + bus.counts["dropped"] == 200)
    await bus.publish("a", b"again")
    await until(lambda: ("a", b"again") in heard.all)


async def test_it_hears_again_after_the_broker_was_killed(bus: Bus, broker: EmbeddedNats) -> None:
    heard = Heard()
    await bus.gather(("a",), heard)
    await bus.publish("a", b"1")
    await until(lambda: len(heard.all) == 1)
    await until(lambda: broker.pid is not None)
    os.kill(broker.pid or 0, 9)
    await until(lambda: bus.counts["reconnects"] == 1, 20)
    await bus.publish_all([("a", b"2")])
    await until(lambda: ("a", b"2") in heard.all)


# -- the parser alone ---------------------------------------------------------------------------------------


class Stub:
    """What a parser does to its client."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.takes: list[tuple[str, bytes]] = []
        self.id = 7
        self._id = 7

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.told.append((sid, bytes(subject), bytes(data)))

    async def _process_pong(self) -> None:
        self.told.append(("pong",))

    async def _process_ping(self) -> None:
        self.told.append(("ping",))

    def take(self, subject: str, payload: bytes) -> None:
        self.takes.append((subject, payload))


FRAME = st.one_of(
    st.binary(max_size=40).map(lambda payload: ("take", payload)),
    st.binary(max_size=40).map(lambda payload: ("headers", payload)),
    st.binary(max_size=40).map(lambda payload: ("other", payload)),
    st.sampled_from([("ping", b""), ("pong", b""), ("ok", b"")]),
)


def written(kind: str, payload: bytes) -> bytes:
    headers = b"NATS/1.0\r\nNmqtt-Pub: 0\r\n\r\n"
    match kind:
        case "take":
            return b"MSG a.b 7 %d\r\n%s\r\n" % (len(payload), payload)
        case "headers":
            sizes = (len(headers), len(headers) + len(payload))
            return b"HMSG a.b 7 _INBOX.x %d %d\r\n" % sizes + headers + payload + b"\r\n"
        case "other":
            return b"MSG c 8 %d\r\n%s\r\n" % (len(payload), payload)
    return {"ping": b"PING\r\n", "pong": b"PONG\r\n", "ok": b"+OK\r\n"}[kind]


@given(st.lists(FRAME, max_size=12), st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_cut_anywhere_is_the_same_stream(frames: list[tuple[str, bytes]], cuts: list[int]) -> None:
    stub: Any = Stub()
    parser = SwiftParser(stub)
    parser.take(stub, stub.take)
    stream = b"".join(written(*frame) for frame in frames)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})

    async def feed() -> None:
        for start, end in pairwise(edges):
            await parser.parse(stream[start:end])

    asyncio.run(feed())
    assert stub.takes == [("a.b", payload) for kind, payload in frames if kind in ("take", "headers")]
    told = [(8, b"c", payload) if kind == "other" else (kind,) for kind, payload in frames]
    assert stub.told == [one for one in told if one[0] in (8, "ping", "pong")]


@given(st.binary(max_size=200))
def test_no_stream_breaks_the_parser_otherwise_than_it_says(stream: bytes) -> None:
    stub: Any = Stub()
    stub._process_err = stub._process_info = lambda *_: asyncio.sleep(0)
    parser = SwiftParser(stub)
    parser.take(stub, stub.take)
    with contextlib.suppress(ProtocolError, nats.errors.Error):
        asyncio.run(parser.parse(b"MSG " + stream))


def test_a_frame_with_no_size_is_told() -> None:
    stub: Any = Stub()
    with pytest.raises(ProtocolError):
        asyncio.run(SwiftParser(stub).parse(b"MSG a.b 7 many\r\n"))
    with pytest.raises(ProtocolError):
        asyncio.run(SwiftParser(stub).parse(b"MSG\r\n"))
