"""/api/v1/places: names of places."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from eletrovia.api.desks import Gazetteer
from eletrovia.api.documented import problems
from eletrovia.booking.trip import Place


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The best matches first."""

    places: list[Place]


def places(gazetteer: Gazetteer) -> Router:
    """The gazetteer."""

    @get("/", responses=problems(422), summary="Find a place", tags=["places"])
    async def search(
        q: Annotated[str, QueryParameter(min_length=1, max_length=100, description="“joao pessoa, pb”")],
        limit: Annotated[int, QueryParameter(ge=1, le=50)] = 10,
    ) -> Places:
        """Places by name, accents and case or not."""
        return Places(places=list(gazetteer.find(q, limit=limit)))

    return Router("/places", route_handlers=[search])
