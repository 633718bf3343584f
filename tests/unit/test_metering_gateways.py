"""Meters come in over real sockets onto a real PostgreSQL; good ones never notice bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eletrovia.base.clock import SystemClock
from eletrovia.metering import frame as wire
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.mailbox import OneByOne
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.tcp import TcpGateway, TcpLimits
from eletrovia.metering.gateways.udp import UdpGateway, UdpLimits
from eletrovia.metering.intake import Intake
from eletrovia.metering.reading import NO_POWER, Fate, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.metering.sender import Rests, Sender, TcpLink, UdpLink
from eletrovia.store.pool import Store

KEYS = DeviceKeys(b"a secret of this test, long enough for all of it")
CLOCK = SystemClock()
AT = 1_770_000_000
METERS = 20
BLOCKED = 19
CONCENTRATOR = 20


class Room:
    """What both gateways need, on one database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.roster = Roster(store, CLOCK)
        self.intake = Intake(ReadingStore(store, CLOCK), self.roster, CLOCK)
        self.seals = Seals(KEYS)

    async def udp(self, **more: Any) -> UdpGateway:
        return await UdpGateway.open(
            "127.0.0.1", 0, intake=self.intake, seals=self.seals, clock=CLOCK, **more
        )

    async def tcp(self, **more: Any) -> TcpGateway:
        return await TcpGateway.open(
            "127.0.0.1", 0, intake=self.intake, seals=self.seals, clock=CLOCK, **more
        )

    async def stored(self) -> list[tuple[int, int, int]]:
        async with self.store.connection() as connection:
            rows = await connection.execute(
                "select meter, extract(epoch from at)::bigint, energy_wh from reading order by 1, 2"
            )
            return [(int(meter), int(at), int(wh)) for meter, at, wh in await rows.fetchall()]


async def furnish(store: Store, meters: int = METERS) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "insert into meter (id, registered_at) select 'M' || g, now() from generate_series(1, %s) g",
            (meters,),
        )
        await connection.execute("update meter set state = 'blocked' where key = %s", (BLOCKED,))
        await connection.execute("update meter set kind = 'concentrator' where key = %s", (CONCENTRATOR,))
        await connection.execute("update meter set via = %s where key in (5, 6)", (CONCENTRATOR,))


@pytest.fixture
async def room(store: Store) -> AsyncIterator[Room]:
    await furnish(store)
    room = Room(store)
    await room.roster.refresh()
    yield room
    await room.intake.close()


def records(meter: int, count: int = 1, *, first: int = 0) -> NDArray[Any]:
    made = np.empty(count, wire.RECORD)
    made["meter"] = meter
    made["at"] = AT + 60 * (first + np.arange(count))
    made["energy_wh"] = 1_000 * meter + first + np.arange(count)
    made["power_w"] = NO_POWER
    return made


def rows(*many: NDArray[Any]) -> list[tuple[int, int, int]]:
    return sorted((int(m), int(at), int(wh)) for some in many for m, at, wh, _ in some.tolist())


def frame(meter: int, sequence: int, content: NDArray[Any], *, backlog: int = 0, epoch: int = 0) -> bytes:
    return wire.readings_frame(
        KEYS.of(meter, epoch), sender=meter, sequence=sequence, backlog=backlog, records=content
    )


def key_of(sender: int) -> bytes:
    return KEYS.of(sender, 0)


