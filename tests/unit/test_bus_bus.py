"""Publish, subscribe and durable streams against a real broker, which is killed more than once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import nats
import pytest

from eletrovia.base.errors import Conflict, Denied, Invalid, Unavailable
from eletrovia.bus.bus import Bus
from eletrovia.bus.embedded import EmbeddedNats


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    broker = await EmbeddedNats.start(tmp_path / "bus")
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


async def kill(broker: EmbeddedNats) -> None:
    await until(lambda: broker.pid is not None)
    os.kill(broker.pid or 0, 9)


class Heard(list[tuple[str, bytes]]):
    async def __call__(self, topic: str, payload: bytes) -> None:
        self.append((topic, payload))


async def test_filters_match_as_in_mqtt(bus: Bus) -> None:
    deep, one, exact = Heard(), Heard(), Heard()
    await bus.subscribe("stations/#", deep)
    await bus.subscribe("stations/+/status", one)
    await bus.subscribe("stations/1/status", exact)
    for topic in ("stations", "stations/1/status", "stations/2/status", "stations/1", "cars/1/status"):
        await bus.publish(topic, topic.encode())
    await until(lambda: len(deep) == 4)
    assert sorted(topic for topic, _ in deep) == [
        "stations", "stations/1", "stations/1/status", "stations/2/status"
    ]  # fmt: skip
    assert one == [("stations/1/status", b"stations/1/status"), ("stations/2/status", b"stations/2/status")]
    assert exact == [("stations/1/status", b"stations/1/status")]


async def test_a_queue_shares_and_one_at_a_time_keeps_the_order(bus: Bus, broker: EmbeddedNats) -> None:
    other = await Bus.connect(broker.url)
    first, second, everything = Heard(), Heard(), Heard()
    await bus.subscribe("jobs/#", first, queue="workers")
    await other.subscribe("jobs/#", second, queue="workers")
    await other.subscribe("jobs/#", everything)
    await other.flush()  # it is another connection's subscription: the broker must know it before we speak
    for number in range(200):
        await bus.publish("jobs/x", str(number).encode())
    await until(lambda: len(everything) == 200 and len(first) + len(second) == 200)
    assert [int(payload) for _, payload in everything] == list(range(200))
    assert first
    assert second
    await other.close()


async def test_handlers_run_as_many_at_once_as_asked_and_no_more(bus: Bus) -> None:
    running = most = done = 0

    async def slow(topic: str, payload: bytes) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        done += 1

    await bus.subscribe("a", slow, concurrency=5)
    for _ in range(40):
        await bus.publish("a", b"")
    await until(lambda: done == 40)
    assert most == 5


async def test_a_handler_that_raises_ends_nothing(bus: Bus) -> None:
    heard = Heard()

    async def fragile(topic: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("bad")
        await heard(topic, payload)

    await bus.subscribe("a", fragile)
    for payload in (b"1", b"bad", b"2"):
        await bus.publish("a", payload)
    await until(lambda: len(heard) == 2)
    assert bus.counts["failed"] == 1
    assert bus.counts["handled"] == 2


async def test_what_came_before_the_end_is_handled_before_the_end(broker: EmbeddedNats) -> None:
    bus = await Bus.connect(broker.url)
    done = 0

    async def slow(topic: str, payload: bytes) -> None:
        nonlocal done
        await asyncio.sleep(0.01)
        done += 1

    await bus.subscribe("a", slow)
    for _ in range(20):
        await bus.publish("a", b"")
    await bus.flush()
    await until(lambda: done > 0)
    await bus.close()
    assert done == 20
    with pytest.raises(Unavailable):
        await bus.publish("a", b"")


async def test_a_subscription_that_is_closed_hears_no_more(bus: Bus) -> None:
    heard, witness = Heard(), Heard()
    subscription = await bus.subscribe("a", heard)
    await bus.subscribe("a", witness)
    await bus.publish("a", b"1")
    await until(lambda: len(heard) == 1)
    await subscription.close()
    await bus.publish("a", b"2")
    await until(lambda: len(witness) == 2)
    assert heard == [("a", b"1")]


async def test_what_is_wrong_is_said(bus: Bus, broker: EmbeddedNats) -> None:
    with pytest.raises(Invalid):
        await bus.publish("a b", b"")
    with pytest.raises(Invalid):
        await bus.publish("a", bytes(2_000_000))
    with pytest.raises(Invalid):
        await bus.subscribe("a/#/b", Heard())
    for url in ("http://127.0.0.1", "nats://", "nats://127.0.0.1:x", "127.0.0.1:4222"):
        with pytest.raises(Invalid):
            await Bus.connect(url)
    with pytest.raises(Denied):
        await Bus.connect(f"nats://eletrovia:wrong@127.0.0.1:{broker.ports.nats}")
    with pytest.raises(Unavailable) as unreachable:
        await Bus.connect("nats://user:sesame@127.0.0.1:1", timeout_s=0.5)
    assert "sesame" not in str(unreachable.value)


async def test_a_killed_broker_comes_back_with_every_subscription(bus: Bus, broker: EmbeddedNats) -> None:
    heard, late = Heard(), Heard()
    await bus.subscribe("a/#", heard)
    for turn in range(2):
        await kill(broker)
        await until(lambda: not bus.connected)
        await bus.publish("a/b", f"while down {turn}".encode())
        if turn == 0:
            await bus.subscribe("late", late)
        await until(lambda turn=turn: len(heard) == turn + 1)  # type: ignore[misc]
    await bus.publish("late", b"x")
    await until(lambda: len(late) == 1)
    assert heard == [("a/b", b"while down 0"), ("a/b", b"while down 1")]
    assert bus.counts["reconnects"] == 2
    await until(lambda: broker.restarts == 2)


async def test_a_broker_that_stays_away_fills_the_buffer_and_no_more(bus: Bus, broker: EmbeddedNats) -> None:
    await broker.stop()
    await until(lambda: not bus.connected)
    for _ in range(16):
        await bus.publish("a", bytes(1_000_000))
    with pytest.raises(Unavailable):
        await bus.publish("a", bytes(1_000_000))
    with pytest.raises(Unavailable):
        await bus.flush(timeout_s=0.1)


class Kept:
    """A durable handler that notes what it got, and fails or hangs on request."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, int]] = []
        self.fail: dict[bytes, int] = {}
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, topic: str, payload: bytes, sequence: int) -> None:
        await self.hold.wait()
        self.got.append((topic, payload, sequence))
        if self.fail.get(payload, 0) > 0:
            self.fail[payload] -= 1
            raise RuntimeError("not now")

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload, _ in self.got]


