"""/api/v1/drivers: accounts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import Body

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.people.account import Account, Language
from eletrovia.people.people import People


class NewDriver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who would like an account. The password has at least 8 characters."""

    email: str
    password: str
    name: str
    language: Language = Language.ENGLISH


EXAMPLE = {
    "email": "driver@example.org",
    "password": "a long sentence",
    "name": "Driver",
    "language": "pt-BR",
}


def drivers(people: People) -> Router:
    """Registering, and one's own account."""

    @post("/", responses=problems(409, 429, body=True), summary="Register", tags=["people"])
    async def register(data: Annotated[NewDriver, Body(examples=example("a driver", EXAMPLE))]) -> Account:
        """Opens a driver's account. Log in at /api/v1/tokens afterwards."""
        return await people.register(
            email=data.email, password=data.password, name=data.name, language=data.language
        )

    @get(
        "/me",
        guards=[signed_in(people)],
        security=SIGNED_IN,
        responses=problems(404, signed_in=True),
        summary="My account",
        tags=["people"],
    )
    async def me(request: Asked) -> Account:
        """The account that the access token belongs to."""
        return await people.account(request.user.account_id)

    return Router("/drivers", route_handlers=[register, me])
