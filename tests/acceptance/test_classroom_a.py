"""The 2025 course's clients against the real classroom: as their wire formats are written down, and no more.

They publish before they subscribe, at QoS 0, and know nothing of what answers them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import queue
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psycopg
import pytest

from eletrovia.store.folder import OWNER, StoreFolder

NAMES = [f"central{n}_{kind}" for n in (1, 2, 3) for kind in ("http", "mqtt", "websocket", "api")]
SQUARES = {1: (-3000, -1000), 2: (-1000, 1000), 3: (1000, 3000)}


def moment(text: str) -> datetime:
    """As the course writes it: by this machine's clock."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone()


def text_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def now() -> datetime:
    return datetime.now().astimezone()


CLIENTS = 30


class Classroom:
    """The running supervisor, as the machine sees it: its ports, its processes, its folders."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int], data: Path) -> None:
        self.process = process
        self.ports = ports
        self.data = data

    def port(self, central: int, kind: str) -> int:
        return self.ports[f"central{central}_{kind}"]

    def pid(self, central: int) -> int:
        """The process that is this central now; 0 where there is none."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and words[words.index("--central") + 1] == str(central):
                    return int(folder.name)
        return 0

    def rows(self, central: int, statement: str) -> list[Any]:
        folder = StoreFolder(self.data / f"central{central}" / "postgresql")
        with psycopg.connect(folder.url(folder.home / "socket", OWNER, OWNER)) as connection:
            return connection.execute(statement).fetchall()

    def http(
        self, central: int, path: str, body: Any = None, raw: bytes | None = None
    ) -> tuple[int, Any, Any]:
        """Status, JSON and headers."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        headers = {"Content-Type": "application/json", "Origin": "http://a.page"}
        url = f"http://127.0.0.1:{self.port(central, 'http')}{path}"
        request = urllib.request.Request(url, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def until(self, true: Callable[[], bool], patience_s: float = 30.0) -> None:
        until = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)

    def answers(self, central: int) -> bool:
        try:
            return self.http(central, "/postos")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def classroom() -> Iterator[Classroom]:
    """A supervisor with its three centrals, on ports of the machine's choice."""
    with contextlib.ExitStack() as held:
        names = [*NAMES, "shared_mqtt"]
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    with tempfile.TemporaryDirectory(prefix="eletrovia-classroom-") as folder:
        flags = [part for name, port in ports.items() for part in ("--set", f"classroom.{name}={port}")]
        process = subprocess.Popen(
            [sys.executable, "-m", "eletrovia", "classroom", "--only", "trips", "--data", folder, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Clients may come"):
                break
        else:
            raise AssertionError("".join(said))
        # Nobody reads on: the rest must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        room = Classroom(process, ports, Path(folder))
        assert all(f" {port} " in "".join(said) for port in ports.values()), "".join(said)
        try:
            yield room
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            left = [port for port in ports.values() if not _free(port)]
            assert not left, "ports still open after the end"


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Heard:
    """What one client heard, and after how long."""

    def __init__(self, reply: dict[str, Any], after_s: float, extra: int) -> None:
        self.reply = reply
        self.after_s = after_s
        self.extra = extra
        """How many more replies with this id came within a moment."""


def ask(
    port: int, cliente_id: str, origem: tuple[float, float], destino: tuple[float, float], bateria: float,
    *, patience_s: float = 60.0, transport: Any = "tcp", qos: int = 0, raw: bytes | None = None,
) -> Heard:  # fmt: skip
    """One client of the course's, from its connection to its answer."""
    replies: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
    connected = threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, transport=transport)
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        reply = json.loads(message.payload)
        if reply["cliente_id"] == cliente_id:
            replies.put((time.monotonic(), reply))

    client.on_connect = lambda *_: connected.set()
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert connected.wait(15), "not let in"
        request = {
            "cliente_id": cliente_id,
            "origem": {"x": origem[0], "y": origem[1]},
            "destino": {"x": destino[0], "y": destino[1]},
            "bateria_atual": bateria,
        }
        began_s = time.monotonic()
        client.publish("Solicitar/Reserva", raw or json.dumps(request), qos=qos)
        client.subscribe("Resposta/Reserva", qos=qos)
        try:
            at_s, reply = replies.get(timeout=patience_s)
        except queue.Empty:
            raise AssertionError(f"{cliente_id}: no answer in {patience_s} s") from None
        time.sleep(0.2)
        return Heard(reply, at_s - began_s, replies.qsize())
    finally:
        client.disconnect()
        client.loop_stop()


def check_reply(
    heard: Heard, origem: tuple[float, float], destino: tuple[float, float], bateria: float
) -> None:
    """Everything that the format promises, and that the way can be driven."""
    reply = heard.reply
    assert heard.extra == 0
    assert heard.after_s >= 0.15
    assert reply["status"] == "sucesso", reply
    assert set(reply) == {
        "cliente_id", "postos_reservados", "status", "mensagem", "timestamp", "detalhes_rota",
    }  # fmt: skip
    assert abs(reply["timestamp"] - time.time()) < 120
    *stops, end = reply["detalhes_rota"]
    assert [stop["nome"] for stop in stops] == reply["postos_reservados"]
    here, battery, at = origem, bateria, now() - timedelta(seconds=90)
    for stop in stops:
        assert set(stop) == {"tipo", "nome", "x", "y", "bateria_chegada", "horario_chegada"}
        assert stop["tipo"] == "posto"
        assert re.fullmatch(r"Posto_Central[123]_\d{10}_[A-Za-z0-9]{6}", stop["nome"])
        there = (stop["x"], stop["y"])
        arrival = battery - math.dist(here, there) / 10
        assert stop["bateria_chegada"] == pytest.approx(arrival, abs=0.02)
        assert arrival >= 20 - 1e-6
        arrives = at + timedelta(seconds=math.dist(here, there) / 10)
        assert moment(stop["horario_chegada"]) >= arrives - timedelta(seconds=2)
        here, battery = there, 100.0
        at = moment(stop["horario_chegada"]) + timedelta(seconds=300)
    assert set(end) == {"tipo", "x", "y", "bateria_restante", "horario_chegada"}
    assert end["tipo"] == "destino"
    assert isinstance(end["bateria_restante"], float)
    assert (end["x"], end["y"]) == pytest.approx(destino)
    assert end["bateria_restante"] == pytest.approx(battery - math.dist(here, destino) / 10, abs=0.02)
    assert end["bateria_restante"] >= 20 - 1e-6
    arrives = at + timedelta(seconds=math.dist(here, destino) / 10)
    assert moment(end["horario_chegada"]) >= arrives - timedelta(seconds=2)


def booked(room: Classroom) -> dict[str, list[tuple[str, str]]]:
    """Every booking by station, from all three centrals' REST."""
    found: dict[str, list[tuple[str, str]]] = {}
    for central in (1, 2, 3):
        status, stations, _ = room.http(central, "/postos")
        assert status == 200
        for name, shown in stations.items():
            found[name] = [(one["cliente_id"], one["horario"]) for one in shown["reservas"]]
    return found


def check_ledgers(room: Classroom) -> dict[str, int]:
    """The three databases agree: no hold without its decision, no trip with some of its stops."""

    def count(statement: str) -> int:
        return sum(int(room.rows(central, statement)[0][0]) for central in (1, 2, 3))

    room.until(
        lambda: (
            count("select count(*) from hold where state = 'held'")
            + count("select count(*) from outbox")
            + count("select count(*) from trip where state = 'pending'")
            == 0
        )
    )
    decisions = {
        (f"BR*CE{central}", trip, attempt): verdict
        for central in (1, 2, 3)
        for trip, attempt, verdict in room.rows(central, "select trip_id, attempt, verdict from decision")
    }
    confirmed: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for central in (1, 2, 3):
        for home, trip, attempt, stop, state in room.rows(
            central, "select home, trip_id, attempt, stop, state from hold"
        ):
            assert decisions[home, trip, attempt] == state
            if state == "confirmed":
                confirmed.setdefault((home, trip), set()).add((attempt, stop))
        overlapping = """
            select count(*) from hold a join hold b on a.evse_uid = b.evse_uid and a.during && b.during
               and (a.home, a.trip_id, a.attempt, a.stop) < (b.home, b.trip_id, b.attempt, b.stop)
            where a.state <> 'released' and b.state <> 'released'
              and a.ended_by is null and b.ended_by is null"""
        assert room.rows(central, overlapping) == [(0,)]
    trips = 0
    for central in (1, 2, 3):
        for trip, driver, state, attempt, stops in room.rows(
            central,
            """select trip.id, driver_id, state, trip.attempt, cardinality(operators) from trip
               join intent on intent.trip_id = trip.id and intent.attempt = trip.attempt""",
        ):
            trips += 1
            whole = {(attempt, stop) for stop in range(stops)}
            expected = whole if state in ("confirmed", "cancelled") else set()
            assert confirmed.get((f"BR*CE{central}", trip), set()) == expected, (driver, state)
    return {"trips": trips, "holds_confirmed": sum(map(len, confirmed.values()))}


Way = tuple[tuple[float, float], tuple[float, float], float]


def ways(many: int) -> list[Way]:
    """Trips from one central's square to another's, the same in every run."""
    pairs = itertools.cycle([(1, 2), (2, 3), (3, 1), (1, 3), (2, 1), (3, 2)])
    made: list[Way] = []
    for number in range(many):
        start, goal = next(pairs)
        (low, high), (there_low, _) = SQUARES[start], SQUARES[goal]
        step = number * 53 % 1600
        origin = (float(low + 200 + step), float(high - 200 - number * 31 % 1600))
        target = (float(there_low + 300 + number * 71 % 1400), float(there_low + 300 + step * 7 % 1400))
        made.append((origin, target, 60.0 + number % 4 * 10))
    return made


def all_at_once(
    room: Classroom, prefix: str, *, meanwhile: Callable[[], None] = lambda: None
) -> tuple[list[tuple[Heard, Way]], list[float]]:
    asked = ways(CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = [
            pool.submit(ask, room.port(number % 3 + 1, "mqtt"), f"{prefix}_{number}", *way)
            for number, way in enumerate(asked)
        ]
        meanwhile()
        heard = [future.result() for future in futures]
    return list(zip(heard, asked, strict=True)), sorted(one.after_s for one in heard)


def told(title: str, times: list[float], heard: list[tuple[Heard, Way]]) -> None:
    """The figures, for ``pytest -s``."""
    good = sum(one.reply["status"] == "sucesso" for one, _ in heard)
    print(
        f"\n{title}: p50 {statistics.median(times):.2f} s, max {times[-1]:.2f} s, {good}/{len(heard)} booked"
    )


def check_bookings_shown(room: Classroom, heard: list[tuple[Heard, Way]]) -> None:
    shown = booked(room)
    for one, _ in heard:
        for stop in one.reply.get("detalhes_rota", [])[:-1]:
            assert (one.reply["cliente_id"], stop["horario_chegada"]) in shown[stop["nome"]]


def test_thirty_at_once_over_three_brokers_all_book(classroom: Classroom) -> None:
    heard, times = all_at_once(classroom, "cliente")
    told("thirty at once", times, heard)
    for one, way in heard:
        check_reply(one, *way)
    assert times[-1] < 20
    assert any(len({stop["nome"][:14] for stop in one.reply["detalhes_rota"][:-1]}) == 3 for one, _ in heard)
    check_bookings_shown(classroom, heard)
    check_ledgers(classroom)


def test_thirty_at_once_and_a_central_killed_in_the_middle(classroom: Classroom) -> None:
    victim = classroom.pid(2)

    def kill() -> None:
        time.sleep(0.12)
        os.kill(victim, signal.SIGKILL)

    heard, times = all_at_once(classroom, "cliente", meanwhile=kill)
    told("thirty at once, central 2 killed", times, heard)
    classroom.until(lambda: classroom.answers(2))
    assert classroom.pid(2) not in (0, victim)
    for one, way in heard:
        if one.reply["status"] == "sucesso":
            check_reply(one, *way)
        else:
            assert set(one.reply) == {"cliente_id", "postos_reservados", "status", "mensagem", "timestamp"}
            assert one.reply["postos_reservados"] == []
    good = [(one, way) for one, way in heard if one.reply["status"] == "sucesso"]
    assert len(good) >= CLIENTS - 3
    check_ledgers(classroom)
    check_bookings_shown(classroom, good)


def test_thirty_at_once_and_a_central_stalled_in_the_middle(classroom: Classroom) -> None:
    stalled = classroom.pid(1)
    wake = threading.Timer(6, os.kill, (stalled, signal.SIGCONT))

    def stall() -> None:
        time.sleep(0.12)
        os.kill(stalled, signal.SIGSTOP)
        wake.start()

    try:
        heard, times = all_at_once(classroom, "cliente", meanwhile=stall)
    finally:
        wake.cancel()
        os.kill(stalled, signal.SIGCONT)
    told("thirty at once, central 1 stalled for 6 s", times, heard)
    good = [(one, way) for one, way in heard if one.reply["status"] == "sucesso"]
    assert len(good) >= CLIENTS - 3
    check_ledgers(classroom)
    check_bookings_shown(classroom, good)


def a_station(room: Classroom, central: int, number: int) -> str:
    return sorted(room.http(central, "/postos")[1])[number]


def in_hours(hours: float) -> str:
    return text_of(now() + timedelta(hours=hours))


def test_the_world_is_five_hundred_stations_a_central(classroom: Classroom) -> None:
    for central, (low, high) in SQUARES.items():
        status, stations, headers = classroom.http(central, "/postos")
        assert status == 200
        assert headers["access-control-allow-origin"] == "*"
        assert len(stations) >= 500
        for name, shown in stations.items():
            assert re.fullmatch(rf"Posto_Central{central}_\d{{10}}_[A-Za-z0-9]{{6}}", name)
            assert set(shown) == {"x", "y", "ocupado", "id", "reservas"}
            assert low <= shown["x"] <= high
            assert low <= shown["y"] <= high
            assert shown["ocupado"] is bool(shown["reservas"])
        assert len({(shown["x"], shown["y"]) for shown in stations.values()}) == len(stations)


def test_a_station_is_booked_shown_and_given_back(classroom: Classroom) -> None:
    wish = {"nome_posto": a_station(classroom, 1, 7), "cliente_id": "ana", "horario_reserva": in_hours(30)}
    status, answer, headers = classroom.http(1, "/reservar", wish)
    assert (status, answer["status"]) == (200, "sucesso"), answer
    assert headers["access-control-allow-origin"] == "*"
    assert set(answer) == {"status", "mensagem", "postos"}
    booking = {"cliente_id": "ana", "horario": wish["horario_reserva"]}
    for shown in (answer["postos"], classroom.http(1, "/postos")[1]):
        assert booking in shown[wish["nome_posto"]]["reservas"]
        assert shown[wish["nome_posto"]]["ocupado"] is True
        assert shown[wish["nome_posto"]]["id"] is not None
    for other in (
        {"cliente_id": "rui"},
        {"horario_reserva": in_hours(31)},
        {"nome_posto": a_station(classroom, 1, 8)},
    ):
        status, answer, _ = classroom.http(1, "/cancelar", wish | other)
        assert (status, answer["status"]) == (404, "erro"), answer
    status, answer, _ = classroom.http(1, "/cancelar", wish)
    assert (status, answer["status"]) == (200, "sucesso"), answer
    assert booking not in classroom.http(1, "/postos")[1][wish["nome_posto"]]["reservas"]
    assert classroom.http(1, "/cancelar", wish)[0] == 404
    assert classroom.http(1, "/reservar", wish)[0] == 200


def test_a_booking_blocks_ten_minutes_either_side_inclusive(classroom: Classroom) -> None:
    name, noon = a_station(classroom, 3, 11), now() + timedelta(hours=40)

    def reserve(seconds: int) -> int:
        at = text_of(noon + timedelta(seconds=seconds))
        body = {"nome_posto": name, "cliente_id": f"c{seconds}", "horario_reserva": at}
        status, answer, _ = classroom.http(3, "/reservar", body)
        assert answer["status"] == ("sucesso" if status == 200 else "erro")
        assert answer["mensagem"]
        return status

    assert reserve(0) == 200
    assert [reserve(seconds) for seconds in (0, 600, -600, 1)] == [409] * 4
    assert [reserve(seconds) for seconds in (601, -601)] == [200] * 2


@pytest.mark.parametrize("route", ["/reservar", "/cancelar"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"nome_posto": None}, 400),
        ({"cliente_id": None}, 400),
        ({"horario_reserva": None}, 400),
        ({"cliente_id": ""}, 400),
        ({"horario_reserva": "amanhã"}, 400),
        ({"horario_reserva": "2030-02-30 10:00:00"}, 400),
        ({"nome_posto": 7}, 400),
        ({"nome_posto": "Posto_Central1_0_nenhum"}, 404),
    ],
)
def test_what_is_missing_malformed_or_unknown_is_told(
    classroom: Classroom, route: str, change: dict[str, Any], expected: int
) -> None:
    body = {"nome_posto": a_station(classroom, 2, 3), "cliente_id": "eva", "horario_reserva": in_hours(5)}
    body = {name: value for name, value in {**body, **change}.items() if value is not None}
    status, answer, headers = classroom.http(2, route, body)
    assert status == expected
    assert answer["status"] == "erro"
    assert answer["mensagem"]
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"])
@pytest.mark.parametrize("route", ["/reservar", "/cancelar", "/adicionar_posto"])
def test_a_body_that_is_none_is_told(classroom: Classroom, route: str, raw: bytes) -> None:
    status, answer, _ = classroom.http(1, route, raw=raw)
    assert (status, answer["status"]) == (400, "erro")


