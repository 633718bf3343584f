"""A station's live state: what goes out comes in, and nobody speaks for another station."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.charging.demo import demo_network
from eletrovia.charging.live import decode_state, encode_state, station_state, station_topic

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOCATION = demo_network("BR*CAR")[0][0]
TOPIC = "operators/BR-CAR/stations/joao-pessoa"


def payload(**changes: Any) -> bytes:
    busy = {LOCATION.evses[0].uid: [Window(AT + HOUR, AT + 2 * HOUR), Window(AT, AT + HOUR)]}
    told = json.loads(encode_state(station_state(LOCATION, busy, sequence=4, at=AT)))
    return json.dumps(told | changes).encode()


def test_what_goes_out_comes_in() -> None:
    state = decode_state(payload(), TOPIC)
    assert station_topic(LOCATION.operator_id, LOCATION.id) == TOPIC
    assert (state.operator_id, state.location_id, state.sequence, state.at) == (
        "BR*CAR",
        "joao-pessoa",
        4,
        AT,
    )
    assert [evse.uid for evse in state.evses] == [evse.uid for evse in LOCATION.evses]
    assert state.evses[0].windows == (Window(AT, AT + HOUR), Window(AT + HOUR, AT + 2 * HOUR))
    assert state.evses[1].windows == ()


def test_the_wire_is_plain() -> None:
    first = json.loads(payload())["evses"][0]
    assert first == {
        "uid": "joao-pessoa-1",
        "status": "AVAILABLE",
        "busy": [
            ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"],
            ["2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"],
        ],
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "live.malformed"),
        (b"\xff", "live.malformed"),
        (payload(sequence=-1), "live.malformed"),
        (payload(at="2026-03-01T12:00:00"), "live.malformed"),
        (payload(evses=[{"uid": "a", "status": "SLEEPY"}]), "live.malformed"),
        (
            payload(evses=[{"uid": "a", "status": "AVAILABLE", "busy": [["2026-03-01T12:00:00Z"] * 2]}]),
            "window.empty",
        ),
        (payload(location_id="recife"), "live.of_another_station"),
        (payload(operator_id="BR*MAN"), "live.of_another_station"),
        (b" " * 1_000_001, "live.too_long"),
    ],
)
def test_what_cannot_be_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_state(data, TOPIC)
    assert caught.value.code == code
