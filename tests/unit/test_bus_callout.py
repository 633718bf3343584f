"""Who may do what, asked of a real broker by real MQTT clients, over TCP and over WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import nats
import nats.errors
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Denied
from eletrovia.bus.bus import Bus
from eletrovia.bus.callout import Callout, Grant, Knocker
from eletrovia.bus.claims import read_question, sign
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.topic import subjects_of


class City:
    """A broker, its callout, and who is known there: username to (password, grant)."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, Grant]] = {}
        self.knockers: list[Knocker] = []
        self.knocked = asyncio.Event()
        self.slow_s = 0.0

    async def authorise(self, username: str, password: str, knocker: Knocker) -> Grant | None:
        self.knockers.append(knocker)
        self.knocked.set()
        entry = self.known.get(username)
        await asyncio.sleep(self.slow_s)
        if username == "trap":
            raise RuntimeError("the database is gone")
        return entry[1] if entry is not None and entry[0] == password else None

    def know_driver(self, name: str) -> None:
        self.known[name] = (
            f"{name}-secret",
            Grant(
                name=f"drv_{name}",
                publish=subjects_of("trips/request"),
                subscribe=subjects_of(f"trips/reply/{name}"),
            ),
        )

    def client(self, name: str, *, websocket: bool = False, **options: Any) -> aiomqtt.Client:
        port = self.nats.ports.websocket if websocket else self.nats.ports.mqtt
        assert port is not None
        if websocket:
            options |= {"transport": "websockets", "websocket_path": "/mqtt"}
        options = {
            "username": name,
            "password": f"{name}-secret",
            "identifier": f"{name}-1",
            "timeout": 5,
        } | options
        return aiomqtt.Client("127.0.0.1", port, **options)


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    city = City()
    city.nats = await EmbeddedNats.start(tmp_path / "bus", sync_always=False)
    city.callout = await Callout.start(city.nats.callout, city.authorise, clock=SystemClock())
    city.bus = await Bus.connect(city.nats.url)
    city.know_driver("ana")
    city.know_driver("bia")
    city.known["station"] = ("station-secret", Grant(name="station", publish=("trips.>",)))
    city.known["sertao"] = (
        "sertao-secret",
        Grant(name="sertao", subscribe=subjects_of("operators/BR-CAR/#")),
    )
    try:
        yield city
    finally:
        await city.bus.close()
        await city.callout.close()
        await city.nats.stop()


async def granted(client: aiomqtt.Client, topic_filter: str, qos: int) -> bool:
    codes = await client.subscribe(topic_filter, qos=qos)
    return not any(getattr(code, "is_failure", code == 128) for code in codes)


async def next_message(client: aiomqtt.Client, timeout_s: float = 5.0) -> tuple[str, bytes]:
    async with asyncio.timeout(timeout_s):
        async for message in client.messages:
            return str(message.topic), bytes(message.payload)
    raise AssertionError("the stream of messages ended")


async def hung_up_on(client: aiomqtt.Client, timeout_s: float = 5.0) -> bool:
    """Whether the broker ends this connection."""
    try:
        await next_message(client, timeout_s)
    except aiomqtt.MqttError:
        return True
    except TimeoutError:
        return False
    raise AssertionError("a message instead")


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_driver_asks_and_is_answered_on_its_own_topic(city: City, websocket: bool, qos: int) -> None:
    async def answer(topic: str, payload: bytes) -> None:
        await city.bus.publish("trips/reply/ana", b"booked " + payload)

    await city.bus.subscribe("trips/request", answer)
    async with city.client("ana", websocket=websocket) as ana:
        assert await granted(ana, "trips/reply/ana", qos)
        await ana.publish("trips/request", b"to Maceio", qos=qos)
        assert await next_message(ana) == ("trips/reply/ana", b"booked to Maceio")
    assert city.knockers[-1].kind == "mqtt"
    assert city.knockers[-1].mqtt_client_id == "ana-1"


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_a_driver_asks_while_we_are_down_is_answered_later(city: City, qos: int) -> None:
    got: list[bytes] = []

    async def take(topic: str, payload: bytes, sequence: int) -> None:
        got.append(payload)

    await city.bus.durable("TRIPS", ["trips/request"], "home", take, ack_wait_s=1)
    async with city.client("ana", clean_session=False) as ana:
        await ana.publish("trips/request", b"before", qos=qos)
        await city.bus.close()
        for number in range(5):
            await ana.publish("trips/request", str(number).encode(), qos=qos)
        city.bus = await Bus.connect(city.nats.url)
        await city.bus.durable("TRIPS", ["trips/request"], "home", take, ack_wait_s=1)
        # One that the broker was handing out just as we left comes after ack_wait_s, the others at once.
        async with asyncio.timeout(10):
            while len(got) < 6:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
    assert sorted(got) == [b"0", b"1", b"2", b"3", b"4", b"before"]


