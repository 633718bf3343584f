"""Meters over MQTT, as clients of a real broker that asks us who may come in, into a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiomqtt
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.bus.binary import find_binary
from eletrovia.bus.bus import Bus
from eletrovia.bus.callout import Callout, Grant, Knocker
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.layout import Guests
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.broker import BrokerAddress, BrokerGateway
from eletrovia.metering.gateways.login import DeviceLogin, name_at_broker
from eletrovia.metering.gateways.mqtt import Message, MqttGateway, Sorter
from eletrovia.metering.intake import Intake
from eletrovia.metering.reading import Readings
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

NOW = datetime(2026, 3, 31, 12, 0, 0, tzinfo=UTC)
RECIFE = ZoneInfo("America/Recife")
KEYS = DeviceKeys(b"k" * 32)


class StoppedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


class Fragile:
    """PostgreSQL, and moments at which it is gone; ``held`` keeps commits from ending."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self.gone = 0
        self.asked = 0
        self.going = asyncio.Event()
        self.going.set()

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        self.asked += 1
        await self.going.wait()
        if self.gone:
            self.gone -= 1
            raise Unavailable("store.unreachable")
        return await self._store.merge(readings)


class Utility:
    """Meters M1 to M9, M2 behind the concentrator C1, M1-1 behind M1; M9 is blocked."""

    def __init__(self, store: Store, roster: Roster) -> None:
        clock = StoppedClock()
        self.store = store
        self.roster = roster
        self.sink = Fragile(ReadingStore(store, clock))
        self.intake = Intake(self.sink, roster, clock)
        self.sorter = Sorter(self.intake, roster, clock, RECIFE)
        self.login = DeviceLogin(roster, KEYS)

    async def tell(self, *messages: tuple[str, str]) -> list[tuple[str, Any]]:
        answers = await self.sorter.take([(topic, payload.encode()) for topic, payload in messages])
        return [(topic, msgspec.json.decode(payload)) for topic, payload in answers]

    async def rows(self) -> list[tuple[object, ...]]:
        async with self.store.connection() as connection:
            found = await connection.execute(
                "select id, at, energy_wh, power_w, sent_kwh, estimated "
                "from reading join meter on key = meter order by id, at"
            )
            return await found.fetchall()

    async def stored(self) -> set[tuple[object, object]]:
        return {(row[0], row[2]) for row in await self.rows()}

    async def key(self, id_: str) -> str:
        (key,) = (await self.roster.resolve([id_])).tolist()
        return KEYS.of(key, int(self.roster.one(key)["epoch"])).hex()  # type: ignore[index]


@pytest.fixture
async def utility(store: Store) -> AsyncIterator[Utility]:
    async with store.connection() as connection:
        await connection.execute(
            "insert into meter (id, registered_at, state) "
            "select 'M' || n, %s, case n when 9 then 'blocked' else 'in_service' end "
            "from generate_series(1, 9) n",
            (NOW,),
        )
        await connection.execute(
            "insert into meter (id, registered_at, kind) values ('C1', %s, 'concentrator'), "
            "('trips', %s, 'meter'), ('_INBOX', %s, 'meter')",
            (NOW, NOW, NOW),
        )
        await connection.execute("update meter set via = (select key from meter where id='C1') where id='M2'")
        await connection.execute(
            "insert into meter (id, registered_at, via) select 'M1-1', %s, key from meter where id = 'M1'",
            (NOW,),
        )
    made = Utility(store, await Roster.open(store, SystemClock()))
    yield made
    await made.intake.close()