class Wild:
    """A datagram socket that says anything, and waits for answers."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect(("127.0.0.1", port))
        self._heard = b""

    def say(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sock.send(datagram)

    async def hear(self) -> wire.Frame:
        if not self._heard:
            self._heard = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 4096), 5)
        end = wire.answer_octets(self._heard[: wire.ANSWER_START_OCTETS])
        octets, self._heard = self._heard[:end], self._heard[end:]
        return wire.opened(octets, key_of)


async def acknowledged(wild: Wild, meter: int, sequence: int) -> wire.Acknowledgement:
    while True:
        heard = await wild.hear()
        if isinstance(heard, wire.Acknowledgement) and (heard.sender, heard.sequence) == (meter, sequence):
            return heard


async def test_udp_answers_after_the_commit(room: Room) -> None:
    gateway = await room.udp()
    wild = Wild(gateway.port)
    wild.say(frame(1, 7, records(1)))
    heard = await acknowledged(wild, 1, 7)
    assert await room.stored() == rows(records(1))
    assert not heard.cut_off
    assert abs(heard.now_s - CLOCK.now().timestamp()) < 5
    wild.say(frame(BLOCKED, 1, records(BLOCKED, 3)))
    assert (await acknowledged(wild, BLOCKED, 1)).cut_off
    wild.say(frame(1, 8, records(1, 0)))  # no reading: what time is it?
    await acknowledged(wild, 1, 8)
    await gateway.close()


async def test_udp_bad_ones_among_good_ones(room: Room) -> None:
    gateway = await room.udp()
    wild = Wild(gateway.port)
    good = [frame(meter, 1, records(meter)) for meter in range(1, 11)]
    wrong_key = wire.readings_frame(
        KEYS.of(2, 0), sender=1, sequence=9, backlog=0, records=records(1, first=9)
    )
    old_key = frame(1, 10, records(1, first=10), epoch=-1)
    stranger = frame(999, 1, records(999))
    bad = [b"", b"E", b"EV", b"\0" * 60, b"{}", good[0][:-1], good[0] + b"\0", b"E" * 60, b"E" * 5_000]
    for place, one in enumerate(good):
        wild.say(one, bad[place % len(bad)], wrong_key, old_key, stranger)
    heard = {(await wild.hear()).sender for _ in range(10)}
    assert heard == set(range(1, 11))
    while gateway.counts.unknown_sender < 10:
        await asyncio.sleep(0.01)
    counts = gateway.counts
    assert (counts.malformed, counts.wrong_tag, counts.unknown_sender) == (10, 20, 10)
    assert counts.kernel_dropped == 0
    assert await room.stored() == rows(*(records(meter) for meter in range(1, 11)))
    await gateway.close()


async def test_who_may_not_speak_is_told_so(room: Room) -> None:
    gateway = await room.udp()
    wild = Wild(gateway.port)
    mixed = np.concatenate([records(5), records(7), records(6), records(998)])
    mixed["at"][2] = 2**32 - 1
    wild.say(frame(CONCENTRATOR, 3, mixed))
    refusal = await wild.hear()
    assert isinstance(refusal, wire.Refusal)
    assert refusal.items == ((1, Fate.NOT_ITS_METER), (2, Fate.FROM_THE_FUTURE), (3, Fate.UNKNOWN_METER))
    assert (await acknowledged(wild, CONCENTRATOR, 3)).refused == 3
    assert await room.stored() == rows(records(5))
    await gateway.close()


async def test_a_new_meter_need_not_wait(room: Room) -> None:
    gateway = await room.udp()
    async with room.store.connection() as connection:
        await connection.execute("insert into meter (id, registered_at) values ('new', now())")
    await asyncio.sleep(0.11)  # the roster looks ten times a second at most
    wild = Wild(gateway.port)
    wild.say(frame(METERS + 1, 1, records(METERS + 1)))
    await acknowledged(wild, METERS + 1, 1)
    await gateway.close()


async def test_plain_system_calls_do_as_well(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eletrovia.metering.gateways.udp.mailbox_on", _one_by_one)
    gateway = await room.udp()
    wild = Wild(gateway.port)
    wild.say(
        *(frame(1, sequence, records(1, first=sequence), backlog=sequence - 1) for sequence in range(1, 99))
    )
    wild.say(b"x" * 3_000)
    await acknowledged(wild, 1, 98)
    assert len(await room.stored()) == 98
    await gateway.close()
    assert gateway.counts.malformed == 1


def _one_by_one(sock: socket.socket) -> OneByOne:
    sock.setblocking(False)
    return OneByOne(sock)


class Shout:
    """A dialect: a meter's number and a register in capitals."""

    async def take(self, said: Any, intake: Intake) -> None:
        columns = wire.columns_of(said, Source.CLASSROOM_UDP)
        await intake.take_surely(columns)

    def decode(self, datagrams: Sequence[bytes]) -> tuple[Any, int]:
        good = [one for one in datagrams if one[1:].isdigit()]
        return np.concatenate([records(int(one[1:])) for one in good]), len(datagrams) - len(good)


async def test_other_dialects_share_the_port(room: Room) -> None:
    gateway = await room.udp(dialects={ord("!"): Shout()})
    wild = Wild(gateway.port)
    wild.say(b"!3", b"!x", b"!4", frame(1, 1, records(1)), b"?4")
    await acknowledged(wild, 1, 1)
    while gateway.waiting or gateway.counts.other_datagrams < 2:
        await asyncio.sleep(0.01)
    assert await room.stored() == rows(records(1), records(3), records(4))
    assert gateway.counts.malformed == 2
    await gateway.close()


# -- streams ---------------------------------------------------------------------------------------------


