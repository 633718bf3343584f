"""What the 2023 courses' meters write, read and written back; and what is made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.classroom import meter_udp
from eletrovia.classroom.meter_http import MOST_OCTETS, PlainRequest, Requests, answered, may_be_http
from eletrovia.classroom.meter_moment import day_first, written_day_first, written_year_first, year_first
from eletrovia.classroom.meter_sums import alert_of, excess_of_last, invoice_of, invoice_of_last
from eletrovia.classroom.meter_udp import (
    ACCOUNTS,
    Datagrams,
    is_account,
    meter_id_asked,
    meter_id_of,
    units_of,
)
from eletrovia.classroom.meter_words import Filter, Join, Spent, Which, kwh_of, read
from eletrovia.metering.reading import MOST_ENERGY_WH

moments = st.integers(0, 99 * 365 * 86_400).map(
    lambda s: datetime(2000, 1, 2, tzinfo=UTC) + timedelta(seconds=s)
)


def datagram(**change: Any) -> bytes:
    told = {"matricula": 13456789, "consumo_atual": 805, "data_hora": "07-11-2023 21:04:09"}
    return json.dumps({name: value for name, value in (told | change).items() if value is not ...}).encode()


def spent(**change: Any) -> bytes:
    told = {"id": "1", "consumption": 1.5, "datetime": "2023-11-07 21:04:09", "type": "/spent"}
    return json.dumps({name: value for name, value in (told | change).items() if value is not ...}).encode()


@given(moments)
def test_local_times_come_back_as_they_were_written(at: datetime) -> None:
    day, year = at.strftime("%d-%m-%Y %H:%M:%S"), at.strftime("%Y-%m-%d %H:%M:%S")
    assert written_day_first(day_first(day)) == day
    assert written_year_first(year_first(year)) == year
    assert day_first(day) == year_first(year)


def test_local_times_are_three_hours_behind() -> None:
    assert day_first("31-12-2023 23:30:00") == datetime(2024, 1, 1, 2, 30, tzinfo=UTC)
    assert year_first("2023-12-31T23:30") == datetime(2024, 1, 1, 2, 30, tzinfo=UTC)


BAD_MOMENTS = ["", "x", "32-01-2023 00:00:00", "1-1-2023 0:0:0", "2023-01-01 00:00:00", "01-01-2023 24:00:00",
               "01-01-2023 00:00:00 ", "01/01/2023 00:00:00", "٠١-01-2023 00:00:00", "01-01-0000 00:00:00",
               "01-01-2023T00:00:00", "31-12-9999 23:59:59"]  # fmt: skip


@pytest.mark.parametrize("text", BAD_MOMENTS)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        day_first(text)


# -- over UDP -----------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(10**6, 10**8 - 1), st.integers(0, MOST_ENERGY_WH // 1000), moments), max_size=20
    )
)
def test_datagrams_are_read_in_order_and_exactly(told: list[tuple[int, int, datetime]]) -> None:
    sent = [
        datagram(matricula=number, consumo_atual=units, data_hora=at.strftime("%d-%m-%Y %H:%M:%S"))
        for number, units, at in told
    ]
    got = Datagrams(sent)
    assert got.bad == []
    assert (got.numbers, got.units) == ([one[0] for one in told], [one[1] for one in told])
    assert [units_of(units * meter_udp.WH_PER_UNIT) for units in got.units] == got.units


BAD_DATAGRAMS = [
    b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b'"x"', b"[" * 2000, b'{"a":' * 2000, datagram()[:-3],
    datagram() + b"x", datagram(matricula=...), datagram(consumo_atual=...), datagram(data_hora=...),
    datagram(matricula=None), datagram(matricula="13456789"), datagram(matricula=1.5),
    datagram(matricula=True),
    datagram(matricula=999_999), datagram(matricula=10**8), datagram(matricula=-13456789),
    datagram(consumo_atual=-1), datagram(consumo_atual=1.5), datagram(consumo_atual="805"),
    datagram(consumo_atual=MOST_ENERGY_WH // 1000 + 1), datagram(consumo_atual=10**40),
    *(datagram(data_hora=text) for text in BAD_MOMENTS), datagram(data_hora=5),
]  # fmt: skip


def test_bad_datagrams_are_set_aside_and_the_others_read() -> None:
    got = Datagrams([datagram(), *BAD_DATAGRAMS, datagram(matricula=3241897)])
    assert got.bad == BAD_DATAGRAMS
    assert got.numbers == [13456789, 3241897]


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_datagram_breaks_the_decoder(octets: bytes) -> None:
    assert len(Datagrams([octets, datagram()]).numbers) >= 1


def test_a_leading_zero_counts_where_it_can_be_told() -> None:
    junior = ACCOUNTS["junior04"]
    assert meter_id_asked(junior) == meter_id_of(int(junior)) == "uefs-b-03241897"
    assert meter_id_asked(junior.lstrip("0")) is None
    assert meter_id_asked("13456789") == meter_id_of(13456789)
    # Of a number without an account nobody knows: a datagram tells 1234567 for both.
    assert meter_id_asked("1234567") == meter_id_asked("01234567") == meter_id_of(1234567)
    for nobody in (
        "",
        "0",
        "00000000",
        "123456",
        "123456789",
        "１２３４５６７８",
        "12 34567",
        "-1345678",
        "x",
    ):
        assert meter_id_asked(nobody) is None


@pytest.mark.parametrize(
    ("username", "number", "expected"),
    [
        ("amancio123", "13456789", True), ("jose254", "90825789", True), ("otavio02", "09812389", True),
        ("junior04", "03241897", True), ("junior04", "", True), ("", "03241897", True),
        ("junior04", "3241897", False), ("", "3241897", False), ("jose254", "13456789", False),
        ("", "", False), ("nobody", "", False), ("nobody", "13456789", False), ("Jose254", "", False),
    ],
)  # fmt: skip
def test_who_is_registered(username: str, number: str, expected: bool) -> None:
    assert is_account(username, number) is expected


def test_the_invoice_of_the_page() -> None:
    assert invoice_of_last([615, 805]) == {"consumo": 190, "valor_pagamento": 570}
    assert invoice_of_last([805]) is None
    assert invoice_of_last([]) is None


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([100, 170, 240, 315, 505], 190 - 215 / 3),  # 118.33…
        ([0, 100, 200, 300, 450], 50.0),  # exactly half as much again
        ([0, 100, 200, 300, 449], None),
        ([0, 10, 20, 30, 40], None),
        ([7, 7, 7, 7, 7], None),
        ([7, 7, 7, 7, 8], 1.0),
        ([0, 0, 0, 1, 1], None),
    ],
)
def test_the_alert_of_the_page(units: list[int], expected: float | None) -> None:
    assert excess_of_last(units) == expected


# -- over TCP -----------------------------------------------------------------------------------------------


@given(st.floats(0, MOST_ENERGY_WH / 1000), moments)
def test_a_register_comes_back_as_the_very_number(kwh: float, at: datetime) -> None:
    written = at.strftime("%Y-%m-%d %H:%M:%S")
    message = read(spent(consumption=kwh, datetime=written))
    assert isinstance(message, Spent)
    reading = message.reading(7)
    assert kwh_of(reading) == kwh
    assert reading.energy_wh <= kwh * 1000 * (1 + 1e-12)
    answer = message.answer()
    assert len(answer) <= 4096
    assert json.loads(answer) == {
        "alert": "above" if int(kwh) >= 300 else "within", "id": "1", "consumption": kwh, "datetime": written,
    }  # fmt: skip


def test_messages_are_told_apart() -> None:
    assert read(b'{"id": 0}') == Join()
    assert read(b'{"id": "0"}') == Join()
    assert isinstance(read(spent(type=...)), Spent)
    assert isinstance(read(spent(id=12)), Spent)
    assert isinstance(read(spent(consumption=3)), Spent)
    wanted = read(b'{"id": "1", "datetime": "2023-11-07 21:04:09"}', "/historic/upper")
    assert isinstance(wanted, Filter)
    assert wanted.which is Which.UPPER
    assert isinstance(read(spent(), "/spent"), Spent)


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, spent(id=...), spent(id=""), spent(id="x"),
        spent(id="-1"), spent(id="01"), spent(id=True), spent(id=False), spent(id="1" * 40), spent(id=["1"]),
        spent(consumption=...), spent(consumption="1"), spent(consumption=True), spent(consumption=-0.1),
        spent(consumption=10**400), spent(consumption=float("nan")), spent(consumption=float("inf")),
        spent(datetime=...), spent(datetime="07-11-2023 21:04:09"), spent(datetime=1), spent(type="/nothing"),
        spent(type=["/spent"]), spent(id="0", type="/spent")[:-2],
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_invalid(octets: bytes) -> None:
    with pytest.raises(Invalid):
        read(octets)


@given(st.binary(max_size=80))
def test_no_octets_break_the_reader(octets: bytes) -> None:
    for path in (None, "/spent", "/historic"):
        try:
            read(octets, path)
        except Invalid:
            continue


@pytest.mark.parametrize(
    ("kwh", "alert", "price"),
    [
        (0.0, "within", 0.0), (299.999, "within", 120.0), (300, "above", 120.0), (300.9, "above", 120.36),
        (12.5, "within", 5.0), (0.0125, "within", 0.01), (1e11, "above", 4e10),
    ],
)  # fmt: skip
def test_alert_and_invoice_of_a_register(kwh: float, alert: str, price: float) -> None:
    assert alert_of(kwh) == alert
    assert invoice_of(kwh) == price


# -- HTTP on the same port ----------------------------------------------------------------------------------

ASKED = (
    b"GET /measurer/1?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /historic/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{\"id\": 1}"
    b"POST /spent HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    b"OPTIONS /historic HTTP/1.1\r\nConnection: close\r\n\r\n"
)  # fmt: skip
HEARD = [
    PlainRequest(method="GET", path="/measurer/1", body=b"", lasting=True),
    PlainRequest(method="POST", path="/historic", body=b'{"id": 1}', lasting=True),
    PlainRequest(method="POST", path="/spent", body=b"abcde", lasting=True),
    PlainRequest(method="OPTIONS", path="/historic", body=b"", lasting=False),
]


@given(st.lists(st.integers(0, len(ASKED)), max_size=6))
def test_requests_come_out_however_the_stream_is_cut(places: list[int]) -> None:
    edges = sorted({0, len(ASKED), *places})
    requests = Requests()
    pieces = [ASKED[start:end] for start, end in pairwise(edges)]
    assert [one for piece in pieces for one in requests.feed(piece)] == HEARD


def test_requests_octet_by_octet() -> None:
    requests = Requests()
    assert [one for n in range(len(ASKED)) for one in requests.feed(ASKED[n : n + 1])] == HEARD


@pytest.mark.parametrize(
    "octets",
    [
        b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n" + b"x" * MOST_OCTETS,
        b"GET /" + b"x" * MOST_OCTETS, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 12_000,
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_or_too_much_of_it_is_refused(octets: bytes) -> None:
    with pytest.raises(Invalid):
        Requests().feed(octets)


def test_who_speaks_http() -> None:
    assert may_be_http(b"GET /") is True
    assert may_be_http(b"G") is None
    assert may_be_http(b"POST") is None
    assert may_be_http(b"{") is False
    assert may_be_http(b"GETTING") is False


def test_answers_are_open_to_every_page() -> None:
    for request in HEARD:
        answer = answered(request, b"null")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Access-Control-Allow-Origin: *\r\n" in answer
        assert b"Content-Length: 4\r\n" in answer