async def until(true: Callable[[], Any], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            held = true()
            if await held if asyncio.iscoroutine(held) else held:
                return
            await asyncio.sleep(0.01)


# -- what is said and answered ------------------------------------------------------------------------------


async def test_one_reading_and_many_are_stored_and_answered(utility: Utility) -> None:
    answers = await utility.tell(
        ("meters/M1/reading", '{"at":"2026-03-31T08:00:00-03:00","energy_wh":100,"power_w":42,"seq":7}'),
        ("meters/M3/reading", '{"at":1774951200,"energy_kwh":1.2345,"estimated":true,"seq":"a"}'),
        (
            "meters/M4/reading",
            '{"readings":[{"at":"2026-03-31T10:00:00Z","energy_wh":1},{"at":"2026-03-31T11:00:00Z","energy_wh":2}]}',
        ),
        ("meters/M5/reading", '{"rows":[["M5",1774951200,5]],"seq":8}'),
    )
    now = "2026-03-31T12:00:00Z"
    plain = {"refused": [], "blocked": False, "now": now}
    assert answers == [
        ("meters/M1/ack", {"seq": 7, "settled": 1, **plain}),
        ("meters/M3/ack", {"seq": "a", "settled": 1, **plain}),
        ("meters/M4/ack", {"settled": 2, **plain}),
        ("meters/M5/ack", {"seq": 8, "settled": 1, **plain}),
    ]
    ten = datetime(2026, 3, 31, 10, 0, tzinfo=UTC)
    assert await utility.rows() == [
        ("M1", datetime(2026, 3, 31, 11, 0, tzinfo=UTC), 100, 42, None, False),
        ("M3", ten, 1234, None, 1.2345, True),
        ("M4", ten, 1, None, None, False),
        ("M4", datetime(2026, 3, 31, 11, 0, tzinfo=UTC), 2, None, None, False),
        ("M5", ten, 5, None, None, False),
    ]


async def test_the_quick_answer_is_the_same_as_the_thorough_one(utility: Utility) -> None:
    quick = await utility.tell(("meters/M1/reading", '{"at":1774951200,"energy_wh":1,"seq":3}'))
    thorough = await utility.tell(
        ("meters/M1/reading", '{"readings":[{"at":1774951200,"energy_wh":1}],"seq":3}')
    )
    assert quick == thorough


REFUSED = [
    ('{"at":"2026-03-31T08:00:00","energy_wh":1}', "time_zone_missing"),
    ('{"at":"yesterday","energy_wh":1}', "at_malformed"),
    ('{"energy_wh":1}', "at_malformed"),
    ('{"at":1774951200}', "energy_missing"),
    ('{"at":1774951200,"energy_wh":1,"energy_kwh":1}', "energy_twice"),
    ('{"at":1774951200,"energy_wh":-1}', "impossible"),
    ('{"at":1774951200,"energy_wh":99999999999999999999999}', "impossible"),
    ('{"at":1774951200,"energy_kwh":1e99999}', "impossible"),
    ('{"at":1900000000,"energy_wh":1}', "from_the_future"),
    ('{"at":5,"energy_wh":1}', "too_old"),
    ('{"at":1774951200,"energy_wh":1,"meter":"M2"}', "not_its_meter"),
    ('{"at":1774951200,"energy_wh":1,"meter":"M77"}', "unknown_meter"),
]


async def test_a_reading_that_cannot_be_is_refused_and_its_neighbours_are_not(utility: Utility) -> None:
    for number, (payload, why) in enumerate(REFUSED):
        neighbour = f'{{"at":{1774951200 + number},"energy_wh":{number},"seq":1}}'
        answers = dict(await utility.tell(("meters/M1/reading", payload), ("meters/M3/reading", neighbour)))
        assert answers["meters/M1/ack"]["refused"] == [{"place": 0, "why": why}], payload
        assert answers["meters/M1/ack"]["settled"] == 0
        assert answers["meters/M3/ack"]["settled"] == 1
    assert await utility.stored() == {("M3", number) for number in range(len(REFUSED))}


UNREADABLE = [
    "",
    "{",
    "\xff",
    "[]",
    "null",
    '{"at":1774951200,"energy_wh":"1","seq":4}',
    '{"at":1774951200,"energy_Wh":1,"seq":4}',
    '{"at":1774951200,"energy_wh":1,"readings":[],"seq":4}',
    '{"at":1774951200,"energy_wh":1,"meter":"a b","seq":4}',
    '{"readings":{},"seq":4}',
    "[" * 5000,
]


async def test_what_cannot_be_read_is_answered_with_a_code_and_changes_nothing(utility: Utility) -> None:
    for number, payload in enumerate(UNREADABLE):
        neighbour = f'{{"at":{1774951200 + number},"energy_wh":{number},"seq":1}}'
        answers = dict(await utility.tell(("meters/M1/reading", payload), ("meters/M3/reading", neighbour)))
        refusal = answers["meters/M1/ack"]
        assert refusal["error"] in ("reading.malformed", "reading.muddled"), payload
        assert refusal.get("seq") == (4 if "seq" in payload else None)
        assert utility.sorter.counts["malformed"] == number + 1
    assert await utility.stored() == {("M3", number) for number in range(len(UNREADABLE))}


async def test_too_many_at_once_are_refused_whole(utility: Utility) -> None:
    rows = ",".join(f'["M1",{1774000000 + number},{number}]' for number in range(10_001))
    ((_, answer),) = await utility.tell(("meters/M1/reading", f'{{"rows":[{rows}],"seq":1}}'))
    assert (answer["error"], answer["seq"]) == ("body.too_many_items", 1)
    assert not await utility.rows()


async def test_a_concentrator_speaks_for_those_behind_it_only(utility: Utility) -> None:
    ((_, answer),) = await utility.tell(
        ("meters/C1/reading", '{"rows":[["M2",1774951200,5],["M3",1774951200,6]],"seq":1}')
    )
    assert answer["settled"] == 1
    assert answer["refused"] == [{"place": 1, "why": "not_its_meter"}]
    assert await utility.stored() == {("M2", 5)}


async def test_a_blocked_meter_is_told_so(utility: Utility) -> None:
    answers = await utility.tell(
        ("meters/M9/reading", '{"at":1774951200,"energy_wh":1,"seq":1}'),
        ("meters/M1/reading", '{"at":1774951200,"energy_wh":1,"seq":1}'),
    )
    assert [(topic, answer["blocked"]) for topic, answer in answers] == [
        ("meters/M9/ack", True),
        ("meters/M1/ack", False),
    ]


async def test_repeats_and_conflicts_are_settled(utility: Utility) -> None:
    for energy_wh in (5, 5, 6):
        ((_, answer),) = await utility.tell(
            ("meters/M1/reading", f'{{"at":1774951200,"energy_wh":{energy_wh}}}')
        )
        assert (answer["settled"], answer["refused"]) == (1, [])
    assert await utility.stored() == {("M1", 5)}


async def test_devices_tell_in_local_time_or_none_and_only_of_their_own(utility: Utility) -> None:
    answers = await utility.tell(
        ("tele/M1/SENSOR", '{"Time":"2026-03-31T08:59:00","ENERGY":{"Total":1.5,"Power":3}}'),
        ("tele/M3/SENSOR", '{"Time":"2026-03-31T08:59:00+01:00","ENERGY":{"Total":2.5}}'),
        (
            "M4/events/rpc",
            '{"method":"NotifyStatus","params":{"ts":1774951200.5,"switch:0":{"aenergy":{"total":7.9}}}}',
        ),
        ("shellies/M5/relay/0/energy", "600"),
        ("M1/status/switch:1", '{"aenergy":{"total":11}}'),
        ("M3/status/switch:1", '{"aenergy":{"total":12}}'),
        ("C1/status/switch:1", '{"aenergy":{"total":13}}'),
        ("tele/stranger/SENSOR", '{"Time":"2026-03-31T08:59:00","ENERGY":{"Total":1}}'),
        ("tele/M6/SENSOR", '{"Time":"1970-01-01T00:00:09","ENERGY":{"Total":1}}'),
        ("tele/M6/SENSOR", '{"Time":"soon","ENERGY":{"Total":1}}'),
        ("tele/M6/SENSOR", '{"Time":"2026-03-31T08:59:00","Wifi":{}}'),
        ("tele/M6/SENSOR", "{"),
    )
    assert answers == []
    assert [(row[0], row[1], row[2]) for row in await utility.rows()] == [
        ("M1", datetime(2026, 3, 31, 11, 59, tzinfo=UTC), 1500),
        ("M1-1", NOW, 11),
        ("M3", datetime(2026, 3, 31, 7, 59, tzinfo=UTC), 2500),
        ("M4", datetime(2026, 3, 31, 10, 0, 0, 500_000, tzinfo=UTC), 7),
        ("M5", NOW, 10),
    ]
    counts = utility.sorter.counts
    assert counts["device_malformed"] == 2
    assert counts["device_silent"] == 1
    # M3-1, C1-1 and the stranger are nobody; 1970 is before all meters.
    assert counts["device_refused"] == 4


async def test_an_hour_that_comes_twice_is_the_one_that_is_now(utility: Utility) -> None:
    sydney = ZoneInfo("Australia/Sydney")
    for now, expected in (
        (datetime(2026, 4, 4, 15, 31, tzinfo=UTC), datetime(2026, 4, 4, 15, 30, tzinfo=UTC)),
        (datetime(2026, 4, 4, 16, 31, tzinfo=UTC), datetime(2026, 4, 4, 16, 30, tzinfo=UTC)),
    ):
        clock = SystemClock()
        clock.now = lambda now=now: now  # type: ignore[method-assign, misc]
        sorter = Sorter(utility.intake, utility.roster, clock, sydney)
        at_us = sorter._moment("2026-04-05T02:30:00", now)
        assert datetime.fromtimestamp(at_us / 1e6, UTC) == expected


async def test_a_time_that_no_calendar_holds_spoils_no_neighbours(utility: Utility) -> None:
    far = '{"method":"NotifyStatus","params":{"ts":%s,"switch:0":{"aenergy":{"total":5}}}}'
    await utility.tell(
        ("tele/M1/SENSOR", '{"Time":"2026-03-31T08:00:00","ENERGY":{"Total":1.0}}'),
        *(("M3/events/rpc", far % ts) for ts in ("1e18", "-1e18", "9.3e12", "1e300")),
        ("meters/M4/reading", '{"at":1774951200,"energy_wh":1}'),
    )
    assert await utility.stored() == {("M1", 1000), ("M4", 1)}
    assert utility.sorter.counts["device_malformed"] + utility.sorter.counts["device_refused"] == 4


async def test_a_stranger_at_a_broker_of_the_users_speaks_for_nobody(utility: Utility) -> None:
    reading = '{"meter":"M1","at":1774951200,"energy_wh":77,"seq":1}'
    [(_, answer)] = await utility.tell(("meters/stranger/reading", reading))
    assert answer["refused"] == [{"place": 0, "why": "not_its_meter"}]
    assert await utility.stored() == set()


async def test_neighbours_of_a_stranger_wait_for_the_database_like_any(
    utility: Utility, database_url: str
) -> None:
    """A stranger is looked for in the table each time: what came with it must not be lost over that."""
    async with await Store.open(database_url, size=1, wait_s=0.1) as narrow:
        clock = StoppedClock()
        roster = await Roster.open(narrow, clock)
        sorter = Sorter(utility.intake, roster, clock, RECIFE)
        told = [("tele/M1/SENSOR", b'{"ENERGY":{"Total":1.0}}'), ("tele/Q/SENSOR", b'{"ENERGY":{"Total":2}}')]
        async with narrow.connection():  # nobody else gets one
            taking = asyncio.create_task(sorter.take(told))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(taking), 0.5)
        await taking
    assert await utility.stored() == {("M1", 1000)}