async def answers(reader: asyncio.StreamReader, meter: int, sequence: int) -> list[wire.Frame]:
    """Everything up to the acknowledgement of this number."""
    heard: list[wire.Frame] = []
    async with asyncio.timeout(5):
        while True:
            head = await reader.readexactly(wire.ANSWER_START_OCTETS)
            octets = head + await reader.readexactly(wire.answer_octets(head) - len(head))
            heard.append(wire.opened(octets, key_of))
            last = heard[-1]
            if isinstance(last, wire.Acknowledgement) and (last.sender, last.sequence) == (meter, sequence):
                return heard


async def test_tcp_split_at_every_octet(room: Room) -> None:
    gateway = await room.tcp()
    one, two = frame(1, 1, records(1)), frame(1, 2, records(1, 2, first=1), backlog=1)
    both = one + two
    for at in range(1, len(both)):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(both[:at])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(both[at:])
        await answers(reader, 1, 2)
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for octet in both:
        writer.write(bytes([octet]))
        await asyncio.sleep(0)
    await answers(reader, 1, 2)
    writer.close()
    assert await room.stored() == rows(records(1, 3))
    await gateway.close()


async def test_tcp_many_frames_glued(room: Room) -> None:
    gateway = await room.tcp()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for sequence in range(1, 501):
        writer.write(frame(1, sequence, records(1, 2, first=2 * sequence), backlog=sequence - 1))
    heard = await answers(reader, 1, 500)
    numbers = [one.sequence for one in heard]
    assert numbers == sorted(numbers)
    assert len(await room.stored()) == 1_000
    writer.close()
    await gateway.close()


@pytest.mark.parametrize(
    "bad",
    [
        b"X",
        b"EV\x02\x01" + bytes(40),
        frame(1, 5, records(1, first=5))[:-1] + b"\xff",
        frame(999, 1, records(999)),
        wire.acknowledgement(KEYS.of(1, 0), sender=1, sequence=1, now_s=1),
    ],
)
async def test_tcp_a_bad_frame_ends_its_connection_only(room: Room, bad: bytes) -> None:
    gateway = await room.tcp()
    good_reader, good_writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    good_writer.write(frame(2, 1, records(2)))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(frame(1, 1, records(1)) + bad + frame(1, 6, records(1, first=6)))
    heard = await asyncio.wait_for(reader.read(), 5)  # to the end: what came before is settled and answered
    assert [wire.opened(heard, key_of).sequence] == [1]
    await answers(good_reader, 2, 1)
    good_writer.write(frame(2, 2, records(2, first=1)))
    await answers(good_reader, 2, 2)
    good_writer.close()
    assert await room.stored() == rows(records(1), records(2, 2))
    assert gateway.counts.malformed + gateway.counts.wrong_tag + gateway.counts.unknown_sender == 1
    await gateway.close()


async def test_tcp_who_does_not_read_is_cut_off(room: Room) -> None:
    gateway = await room.tcp(limits=TcpLimits(unread_s=0.3, each_in_flight=200))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.port))

    async def flood() -> None:
        for sequence in range(1, 100_000):  # refused readings are explained: those answers are long
            many = frame(1, sequence, records(2, 700))
            await asyncio.get_running_loop().sock_sendall(sock, many)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood(), 30)
    assert gateway.counts.stuck == 1
    sock.close()
    await gateway.close()


async def test_tcp_slow_ones_and_silent_ones_make_room(room: Room) -> None:
    limits = TcpLimits(connections=5, unproven=3, first_s=20, frame_s=0.2)
    gateway = await room.tcp(limits=limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(frame(1, 1, records(1)))
    await answers(reader, 1, 1)
    silent = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(6)]
    async with asyncio.timeout(5):
        for early, _ in silent[:3]:
            assert await _end(early)
    silent[5][1].write(frame(2, 1, records(2))[:30])  # begins, and does not go on
    async with asyncio.timeout(5):
        assert await _end(silent[5][0])
    writer.write(frame(1, 2, records(1, first=1)))
    await answers(reader, 1, 2)
    assert gateway.counts.stuck == 1
    assert gateway.counts.turned_away == 3
    for _, one in (*silent, (reader, writer)):
        one.close()
    await gateway.close()


async def _end(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


async def test_tcp_another_language_has_the_whole_connection(room: Room) -> None:
    async def echo(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first + (b"" if first.endswith(b"\n") else await reader.readline()))

    gateway = await room.tcp(others={ord("?"): echo})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"?")
    while gateway.connections == 0:
        await asyncio.sleep(0.01)
    writer.write(b"who\n")
    assert await asyncio.wait_for(reader.read(), 5) == b"?who\n"
    writer.close()
    await gateway.close()


# -- senders ---------------------------------------------------------------------------------------------