def test_an_added_station_is_known_everywhere(classroom: Classroom) -> None:
    spot = {"x": 1500.5, "y": -2500.25}  # where no station is far and wide
    status, answer, _ = classroom.http(3, "/adicionar_posto", spot)
    assert (status, answer["status"]) == (200, "sucesso"), answer
    assert (answer["posto"]["x"], answer["posto"]["y"]) == (1500.5, -2500.25)
    names = [
        name
        for name, one in classroom.http(3, "/postos")[1].items()
        if (one["x"], one["y"]) == (1500.5, -2500.25)
    ]
    assert len(names) == 1
    assert names[0].startswith("Posto_Central3_")

    def found() -> bool:
        heard = ask(classroom.port(1, "mqtt"), "perto", (900.0, -2300.0), (2000.0, -2700.0), 90.0)
        return heard.reply["postos_reservados"] == names

    classroom.until(found)
    for body in ({"x": 1}, {"x": "um", "y": 2}, {"x": 1e9, "y": 0}, {"x": None, "y": 0}):
        status, answer, _ = classroom.http(3, "/adicionar_posto", body)
        assert (status, answer["status"]) == (400, "erro")


def test_unknown_paths_and_methods_are_told_as_errors_too(classroom: Classroom) -> None:
    assert classroom.http(1, "/nada")[:2][0] == 404
    status, answer, _ = classroom.http(1, "/reservar")
    assert (status, answer["status"]) == (405, "erro")