# -- over a broker ------------------------------------------------------------------------------------------


class Broker:
    def __init__(self, nats: EmbeddedNats, utility: Utility) -> None:
        self.nats = nats
        self.utility = utility

    async def client(self, id_: str, key: str | None = None) -> aiomqtt.Client:
        assert self.nats.ports.mqtt
        return aiomqtt.Client(
            "127.0.0.1",
            self.nats.ports.mqtt,
            username=id_,
            password=await self.utility.key(id_) if key is None else key,
            identifier=id_,
            timeout=5,
        )


@pytest.fixture
async def broker(tmp_path: Path, utility: Utility) -> AsyncIterator[Broker]:
    nats = await EmbeddedNats.start(tmp_path / "bus", sync_always=False)

    async def authorise(username: str, password: str, knocker: Knocker) -> Grant | None:
        return await utility.login.grant(username, password)

    callout = await Callout.start(nats.callout, authorise, clock=SystemClock())
    leaving: set[asyncio.Task[int]] = set()

    def revoked(meter: int, epoch: int) -> None:
        leaving.add(asyncio.ensure_future(callout.expel(name_at_broker(meter, epoch))))

    utility.roster.watch(revoked)
    bus = await Bus.connect(nats.url)
    gateway = await MqttGateway(bus, utility.sorter).start()
    await bus.flush()
    yield Broker(nats, utility)
    await gateway.close()
    await asyncio.gather(*leaving)
    await bus.close()
    await callout.close()
    await nats.stop()


