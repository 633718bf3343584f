"""Every refusal is a problem document, in the asker's language, and tells nothing it should not."""

from __future__ import annotations

import asyncio
import re
import string
from pathlib import Path
from typing import Any

import pytest

import eletrovia
from eletrovia.api.problems import language_of
from eletrovia.api.sentences import KINDS, SENTENCES, sentence
from eletrovia.base.errors import Denied, Overloaded, Unavailable
from eletrovia.people.account import Language

DRIVERS = "/api/v1/drivers"


def _is_problem(status: int, body: Any, response: Any) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status == response.status
    assert {"type", "title", "status", "detail", "code", "instance"} <= body.keys()
    assert body["type"] == f"urn:eletrovia:problem:{body['code']}"


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nothing/here", {}, 404, "route.unknown"),
        ("PATCH", DRIVERS, {}, 405, "route.method_not_allowed"),
        ("POST", DRIVERS, {"data": b'{"email": '}, 400, "body.malformed"),
        ("POST", DRIVERS, {"data": b"\xff\xfe"}, 400, "body.malformed"),
        ("POST", DRIVERS, {"data": b"[" * 500_000}, 422, "body.wrong_type"),
        ("POST", DRIVERS, {"data": b'{"email":' * 90_000}, 422, "body.wrong_type"),
        ("POST", DRIVERS, {"data": b'{"odd":' + b"[" * 500_000}, 422, "body.unknown_field"),
        ("POST", DRIVERS, {"data": b"[]"}, 422, "body.wrong_type"),
        ("POST", DRIVERS, {}, 422, "body.missing"),
        ("POST", DRIVERS, {"json": {"email": 1, "password": "x", "name": "y"}}, 422, "body.wrong_type"),
        ("POST", DRIVERS, {"json": {"email": "a@example.org"}}, 422, "body.missing_field"),
        ("GET", "/api/v1/stations?limit=ten", {}, 422, "parameter.invalid"),
        ("GET", "/api/v1/stations?limit=0", {}, 422, "parameter.invalid"),
        ("GET", "/api/v1/stations?near=1,2,3", {}, 422, "point.malformed"),
        ("GET", "/api/v1/stations?near=95,0", {}, 422, "point.off_globe"),
        ("GET", "/api/v1/stations?near=Atlantis", {}, 404, "place.unknown"),
        ("GET", "/api/v1/stations?operator=x", {}, 422, "operator.id_malformed"),
        ("GET", "/api/v1/stations/BR-CAR/none", {}, 404, "location.unknown"),
        ("GET", "/api/v1/stations/BR-CAR/recife-1/availability?day=1", {}, 422, "day.malformed"),
        ("GET", "/api/v1/vehicles/none", {}, 404, "vehicle.unknown"),
        ("GET", "/api/v1/places", {}, 422, "parameter.missing"),
        ("POST", "/federation/v1/door", {"json": {}}, 409, "hold.taken"),
    ],
)
async def test_a_refusal_is_a_problem(
    operator: Any, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    found, body, response = await operator.ask(method, path, **options)
    _is_problem(status, body, response)
    assert (found, body["code"]) == (status, code)


async def test_a_nul_in_the_address_reaches_no_room(operator: Any) -> None:
    for path in ("/api/v1/vehicles/a%00b", "/api/v1/places?q=a%00b"):
        status, line = await _raw(operator, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status == 400
        assert b"path.malformed" in line


async def _raw(operator: Any, sent: bytes) -> tuple[int, bytes]:
    """What comes back for octets as they are, within a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(operator.url.rsplit(":", 1)[1]))
    try:
        async with asyncio.timeout(2):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(2000)
        return int(head.split()[1]), body
    finally:
        writer.close()


async def test_10_mb_is_413_before_it_is_sent(operator: Any) -> None:
    head = f"POST {DRIVERS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
    status, body = await _raw(operator, head.encode())
    assert status == 413
    assert b"body.too_large" in body


async def test_10_mb_without_a_length_is_413_after_the_first(operator: Any) -> None:
    head = f"POST {DRIVERS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    status, body = await _raw(operator, head + chunk * 11)
    assert status == 413
    assert b"body.too_large" in body


async def test_10_mb_of_json_is_413_for_a_common_client_and_changes_nothing(operator: Any) -> None:
    body = b'{"email": "big@example.org", "password": "a long sentence", "name": "%s"}' % (b"x" * 10_000_000)
    status, problem, response = await operator.ask("POST", DRIVERS, data=body)
    _is_problem(413, problem, response)
    small = {"email": "big@example.org", "password": "a long sentence", "name": "x"}
    assert (status, (await operator.ask("POST", DRIVERS, json=small))[0]) == (413, 201)


async def test_brazilians_read_portuguese(operator: Any) -> None:
    wrong = {"email": "a@example.org", "password": "curta", "name": "João"}
    said = {}
    for accept in ("pt-BR,pt;q=0.9,en;q=0.5", "en-US", "de, en;q=0.3, pt;q=0.2"):
        _, body, response = await operator.ask(
            "POST", DRIVERS, json=wrong, headers={"Accept-Language": accept}
        )
        _is_problem(422, body, response)
        said[response.headers["content-language"]] = (body["title"], body["detail"])
    assert said == {
        "pt-BR": ("Pedido inválido", "A senha precisa de pelo menos 8 caracteres; ela tem 5."),
        "en": ("Invalid request", "The password needs at least 8 characters; it has 5."),
    }


@pytest.mark.parametrize(
    ("accept", "language"),
    [("", "en"), ("pt", "pt-BR"), ("PT-pt", "pt-BR"), ("en;q=0.1,pt;q=0.2", "pt-BR"), ("pt;q=x", "en"),
     ("*", "en"), (",;q=,", "en")],
)  # fmt: skip
def test_the_language_liked_best(accept: str, language: str) -> None:
    assert language_of(accept) == language


@pytest.mark.parametrize("asked", ["1\r\nSet-Cookie: a=b", None, 2.5, [3]])
async def test_what_a_partner_says_never_becomes_a_header(
    operator: Any, trip: dict[str, Any], asked: object
) -> None:
    operator.planner.surprise = Overloaded("hold.busy", retry_after_s=asked)
    headers = await operator.driver()
    status, _, response = await operator.ask("POST", "/api/v1/trips/plan", json=trip, headers=headers)
    assert (status, response.headers["retry-after"]) == (429, "1")
    assert "set-cookie" not in response.headers


async def test_a_partner_that_does_not_know_us_is_not_the_drivers_fault(
    operator: Any, trip: dict[str, Any]
) -> None:
    operator.planner.surprise = Denied("federation.denied", operator_id="BR*MAN")
    headers = await operator.driver()
    status, _, response = await operator.ask("POST", "/api/v1/trips/plan", json=trip, headers=headers)
    assert status == 403, "401 would make every client log in again"
    assert "www-authenticate" not in response.headers


async def test_a_surprise_is_an_incident_and_tells_no_more(
    operator: Any, trip: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    operator.planner.surprise = RuntimeError("secret of the house")
    status, body, response = await operator.ask(
        "POST", "/api/v1/trips/plan", json=trip, headers=await operator.driver()
    )
    _is_problem(500, body, response)
    assert body["incident"] == response.headers["x-request-id"]
    assert body["incident"] in body["detail"]
    assert "secret" not in str(body)
    assert "Traceback" not in str(body)
    logged = capsys.readouterr().out
    assert "secret of the house" in logged
    assert body["incident"] in logged
    assert status == 500


async def test_where_the_database_stands_is_not_told(operator: Any, trip: dict[str, Any]) -> None:
    operator.planner.surprise = Unavailable("store.unreachable", reason="connection to 10.0.0.7:5432 failed")
    _, body, response = await operator.ask(
        "POST", "/api/v1/trips/plan", json=trip, headers=await operator.driver()
    )
    _is_problem(503, body, response)
    assert (body["code"], body.get("facts", {})) == ("store.unreachable", {})
    assert "10.0.0.7" not in str(body)


async def test_a_part_that_does_not_answer_is_503(operator: Any, trip: dict[str, Any]) -> None:
    operator.planner.surprise = TimeoutError()
    _, body, response = await operator.ask(
        "POST", "/api/v1/trips/plan", json=trip, headers=await operator.driver()
    )
    _is_problem(503, body, response)
    assert response.headers["retry-after"] == "1"


_RAISED = re.compile(
    r"\b(?:Invalid|Denied|NotFound|Conflict|Overloaded|Unavailable|Setback)\(\s*(?:code=)?\"([a-z_]+\.[a-z_]+)\""
)
# Errors of setting a machine up, of files and of programming end at the command line, never at the API.
_NOT_FOR_DRIVERS = (
    "bbox.", "connection.", "connector.", "demo.", "field.", "gazetteer.", "line.", "live.", "partner.",
    "plan.", "roads.", "station.", "stations.", "evse.status_unknown", "token.secret_too_short", "topic.",
    "vehicle.file_", "vehicle.port_unknown",
)  # fmt: skip


def test_every_code_has_its_sentence() -> None:
    sources = Path(eletrovia.__file__).parent
    raised = {
        code
        for room in ("base", "people", "booking", "planning", "charging", "federation", "api")
        for path in (sources / room).rglob("*.py")
        for code in _RAISED.findall(path.read_text())
        if not code.startswith(_NOT_FOR_DRIVERS)
    }
    assert len(raised) > 30
    assert raised - SENTENCES.keys() == set()


def test_sentences_are_whole_in_both_languages() -> None:
    for code, (english, portuguese) in {**SENTENCES, **KINDS}.items():
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(said) if name}
            for said in (english, portuguese)
        ]
        assert fields[0] == fields[1], code
        assert english != portuguese, code
        assert english.endswith("."), code
        assert portuguese.endswith("."), code


def test_a_template_reaches_nothing_inside_a_fact() -> None:
    told = sentence(
        "body.wrong_type", "invalid", {"field": "{problem.__class__}", "problem": object}, Language.ENGLISH
    )
    assert "{problem.__class__}" in told


def test_a_reason_has_its_own_words() -> None:
    facts = {"reason": "battery", "short_km": "12.5", "after": "A", "before": "B"}
    assert "12.5 km" in sentence("trip.no_way", "invalid", facts, Language.ENGLISH)
    assert "No way" in sentence("trip.no_way", "invalid", {"reason": "odd"}, Language.ENGLISH)


def test_an_unknown_code_still_says_something() -> None:
    assert "odd.code" in sentence("odd.code", "conflict", {}, Language.PORTUGUESE)
