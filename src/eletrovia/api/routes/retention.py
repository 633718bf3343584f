"""/api/v1/retention: which readings are old enough to go."""

from __future__ import annotations

from litestar import Router, get, post

from eletrovia.api.auth import signed_in, staff_only
from eletrovia.api.documented import SIGNED_IN, problems
from eletrovia.metering.retention import Pruning, Retention
from eletrovia.people.people import People


def retention(retention: Retention, people: People) -> Router:
    """Looking, and dropping before its daily time."""

    @get(
        "/",
        responses=problems(403, signed_in=True),
        summary="Readings that are old enough to go (staff)",
        tags=["metering"],
    )
    async def look() -> Pruning:
        """What would be dropped now, by `metering.keep_readings_months`, and what has to wait."""
        return await retention.prune(dry_run=True)

    @post(
        "/",
        status_code=200,
        responses=problems(403, signed_in=True),
        summary="Drop readings that are old enough (staff)",
        tags=["metering"],
    )
    async def prune() -> Pruning:
        """The server does the same once a day. Hours, days and months stay."""
        return await retention.prune()

    return Router(
        "/retention",
        route_handlers=[look, prune],
        guards=[signed_in(people), staff_only],
        security=SIGNED_IN,
    )