async def test_a_meter_is_answered_after_the_commit_and_not_before(broker: Broker) -> None:
    sink = broker.utility.sink
    sink.going.clear()
    async with asyncio.timeout(15), await broker.client("M1") as meter:
        await meter.subscribe("meters/M1/ack", qos=1)
        await meter.publish("meters/M1/reading", b'{"at":1774951200,"energy_wh":5,"seq":1}', qos=1)
        await until(lambda: broker.utility.sorter.counts["reports"] == 1)
        told = asyncio.ensure_future(anext(aiter(meter.messages)))
        assert not await broker.utility.rows()
        await meter.publish("meters/M1/reading", b"{", qos=1)  # answered at once: it needs no commit
        first = msgspec.json.decode((await told).payload)  # type: ignore[arg-type]
        assert first["error"] == "reading.malformed"
        sink.gone = 2  # and PostgreSQL goes away twice before it takes it
        sink.going.set()
        second = msgspec.json.decode((await anext(aiter(meter.messages))).payload)  # type: ignore[arg-type]
        assert (second["seq"], second["settled"]) == (1, 1)
        assert await broker.utility.stored() == {("M1", 5)}


async def test_a_meter_says_and_hears_nothing_but_its_own(broker: Broker) -> None:
    async with asyncio.timeout(20):
        for topic in ("meters/M3/reading", "tele/M3/SENSOR", "M3/events/rpc", "trips/request"):
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):  # hung up on, or not heard
                async with await broker.client("M1") as meter:
                    await meter.publish(topic, b'{"at":1774951200,"energy_wh":5}', qos=1, timeout=0.3)
        for topic in ("#", "meters/+/ack", "meters/M3/ack", "trips/reply/x"):
            with contextlib.suppress(aiomqtt.MqttError):
                async with await broker.client("M1") as meter:
                    (granted,) = await meter.subscribe(topic)
                    assert getattr(granted, "value", granted) == 0x80
        async with await broker.client("M1") as meter:
            await meter.subscribe("meters/M1/ack")
            await meter.publish("tele/M1/LWT", b"Online", qos=1)
            await meter.publish("M1/online", b"true", qos=1)
            await meter.publish("meters/M1/reading", b'{"at":1774951200,"energy_wh":6,"seq":1}')
            await anext(aiter(meter.messages))
    assert await broker.utility.stored() == {("M1", 6)}