@pytest.mark.parametrize("websocket", [False, True])
async def test_a_driver_hears_and_says_nothing_else(city: City, websocket: bool) -> None:
    heard: list[tuple[str, bytes]] = []

    async def hear(topic: str, payload: bytes) -> None:
        heard.append((topic, payload))

    await city.bus.subscribe("#", hear)
    async with city.client("ana", websocket=websocket) as ana:
        for qos in (0, 1):
            # `*` and `>` are wildcards to the broker, which does not escape them in MQTT topics.
            for forbidden in (
                "trips/reply/bia", "trips/reply/+", "trips/reply/*", "trips/reply/#", "trips/>", "#",
                "+/reply/ana",
                "trips/request", "$SYS/#", "$MQTT/#", "$MQTT/msgs/#", "$MQTT/sess/#", "$JS/#", "_INBOX/#",
            ):  # fmt: skip
                assert not await granted(ana, forbidden, qos), forbidden
        for forbidden in (
            "trips/reply/ana",
            "trips/reply/bia",
            "stations/1/status",
            "$MQTT/msgs/trips/request",
        ):
            for qos in (0, 1):
                await ana.publish(forbidden, b"forged", qos=qos)
        await ana.publish("trips/request", b"last", qos=1)
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # what must not come has time to come
    assert heard == [("trips/request", b"last")]


async def test_a_partner_hears_its_operators_stations_and_may_not_speak(city: City) -> None:
    heard: list[str] = []

    async def hear(topic: str, payload: bytes) -> None:
        heard.append(topic)

    await city.bus.subscribe("operators/#", hear)
    async with city.client("sertao") as partner:
        assert await granted(partner, "operators/BR-CAR/#", 1)
        assert not await granted(partner, "operators/BR-MAN/#", 0)
        assert not await granted(partner, "operators/#", 0)
        await partner.publish("operators/BR-CAR/stations/1", b"forged")
        await city.bus.publish("operators/BR-MAN/stations/1", b"not for you")
        await city.bus.publish("operators/BR-CAR/stations/1", b"free")
        assert await next_message(partner) == ("operators/BR-CAR/stations/1", b"free")
    assert heard == ["operators/BR-MAN/stations/1", "operators/BR-CAR/stations/1"]


@pytest.mark.parametrize("websocket", [False, True])
async def test_a_stranger_stays_outside(city: City, websocket: bool) -> None:
    for wrong in (
        {"username": "eva"},
        {"password": "wrong"},
        {"password": ""},
        {"username": None, "password": None},
        {"username": "trap"},
        {"username": "eletrovia", "password": "guess"},
    ):
        with pytest.raises(aiomqtt.MqttError):
            async with city.client("ana", websocket=websocket, **wrong):
                pass
    assert city.callout.counts["let_in"] == 0
    assert city.callout.counts["failed"] == 1
    # The callout survived all that.
    async with city.client("ana", websocket=websocket):
        pass


async def test_a_nats_client_is_asked_for_too(city: City) -> None:
    port = city.nats.ports.nats
    with pytest.raises(Denied):
        await Bus.connect(f"nats://ana:wrong@127.0.0.1:{port}")
    ana = await nats.connect(f"nats://ana:ana-secret@127.0.0.1:{port}", error_cb=_ignore)
    answers: list[bytes] = []

    async def hear(message: Any) -> None:
        answers.append(message.data)

    await ana.subscribe("trips.reply.ana", cb=hear)
    await ana.subscribe("$SYS.REQ.USER.AUTH", cb=hear)  # refused: other people's passwords pass there
    await ana.subscribe(">", cb=hear)
    await ana.flush()
    await city.bus.publish("trips/reply/bia", b"hers")
    await city.bus.publish("trips/reply/ana", b"mine")
    async with asyncio.timeout(10):
        while not answers:
            await asyncio.sleep(0.01)
    async with city.client("bia"):
        await asyncio.sleep(0.1)  # what must not come has time to come
    assert answers == [b"mine"]
    await ana.close()


async def _ignore(problem: Exception) -> None:
    pass


@pytest.mark.parametrize("websocket", [False, True])
async def test_a_revoked_credential_is_cut_off_and_stays_out(city: City, websocket: bool) -> None:
    async with city.client("bia") as bia:
        await bia.subscribe("trips/reply/bia")
        with contextlib.suppress(aiomqtt.MqttError):  # it cannot say goodbye any more
            async with city.client("ana", websocket=websocket) as ana:
                await ana.subscribe("trips/reply/ana")
                del city.known["ana"]
                assert await city.callout.expel("drv_ana") == 1
                assert await hung_up_on(ana)
        with pytest.raises(aiomqtt.MqttError):
            async with city.client("ana", websocket=websocket):
                pass
        await city.bus.publish("trips/reply/bia", b"still here")
        assert await next_message(bia) == ("trips/reply/bia", b"still here")
    assert await city.callout.expel("drv_ana") == 0


async def test_a_client_that_is_being_let_in_while_it_is_expelled_ends_outside(city: City) -> None:
    city.slow_s = 0.3

    async def knock() -> bool:
        try:
            async with city.client("ana") as ana:
                return await hung_up_on(ana)
        except aiomqtt.MqttError:
            return True

    knocking = asyncio.create_task(knock())
    await asyncio.wait_for(city.knocked.wait(), 5)
    # It was looked up before this line, and will be answered after it.
    del city.known["ana"]
    await city.callout.expel("drv_ana")
    assert await asyncio.wait_for(knocking, 10)


