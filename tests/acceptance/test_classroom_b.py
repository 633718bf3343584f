"""The 2023 course's meters over UDP, and its REST, on the real classroom: as curl and raw sockets do it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import free_ports

MeterRoom = Any  # tests.acceptance.conftest

_NUMBERS = count(20_000_000)
START = datetime(2023, 11, 7, 23, 59, 50, tzinfo=UTC)
ROUTES = ["/medicoes/ultima-medicao", "/gerar-fatura", "/alerta-consumo"]


def said(number: int, units: int, second: int = 0) -> bytes:
    """As the course's meter writes it."""
    at = (START + timedelta(seconds=second)).strftime("%d-%m-%Y %H:%M:%S")
    return json.dumps({"matricula": number, "consumo_atual": units, "data_hora": at}).encode()


class Sender:
    """Sends datagrams and waits until they are dealt with."""

    def __init__(self, room: MeterRoom) -> None:
        self.room = room
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.place = ("127.0.0.1", room.ports["meter_udp"])

    def send(self, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self.socket.sendto(datagram, self.place)

    def settle(self, datagrams: list[bytes], sending: Callable[[list[bytes]], None] | None = None) -> Any:
        """What the counters went up by once all these are dealt with."""
        before = self.room.status()["udp"]
        (sending or self.send)(datagrams)
        expected = before["heard"] + len(datagrams)
        self.room.until(lambda: self.done(expected), 60)
        after = self.room.status()["udp"]
        return {name: after[name] - before[name] for name in after if isinstance(after[name], int)}

    def done(self, expected: int) -> bool:
        told = self.room.status()["udp"]
        return told["heard"] + told["dropped_by_kernel"] >= expected and told["waiting"] == 0


@pytest.fixture
def sender(meter_room: MeterRoom) -> Iterable[Sender]:
    made = Sender(meter_room)
    yield made
    made.socket.close()


def ask(room: MeterRoom, path: str, body: Any) -> tuple[int, bytes]:
    status, octets, _ = room.http("meter_http", path, json.dumps(body).encode())
    return status, octets


def asked(room: MeterRoom, path: str, number: int | str) -> tuple[int, bytes]:
    return ask(room, path, {"matricula": str(number)})


@pytest.mark.parametrize(
    ("username", "number", "status"),
    [
        ("amancio123", "13456789", 200), ("jose254", "90825789", 200), ("otavio02", "09812389", 200),
        ("junior04", "03241897", 200), ("junior04", "", 200), ("", "03241897", 200),
        ("", "", 404), ("junior04", "3241897", 404), ("", "3241897", 404), ("jose254", "13456789", 404),
        ("nobody", "", 404), ("", "11111111", 404),
    ],
)  # fmt: skip
def test_users_are_known_by_name_by_number_or_by_both(
    meter_room: MeterRoom, username: str, number: str, status: int
) -> None:
    body = {"username": username, "matricula": number}
    expected = '"Usuário cadastrado"' if status == 200 else '"Usuário não cadastrado"'
    assert ask(meter_room, "/validacao-usuario", body) == (status, expected.encode())


def test_a_meter_never_seen_is_taken_in_and_the_page_s_example_comes_true(
    meter_room: MeterRoom, sender: Sender
) -> None:
    number = next(_NUMBERS)
    for route in ROUTES:
        assert asked(meter_room, route, number) == (404, b'""')
    last, invoice, alert = ROUTES
    sender.settle([said(number, 300)])
    assert asked(meter_room, last, number) == (
        200, b'{"data_hora": "07-11-2023 23:59:50", "consumo": "300"}',
    )  # fmt: skip
    assert asked(meter_room, invoice, number) == (404, b'""')
    sender.settle([said(number, units, second) for second, units in enumerate([370, 440, 515], 1)])
    assert asked(meter_room, invoice, number) == (200, b'{"consumo": 75, "valor_pagamento": 225}')
    assert asked(meter_room, alert, number) == (404, b'""')
    # Past midnight, and into another day of UTC long before.
    sender.settle([said(number, 705, 14)])
    assert asked(meter_room, last, number) == (
        200, b'{"data_hora": "08-11-2023 00:00:04", "consumo": "705"}',
    )  # fmt: skip
    assert asked(meter_room, invoice, number) == (200, b'{"consumo": 190, "valor_pagamento": 570}')
    status, octets = asked(meter_room, alert, number)
    assert (status, octets) == (200, b'{"excesso_consumo": 118.33333333333333}')
    sender.settle([said(number, 706, 20)])
    assert asked(meter_room, alert, number) == (200, b'"Sem consumo excessivo"')
    found = meter_room.rows(
        """select customer_id, source, energy_wh from reading join meter on meter.key = reading.meter
           join usage_point on usage_point.id = meter.id where meter.id = %s order by at""",
        f"uefs-b-{number}",
    )
    assert found == [(None, 6, units * 1000) for units in (300, 370, 440, 515, 705, 706)]


def test_a_number_with_a_leading_zero_is_found_by_it_and_only_by_it(
    meter_room: MeterRoom, sender: Sender
) -> None:
    sender.settle([said(3241897, 5), said(3241897, 9, 1)])  # JSON's integers have no leading zero
    assert asked(meter_room, "/gerar-fatura", "03241897") == (200, b'{"consumo": 4, "valor_pagamento": 12}')
    assert asked(meter_room, "/gerar-fatura", "3241897") == (404, b'""')


def test_what_comes_late_fits_in_and_what_comes_twice_is_one(meter_room: MeterRoom, sender: Sender) -> None:
    number = next(_NUMBERS)
    sent = [said(number, 100 + 10 * second, second) for second in range(6)]
    got = sender.settle([sent[5], sent[0], sent[4], sent[4], sent[2], sent[1], sent[3], sent[0]])
    assert (got["stored"], got["again"]) == (6, 2)
    assert asked(meter_room, "/medicoes/ultima-medicao", number)[1].endswith(b'"consumo": "150"}')
    assert asked(meter_room, "/gerar-fatura", number)[1] == b'{"consumo": 10, "valor_pagamento": 30}'


def test_many_values_of_one_meter_in_one_second_are_all_kept_in_their_order(
    meter_room: MeterRoom, sender: Sender
) -> None:
    number = next(_NUMBERS)
    got = sender.settle([said(number, units) for units in range(1000, 1500)])
    assert (got["stored"], got["rivals"]) == (1, 499)
    assert asked(meter_room, "/medicoes/ultima-medicao", number)[1].endswith(b'"consumo": "1499"}')
    assert asked(meter_room, "/gerar-fatura", number)[1] == b'{"consumo": 1, "valor_pagamento": 3}'
    assert asked(meter_room, "/alerta-consumo", number)[1] == b'"Sem consumo excessivo"'


@pytest.mark.parametrize("route", ["/validacao-usuario", *ROUTES])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}", b'{"matricula": 13456789}', b'{"username": "x"}'],
)
def test_a_body_that_is_none_is_told(meter_room: MeterRoom, route: str, body: bytes) -> None:
    status, octets, headers = meter_room.http("meter_http", route, body)
    assert status == 400
    assert isinstance(json.loads(octets), str)
    assert headers["Content-Type"].startswith("application/json")


