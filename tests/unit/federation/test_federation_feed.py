"""Live states from a partner's real broker, and what is missed repaired by a pull."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.window import Window
from eletrovia.bus.bus import Bus
from eletrovia.bus.callout import Callout, Grant, Knocker
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.charging.live import StationState, encode_state, station_topic
from eletrovia.federation.feed import PartnerFeed
from eletrovia.federation.live import LivePublisher, partner_grant

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Broker:
    """Carcará's broker, which only partners may listen to."""

    def __init__(self, nats: EmbeddedNats, bus: Bus, callout: Callout) -> None:
        self.nats = nats
        self.bus = bus
        self.callout = callout

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.nats.ports.mqtt}"


@pytest.fixture
async def broker(car, tmp_path: Path) -> AsyncIterator[Broker]:
    async def authorise(username: str, password: str, knocker: Knocker) -> Grant | None:
        return partner_grant(car.directory, "BR*CAR", username, password)

    async with AsyncExitStack() as stack:
        nats = await EmbeddedNats.start(tmp_path / "bus", sync_always=False)
        stack.push_async_callback(nats.stop)
        callout = await Callout.start(nats.callout, authorise, clock=SystemClock())
        stack.push_async_callback(callout.close)
        bus = await Bus.connect(nats.url)
        stack.push_async_callback(bus.close)
        made = Broker(nats, bus, callout)
        car.live_at(made.mqtt_url)
        car.live = LivePublisher("BR*CAR", car.stations, bus.publish, car.clock, every_s=0.02)
        await car.fall_silent()
        await car.serve()
        publishing = asyncio.create_task(car.live.run())
        yield made
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


class Seen:
    """What a feed told."""

    def __init__(self) -> None:
        self.states: dict[str, StationState] = {}
        self.told = 0
        self.offers: list[tuple[str, list[str], list[str]]] = []
        self.status: list[bool] = []

    async def on_offer(self, operator_id, locations, tariffs) -> None:
        self.offers.append((operator_id, [one.id for one in locations], [one.id for one in tariffs]))

    def on_state(self, operator_id: str, state: StationState) -> None:
        assert operator_id == state.operator_id
        self.told += 1
        self.states[state.location_id] = state

    def on_status(self, operator_id: str, live: bool) -> None:
        self.status.append(live)

    def busy(self, location_id: str) -> int:
        """How many windows are taken there, as far as is known; -1 when nothing is."""
        state = self.states.get(location_id)
        return len(state.evses[0].busy) if state is not None else -1


@pytest.fixture
def check_s() -> float:
    """So seldom that a test must not wait for it; those that mean it say how often."""
    return 60.0


@pytest.fixture
async def seen(man, check_s) -> AsyncIterator[Seen]:
    """What Mandacaru's feed tells."""
    seen = Seen()
    feed = PartnerFeed(
        man.directory,
        man.client,
        "BR*MAN",
        on_offer=seen.on_offer,
        on_state=seen.on_state,
        on_status=seen.on_status,
        check_s=check_s,
    )
    seen.feed = feed
    running = asyncio.create_task(feed.run())
    yield seen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def joined(car, man, broker, seen, eventually) -> None:
    car.stations.add("L1")
    car.stations.add("L2")
    await man.directory.join(car.url, await car.directory.invite(60))
    await eventually(lambda: seen.status == [True] and seen.offers != [])
    await eventually(lambda: seen.feed.whole("BR*CAR") and seen.busy("L1") == 0)


def take(side, location_id: str, *, silently: bool = False) -> None:
    """One more window is taken at a station."""
    busy = side.stations.busy.setdefault(location_id, [])
    starts_at = NOON + timedelta(hours=len(busy))
    busy.append(Window(starts_at, starts_at + timedelta(hours=1)))
    if not silently:
        side.live.touch(location_id)


async def test_a_new_partner_is_followed_from_the_moment_it_is_one(joined, seen) -> None:
    assert seen.offers[0] == ("BR*CAR", ["L1", "L2"], ["t1"])
    assert set(seen.states) == {"L1", "L2"}


async def test_what_changes_there_is_known_here(car, joined, seen, eventually) -> None:
    pulls = seen.feed.pulls("BR*CAR")
    for count in (1, 2, 3):
        take(car, "L1")
        await eventually(lambda count=count: seen.busy("L1") == count)
    assert seen.busy("L2") == 0
    assert seen.feed.pulls("BR*CAR") == pulls, "nothing was missed, so nothing had to be pulled"