async def test_whoever_is_no_longer_good_is_found_without_being_named(city: City) -> None:
    async def still_good(name: str) -> bool:
        return name.removeprefix("drv_") in city.known

    async with city.client("bia") as bia:
        with contextlib.suppress(aiomqtt.MqttError):
            async with city.client("ana") as ana:
                del city.known["ana"]
                assert await city.callout.recheck(still_good) == {"drv_ana"}
                assert await hung_up_on(ana)
        assert await granted(bia, "trips/reply/bia", 0)


async def test_nobody_takes_over_anothers_session_by_its_client_id(city: City) -> None:
    async with city.client("ana", identifier="phone") as ana:
        await ana.subscribe("trips/reply/ana", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with city.client("bia", identifier="phone"):
                pass
        # Nor after the callout has forgotten whose it was.
        await city.callout.close()
        city.callout = await Callout.start(city.nats.callout, city.authorise, clock=SystemClock())
        with pytest.raises(aiomqtt.MqttError):
            async with city.client("bia", identifier="phone"):
                pass
        await city.bus.publish("trips/reply/ana", b"hers")
        assert await next_message(ana) == ("trips/reply/ana", b"hers")
    # When she has left, the phone may go to another.
    async with city.client("bia", identifier="phone"):
        pass


async def test_a_session_of_one_who_is_away_gives_nothing_to_whoever_comes_with_its_id(city: City) -> None:
    async with city.client("ana", identifier="phone", clean_session=False) as ana:
        await ana.subscribe("trips/reply/ana", qos=1)
    async with city.client("station", identifier="station") as station:
        await station.publish("trips/reply/ana", b"hers", qos=1)  # kept in her session
    async with city.client("bia", identifier="phone", clean_session=False) as bia:
        with pytest.raises(TimeoutError):
            await next_message(bia, 0.5)
    async with city.client("ana", identifier="phone", clean_session=False) as ana:
        assert await next_message(ana) == ("trips/reply/ana", b"hers")


async def test_a_last_will_is_held_to_the_same_rights(city: City) -> None:
    heard: list[tuple[str, bytes]] = []

    async def hear(topic: str, payload: bytes) -> None:
        heard.append((topic, payload))

    await city.bus.subscribe("#", hear)
    for topic in ("stations/1/status", "trips/request"):
        parts = (b"w", topic.encode(), b"will", b"ana", b"ana-secret")
        body = b"\x00\x04MQTT\x04\xc6\x00\x1e" + b"".join(struct.pack("!H", len(one)) + one for one in parts)
        reader, writer = await asyncio.open_connection("127.0.0.1", city.nats.ports.mqtt)
        writer.write(bytes((0x10, len(body))) + body)
        assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        writer.transport.abort()
        await asyncio.sleep(0.3)
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == [("trips/request", b"will")]


async def test_a_lifetime_makes_clients_knock_again(city: City) -> None:
    await city.callout.close()
    city.callout = await Callout.start(city.nats.callout, city.authorise, clock=SystemClock(), lifetime_s=1)
    with contextlib.suppress(aiomqtt.MqttError):
        async with city.client("ana") as ana:
            assert await hung_up_on(ana)
    assert city.callout.counts["let_in"] == 1


async def test_a_grant_may_end_sooner_than_others(city: City) -> None:
    city.know_driver("bia")
    secret, grant = city.known["bia"]
    city.known["bia"] = (secret, msgspec.structs.replace(grant, lifetime_s=1))
    async with city.client("ana") as ana:
        with contextlib.suppress(aiomqtt.MqttError):
            async with city.client("bia") as bia:
                assert await hung_up_on(bia)
        await ana.subscribe("trips/reply/ana", timeout=5)


async def test_the_callout_goes_on_after_the_broker_was_killed(city: City) -> None:
    assert city.nats.pid is not None

    os.kill(city.nats.pid, 9)
    for _ in range(100):
        with contextlib.suppress(aiomqtt.MqttError):
            async with city.client("ana", timeout=0.5):
                return
        await asyncio.sleep(0.05)
    pytest.fail("never let in again")


async def test_a_question_that_no_broker_signed_is_not_believed(city: City) -> None:
    forged = sign(
        {
            "aud": "nats-authorization-request",
            "nats": {
                "server_id": {"id": "NX"},
                "user_nkey": "UX",
                "client_info": {},
                "connect_opts": {"user": "ana", "pass": "ana-secret"},
            },
        },
        city.nats.callout.issuer_seed,
    )
    for token in (forged.encode(), b"", b"a.b.c", b"\xff", forged.encode()[:-4] + b"AAAA"):
        with pytest.raises(Denied):
            read_question(token)


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    async def run() -> None:
        broker = await EmbeddedNats.start(tmp_path / "bus")
        await broker.stop()

    asyncio.run(run())
    for name in ("secrets.json", "nats.conf"):
        assert (tmp_path / "bus" / name).stat().st_mode & 0o077 == 0
    assert (tmp_path / "bus").stat().st_mode & 0o077 == 0