def test_a_trip_of_another_central_is_called_off_where_its_station_stands(classroom: Classroom) -> None:
    heard = ask(classroom.port(1, "mqtt"), "longe", (-2000.0, -2000.0), (2000.0, 2000.0), 80.0)
    stops = heard.reply["detalhes_rota"][:-1]
    third = [stop for stop in stops if stop["nome"].startswith("Posto_Central3")]
    assert third, heard.reply
    wish = {
        "nome_posto": third[0]["nome"],
        "cliente_id": "longe",
        "horario_reserva": third[0]["horario_chegada"],
    }
    status, answer, _ = classroom.http(3, "/cancelar", wish)
    assert (status, answer["status"]) == (200, "sucesso"), answer
    classroom.until(
        lambda: (
            not any(("longe", stop["horario_chegada"]) in booked(classroom)[stop["nome"]] for stop in stops)
        )
    )
    check_ledgers(classroom)


def test_websockets_the_second_door_and_other_qualities_of_service(classroom: Classroom) -> None:
    way = ((-2500.0, -2500.0), (-1500.0, -1500.0), 100.0)
    check_reply(ask(classroom.port(2, "websocket"), "web", *way, transport="websockets"), *way)
    check_reply(ask(classroom.ports["shared_mqtt"], "porta", *way), *way)
    check_reply(ask(classroom.port(3, "mqtt"), "qos", *way, qos=1), *way)


