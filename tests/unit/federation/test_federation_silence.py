"""Partners that do not answer: told as such, not waited for, and found again."""

from __future__ import annotations

import asyncio
import time

import pytest

from eletrovia.base.errors import Denied, Unavailable


async def test_a_partner_that_is_gone_is_unavailable_at_once_and_comes_back(
    partners, request_of, eventually
) -> None:
    car, man = partners
    await man.client.hold("BR*CAR", request_of("BR*MAN"))
    await car.fall_silent()
    with pytest.raises(Unavailable) as silent:
        await man.client.hold("BR*CAR", request_of("BR*MAN", 2))
    assert silent.value.code == "operator.unreachable"
    assert silent.value.facts["operator_id"] == "BR*CAR"
    reach = man.client.reach("BR*CAR")
    assert not reach.up
    assert reach.since <= man.clock.now()
    began = time.monotonic()
    for number in range(50):
        with pytest.raises(Unavailable):
            await man.client.hold("BR*CAR", request_of("BR*MAN", number))
    assert time.monotonic() - began < 0.5, "a silent partner is waited for"
    await car.serve()
    await eventually(lambda: man.client.reach("BR*CAR").up)  # found by probing, without a call of ours
    assert (await man.client.hold("BR*CAR", request_of("BR*MAN", 3, hour=5))).outcome == "held"
    assert [(name, reach.up) for name, reach in man.reaches] == [("BR*CAR", False), ("BR*CAR", True)]


async def test_a_slow_answer_is_no_answer_and_no_refusal(partners, request_of) -> None:
    car, man = partners
    car.holds.pause_s = 1.0
    began = time.monotonic()
    with pytest.raises(Unavailable) as silent:
        await man.client.hold("BR*CAR", request_of("BR*MAN"))
    assert silent.value.code == "operator.unreachable"
    assert time.monotonic() - began < 0.95
    assert man.client.reach("BR*CAR").up, "one slow answer does not make a partner silent"
    with pytest.raises(Unavailable):
        await man.client.hold("BR*CAR", request_of("BR*MAN", 2))
    assert not man.client.reach("BR*CAR").up
    assert {call.outcome for call in man.calls if call.verb == "hold"} == {"silent"}


async def test_a_partner_that_breaks_inside_has_not_refused(partners, request_of) -> None:
    car, man = partners
    car.holds.fail = RuntimeError("disk on fire")
    with pytest.raises(Unavailable) as silent:
        await man.client.hold("BR*CAR", request_of("BR*MAN"))
    assert "fire" not in str(silent.value)
    car.holds.fail = Unavailable("store.unreachable", secret="host=db7")
    with pytest.raises(Unavailable) as silent:
        await man.client.hold("BR*CAR", request_of("BR*MAN"))
    assert silent.value.code == "operator.unreachable"


async def test_no_call_leaves_for_one_that_is_no_partner(car, request_of) -> None:
    with pytest.raises(Denied) as denied:
        await car.client.hold("BR*SER", request_of("BR*CAR"))
    assert denied.value.code == "operator.not_a_partner"
    assert car.calls == []


async def test_a_partner_that_no_longer_knows_us_denies(partners, request_of) -> None:
    car, man = partners
    man.directory._handshake = None  # so that being told of the revocation does not end it here too
    car.directory._shut("BR*MAN")
    with pytest.raises(Denied) as denied:
        await man.client.hold("BR*CAR", request_of("BR*MAN"))
    assert denied.value.code == "federation.denied"
    assert man.client.reach("BR*CAR").up


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    while await reader.readline() not in (b"\r\n", b""):
        pass
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"replies":' + b"[" * 100_000,
        b'{"replies":[]}',
        b'{"replies":[{},{}]}',
        b'{"replies":[{}]}',
        b'{"replies":[{"reply":{"key":{"trip_id":"trip_9","attempt":1,"stop":0},"outcome":"held"}}]}',
    ],
    ids=["nothing", "html", "nested", "too few", "too many", "no reply", "another's"],
)
async def test_an_answer_that_says_nothing_is_no_answer(partners, request_of, body) -> None:
    car, man = partners
    await car.fall_silent()
    server = await asyncio.start_server(lambda r, w: answering(r, w, body), "127.0.0.1", car.port)
    async with server:
        with pytest.raises(Unavailable) as silent:
            await man.client.hold("BR*CAR", request_of("BR*MAN"))
    assert silent.value.code == "operator.answer_malformed"


async def test_a_connection_that_died_idle_costs_nothing(partners, request_of) -> None:
    """The other side restarts between two calls: the second finds its connection dead and tries another."""
    car, man = partners
    await man.client.hold("BR*CAR", request_of("BR*MAN"))
    await car.fall_silent()
    await car.serve()
    assert (await man.client.hold("BR*CAR", request_of("BR*MAN", 2, hour=3))).outcome == "held"
    assert man.reaches == []
