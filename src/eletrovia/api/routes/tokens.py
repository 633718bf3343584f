"""/api/v1/tokens: logging in, staying so, logging out."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, Router, delete, post
from litestar.params import Body, JSONBody

from eletrovia.api.documented import example, problems
from eletrovia.base.errors import Invalid
from eletrovia.people.people import People
from eletrovia.people.token import TokenPair


class LogIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either e-mail address and password, or a refresh token."""

    email: str | None = None
    password: str | None = None
    refresh_token: str | None = None


class LogOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The refresh token of the log-in that ends."""

    refresh_token: str


EXAMPLE = {"email": "driver@example.org", "password": "a long sentence"}
NO_STORE = {"cache-control": "no-store"}  # RFC 6749 §5.1


def tokens(people: People) -> Router:
    """Logging in and out."""

    @post("/", responses=problems(401, 429, body=True), summary="Log in, or refresh", tags=["people"])
    async def log_in(
        data: Annotated[LogIn, Body(examples=example("with a password", EXAMPLE))],
    ) -> Response[TokenPair]:
        """An access token for 15 minutes and a refresh token for 30 days.

        A refresh token is good once: its answer holds the next one. Shown again, it ends the log-in.
        """
        if data.refresh_token is not None and data.email is None and data.password is None:
            pair = await people.refresh(data.refresh_token)
        elif data.refresh_token is None and data.email is not None and data.password is not None:
            pair = await people.log_in(email=data.email, password=data.password)
        else:
            raise Invalid("token.request_incomplete")
        return Response(pair, headers=NO_STORE)

    @delete("/", status_code=204, responses=problems(body=True), summary="Log out", tags=["people"])
    async def log_out(data: JSONBody[LogOut]) -> None:
        """Ends the log-in that the refresh token belongs to; an unknown one is no error."""
        await people.log_out(data.refresh_token)

    return Router("/tokens", route_handlers=[log_in, log_out])