async def test_no_meter_gets_a_topic_of_ours_by_its_name(utility: Utility) -> None:
    for id_ in ("trips", "_INBOX"):
        grant = await utility.login.grant(id_, await utility.key(id_))
        assert grant is not None
        assert f"{id_}.>" not in grant.publish + grant.subscribe
    grant = await utility.login.grant("M1", await utility.key("M1"))
    assert grant is not None
    assert "M1.>" in grant.publish


async def test_a_wrong_key_or_a_stranger_does_not_come_in(broker: Broker) -> None:
    for shown in ("", "00" * 32, "x" * 500, "é" * 64):
        assert await broker.utility.login.grant("M1", shown) is None
        assert await broker.utility.login.grant("M 1", shown) is None
    with pytest.raises(aiomqtt.MqttError):
        async with await broker.client("M1", "00" * 32):
            raise AssertionError


async def test_a_new_key_throws_out_whoever_came_in_with_the_old_one(broker: Broker, store: Store) -> None:
    old = await broker.utility.key("M1")
    async with asyncio.timeout(20):
        async with await broker.client("M1") as meter:
            await meter.subscribe("meters/M1/ack")
            async with store.connection() as connection:
                await connection.execute("update meter set secret_epoch = secret_epoch + 1 where id = 'M1'")
            await broker.utility.roster.refresh()
            with pytest.raises(aiomqtt.MqttError):
                await anext(aiter(meter.messages))
        with pytest.raises(aiomqtt.MqttError):
            async with await broker.client("M1", old):
                raise AssertionError
        async with await broker.client("M1"):
            pass
    key = (await broker.utility.roster.resolve(["M1"])).tolist()[0]
    assert await broker.utility.login.still_good(name_at_broker(key, 1))
    assert not await broker.utility.login.still_good(name_at_broker(key, 0))
    assert await broker.utility.login.still_good("acct_1")


