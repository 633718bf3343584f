"""/api/v1/vehicles: known car models."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from eletrovia.api.desks import Catalogue
from eletrovia.api.documented import problems
from eletrovia.planning.vehicle import Vehicle


class Vehicles(msgspec.Struct, frozen=True, kw_only=True):
    """The best matches first."""

    vehicles: list[Vehicle]


def vehicles(catalogue: Catalogue) -> Router:
    """The catalogue."""

    @get("/", responses=problems(422), summary="Find a car model", tags=["vehicles"])
    async def search(
        q: Annotated[str, QueryParameter(max_length=100, description="Words of its name.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 20,
    ) -> Vehicles:
        """Models by words of their names; all of them, a page long, without words."""
        return Vehicles(vehicles=list(catalogue.find(q, limit=limit)))

    @get("/{vehicle_id:str}", responses=problems(404), summary="One car model", tags=["vehicles"])
    async def one(vehicle_id: FromPath[str]) -> Vehicle:
        """A model by its id."""
        return catalogue.vehicle(vehicle_id)

    return Router("/vehicles", route_handlers=[search, one])