def test_other_methods_paths_and_sizes_are_told(meter_room: MeterRoom) -> None:
    for route in ("/validacao-usuario", *ROUTES):
        for method in ("GET", "PUT", "DELETE"):
            status, octets, _ = meter_room.http("meter_http", route, method=method)
            assert status == 405
            assert isinstance(json.loads(octets), str)
    assert meter_room.http("meter_http", "/nada", b"{}")[0] == 404
    assert meter_room.http("meter_http", "/gerar-fatura", b" " * 200_000)[0] == 413
    for number in ("", "x", "0", "1345678９", "134567890", "0" * 8, "-3456789"):
        assert asked(meter_room, "/gerar-fatura", number) == (404, b'""')


BAD = [
    b"", b" ", b"{", b"{}", b"[]", b"null", b"\xff\xfe\x00", b"hello", b"[" * 1500, b"EV" + bytes(60),
    b'{"matricula": "13456789", "consumo_atual": 1, "data_hora": "07-11-2023 10:00:00"}',
    b'{"matricula": 123, "consumo_atual": 1, "data_hora": "07-11-2023 10:00:00"}',
    b'{"matricula": 13456789, "consumo_atual": -1, "data_hora": "07-11-2023 10:00:00"}',
    b'{"matricula": 13456789, "consumo_atual": 1.5, "data_hora": "07-11-2023 10:00:00"}',
    b'{"matricula": 13456789, "consumo_atual": 1, "data_hora": "2023-11-07 10:00:00"}',
    b'{"matricula": 13456789, "consumo_atual": 1, "data_hora": "31-02-2023 10:00:00"}',
    said(13456789, 1)[:-1], said(13456789, 1) + b"x", b"x" * 3000,
]  # fmt: skip


