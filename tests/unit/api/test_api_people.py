"""Registering, logging in and staying so, over HTTP."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest

from eletrovia.base.ids import new_secret
from eletrovia.people.account import Role, Who
from eletrovia.people.token import AccessTokens

DRIVER = {"email": "driver@example.org", "password": "a long sentence", "name": "João", "language": "pt-BR"}
LOGIN = {"email": DRIVER["email"], "password": DRIVER["password"]}


async def test_register_log_in_and_look(operator: Any) -> None:
    status, account, _ = await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    assert status == 201
    assert account.keys() == {"id", "email", "name", "role", "language", "created_at"}
    status, pair, response = await operator.ask("POST", "/api/v1/tokens", json=LOGIN)
    assert status == 201
    assert response.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert await _me(operator, headers) == (200, account)


async def _me(operator: Any, headers: dict[str, str]) -> tuple[int, Any]:
    status, body, response = await operator.ask("GET", "/api/v1/drivers/me", headers=headers)
    assert (status == 401) == ("www-authenticate" in response.headers)
    return status, body


async def test_the_address_can_be_taken_once(operator: Any) -> None:
    await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    status, problem, _ = await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    assert (status, problem["code"]) == (409, "account.email_taken")


async def test_nobody_registers_as_staff(operator: Any) -> None:
    status, problem, _ = await operator.ask("POST", "/api/v1/drivers", json={**DRIVER, "role": "staff"})
    assert (status, problem["code"], problem["facts"]) == (422, "body.unknown_field", {"field": "role"})


async def test_a_wrong_password_is_401_and_too_many_are_429(operator: Any) -> None:
    await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    for _ in range(10):
        status, problem, response = await operator.ask(
            "POST", "/api/v1/tokens", json={**LOGIN, "password": "wrong password"}
        )
        assert (status, problem["code"]) == (401, "login.wrong")
        assert response.headers["www-authenticate"].startswith("Bearer")
    status, problem, response = await operator.ask("POST", "/api/v1/tokens", json=LOGIN)
    assert (status, problem["code"]) == (429, "login.too_many_tries")
    assert 1 <= int(response.headers["retry-after"]) <= 61


async def test_a_refresh_token_shown_twice_ends_the_log_in(operator: Any) -> None:
    await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    _, first, _ = await operator.ask("POST", "/api/v1/tokens", json=LOGIN)
    status, second, _ = await operator.ask(
        "POST", "/api/v1/tokens", json={"refresh_token": first["refresh_token"]}
    )
    assert status == 201
    status, problem, _ = await operator.ask(
        "POST", "/api/v1/tokens", json={"refresh_token": first["refresh_token"]}
    )
    assert (status, problem["code"]) == (401, "token.refresh_reused")
    status, problem, _ = await operator.ask(
        "POST", "/api/v1/tokens", json={"refresh_token": second["refresh_token"]}
    )
    assert (status, problem["code"]) == (401, "token.refresh_unknown")


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@example.org"}, {**LOGIN, "refresh_token": "x"}, {"refresh_token": None}]
)
async def test_half_a_log_in_is_422(operator: Any, body: dict[str, Any]) -> None:
    status, problem, _ = await operator.ask("POST", "/api/v1/tokens", json=body)
    assert (status, problem["code"]) == (422, "token.request_incomplete")


async def test_log_out(operator: Any) -> None:
    await operator.ask("POST", "/api/v1/drivers", json=DRIVER)
    _, pair, _ = await operator.ask("POST", "/api/v1/tokens", json=LOGIN)
    body = {"refresh_token": pair["refresh_token"]}
    for _ in range(2):
        assert (await operator.ask("DELETE", "/api/v1/tokens", json=body))[0] == 204
    assert (await operator.ask("POST", "/api/v1/tokens", json=body))[0] == 401


class _Then:
    """A clock that stands at one moment."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0


async def test_only_good_tokens_open_the_door(operator: Any) -> None:
    headers = await operator.driver()
    assert (await _me(operator, headers))[0] == 200
    good = headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(good, options={"verify_signature": False})
    who = Who(claims["sub"], Role.DRIVER)
    stranger = AccessTokens(new_secret().encode(), "BR*CAR", operator.clock).sign(who)
    neighbour = AccessTokens(operator.secret, "BR*MAN", operator.clock).sign(who)
    old = AccessTokens(operator.secret, "BR*CAR", _Then(operator.clock.now() - timedelta(minutes=16))).sign(
        who
    )
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts
    )
    for token, code in [
        (stranger, "token.unknown"),
        (neighbour, "token.unknown"),
        (old, "token.expired"),
        (unsigned + ".", "token.unknown"),
        ("", "token.missing"),
    ]:
        status, problem = await _me(operator, {"Authorization": f"Bearer {token}"})
        assert (status, problem["code"]) == (401, code)
    for header in ({}, {"Authorization": f"Basic {good}"}, {"Authorization": good}):
        status, problem = await _me(operator, header)
        assert (status, problem["code"]) == (401, "token.missing")