# -- a broker of the user's ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "share"),
    [
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, ""),
        ("mqtt://u%40x:p%2F@[::1]:1884/?share=eletrovia", "::1", 1884, "eletrovia"),
        ("mqtts://broker.example", "broker.example", 8883, ""),
    ],
)
def test_a_brokers_address(url: str, host: str, port: int, share: str) -> None:
    address = BrokerAddress(url)
    assert (address.host, address.port, address.share) == (host, port, share)
    assert address.secure == url.startswith("mqtts")
    head = f"$share/{share}/" if share else ""
    assert address.filters()[0] == f"{head}meters/+/reading"


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://x:notaport", "mqtt://x:99999"])
def test_what_is_no_brokers_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match=r"config\.wrong_value"):
        BrokerAddress(url)


async def test_readings_come_in_by_a_broker_of_the_users_own(tmp_path: Path, utility: Utility) -> None:
    anything = Guests(publish=(">",), subscribe=(">",))
    foreign = await EmbeddedNats.start(tmp_path / "foreign", guests=anything, sync_always=False)
    gateway = BrokerGateway(f"mqtt://127.0.0.1:{foreign.ports.mqtt}", utility.sorter, name="gateway")
    running = asyncio.ensure_future(gateway.run())
    try:
        async with asyncio.timeout(20):
            await gateway.connected.wait()
            assert foreign.ports.mqtt
            async with aiomqtt.Client("127.0.0.1", foreign.ports.mqtt, identifier="m1") as meter:
                await meter.subscribe("meters/M1/command")
                await gateway.tell("meters/M1/command", b'{"cut_off":true}')
                told = await anext(aiter(meter.messages))
                assert (str(told.topic), told.payload) == ("meters/M1/command", b'{"cut_off":true}')
                await meter.subscribe("meters/M1/ack")
                for number in range(20):
                    payload = b'{"at":%d,"energy_wh":%d,"seq":%d}' % (1774951200 + number, number, number)
                    await meter.publish("meters/M1/reading", payload, qos=number % 2)
                await meter.publish("M3/status/switch:0", b'{"aenergy":{"total":9.5}}', qos=1)
                heard = aiter(meter.messages)
                answers = [msgspec.json.decode((await anext(heard)).payload) for _ in range(20)]
                assert sorted(answer["seq"] for answer in answers) == list(range(20))
                assert all(answer["settled"] == 1 for answer in answers)
            await until(lambda: _has(utility, ("M3", 9)))
        assert len(await utility.rows()) == 21
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with pytest.raises(Unavailable, match=r"mqtt\.broker_away"):
            await gateway.tell("meters/M1/command", b"{}")
        await foreign.stop()