async def test_a_stream_keeps_what_comes_while_nobody_listens(bus: Bus, broker: EmbeddedNats) -> None:
    first = await Bus.connect(broker.url)
    kept = Kept()
    await first.durable("TRIPS", ["trips/request"], "home", kept)
    await bus.publish("trips/request", b"1")
    await until(lambda: kept.payloads == [b"1"])
    await first.close()
    await bus.publish("trips/request", b"2")
    await bus.publish("trips/request", b"3")
    await bus.publish("trips/other", b"not kept")
    await bus.flush()

    again = Kept()
    await bus.durable("TRIPS", ["trips/request"], "home", again, concurrency=1)
    await until(lambda: len(again.got) == 2)
    await asyncio.sleep(0.2)
    assert again.got == [("trips/request", b"2", 2), ("trips/request", b"3", 3)]


async def test_a_message_comes_again_until_its_handler_returned(bus: Bus) -> None:
    kept = Kept()
    kept.fail = {b"bad": 2}
    await bus.durable("TRIPS", ["trips/#"], "home", kept, ack_wait_s=30)
    await bus.publish("trips/request", b"bad")
    await bus.publish("trips/request", b"good")
    await until(lambda: len(kept.got) == 4)
    assert sorted(kept.payloads) == [b"bad", b"bad", b"bad", b"good"]
    assert {sequence for _, payload, sequence in kept.got if payload == b"bad"} == {1}
    assert bus.counts["failed"] == 2


async def test_a_slow_handler_is_not_taken_for_a_dead_one(bus: Bus) -> None:
    kept = Kept()
    kept.hold.clear()
    await bus.durable("TRIPS", ["trips/#"], "home", kept, ack_wait_s=0.3)
    await bus.publish("trips/request", b"slow")
    await asyncio.sleep(1.2)
    kept.hold.set()
    await until(lambda: len(kept.got) == 1)
    await asyncio.sleep(0.6)
    assert kept.payloads == [b"slow"]


async def test_no_more_are_handed_out_than_hands(bus: Bus) -> None:
    running = most = done = 0

    async def slow(topic: str, payload: bytes, sequence: int) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        done += 1

    await bus.durable("TRIPS", ["trips/#"], "home", slow, concurrency=4)
    for _ in range(40):
        await bus.publish("trips/request", b"")
    await until(lambda: done == 40)
    assert most == 4


