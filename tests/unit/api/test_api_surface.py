"""What else the server shows: its document, its stations and partners, its health, its log."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from eletrovia.api.docs import as_openapi_3_0
from eletrovia.api.routes.inventory import LOCATION, TARIFF
from eletrovia.api.routes.stations import split_day
from eletrovia.base.window import Window
from eletrovia.booking.board import EvseRef


async def test_the_document_is_openapi_3_1_and_whole(operator: Any) -> None:
    status, document, _ = await operator.ask("GET", "/api/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    assert document["components"]["securitySchemes"]["driver"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            at = f"{method} {path}"
            if not path.startswith("/api/v1"):
                continue
            assert operation["summary"], at
            assert operation["tags"], at
            for code, answer in operation["responses"].items():
                if int(code) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], f"{at} {code}"
            assert "500" in operation["responses"], at
            if path != "/api/v1/tokens":
                assert ("security" in operation) == ("401" in operation["responses"]), at
            if "requestBody" in operation:
                assert {"400", "413", "422"} <= operation["responses"].keys(), at
    booking = document["paths"]["/api/v1/trips"]["post"]
    assert booking["security"] == [{"driver": []}]
    assert "Idempotency-Key" in [one["name"] for one in booking["parameters"]]
    assert "João Pessoa" in str(document["paths"]["/api/v1/trips/plan"]["post"]) + str(document["components"])


async def test_the_page_needs_nothing_from_elsewhere(operator: Any) -> None:
    status, page, response = await operator.ask("GET", "/api/docs")
    assert status == 200
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    text = page.decode()
    assert "//" not in text
    asked = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(asked) == 5
    for path in asked:
        status, _, _ = await operator.ask("GET", path)
        assert status == 200, path
    _, script, _ = await operator.ask("GET", "/api/docs/start.js")
    assert b"//" not in script
    (document,) = re.findall(rb'url: "([^"]+)"', script)
    status, plain, _ = await operator.ask("GET", document.decode())
    assert (status, plain["openapi"]) == (200, "3.0.3")
    assert '"null"' not in str(plain)
    assert (await operator.ask("GET", "/api/docs/swagger-ui.js.map"))[0] == 404
    assert (await operator.ask("GET", "/api/docs/..%2f__init__.py"))[0] == 404


def test_3_1_in_the_words_of_3_0() -> None:
    assert as_openapi_3_0(
        {
            "openapi": "3.1.0",
            "a": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "b": {"type": ["integer", "null"], "exclusiveMinimum": 0, "examples": [1]},
            "c": {"const": "x"},
            "d": {"oneOf": [{"type": "string"}, {"$ref": "#/y"}, {"type": "null"}]},
        }
    ) == {
        "openapi": "3.0.3",
        "a": {"allOf": [{"type": "string"}], "nullable": True},
        "b": {"type": "integer", "nullable": True, "minimum": 0, "exclusiveMinimum": True, "example": 1},
        "c": {"enum": ["x"]},
        "d": {"oneOf": [{"type": "string"}, {"$ref": "#/y"}], "nullable": True},
    }


async def test_stations_are_found_with_their_prices(operator: Any) -> None:
    status, found, _ = await operator.ask("GET", "/api/v1/stations", params={"near": "-8.1, -34.9", "q": ""})
    assert status == 200
    assert found["stations"][0]["location"]["id"] == "recife-1"
    assert found["stations"][0]["distance_km"] == pytest.approx(5.56, abs=0.01)
    for written in ("BR-CAR", "BR*CAR", "br-car"):
        status, sheet, _ = await operator.ask("GET", f"/api/v1/stations/{written}/recife-1")
        assert (status, sheet["operator_id"]) == (200, "BR*CAR")
        assert sheet["tariffs"][0]["components"][0]["price"] == "1.95"


async def test_a_day_at_a_station_shows_what_is_taken(operator: Any, trip: dict[str, Any]) -> None:
    headers = await operator.driver() | {"Idempotency-Key": "k"}
    assert (await operator.ask("POST", "/api/v1/trips", json=trip, headers=headers))[0] == 201
    assert operator.board.busy(EvseRef("BR*CAR", "E1"))
    path = "/api/v1/stations/BR-CAR/recife-1/availability"
    status, sheet, _ = await operator.ask("GET", path, params={"day": "2030-03-01"})
    assert (status, sheet["day"], sheet["time_zone"]) == (200, "2030-03-01", "America/Recife")
    assert sheet["evses"][0]["taken"] == [
        {"starts_at": "2030-03-01T11:00:00Z", "ends_at": "2030-03-01T11:30:00Z"}
    ]
    assert sheet["evses"][0]["free"] == [
        {"starts_at": "2030-03-01T03:00:00Z", "ends_at": "2030-03-01T11:00:00Z"},
        {"starts_at": "2030-03-01T11:30:00Z", "ends_at": "2030-03-02T03:00:00Z"},
    ]
    assert (await operator.ask("GET", path))[1]["evses"][0]["taken"] == []


def test_a_day_is_cut_at_its_edges() -> None:
    day = Window(datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC))
    start = int(day.starts_at.timestamp())
    free, taken = split_day(
        day, ((start - 50, start + 50), (start + 50, start + 60), (start + 86_300, start + 90_000))
    )
    assert [(w.starts_at.timestamp() - start, w.ends_at.timestamp() - start) for w in free] == [(60, 86_300)]
    assert [(w.starts_at.timestamp() - start, w.ends_at.timestamp() - start) for w in taken] == [
        (0, 50), (50, 60), (86_300, 86_400),
    ]  # fmt: skip
    assert split_day(day, ((start - 50, start - 10), (start - 10, start + 99_999))) == ([], [day])
    assert split_day(day, ()) == ([day], [])


async def test_staff_adds_stations_each_answered_for_itself(operator: Any) -> None:
    staff = await operator.driver("staff@example.org", staff=True)
    foreign = {**LOCATION, "party_id": "MAN"}
    sent = {"locations": [LOCATION, foreign, {"id": 5}, {**LOCATION, "coordinates": {"lat": 99, "lon": 0}}]}
    status, answer, _ = await operator.ask("POST", "/api/v1/stations", json=sent, headers=staff)
    assert (status, answer["kept"], answer["refused"]) == (200, 1, 3)
    codes = [item.get("problem", {}).get("code") for item in answer["items"]]
    assert codes == [None, "location.not_ours", "body.wrong_type", "point.off_globe"]
    assert (await operator.ask("GET", "/api/v1/stations/BR-CAR/recife-1"))[0] == 200
    assert (await operator.ask("GET", "/api/v1/stations/BR-MAN/recife-1"))[0] == 404
    below_zero = {**TARIFF, "components": [{"type": "ENERGY", "price": "-1"}]}
    status, answer, _ = await operator.ask(
        "PUT", "/api/v1/tariffs", json={"tariffs": [TARIFF, below_zero]}, headers=staff
    )
    assert (status, answer["kept"], answer["items"][1]["problem"]["code"]) == (200, 1, "tariff.impossible")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/stations"), ("PUT", "/api/v1/tariffs"), ("POST", "/api/v1/operators"),
     ("POST", "/api/v1/operators/invitations"), ("DELETE", "/api/v1/operators/BR-MAN"),
     ("GET", "/api/v1/operators/sheets")],
)  # fmt: skip
async def test_drivers_are_no_staff(operator: Any, method: str, path: str) -> None:
    status, problem, _ = await operator.ask(method, path, json={}, headers=await operator.driver())
    assert (status, problem["code"]) == (403, "account.not_staff")
    assert (await operator.ask(method, path, json={}))[0] == 401


async def test_an_operator_alone_says_so(operator: Any) -> None:
    staff = await operator.driver("staff@example.org", staff=True)
    assert (await operator.ask("GET", "/api/v1/operators"))[1]["operators"][0]["operator_id"] == "BR*CAR"
    status, problem, _ = await operator.ask("POST", "/api/v1/operators/invitations", json={}, headers=staff)
    assert (status, problem["code"]) == (503, "operator.alone")


async def test_health_tells_of_parts_without_their_secrets(operator: Any) -> None:
    status, health, _ = await operator.ask("GET", "/healthz")
    assert (status, health["status"], health["parts"]["store"]["up"]) == (200, "ok", True)
    operator.broken_part = True
    status, health, _ = await operator.ask("GET", "/healthz")
    assert (status, health["status"]) == (200, "degraded")
    assert health["parts"]["store"]["problem"] == "ConnectionError"
    assert "hunter2" not in str(health)
    assert (await operator.ask("GET", "/healthz?ready=true"))[0] == 503


async def test_figures_are_by_route_not_by_path(operator: Any) -> None:
    for number in range(3):
        await operator.ask("GET", f"/api/v1/vehicles/none-{number}")
        await operator.ask("GET", f"/nothing/{number}")
    _, figures, _ = await operator.ask("GET", "/metrics")
    text = figures.decode()
    assert (
        'eletrovia_http_requests_total{method="GET",route="/api/v1/vehicles/{vehicle_id}",status="404"} 3.0'
        in text
    )
    assert 'route="unmatched",status="404"} 3.0' in text
    assert "none-1" not in text


async def test_the_log_names_who_and_never_a_token(operator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    headers = await operator.driver()
    token = headers["Authorization"].removeprefix("Bearer ")
    capsys.readouterr()
    _, me, response = await operator.ask(
        "GET", f"/api/v1/drivers/me?access_token={token}", headers={**headers, "X-Request-Id": "trace-0001"}
    )
    logged = capsys.readouterr().out
    assert response.headers["x-request-id"] == "trace-0001"
    for word in ("request", "GET", "/api/v1/drivers/me", "200", me["id"], "trace-0001"):
        assert word in logged
    assert token not in logged
    _, _, response = await operator.ask("GET", "/healthz", headers={"X-Request-Id": "odd id; drop"})
    assert response.headers["x-request-id"].startswith("req_")


async def test_cors_is_for_named_origins_only(operator: Any) -> None:
    for origin, allowed in (
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://evil.example", None),
    ):
        _, _, response = await operator.ask("GET", "/api/v1/operators", headers={"Origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed
