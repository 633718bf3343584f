"""/api/v1/trips: planning, booking, following, calling off."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import Body, FromPath, FromQuery, HeaderParameter, QueryParameter

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.desks import TripDesk
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.api.problems import problem_response
from eletrovia.api.wanted import KEY, TripWanted
from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.booking.trip import Itinerary, Trip, TripState
from eletrovia.people.account import Who
from eletrovia.people.people import People
from eletrovia.planning.plan import Objective


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """Ways for a trip, best first. Nothing is booked."""

    itineraries: list[Itinerary]


class TripPage(msgspec.Struct, frozen=True, kw_only=True):
    """Trips, newest first. ``next`` is the ``before`` of the following page; null on the last."""

    trips: list[Trip]
    next: str | None = None


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """What calling the trip off would cost now."""

    trip_id: str
    cancellation_fee: Decimal
    currency: str


EXAMPLE = {
    "origin": "João Pessoa",
    "destination": "Feira de Santana",
    "vehicle": "demo-compact",
    "soc": 0.6,
    "departs_at": "2026-03-01T08:00:00-03:00",
    "objective": Objective.EARLIEST.value,
}
Wanted = Annotated[TripWanted, Body(examples=example("over three operators", EXAMPLE))]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Required: the same key with the same body gets the same answer, and books once.",
    ),
]
WaitS = Annotated[
    float,
    QueryParameter(ge=0, le=30, description="How long to wait for the decision, in seconds."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Before = Annotated[str | None, QueryParameter(max_length=64, description="A trip's id.")]


def trips(desk: TripDesk, people: People) -> Router:
    """A driver's trips; somebody else's are not found."""

    async def own(trip_id: str, who: Who) -> Trip:
        trip = await desk.trip(trip_id)
        if trip.driver_id != who.account_id:
            # The same words as for a trip that is not there: nobody learns which ids exist.
            raise NotFound("trip.unknown", trip_id=trip_id)
        return trip

    @post(
        "/plan",
        status_code=200,
        responses=problems(404, 409, body=True, signed_in=True),
        summary="Plan",
        tags=["trips"],
    )
    async def plan(data: Wanted) -> Plans:
        """The best way and its alternatives on what is free now. Books nothing."""
        return Plans(itineraries=await desk.plan(data.ask()))

    @post(
        "/",
        responses=problems(404, 409, 429, body=True, signed_in=True),
        summary="Book, all or nothing",
        description=(
            "201: every stop is confirmed. 202: not known yet; ask at `Location`. 409: nothing is booked; "
            "the problem's `trip` holds the alternatives that were found."
        ),
        tags=["trips"],
    )
    async def book(
        request: Asked, data: Wanted, idempotency_key: Key = None, wait_s: WaitS = 10.0
    ) -> Response[Trip]:
        trip = await desk.book(
            data.ask(),
            driver_id=request.user.account_id,
            idempotency_key=_checked(idempotency_key),
            wait_s=wait_s,
        )
        location = {"location": f"/api/v1/trips/{trip.id}"}
        match trip.state:
            case TripState.FAILED:
                return _failed(request, trip, location)
            case TripState.PENDING:
                return Response(trip, status_code=202, headers={**location, "retry-after": "1"})
            case _:
                return Response(trip, status_code=201, headers=location)

    @get("/", responses=problems(422, signed_in=True), summary="My trips", tags=["trips"])
    async def mine(request: Asked, limit: Limit = 20, before: Before = None) -> TripPage:
        """The driver's own trips, newest first, a page at a time."""
        found = await desk.trips(request.user.account_id, limit=limit, before=before)
        return TripPage(trips=found, next=found[-1].id if len(found) == limit else None)

    @get("/{trip_id:str}", responses=problems(404, signed_in=True), summary="One trip", tags=["trips"])
    async def one(request: Asked, trip_id: FromPath[str]) -> Trip:
        """How a trip stands now."""
        return await own(trip_id, request.user)

    @delete(
        "/{trip_id:str}",
        status_code=200,
        responses=problems(404, 409, signed_in=True),
        summary="Cancel",
        description="Calls a confirmed trip off. With `preview=true` it only says what that would cost.",
        tags=["trips"],
    )
    async def cancel(request: Asked, trip_id: FromPath[str], preview: FromQuery[bool] = False) -> Trip | Fee:
        await own(trip_id, request.user)
        trip = await desk.cancel(trip_id, preview=preview)
        if not preview:
            return trip
        return Fee(
            trip_id=trip.id,
            cancellation_fee=Decimal(0) if trip.cancellation_fee is None else trip.cancellation_fee,
            currency=trip.itinerary.currency if trip.itinerary else "BRL",
        )

    @post(
        "/{trip_id:str}/stops/{stop:int}/arrival",
        status_code=204,
        responses=problems(404, 409, signed_in=True),
        summary="I am here",
        description="Stops count from 0. The slot is then not given up as a no-show.",
        tags=["trips"],
    )
    async def arrive(request: Asked, trip_id: FromPath[str], stop: FromPath[int]) -> None:
        await own(trip_id, request.user)
        await desk.arrive(trip_id, stop)

    return Router(
        "/trips",
        route_handlers=[plan, book, mine, one, cancel, arrive],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )


def _checked(key: str | None) -> str:
    if key is None:
        raise Invalid("trip.idempotency_key_missing")
    if not KEY.fullmatch(key):
        raise Invalid("trip.idempotency_key_malformed")
    return key


def _failed(request: Asked, trip: Trip, headers: dict[str, str]) -> Response[Trip]:
    setback = trip.setback
    error = Conflict(setback.code) if setback else Conflict("trip.no_way")
    if setback:
        error.facts = setback.facts
    response = problem_response(request, error, trip=trip)
    response.headers.update(headers)
    return response  # type: ignore[return-value]  # octets already: a problem, not a trip
