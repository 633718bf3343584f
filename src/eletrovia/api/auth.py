"""Who asks: the bearer token of a request, and what it may."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from eletrovia.base.errors import Denied
from eletrovia.people.account import Who
from eletrovia.people.people import People

Asked = Request[Who, Any, Any]
"""A request behind ``signed_in``: its ``user`` is who asks."""

SCHEME: Final = "driver"
"""The security scheme's name in the OpenAPI document."""


def signed_in(people: People) -> Guard:
    """Lets through whoever shows a good access token."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], __: BaseRouteHandler) -> None:
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if not token or kind.lower() != "bearer":
            raise Denied("token.missing")
        who = people.authenticate(token.strip())
        connection.scope["user"] = who
        connection.scope["state"]["who"] = who.account_id

    return guard


async def staff_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets through the operator's staff; stands behind ``signed_in``."""
    who: Who = connection.scope["user"]
    if not who.is_staff:
        raise Denied("account.not_staff")