def test_a_reused_id_is_a_new_request_and_a_short_way_needs_no_stop(classroom: Classroom) -> None:
    way = ((0.0, 0.0), (300.0, 400.0), 70.0)
    for _ in range(2):
        heard = ask(classroom.port(2, "mqtt"), "de_novo", *way)
        check_reply(heard, *way)
        assert heard.reply["postos_reservados"] == []
        assert heard.reply["detalhes_rota"][0]["bateria_restante"] == 20.0


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"cliente_id": "torto"}', "malformado"),
        (b'{"cliente_id": "torto", "origem": 1, "destino": 2, "bateria_atual": 3}', "malformado"),
        (
            b'{"cliente_id":"torto","origem":{"x":0,"y":0},"destino":{"x":9,"y":9},"bateria_atual":120}',
            "bateria_atual",
        ),
        (
            b'{"cliente_id":"torto","origem":{"x":0,"y":0},"destino":{"x":1e7,"y":9},"bateria_atual":90}',
            "plano",
        ),
        (
            b'{"cliente_id":"torto","origem":{"x":-2900,"y":2900},"destino":{"x":0,"y":0},"bateria_atual":100}',
            "unidades",
        ),
        (
            b'{"cliente_id":"torto","origem":{"x":0,"y":0},"destino":{"x":900,"y":9},"bateria_atual":0}',
            "bateria",
        ),
    ],
)
def test_what_cannot_be_is_answered_with_its_reason(classroom: Classroom, raw: bytes, said: str) -> None:
    heard = ask(classroom.port(1, "mqtt"), "torto", (0, 0), (0, 0), 0, raw=raw, patience_s=5)
    assert set(heard.reply) == {"cliente_id", "postos_reservados", "status", "mensagem", "timestamp"}
    assert (heard.reply["status"], heard.reply["postos_reservados"]) == ("erro", [])
    assert said in heard.reply["mensagem"].lower(), heard.reply
    assert heard.after_s >= 0.15


def test_a_request_that_comes_while_its_central_is_down_is_answered_after(classroom: Classroom) -> None:
    os.kill(classroom.pid(3), signal.SIGKILL)
    way = ((2500.0, 2500.0), (1500.0, 1500.0), 60.0)
    check_reply(ask(classroom.port(3, "mqtt"), "paciente", *way), *way)
    check_ledgers(classroom)


def test_a_second_classroom_says_which_port_is_taken_and_what_to_do(
    classroom: Classroom, tmp_path: Path
) -> None:
    port = classroom.port(1, "http")
    ran = subprocess.run(
        [
            sys.executable, "-m", "eletrovia", "classroom", "--data", str(tmp_path), "--lang", "en",
            "--set", f"classroom.central1_http={port}",
        ],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    assert ran.returncode == 5
    assert f"Port {port}" in ran.stderr
    assert f"(pid {classroom.pid(1)})" in ran.stderr
    assert "classroom.central1_http" in ran.stderr
