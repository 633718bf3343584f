"""/api/v1/operators: this operator, its partners, and how staff makes and ends partnerships."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.params import Body, FromPath, JSONBody

from eletrovia.api.auth import signed_in, staff_only
from eletrovia.api.desks import Directory, OperatorCard, PartnerLike, Reach
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.api.routes.stations import operator_id_of
from eletrovia.base.errors import Conflict, Denied, Unavailable
from eletrovia.people.people import People


class Operator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operator as drivers see it. ``up`` is missing where nobody has tried yet."""

    operator_id: str
    name: str
    ourselves: bool = False
    up: bool | None = None
    up_since: datetime | None = None
    """Since when ``up`` has been as it is."""


class OperatorSheet(Operator, frozen=True, kw_only=True, omit_defaults=True):
    """What staff sees beside it."""

    url: str
    status: str
    status_since: datetime | None = None


class Operators(msgspec.Struct, frozen=True, kw_only=True):
    """Ourselves first, then the partners by id."""

    operators: list[Operator]


class OperatorSheets(msgspec.Struct, frozen=True, kw_only=True):
    """Ourselves first, then every operator we know or knew."""

    operators: list[OperatorSheet]


class Joining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the other operator is, and the registration token it gave us."""

    url: str
    registration_token: str


class Inviting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the invitation is good, and for whom, if for one operator only."""

    valid_s: float = 3600.0
    operator_id: str | None = None


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """To be handed to the other operator's staff, once, by a way that nobody else reads."""

    registration_token: str
    url: str
    valid_s: float


JOINING = {"url": "http://127.0.0.1:8002", "registration_token": "given by the other operator's staff"}


def operators(
    own: OperatorCard, directory: Directory | None, reach: Callable[[str], Reach | None], people: People
) -> Router:
    """The federation, as seen from here."""
    staff = [signed_in(people), staff_only]

    def known() -> Directory:
        if directory is None:
            raise Unavailable("operator.alone")
        return directory

    def sheet(card: PartnerLike) -> OperatorSheet:
        reached = reach(card.operator_id)
        return OperatorSheet(
            operator_id=card.operator_id,
            name=card.name,
            up=reached.up if reached else None,
            up_since=reached.since if reached else None,
            url=card.base_url,
            status=str(card.status),
            status_since=card.since,
        )

    @get("/", responses=problems(), summary="Operators", tags=["operators"])
    async def listed() -> Operators:
        """This operator and its partners, and whether each answers now."""
        found = [Operator(operator_id=own.operator_id, name=own.name, ourselves=True, up=True)]
        for card in directory.cards() if directory else ():
            if str(card.status) == "active":
                one = sheet(card)
                found.append(
                    Operator(operator_id=one.operator_id, name=one.name, up=one.up, up_since=one.up_since)
                )
        return Operators(operators=found)

    @get(
        "/sheets",
        guards=staff,
        security=SIGNED_IN,
        responses=problems(403, signed_in=True),
        summary="Operators, in full (staff)",
        tags=["operators"],
    )
    async def sheets() -> OperatorSheets:
        """Every operator that is or was known here, with address and standing; never a secret."""
        ours = OperatorSheet(
            operator_id=own.operator_id,
            name=own.name,
            ourselves=True,
            up=True,
            url=own.url,
            status="ourselves",
        )
        return OperatorSheets(
            operators=[ours, *(sheet(card) for card in (directory.cards() if directory else ()))]
        )

    @post(
        "/",
        guards=staff,
        security=SIGNED_IN,
        responses=problems(403, 409, body=True, signed_in=True),
        summary="Become partners (staff)",
        tags=["operators"],
    )
    async def join(data: Annotated[Joining, Body(examples=example("a neighbour", JOINING))]) -> OperatorSheet:
        """Exchanges credentials with the operator at `url`, which gave us the registration token."""
        try:
            return sheet(await known().join(data.url, data.registration_token))
        except Denied as refused:
            # The other side's refusal; passed on as it is, it would read like one of ours.
            raise Conflict("operator.refused_us", url=data.url, reason=refused.code) from None

    @delete(
        "/{operator:str}",
        status_code=204,
        guards=staff,
        security=SIGNED_IN,
        responses=problems(403, 404, 422, signed_in=True),
        summary="Part (staff)",
        tags=["operators"],
    )
    async def part(operator: FromPath[str]) -> None:
        """Revokes a partner: from now on it gets nothing here."""
        await known().revoke(operator_id_of(operator))

    @post(
        "/invitations",
        guards=staff,
        security=SIGNED_IN,
        responses=problems(403, body=True, signed_in=True),
        summary="Invite (staff)",
        tags=["operators"],
    )
    async def invite(data: JSONBody[Inviting]) -> Invited:
        """Makes a registration token for another operator."""
        token = await known().invite(data.valid_s, data.operator_id)
        return Invited(registration_token=token, url=own.url, valid_s=data.valid_s)

    return Router("/operators", route_handlers=[listed, sheets, join, part, invite])
