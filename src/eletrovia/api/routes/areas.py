"""/api/v1/areas and /api/v1/usage: what neighbourhoods use, and the whole city."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.documented import SIGNED_IN, problems
from eletrovia.api.span import From, Until, span
from eletrovia.api.streams import Put, Stop, Streams
from eletrovia.base.clock import Clock
from eletrovia.metering.areas import Area, Areas, AreaSlot, now_of
from eletrovia.metering.hours import Hours
from eletrovia.metering.usage import Resolution
from eletrovia.people.people import People

By = Annotated[Resolution, QueryParameter(description="How fine: hour or day.")]


class AreaUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of an area in slots, oldest first; those known of too few meters are left out. Units: Wh."""

    area: str | None
    resolution: Resolution
    time_zone: str
    energy_wh: int
    estimated_wh: int
    slots: list[AreaSlot]


def areas(areas: Areas, hours: Hours, people: People, clock: Clock) -> Router:
    """Sums over many meters, for anybody who is signed in; small areas for staff only."""
    streams = Streams("usage", "usage.too_many_streams")

    async def usage(
        request: Asked, name: str | None, asked: tuple[str | None, str | None], by: Resolution
    ) -> AreaUsage:
        during = span(*asked, now=clock.now(), zone=hours.zone, lasts=timedelta(days=1))
        slots = await areas.series(name, during, by, everything=request.user.is_staff)
        return AreaUsage(
            area=name,
            resolution=by,
            time_zone=hours.zone.key,
            energy_wh=sum(slot.energy_wh for slot in slots),
            estimated_wh=sum(slot.estimated_wh for slot in slots),
            slots=slots,
        )

    async def follow(request: Asked, name: str | None) -> ServerSentEvent:
        everything = request.user.is_staff
        await areas.check(name, everything=everything)  # while it can still be told in an answer

        async def begin(put: Put) -> Stop:
            def hear(total: Any) -> None:
                now = now_of(total, everything=everything)
                if now is not None:
                    put(now)

            stop, now = await areas.follow(name, hear, everything=everything)
            if now is not None:
                put(now)
            return stop

        return streams.answer(
            request.user.account_id, begin, still=lambda: areas.check(name, everything=everything)
        )

    @get("/areas", responses=problems(signed_in=True), summary="Neighbourhoods", tags=["metering"])
    async def listed(request: Asked) -> list[Area]:
        """By name, with what each draws now."""
        return await areas.areas(everything=request.user.is_staff)

    @get(
        "/areas/{area:str}/usage",
        responses=problems(403, 404, 422, signed_in=True),
        summary="A neighbourhood's usage",
        tags=["metering"],
    )
    async def of_area(
        request: Asked,
        area: FromPath[str],
        since: From = None,
        until: Until = None,
        resolution: By = Resolution.HOUR,
    ) -> AreaUsage:
        """By hour for the last day where nothing else is said."""
        return await usage(request, area, (since, until), resolution)

    @get(
        "/areas/{area:str}/live",
        responses=problems(403, 404, 429, signed_in=True),
        summary="What a neighbourhood draws, live",
        tags=["metering"],
    )
    async def area_live(request: Asked, area: FromPath[str]) -> ServerSentEvent:
        """An event `usage` now and whenever it changes, at most one a second."""
        return await follow(request, area)

    @get("/usage", responses=problems(422, signed_in=True), summary="The city's usage", tags=["metering"])
    async def of_all(
        request: Asked, since: From = None, until: Until = None, resolution: By = Resolution.HOUR
    ) -> AreaUsage:
        """All neighbourhoods together, by hour for the last day where nothing else is said."""
        return await usage(request, None, (since, until), resolution)

    @get(
        "/usage/live",
        responses=problems(429, signed_in=True),
        summary="What the city draws, live",
        tags=["metering"],
    )
    async def all_live(request: Asked) -> ServerSentEvent:
        """An event `usage` now and whenever it changes, at most one a second."""
        return await follow(request, None)

    return Router(
        "/",
        route_handlers=[listed, of_area, area_live, of_all, all_live],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )
