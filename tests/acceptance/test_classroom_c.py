"""The 2023 course's meters over TCP, and its page, on the real classroom: plain sockets, split and glued."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

MeterRoom = Any  # tests.acceptance.conftest

START = datetime(2023, 11, 7, 21, 4, 0, tzinfo=UTC)


def moment(second: int) -> str:
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S")


class Meter:
    """The course's meter: one message, then one answer of at most 4,096 octets."""

    def __init__(self, room: MeterRoom) -> None:
        self.socket = socket.create_connection(("127.0.0.1", room.ports["meter_tcp"]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.id = ""

    def say(self, octets: bytes) -> bytes:
        self.socket.send(octets)
        return self.socket.recv(4096)

    def join(self) -> str:
        self.id = self.say(json.dumps({"id": 0}).encode()).decode()
        return self.id

    def message(self, kwh: float, second: int, **change: Any) -> bytes:
        told = {"id": self.id, "consumption": kwh, "datetime": moment(second), "type": "/spent"}
        return json.dumps(told | change).encode()

    def spend(self, kwh: float, second: int) -> Any:
        return json.loads(self.say(self.message(kwh, second)))

    def listen(self, answers: int) -> list[Any]:
        """So many answers, however they come: JSON, one behind the other."""
        decoder, text, found = json.JSONDecoder(), "", []
        while len(found) < answers:
            got = self.socket.recv(65_536)
            assert got, "hung up"
            text += got.decode()
            while text:
                try:
                    value, end = decoder.raw_decode(text)
                except ValueError:
                    break
                found.append(value)
                text = text[end:]
        return found


@pytest.fixture
def meter(meter_room: MeterRoom) -> Iterator[Meter]:
    made = Meter(meter_room)
    yield made
    made.socket.close()


def page(room: MeterRoom, path: str, body: Any = None, method: str | None = None) -> Any:
    octets = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer, headers = room.http("meter_tcp", path, octets, method)
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == "*"
    return json.loads(answer) if answer else None


def test_a_meter_joins_tells_and_is_answered_octet_for_octet(meter_room: MeterRoom, meter: Meter) -> None:
    first = meter.say(b'{"id": 0}')
    assert first.isdigit()
    meter.id = first.decode()
    assert not first.startswith(b"0")
    answer = meter.say(meter.message(12.5, 0))
    assert answer == (
        b'{"alert": "within", "id": "%s", "consumption": 12.5, "datetime": "2023-11-07 21:04:00"}' % first
    )
    assert meter.spend(299.999, 1)["alert"] == "within"
    assert meter.spend(300, 2) == {
        "alert": "above", "id": meter.id, "consumption": 300, "datetime": moment(2),
    }  # fmt: skip
    assert int(meter.join()) > int(first), "a second join is another meter"
    assert page(meter_room, f"/measurer/{first.decode()}") is True
    assert page(meter_room, f"/measurer/{meter.id}") is True


def test_what_was_sent_comes_back_exactly_and_in_order(meter_room: MeterRoom, meter: Meter) -> None:
    meter.join()
    assert page(meter_room, f"/historic/{meter.id}") == {"alert": "within", "historic": []}
    assert page(meter_room, f"/invoice/{meter.id}") == {"alert": "within", "invoice": 0.0}
    kwh = [0.1, 0.1 + 0.2, 0.30000000000000009, 1 / 3, 1e-9 + 1, 7, 123.456789012345, 299.99999999]
    sent = [[value, moment(10 + place // 2)] for place, value in enumerate(kwh)]  # two in every second
    for place, value in enumerate(kwh):
        assert meter.spend(value, 10 + place // 2)["consumption"] == value
    assert page(meter_room, f"/historic/{meter.id}") == {"alert": "within", "historic": sent}
    assert page(meter_room, f"/invoice/{meter.id}") == {"alert": "within", "invoice": 120.0}
    meter.spend(299.99999999, 13)  # the same once more is the same
    meter.spend(0.05, 9)  # late
    meter.spend(412.34, 14)
    sent = [[0.05, moment(9)], *sent, [412.34, moment(14)]]
    assert page(meter_room, f"/historic/{meter.id}") == {"alert": "above", "historic": sent}
    assert page(meter_room, f"/invoice/{meter.id}") == {"alert": "above", "invoice": 164.94}


def test_the_page_s_filters(meter_room: MeterRoom, meter: Meter) -> None:
    meter.join()
    sent = [[float(second), moment(second)] for second in range(5)]
    for kwh, second in zip(range(5), range(5), strict=True):
        meter.spend(float(kwh), second)
    for path, rows in (
        ("/historic", sent[2:3]),
        ("/historic/upper", sent[2:]),
        ("/historic/lower", sent[:3]),
    ):
        body = {"id": meter.id, "datetime": moment(2)}
        assert page(meter_room, path, body) == {"alert": "within", "historic": rows}
        assert page(meter_room, path, {**body, "datetime": moment(2).replace(" ", "T")})["historic"] == rows
        assert page(meter_room, path, {**body, "id": "999999"}) is None
        for bad in (b"", b"{", b"[]", {"id": meter.id}, {**body, "datetime": "x"}, {**body, "id": None}):
            assert page(meter_room, path, bad) is None
    assert page(meter_room, "/historic", {"id": meter.id, "datetime": moment(77)})["historic"] == []


def test_readings_by_http_too(meter_room: MeterRoom, meter: Meter) -> None:
    meter.join()
    told = {"id": meter.id, "consumption": 3.25, "datetime": moment(0)}
    answer = {"alert": "within", **told}
    assert page(meter_room, "/spent", told) == answer
    assert page(meter_room, "/spent", {**told, "type": "/spent"}) == answer
    assert page(meter_room, f"/historic/{meter.id}")["historic"] == [[3.25, moment(0)]]


def test_who_and_what_is_unknown(meter_room: MeterRoom) -> None:
    for number in ("0", "999999", "x", "-1", "01", "1.0", "9" * 30, "%C3%A9", ""):
        assert page(meter_room, f"/measurer/{number}") in (False, None)
        assert page(meter_room, f"/historic/{number}") is None
        assert page(meter_room, f"/invoice/{number}") is None
    assert page(meter_room, "/measurer/x") is False
    for path, method in (
        ("/", "GET"),
        ("/nothing", "POST"),
        ("/historic/1", "DELETE"),
        ("/invoice/1", "PUT"),
    ):
        assert page(meter_room, path, b"{}" if method != "GET" else None, method) is None


def test_a_preflight_is_let_through(meter_room: MeterRoom) -> None:
    status, body, headers = meter_room.http("meter_tcp", "/historic", method="OPTIONS")
    assert (status, body) == (200, b"")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "content-type" in headers["Access-Control-Allow-Headers"].lower()


def test_a_number_from_another_server_is_taken_in_and_never_given_again(
    meter_room: MeterRoom, meter: Meter
) -> None:
    number = str(int(meter.join()) + 2)
    meter.id = number
    assert meter.spend(5.5, 0)["id"] == number
    assert page(meter_room, f"/historic/{number}")["historic"] == [[5.5, moment(0)]]
    assert number not in {meter.join() for _ in range(3)}


def test_what_makes_no_sense_is_answered_null_and_counted(meter_room: MeterRoom, meter: Meter) -> None:
    meter.join()
    before = meter_room.status()["tcp"]["malformed"]
    bad = [
        b"{}", b'{"id": 7}', b'{"id": "x", "consumption": 1, "datetime": "2023-11-07 21:04:00"}',
        meter.message(-1, 0), meter.message(1, 0, datetime="07-11-2023 21:04:00"), b'{"id": 0,}',
        meter.message(float("nan"), 0), meter.message(1, 0, consumption="1"), meter.message(1, 0, type="/x"),
    ]  # fmt: skip
    for message in bad:
        assert meter.say(message) == b"null"
    meter.socket.sendall(b"noise }] " + meter.message(1.5, 1) + b"\x00\r\nmore " + meter.message(2.5, 2))
    assert [one["consumption"] for one in meter.listen(2)] == [1.5, 2.5]
    meter.socket.sendall(b'{"id": "' + b"x" * 10_000 + b'"}' + meter.message(3.5, 3))
    assert [one["consumption"] for one in meter.listen(1)] == [3.5]
    assert meter_room.status()["tcp"]["malformed"] == before + len(bad) + 3
    assert meter.spend(4.5, 4)["consumption"] == 4.5


def test_twenty_join_at_once_split_at_every_octet_and_glued(meter_room: MeterRoom) -> None:
    together = threading.Barrier(20)

    def live(turn: int) -> tuple[str, list[Any]]:
        one = Meter(meter_room)
        together.wait()
        for octet in b'{"id": 0}':
            one.socket.send(bytes([octet]))
        one.id = one.socket.recv(4096).decode()
        rows = [[round(turn + 0.01 * second, 2), moment(second)] for second in range(40)]
        messages = [one.message(kwh, second) for second, (kwh, _) in enumerate(rows)]
        # Split at every octet, glued in twos and threes, cut in the middle of both, then all at once.
        for octet in messages[0] + messages[1]:
            one.socket.send(bytes([octet]))
        glued = b"".join(messages[2:20])
        step = 37 + turn
        for start in range(0, len(glued), step):
            one.socket.send(glued[start : start + step])
        one.socket.sendall(b"\n".join(messages[20:]))
        answers = one.listen(40)
        one.socket.close()
        assert [[told["consumption"], told["datetime"]] for told in answers] == rows
        assert {told["id"] for told in answers} == {one.id}
        return one.id, rows

    with ThreadPoolExecutor(20) as pool:
        lives = list(pool.map(live, range(20)))
    assert len({number for number, _ in lives}) == 20
    for number, rows in lives:
        assert page(meter_room, f"/historic/{number}")["historic"] == rows


def test_http_split_at_every_octet_and_many_requests_on_one_connection(
    meter_room: MeterRoom, meter: Meter
) -> None:
    meter.join()
    meter.spend(1.5, 0)
    body = json.dumps({"id": meter.id, "datetime": moment(0)}).encode()
    get = f"GET /invoice/{meter.id} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    post = b"POST /historic HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    last = b"GET /measurer/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for pieces in ([bytes([octet]) for octet in get + post + last], [get + post + last]):
        one = socket.create_connection(("127.0.0.1", meter_room.ports["meter_tcp"]), timeout=30)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            one.sendall(piece)
        heard = b"".join(itertools.takewhile(bool, iter(lambda s=one: s.recv(65_536), None)))  # type: ignore[misc]
        one.close()
        assert heard.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert b'{"alert": "within", "invoice": 0.6}HTTP' in heard
        assert b'"historic": [[1.5, "2023-11-07 21:04:00"]]}HTTP' in heard
        assert heard.endswith(b"\r\n\r\ntrue")


def test_what_only_begins_like_http_ends_the_connection_and_nothing_else(
    meter_room: MeterRoom, meter: Meter
) -> None:
    for octets in (
        b"GET nothing\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 99_999,
    ):
        one = socket.create_connection(("127.0.0.1", meter_room.ports["meter_tcp"]), timeout=30)
        one.sendall(octets)
        assert one.recv(65_536).startswith(b"HTTP/1.1 400 ")
        one.close()
    assert meter.join().isdigit()


def test_everything_answered_is_there_after_kills_and_numbers_go_on(meter_room: MeterRoom) -> None:
    """Server and PostgreSQL are killed, -9, while meters tell and join."""
    answered: dict[str, list[Any]] = {}
    joined: list[str] = []
    over = threading.Event()

    def live(turn: int) -> None:
        second = 0
        while not over.is_set():
            try:
                one = Meter(meter_room)
                number = one.join()
                if not number:
                    continue
                joined.append(number)
                while not over.is_set():
                    second += 1
                    if one.spend(second + turn / 10, second):
                        answered.setdefault(number, []).append([second + turn / 10, moment(second)])
            except (OSError, ValueError):
                time.sleep(0.02)

    with ThreadPoolExecutor(5) as pool:
        lives = [pool.submit(live, turn) for turn in range(5)]
        # PostgreSQL in the middle: its meters wait, and none is turned away.
        for kill in (meter_room.kill, meter_room.kill_store, meter_room.kill):
            known = sum(map(len, answered.values()))
            meter_room.until(lambda known=known: sum(map(len, answered.values())) > known + 50)
            kill()
        over.set()
        for one in lives:
            one.result()
    assert len(joined) == len(set(joined)) >= 10
    for number, rows in answered.items():
        shown = page(meter_room, f"/historic/{number}")["historic"]
        assert shown[: len(rows)] == rows
        assert len(shown) <= len(rows) + 1, "at most the one that nobody was told about"
    assert sum(map(len, answered.values())) > 100


def test_the_same_numbers_go_on_after_a_restart(meter_room: MeterRoom, meter: Meter) -> None:
    number = meter.join()
    meter.spend(8.75, 0)
    meter_room.kill()
    again = Meter(meter_room)
    assert int(again.join()) > int(number)
    again.id = number
    assert again.spend(9.75, 1)["consumption"] == 9.75
    again.socket.close()
    assert page(meter_room, f"/historic/{number}")["historic"] == [[8.75, moment(0)], [9.75, moment(1)]]
