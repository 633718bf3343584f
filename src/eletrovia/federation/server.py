"""``/federation/v1``: what other operators may ask of this one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, asgi
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import Receive, Scope, Send

from eletrovia.base.errors import EletroviaError, Invalid, NotFound
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldReply, HoldRequest
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.charging.location import Location
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.batch import Batches, bearer
from eletrovia.federation.directory import Directory
from eletrovia.federation.live import Availability, LivePublisher
from eletrovia.federation.wire import (
    ARRIVE,
    CANCEL,
    DELIVER,
    HOLD,
    PREFIX,
    PROPOSE,
    UNREADABLE,
    Credentials,
    Greeting,
    Page,
    encode,
    problem_of,
)

MOST_LOCATIONS = 500
"""Locations on one page."""

_MOST_CREDENTIALS_OCTETS = 1 << 16


class Holds(Protocol):
    """Whoever keeps the holds on our EVSEs. An error is the answer to its own item."""

    async def hold(
        self, caller: str, requests: Sequence[HoldRequest]
    ) -> Sequence[HoldReply | EletroviaError]: ...

    async def apply(self, caller: str, decisions: Sequence[Decision]) -> Sequence[EletroviaError | None]:
        """Only the home of a hold may decide over it: ``caller`` is who says so."""
        ...

    async def cancel(
        self, caller: str, cancellations: Sequence[Cancellation]
    ) -> Sequence[EletroviaError | None]: ...

    async def arrive(self, caller: str, arrivals: Sequence[Arrival]) -> Sequence[EletroviaError | None]: ...


class Decisions(Protocol):
    """The register of the trips that were asked here."""

    async def propose_all(self, proposals: Sequence[Proposal]) -> Sequence[Decision | EletroviaError]: ...

    async def read(self, key: AttemptKey) -> Decision | None: ...


class Offer(Protocol):
    """What this operator shows its partners of itself."""

    async def own_locations(self) -> Sequence[Location]: ...

    async def own_tariffs(self) -> Sequence[Tariff]: ...


def router(
    directory: Directory, holds: Holds, decisions: Decisions, offer: Offer, live: LivePublisher
) -> Router:
    """The routes. Every one but the credentials exchange is for partners only."""

    def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        return bearer(connection.scope["headers"])

    def partners_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        directory.authenticate(token_of(connection))

    async def propose(caller: str, proposals: Sequence[Proposal]) -> Sequence[Decision | EletroviaError]:
        return await decisions.propose_all(proposals)

    hold_batches = Batches(HOLD, directory.authenticate, holds.hold, lambda request: request.home)
    propose_batches = Batches(PROPOSE, directory.authenticate, propose, lambda proposal: proposal.by)
    deliver_batches = Batches(DELIVER, directory.authenticate, holds.apply)
    cancel_batches = Batches(CANCEL, directory.authenticate, holds.cancel, lambda cancelled: cancelled.home)
    arrive_batches = Batches(ARRIVE, directory.authenticate, holds.arrive, lambda arrival: arrival.home)

    @asgi(HOLD.path, copy_scope=False)
    async def post_holds(scope: Scope, receive: Receive, send: Send) -> None:
        await hold_batches(scope, receive, send)

    @asgi(PROPOSE.path, copy_scope=False)
    async def post_proposals(scope: Scope, receive: Receive, send: Send) -> None:
        await propose_batches(scope, receive, send)

    @asgi(DELIVER.path, copy_scope=False)
    async def post_decisions(scope: Scope, receive: Receive, send: Send) -> None:
        await deliver_batches(scope, receive, send)

    @asgi(CANCEL.path, copy_scope=False)
    async def post_cancellations(scope: Scope, receive: Receive, send: Send) -> None:
        await cancel_batches(scope, receive, send)

    @asgi(ARRIVE.path, copy_scope=False)
    async def post_arrivals(scope: Scope, receive: Receive, send: Send) -> None:
        await arrive_batches(scope, receive, send)

    @get("/decisions/{trip_id:str}/{attempt:int}", guards=[partners_only])
    async def read_decision(trip_id: FromPath[str], attempt: FromPath[int]) -> Decision:
        """What stands for an attempt. 404 proves nothing: it may be decided a moment later."""
        decision = await decisions.read(AttemptKey(trip_id, attempt))
        if decision is None:
            raise NotFound("decision.none_yet", trip_id=trip_id, attempt=attempt)
        return decision

    @get("/locations", guards=[partners_only])
    async def list_locations(
        request: Request[Any, Any, Any],
        offset: Annotated[int, QueryParameter(ge=0)] = 0,
        limit: Annotated[int, QueryParameter(ge=1)] = MOST_LOCATIONS,
        date_from: FromQuery[datetime | None] = None,
    ) -> Response[Page]:
        """Our locations, oldest change first, page by page."""
        if date_from is not None and date_from.tzinfo is None:
            date_from = date_from.replace(tzinfo=UTC)  # OCPI's moments are UTC, with or without the Z
        limit = min(limit, MOST_LOCATIONS)
        wanted = [
            location
            for location in await offer.own_locations()
            if date_from is None or location.last_updated >= date_from
        ]
        wanted.sort(key=lambda location: (location.last_updated, location.id))
        headers = {"X-Total-Count": str(len(wanted)), "X-Limit": str(limit)}
        if offset + limit < len(wanted):
            query = {**request.query_params.dict(), "offset": offset + limit, "limit": limit}
            next_page = request.url.with_replacements(query=urlencode(query, doseq=True))
            headers["Link"] = f'<{next_page}>; rel="next"'
        return Response(Page(wanted[offset : offset + limit], len(wanted)), headers=headers)

    @get("/tariffs", guards=[partners_only])
    async def list_tariffs() -> list[Tariff]:
        """The tariffs that our connectors name."""
        return list(await offer.own_tariffs())

    @get("/availability", guards=[partners_only])
    async def availability(sequence: FromQuery[int] = -1) -> Response[Availability | None]:
        """How all our stations stand; 204 when nothing has changed since ``sequence``."""
        if live.is_at(sequence):
            return Response(None, status_code=204)
        return Response(live.availability())

    @get("/operators")
    async def greet(request: Request[Any, Any, Any]) -> Greeting:
        """Who we are and which version we speak."""
        return await directory.greeting(token_of(request))

    @post("/credentials", status_code=200, request_max_body_size=_MOST_CREDENTIALS_OCTETS)
    async def accept(request: Request[Any, Any, Any]) -> Credentials:
        """Become partners: with a registration token of ours, and yours for us."""
        directory.check_invitation(token_of(request))  # before a stranger's body is read
        return await directory.accept(token_of(request), await _credentials(request))

    @put("/credentials", guards=[partners_only], request_max_body_size=_MOST_CREDENTIALS_OCTETS)
    async def change(request: Request[Any, Any, Any]) -> Credentials:
        """New credentials in both directions."""
        return await directory.change(token_of(request), await _credentials(request))

    @delete("/credentials", status_code=204)
    async def part(request: Request[Any, Any, Any]) -> None:
        """Be partners no longer."""
        await directory.part(token_of(request))

    return Router(
        path=PREFIX,
        route_handlers=[
            post_holds,
            post_proposals,
            post_decisions,
            post_cancellations,
            post_arrivals,
            read_decision,
            list_locations,
            list_tariffs,
            availability,
            greet,
            accept,
            change,
            part,
        ],
        exception_handlers={EletroviaError: on_error},
        tags=["federation"],
    )


def on_error(_: Request[Any, Any, Any], error: EletroviaError) -> Response[bytes]:
    """Our errors as other operators read them; whoever is not let in is told nothing more than that."""
    problem = problem_of(error)
    headers = {"www-authenticate": 'Bearer realm="federation"'} if problem.status == 401 else {}
    return Response(
        encode(problem), status_code=problem.status, media_type="application/problem+json", headers=headers
    )


async def _credentials(request: Request[Any, Any, Any]) -> Credentials:
    try:
        return msgspec.json.decode(await request.body(), type=Credentials)
    except UNREADABLE as error:
        raise Invalid("federation.credentials_malformed", detail=str(error)) from None
