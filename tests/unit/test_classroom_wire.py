"""What the course's clients send and hear, without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from eletrovia.base.errors import Invalid
from eletrovia.classroom.plane import CENTRALS, one_stop, station
from eletrovia.classroom.sentences import why_not
from eletrovia.classroom.wire import (
    NewStation,
    Spot,
    StationRequest,
    TripRequest,
    client_id_in,
    failure,
    read,
    read_moment,
    success,
    written,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
REQUEST = {
    "cliente_id": "cliente_1",
    "origem": {"x": -2500, "y": -2500.5},
    "destino": {"x": 2500, "y": 2500},
    "bateria_atual": 80,
}


def test_a_request_is_read_as_it_was_written() -> None:
    request = read(json.dumps(REQUEST).encode(), TripRequest)
    assert request.client_id == "cliente_1"
    assert request.origin == Spot(x=-2500.0, y=-2500.5)
    assert request.destination == Spot(x=2500.0, y=2500.0)
    assert request.battery_percent == 80.0


def test_numbers_in_strings_and_fields_that_nobody_asked_for_do_no_harm() -> None:
    loose = REQUEST | {"bateria_atual": "80.5", "origem": {"x": "1", "y": "2"}, "marca": "x"}
    request = read(json.dumps(loose).encode(), TripRequest)
    assert (request.battery_percent, request.origin) == (80.5, Spot(x=1.0, y=2.0))


@pytest.mark.parametrize(
    "change",
    [
        {"cliente_id": ""}, {"cliente_id": 7}, {"cliente_id": "a\u0000b"}, {"cliente_id": "x" * 101},
        {"origem": None}, {"origem": {"x": 1}}, {"origem": [1, 2]}, {"destino": {"x": 1, "y": "longe"}},
        {"bateria_atual": None}, {"bateria_atual": -0.1}, {"bateria_atual": 100.1},
        {"bateria_atual": "cheia"},
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_is_refused_in_portuguese(change: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        read(json.dumps(REQUEST | change).encode(), TripRequest)
    assert refused.value.code == "classroom.malformed"
    assert why_not(refused.value.code, refused.value.facts) == refused.value.facts["mensagem"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 5000, b'{"x": NaN, "y": 1}', b'{"x": 1e999, "y": 1}']
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    for kind in (TripRequest, StationRequest, NewStation):
        with pytest.raises(Invalid):
            read(data, kind)
    assert client_id_in(data) == ""


def test_whose_a_bad_message_is_can_still_be_told() -> None:
    assert client_id_in(b'{"cliente_id": "ana", "origem": 3}') == "ana"
    assert client_id_in(b'{"cliente_id": 3}') == ""
    assert client_id_in(b'["ana"]') == ""


@pytest.mark.parametrize("text", ["", "2030-01-01", "2030-01-01T12:00:00", "2030-13-01 12:00:00", "amanhã"])
def test_moments_have_one_form(text: str) -> None:
    with pytest.raises(Invalid):
        read_moment(text)


@pytest.mark.parametrize("zone", ["UTC", "America/Bahia", "Asia/Kolkata"])
def test_moments_are_by_the_clock_where_the_machine_stands(zone: str) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from eletrovia.classroom.wire import *\n"
            "at = read_moment('2030-01-01 12:00:00')\n"
            "print(at.isoformat(), written(at))",
        ],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(" ", 1)
    hours = {"UTC": 0, "America/Bahia": 3, "Asia/Kolkata": -5.5}[zone]
    assert datetime.fromisoformat(told[0]) == NOON + timedelta(hours=hours)
    assert told[1].strip() == "2030-01-01 12:00:00"


def test_a_success_names_every_stop_and_ends_at_the_destination() -> None:
    name = "Posto_Central1_1760000000_a1B2c3"
    way = one_stop(station(CENTRALS[1], name, Spot(x=-2000.25, y=-1500.5), NOON), NOON)
    reply = json.loads(success("cliente_1", way, NOON))
    assert reply == {
        "cliente_id": "cliente_1",
        "postos_reservados": [name],
        "status": "sucesso",
        "mensagem": "Todos os postos necessários foram reservados",
        "timestamp": NOON.timestamp(),
        "detalhes_rota": [
            {
                "tipo": "posto",
                "nome": name,
                "x": -2000.25,
                "y": -1500.5,
                "bateria_chegada": 20.0,
                "horario_chegada": written(NOON),
            },
            {
                "tipo": "destino",
                "x": -2000.25,
                "y": -1500.5,
                "bateria_restante": 100.0,
                "horario_chegada": written(NOON + timedelta(seconds=300)),
            },
        ],
    }


def test_a_failure_promises_nothing() -> None:
    assert json.loads(failure("ana", "por quê", NOON)) == {
        "cliente_id": "ana",
        "postos_reservados": [],
        "status": "erro",
        "mensagem": "por quê",
        "timestamp": NOON.timestamp(),
    }


@pytest.mark.parametrize(
    ("code", "facts", "said"),
    [
        ("trip.no_way", {"reason": "battery", "after": "-25.0, 3.0", "before": "Posto_Central1_1_a (BR*CE1)",
                         "short_km": "12.5"},
         "A bateria não basta entre a origem e Posto_Central1_1_a: faltam 12.5 unidades"),
        ("trip.no_way", {"reason": "battery", "after": "Posto_Central1_1_a (BR*CE1)", "before": "1.0, 3.0",
                         "short_km": "0.1"},
         "A bateria não basta entre Posto_Central1_1_a e o destino: faltam 0.1 unidades"),
        ("trip.no_way", {"reason": "occupied"},
         "Todos os postos que serviriam estão reservados; nada foi reservado"),
        ("trip.taken", {"attempts": 12},
         "Os postos do caminho foram reservados por outros clientes; nada foi reservado"),
        ("station.unknown", {"nome": "P"}, "Posto P não encontrado"),
        ("station.unknown", {}, "Posto ? não encontrado"),
        ("other.thing", {}, "Não foi possível atender o pedido (other.thing)"),
    ],
)  # fmt: skip
def test_reasons_are_whole_sentences(code: str, facts: dict[str, object], said: str) -> None:
    assert why_not(code, facts) == said