@contextlib.asynccontextmanager
async def impatient_broker(folder: Path) -> AsyncIterator[int]:
    """A broker that sends again after a second what nobody acknowledged; its MQTT port."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, mqtt = one.getsockname()[1], two.getsockname()[1]
    settings = folder / "nats.conf"
    settings.write_text(
        f"server_name: foreign\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {folder} }}\n"
        f'mqtt {{ listen: 127.0.0.1:{mqtt}, ack_wait: "1s" }}\n'
    )
    child = await asyncio.create_subprocess_exec(
        str(find_binary()),
        "-c",
        str(settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield mqtt
    finally:
        child.kill()
        await child.wait()


async def test_what_a_dead_gateway_had_not_committed_comes_to_the_next(
    tmp_path: Path, utility: Utility
) -> None:
    async with asyncio.timeout(30), impatient_broker(tmp_path) as port:
        url = f"mqtt://127.0.0.1:{port}"
        utility.sink.going.clear()
        gateway = BrokerGateway(url, utility.sorter, name="gateway")
        running = asyncio.ensure_future(gateway.run())
        try:
            await gateway.connected.wait()
            async with aiomqtt.Client("127.0.0.1", port, identifier="m1") as meter:
                await meter.publish("meters/M1/reading", b'{"at":1774951200,"energy_wh":7}', qos=1)
            await until(lambda: utility.sink.asked > 0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            utility.sink.gone = 100  # what is under way dies with the gateway
            utility.sink.going.set()
            await until(lambda: utility.sink.gone < 100)
            utility.sink.gone = 0
            assert not await utility.rows()
            running = asyncio.ensure_future(BrokerGateway(url, utility.sorter, name="gateway").run())
            await until(lambda: _has(utility, ("M1", 7)))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class Unlucky(Sorter):
    """Its first answers do not get out: as when the broker takes nothing for a while, and goes on."""

    misses = 3

    async def take(self, messages: Sequence[Message]) -> list[Message]:
        if self.misses:
            self.misses -= 1
            raise aiomqtt.MqttError("Operation timed out")
        return await super().take(messages)


async def test_an_answer_that_did_not_get_out_is_not_the_end_of_hearing(
    tmp_path: Path, utility: Utility
) -> None:
    sorter = Unlucky(utility.intake, utility.roster, StoppedClock(), RECIFE)
    async with asyncio.timeout(30), impatient_broker(tmp_path) as port:
        gateway = BrokerGateway(f"mqtt://127.0.0.1:{port}", sorter, name="gateway")
        running = asyncio.ensure_future(gateway.run())
        try:
            await gateway.connected.wait()
            async with aiomqtt.Client("127.0.0.1", port, identifier="m1") as meter:

                async def said() -> bool:
                    await meter.publish("meters/M1/reading", b'{"at":1774951200,"energy_wh":7}', qos=1)
                    return ("M1", 7) in await utility.stored()

                await until(said, timeout_s=20)
            assert not sorter.misses
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_it_waits_for_a_broker_that_is_not_there_yet(utility: Utility) -> None:
    gateway = BrokerGateway("mqtt://127.0.0.1:1", utility.sorter, name="gateway")
    running = asyncio.ensure_future(gateway.run())
    await asyncio.sleep(0)
    assert not gateway.connected.is_set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _has(utility: Utility, row: tuple[object, object]) -> bool:
    return row in await utility.stored()
