"""/healthz and /metrics: for whoever watches the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from eletrovia.api.desks import OperatorCard, PartCheck
from eletrovia.base.clock import Clock

CHECK_TIMEOUT_S: Final = 2.0
VERSION: Final = version("eletrovia")


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether one part works. ``problem`` is a word, never an address or a secret."""

    up: bool
    ms: float
    problem: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``status`` is ``ok``, or ``degraded`` while a part does not work."""

    status: str
    operator_id: str
    name: str
    version: str
    up_s: int
    parts: dict[str, Part]


def health(
    own: OperatorCard, parts: Mapping[str, PartCheck], registry: CollectorRegistry, clock: Clock
) -> Router:
    """Liveness and figures."""
    started_s = clock.monotonic()

    async def check(part: PartCheck) -> Part:
        began_s = clock.monotonic()
        problem = ""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await part()
        except Exception as error:
            problem = getattr(error, "code", type(error).__name__)
        return Part(up=not problem, ms=round((clock.monotonic() - began_s) * 1000, 2), problem=problem)

    @get("/healthz", summary="Health", tags=["machine"])
    async def healthz(
        ready: Annotated[bool, QueryParameter(description="Answer 503 while a part does not work.")] = False,
    ) -> Response[Health]:
        """200 as long as the server lives; its parts are told one by one."""
        answers = await asyncio.gather(*(check(part) for part in parts.values()))
        told = dict(zip(parts, answers, strict=True))
        well = all(part.up for part in told.values())
        state = Health(
            status="ok" if well else "degraded",
            operator_id=own.operator_id,
            name=own.name,
            version=VERSION,
            up_s=int(clock.monotonic() - started_s),
            parts=told,
        )
        return Response(
            state, status_code=503 if ready and not well else 200, headers={"cache-control": "no-store"}
        )

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return Router("/", route_handlers=[healthz, metrics])
