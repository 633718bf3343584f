"""The tariffs of homes over HTTP."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from litestar import Router

from eletrovia.api.body import StrictBody
from eletrovia.api.routes.tariffs import home_tariffs
from eletrovia.metering.tariffbook import carried_book


@pytest.fixture
def asked(operator: Any) -> Any:
    routes = home_tariffs(carried_book, lambda: date(2026, 9, 8))
    operator.app.register(Router("/api/v1", dto=StrictBody, return_dto=None, route_handlers=[routes]))

    async def ask(path: str) -> tuple[int, Any]:
        status, body, _ = await operator.ask("GET", f"/api/v1/home-tariffs{path}")
        return status, body

    return ask


async def test_all_tariffs_by_name(asked: Any) -> None:
    status, body = await asked("")
    assert status == 200
    branca = next(one for one in body["tariffs"] if one["id"] == "cariri-b1-branca")
    assert branca["kind"] == "windows"
    assert branca["fictional"] is True
    assert {"id": "vila-cariri", "name": "Vila Cariri"} in body["municipalities"]


async def test_a_tariff_today_and_on_a_holiday(asked: Any) -> None:
    status, today = await asked("/cariri-b1-branca")
    assert (status, today["on"], today["working_day"], len(today["windows"])) == (200, "2026-09-08", True, 5)
    peak = today["windows"][2]
    assert (peak["name"], peak["starts_at"], peak["ends_at"]) == ("peak", "17:30:00", "20:30:00")
    assert Decimal(peak["prices"][0]["with_taxes"]) > Decimal(peak["prices"][0]["before_taxes"])
    _, holiday = await asked("/cariri-b1-branca?on=2026-09-07")
    assert (holiday["working_day"], len(holiday["windows"])) == (False, 1)


async def test_taxes_go_by_usage(asked: Any) -> None:
    shares = []
    for use in (40, 60):
        _, day = await asked(f"/cariri-b1-convencional?use_kwh={use}")
        shares.append(next(Decimal(tax["share"]) for tax in day["taxes"] if tax["name"] == "ICMS"))
    assert shares == [0, Decimal("0.20")]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "tariff.unknown"),
        ("/cariri-b1-branca?on=1999-12-31", 404, "tariff.no_price"),
        ("/cariri-b1-branca?use_kwh=NaN", 422, "tariff.use_impossible"),
        ("/cariri-b1-branca?use_kwh=-1", 422, "tariff.use_impossible"),
        ("/cariri-b1-branca?on=yesterday", 422, None),
    ],
)
async def test_mistakes(asked: Any, path: str, status: int, code: str | None) -> None:
    answered, problem = await asked(path)
    assert answered == status
    assert code is None or problem["code"] == code
    assert problem["detail"]