async def test_a_missed_message_is_noticed_and_repaired(car, joined, broker, seen, eventually) -> None:
    pulls = seen.feed.pulls("BR*CAR")
    take(car, "L1", silently=True)
    car.live.sequence += 1  # the message of L1's change is lost on its way
    take(car, "L2")
    await eventually(lambda: seen.busy("L1") == 1 and seen.busy("L2") == 1)
    assert seen.feed.pulls("BR*CAR") == pulls + 1


@pytest.mark.parametrize("check_s", [0.3])
async def test_a_missed_last_message_is_found_without_another(car, joined, seen, eventually) -> None:
    take(car, "L1", silently=True)
    car.live.sequence += 1
    await eventually(lambda: seen.busy("L1") == 1)


async def test_many_changes_at_once_are_one_message_each(car, joined, broker, seen, eventually) -> None:
    before = broker.bus.counts["published"]
    for _ in range(100):
        take(car, "L1")
        take(car, "L2")
    await eventually(lambda: seen.busy("L1") == seen.busy("L2") == 100)
    assert broker.bus.counts["published"] - before == 2


async def test_a_broker_that_went_is_found_again_and_nothing_stays_missed(
    car, joined, broker, seen, eventually
) -> None:
    killed = broker.nats.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: seen.status == [True, False])
    take(car, "L1")
    await eventually(lambda: seen.busy("L1") == 1)  # over REST, while the line is down or when it is back
    await eventually(lambda: seen.status == [True, False, True], 10)
    take(car, "L1")
    await eventually(lambda: seen.busy("L1") == 2)


@pytest.mark.parametrize("check_s", [0.3])
async def test_a_partner_that_restarts_is_believed(car, joined, broker, seen, eventually) -> None:
    """It counts anew, even from a clock that was put back."""
    car.live.sequence = 5
    take(car, "L1", silently=True)
    await eventually(lambda: seen.busy("L1") == 1)
    take(car, "L1")
    await eventually(lambda: seen.busy("L1") == 2)


async def test_a_revoked_partner_hears_nothing_more(car, man, joined, broker, seen, eventually) -> None:
    await car.directory.revoke("BR*MAN")
    await broker.callout.expel("BR-MAN")
    await eventually(lambda: seen.status == [True, False])
    take(car, "L1")
    await asyncio.sleep(0.5)
    assert seen.busy("L1") == 0
    assert man.directory.active() == []


async def test_rotated_credentials_are_used_at_once(car, man, joined, seen, eventually) -> None:
    await man.directory.rotate("BR*CAR")
    await eventually(lambda: seen.status == [True, False, True])
    car.clock.ahead += timedelta(seconds=61)
    take(car, "L1")
    await eventually(lambda: seen.busy("L1") == 1)


async def test_a_partner_only_listens_and_only_to_stations(car, man, joined, broker, eventually) -> None:
    password = man.directory.partner("BR*CAR").outbound_mqtt_password
    heard: list[str] = []

    async def note(topic: str, payload: bytes) -> None:
        heard.append(topic)

    await broker.bus.subscribe("operators/#", note)
    await broker.bus.flush()
    async with aiomqtt.Client(
        "127.0.0.1",
        broker.nats.ports.mqtt,
        username="BR-MAN",
        password=password,
        timeout=3,
    ) as client:
        state = car.stations.state("L1", 99)
        await client.publish(station_topic("BR*CAR", "L1"), encode_state(state))
        take(car, "L2")
        await eventually(lambda: heard != [])
    assert heard == ["operators/BR-CAR/stations/L2"]


async def test_a_state_of_anothers_station_is_not_taken(car, joined, broker, seen, eventually) -> None:
    forged = car.stations.state("L1", car.live.sequence + 1)
    await broker.bus.publish("operators/BR-CAR/stations/L2", encode_state(forged))
    await broker.bus.publish("operators/BR-CAR/stations/L2", b'{"x":' + b"[" * 100_000)
    told = seen.told
    take(car, "L2")
    await eventually(lambda: seen.busy("L2") == 1)
    assert seen.busy("L1") == 0
    assert seen.told == told + 1