def test_bad_datagrams_are_counted_and_nothing_else(meter_room: MeterRoom, sender: Sender) -> None:
    kept = "select (select count(*) from meter), (select count(*) from reading)"
    before = meter_room.rows(kept)
    got = sender.settle([*BAD, said(13456789, 7, -86_400 * 365 * 40)])
    assert (got["malformed"], got["stored"], got["rivals"]) == (len(BAD), 0, 0)
    assert got["refused"] == 1  # of 1983: no meter of ours is older than 2000
    assert meter_room.rows(kept)[0][1] == before[0][1]
    assert meter_room.rows("select count(*) from meter where id = 'uefs-b-00000123'") == [(0,)]


def _in_a_second(sender: Sender) -> Callable[[list[bytes]], None]:
    def send(datagrams: list[bytes]) -> None:
        began = time.monotonic()
        for place, datagram in enumerate(datagrams):
            sender.socket.sendto(datagram, sender.place)
            if place % 50 == 0:
                time.sleep(max(0.0, began + place / len(datagrams) - time.monotonic()))
        assert time.monotonic() - began < 2

    return send


def test_five_thousand_in_one_second_are_all_stored(meter_room: MeterRoom, sender: Sender) -> None:
    first = 30_000_000
    good = [said(first + place % 1000, 100 + place, place // 1000) for place in range(5_000)]
    mixed = [*good]
    for place in range(0, 5_000, 25):
        mixed.insert(place, BAD[place // 25 % len(BAD)])
    got = sender.settle(mixed, _in_a_second(sender))
    assert (got["stored"], got["malformed"], got["dropped_by_kernel"]) == (5_000, 200, 0)
    for meter in (0, 499, 999):
        assert asked(meter_room, "/gerar-fatura", first + meter)[1] == (
            b'{"consumo": 1000, "valor_pagamento": 3000}'
        )
        shown = json.loads(asked(meter_room, "/medicoes/ultima-medicao", first + meter)[1])
        assert shown["consumo"] == str(100 + 4000 + meter)


def test_fifty_thousand_at_once_are_all_stored(meter_room: MeterRoom, sender: Sender) -> None:
    rmem_max = Path("/proc/sys/net/core/rmem_max")
    if os.geteuid() and rmem_max.exists() and int(rmem_max.read_text()) < 4 << 20:
        pytest.skip("the kernel gives a socket too little room here: net.core.rmem_max under 4 MiB")
    first = 40_000_000
    good = [said(first + place % 10_000, place, place // 10_000) for place in range(50_000)]
    mixed = [one for place, datagram in enumerate(good) for one in
             ([datagram, BAD[place % len(BAD)]] if place % 100 == 0 else [datagram])]  # fmt: skip
    began = time.monotonic()
    got = sender.settle(mixed)
    took_s = time.monotonic() - began
    print(f"\n50,000 datagrams of 10,000 new meters: stored in {took_s:.1f} s")
    assert (got["stored"], got["malformed"], got["dropped_by_kernel"]) == (50_000, 500, 0)
    [(meters, readings)] = meter_room.rows(
        """select count(distinct meter), count(*) from reading join meter on meter.key = reading.meter
           where id >= %s and id < %s""",
        f"uefs-b-{first}",
        f"uefs-b-{first + 10_000}",
    )
    assert (meters, readings) == (10_000, 50_000)


def test_what_was_stored_is_there_after_a_kill(meter_room: MeterRoom, sender: Sender) -> None:
    number = next(_NUMBERS)
    sender.settle([said(number, 10), said(number, 30, 1)])
    meter_room.kill()
    assert asked(meter_room, "/gerar-fatura", number)[1] == b'{"consumo": 20, "valor_pagamento": 60}'
    sender.settle([said(number, 60, 2)])
    assert asked(meter_room, "/gerar-fatura", number)[1] == b'{"consumo": 30, "valor_pagamento": 90}'


def test_a_second_one_says_which_port_is_taken(meter_room: MeterRoom, tmp_path: Path) -> None:
    # Not one that the system gives to outgoing calls: any other test's could take it before the child does.
    base = free_ports(len(meter_room.ports))
    name, free = "meter_udp", dict(zip(meter_room.ports, count(base), strict=False))
    ports = free | {name: meter_room.ports[name]}
    flags = [part for key, port in ports.items() for part in ("--set", f"classroom.{key}={port}")]
    ran = subprocess.run(
        [sys.executable, "-m", "eletrovia", "classroom", "--only", "meters", "--data", str(tmp_path),
         "--lang", "en", *flags],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    assert ran.returncode == 5
    assert f"Port {ports[name]}" in ran.stderr
    assert f"(pid {meter_room.pid()})" in ran.stderr
    assert f"classroom.{name}" in ran.stderr


def test_the_ports_are_shown(meter_room: MeterRoom) -> None:
    assert all(f" {port} " in meter_room.said for port in meter_room.ports.values())