async def test_a_killed_broker_hands_out_again_what_was_not_acknowledged(
    bus: Bus, broker: EmbeddedNats
) -> None:
    kept = Kept()
    kept.hold.clear()
    await bus.durable("TRIPS", ["trips/#"], "home", kept, concurrency=3, ack_wait_s=0.5)
    for number in range(10):
        await bus.publish("trips/request", str(number).encode())
    await bus.flush()
    # Three are in our hands, seven only in the broker's store. (A flush says that they were seen, not kept.)
    witness = await nats.connect(broker.url)
    async with asyncio.timeout(5):
        while (await witness.jsm().stream_info("TRIPS")).state.messages < 10:
            await asyncio.sleep(0.01)
    await witness.close()
    await kill(broker)
    await until(lambda: not bus.connected)
    await bus.publish("trips/request", b"while down")
    kept.hold.set()
    await until(lambda: len(set(kept.payloads)) == 11, timeout_s=15)
    await asyncio.sleep(1.0)
    # The process lived on, so it knows what it has done: nothing is handled twice.
    assert sorted(kept.payloads) == sorted([*(str(number).encode() for number in range(10)), b"while down"])


async def test_a_killed_process_leaves_its_messages_to_the_next(bus: Bus, broker: EmbeddedNats) -> None:
    dying = await Bus.connect(broker.url)
    hung = Kept()
    hung.hold.clear()
    durable = await dying.durable("TRIPS", ["trips/#"], "home", hung, concurrency=2, ack_wait_s=0.5)
    for number in range(5):
        await bus.publish("trips/request", str(number).encode())
    await until(lambda: len(durable._held) == 2)
    # As kill -9 does: nothing is acknowledged, given back, or told.
    durable._pulse.cancel()
    for hand in durable._hands:
        hand.cancel()
    assert dying._line._client is not None
    dying._line._closing = True
    await dying._line._client.close()

    kept = Kept()
    await bus.durable("TRIPS", ["trips/#"], "home", kept, concurrency=2, ack_wait_s=0.5)
    await until(lambda: len(kept.got) == 5)
    assert sorted(kept.payloads) == [b"0", b"1", b"2", b"3", b"4"]


async def test_an_ended_process_gives_its_messages_back_at_once(bus: Bus, broker: EmbeddedNats) -> None:
    leaving = await Bus.connect(broker.url)
    slow = Kept()
    slow.hold.clear()
    durable = await leaving.durable("TRIPS", ["trips/#"], "home", slow, concurrency=1, ack_wait_s=30)
    for number in range(3):
        await bus.publish("trips/request", str(number).encode())
    await until(lambda: len(durable._held) == 1)
    closing = asyncio.create_task(leaving.close())
    await asyncio.sleep(0.1)
    assert not closing.done()  # the handler under way is waited for
    slow.hold.set()
    await closing
    assert slow.payloads == [b"0"]
    kept = Kept()
    await bus.durable("TRIPS", ["trips/#"], "home", kept, concurrency=1, ack_wait_s=30)
    await until(lambda: kept.payloads == [b"1", b"2"], timeout_s=3)


async def test_two_processes_of_one_consumer_share_and_two_consumers_get_all(
    bus: Bus, broker: EmbeddedNats
) -> None:
    other = await Bus.connect(broker.url)
    left, right, audit = Kept(), Kept(), Kept()
    await bus.durable("TRIPS", ["trips/#"], "home", left)
    await other.durable("TRIPS", ["trips/#"], "home", right)
    await other.durable("TRIPS", ["trips/#"], "audit", audit)
    for number in range(60):
        await bus.publish("trips/request", str(number).encode())
    await until(lambda: len(audit.got) == 60 and len(left.got) + len(right.got) == 60)
    assert left.got
    assert right.got
    assert not {sequence for _, _, sequence in left.got} & {sequence for _, _, sequence in right.got}
    await other.close()


async def test_what_is_too_old_is_forgotten(bus: Bus) -> None:
    nobody = await bus.durable("TRIPS", ["trips/#"], "home", Kept(), max_age_s=0.5)
    await nobody.close()
    await bus.publish("trips/request", b"old")
    await asyncio.sleep(1.2)
    kept = Kept()
    await bus.durable("TRIPS", ["trips/#"], "home", kept, max_age_s=0.5)
    await bus.publish("trips/request", b"new")
    await until(lambda: len(kept.got) > 0)
    assert kept.payloads == [b"new"]


async def test_a_stream_that_cannot_be_is_refused(bus: Bus) -> None:
    for stream, topics, consumer in (
        ("a b", ["x"], "c"),
        ("S", [], "c"),
        ("S", ["x"], "c.d"),
        ("S", ["a b"], "c"),
    ):
        with pytest.raises(Invalid):
            await bus.durable(stream, topics, consumer, Kept())
    await bus.durable("TRIPS", ["trips/#"], "home", Kept())
    with pytest.raises(Conflict):
        await bus.durable("OTHERS", ["trips/request"], "home", Kept())
    # And the line still works.
    heard = Heard()
    await bus.subscribe("a", heard)
    await bus.publish("a", b"")
    await until(lambda: len(heard) == 1)