async def test_senders_of_both_kinds(room: Room) -> None:
    udp, tcp = await room.udp(), await room.tcp()
    by_udp = await UdpLink.open("127.0.0.1", udp.port)
    by_tcp = await TcpLink.open("127.0.0.1", tcp.port, chance=random.Random(1))
    cut_off: list[bool] = []
    senders = [
        Sender(
            meter,
            KEYS.of(meter, 0),
            by_udp if meter % 2 else by_tcp,
            first_sequence=1_000,
            chance=random.Random(meter),
            window=8,
            on_cut_off=cut_off.append,
        )
        for meter in range(1, METERS)
    ]
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(one.send(records(one.meter, 900)) for one in senders)), 20
    )
    assert all(not outcome.refused for many in outcomes for outcome in many)
    assert await room.stored() == rows(*(records(meter, 900) for meter in range(1, METERS)))
    assert cut_off == [True]
    refused = await senders[0].send(np.concatenate([records(1, first=900), records(2)]))
    assert refused[0].refused == ((1, Fate.NOT_ITS_METER),)
    for one in senders:
        one.close()
    by_udp.close()
    await by_tcp.close()
    await udp.close()
    await tcp.close()


class Lossy:
    """A link that loses much of what it carries, both ways."""

    is_sure = False

    def __init__(self, link: UdpLink, chance: random.Random) -> None:
        self._link = link
        self._chance = chance

    def attach(self, sender: Sender) -> None:
        hear = sender.heard
        sender.heard = lambda octets: hear(octets) if self._chance.random() < 0.8 else None  # type: ignore[method-assign]
        self._link.attach(sender)

    def detach(self, sender: Sender) -> None:
        self._link.detach(sender)

    def carry(self, octets: bytes) -> None:
        for _ in range(self._chance.choice((0, 1, 1, 1, 2))):
            self._link.carry(octets)


async def test_a_network_that_loses_repeats_and_mixes_up_loses_no_reading(room: Room) -> None:
    gateways = [await room.udp(), await room.udp()]
    links = [await UdpLink.open("127.0.0.1", gateway.port) for gateway in gateways]
    senders = [
        Sender(
            meter,
            KEYS.of(meter, 0),
            Lossy(links[meter % 2], random.Random(meter)),
            first_sequence=5,
            chance=random.Random(meter),
            window=16,
            rests=Rests(first_s=0.03, most_s=0.2),
        )
        for meter in range(1, 9)
    ]

    async def tell(one: Sender) -> None:
        posted = [await one.post(records(one.meter, first=number)) for number in range(100)]
        await asyncio.gather(*posted)

    await asyncio.wait_for(asyncio.gather(*map(tell, senders)), 30)
    print([one.repeated for one in senders], gateways[0].counts, gateways[1].counts)
    assert sum(one.repeated for one in senders) > 100
    assert await room.stored() == rows(*(records(meter, 100) for meter in range(1, 9)))
    for link in links:
        link.close()
    for gateway in gateways:
        await gateway.close()


async def test_when_too_much_waits_the_kernel_drops_and_says_so(room: Room) -> None:
    gateway = await room.udp(limits=UdpLimits(waiting=10, buffer_octets=20_000))
    wild = Wild(gateway.port)
    many = [frame(1, number, records(1, first=number), backlog=0) for number in range(1, 3_001)]
    wild.say(*many)
    while gateway.waiting or gateway.counts.datagrams + gateway.counts.kernel_dropped < 3_000:
        await asyncio.sleep(0.01)
    assert gateway.counts.kernel_dropped > 0
    assert len(await room.stored()) == gateway.counts.datagrams
    await gateway.close()


async def test_what_waits_for_the_database_is_counted_in_readings(room: Room) -> None:
    """Half a million datagrams may hold 36 million readings, which no memory does."""
    gateway = await room.udp(limits=UdpLimits(waiting=500))
    wild = Wild(gateway.port)
    many = [frame(1, n, records(1, 70, first=70 * n), backlog=0) for n in range(1, 41)]
    async with room.store.transaction() as connection:
        await connection.execute("lock table reading in access exclusive mode")
        wild.say(*many[:10])
        async with asyncio.timeout(10):
            while gateway.waiting < 500:
                await asyncio.sleep(0.01)
        taken = gateway.counts.datagrams
        wild.say(*many[10:])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while gateway.counts.datagrams <= max(taken, 10):
                    await asyncio.sleep(0.01)
        assert gateway.counts.datagrams <= max(taken, 10), "the rest waits in the kernel"
    async with asyncio.timeout(10):
        while len(await room.stored()) < 40 * 70:
            await asyncio.sleep(0.01)
    await gateway.close()
