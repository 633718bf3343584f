"""The HTTP face of one operator, put together from what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import ResponseHeader
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from prometheus_client import CollectorRegistry

from eletrovia.api.access import AccessLog, HttpMetrics
from eletrovia.api.auth import SCHEME
from eletrovia.api.body import StrictBody
from eletrovia.api.desks import (
    Catalogue,
    Directory,
    Gazetteer,
    OperatorCard,
    PartCheck,
    Reach,
    Stations,
    Taken,
    TripDesk,
)
from eletrovia.api.docs import DocsPage, JsonDocument, policy_headers
from eletrovia.api.problems import on_litestar_error, on_our_error, on_silence, on_surprise
from eletrovia.api.routes.drivers import drivers
from eletrovia.api.routes.events import events
from eletrovia.api.routes.health import VERSION, health
from eletrovia.api.routes.inventory import inventory
from eletrovia.api.routes.operators import operators
from eletrovia.api.routes.places import places
from eletrovia.api.routes.stations import stations as stations_routes
from eletrovia.api.routes.tokens import tokens
from eletrovia.api.routes.trips import trips
from eletrovia.api.routes.vehicles import vehicles
from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.base.ids import Ids
from eletrovia.people.people import People

BODY_MAX_OCTETS: Final = 1_000_000

_TAGS: Final = {
    "people": "Accounts and tokens.",
    "trips": "Planned, then booked at several operators in one request, all or nothing.",
    "stations": "Where to charge, and what is free.",
    "vehicles": "Known car models.",
    "places": "Names of places.",
    "operators": "Who takes part.",
    "metering": "Readings, meters, and what they add up to.",
    "billing": "Tariffs and invoices.",
    "alerts": "What a household or the utility should hear of.",
    "machine": "For whoever watches the server.",
}

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(
    *,
    desk: TripDesk,
    people: People,
    stations: Stations,
    gazetteer: Gazetteer,
    catalogue: Catalogue,
    operator: OperatorCard,
    clock: Clock,
    ids: Ids,
    registry: CollectorRegistry,
    taken: Taken = lambda _: (),
    directory: Directory | None = None,
    reach: Callable[[str], Reach | None] = lambda _: None,
    federation_router: Router | None = None,
    more_routes: Sequence[Router] = (),
    parts: Mapping[str, PartCheck] | None = None,
    lifespan: Sequence[Lifespan] = (),
    cors_origins: Sequence[str] = (),
) -> Litestar:
    """An ASGI application; nothing is started before its lifespan begins."""
    first_version = Router(
        "/api/v1",
        dto=StrictBody,
        return_dto=None,
        route_handlers=[
            drivers(people),
            tokens(people),
            trips(desk, people),
            events(desk, people),
            stations_routes(stations, gazetteer, taken, clock),
            inventory(stations, people, operator.operator_id),
            vehicles(catalogue),
            places(gazetteer),
            operators(operator, directory, reach, people),
            *more_routes,
        ],
    )
    handlers = [first_version, health(operator, parts or {}, registry, clock)]
    if federation_router is not None:
        handlers.append(federation_router)
    app = Litestar(
        route_handlers=handlers,
        exception_handlers={
            EletroviaError: on_our_error,
            HTTPException: on_litestar_error,
            TimeoutError: on_silence,
            Exception: on_surprise,
        },
        request_max_body_size=BODY_MAX_OCTETS,
        cors_config=_cors(cors_origins) if cors_origins else None,
        openapi_config=_openapi(operator),
        lifespan=list(lifespan),
        logging_config=None,
        debug=False,
    )
    # Around the whole application, not as its middleware: that would miss what no route answers.
    app.asgi_handler = AccessLog(app.asgi_handler, clock=clock, ids=ids, metrics=HttpMetrics(registry))
    return app


def _cors(origins: Sequence[str]) -> CORSConfig:
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Accept-Language", "X-Request-Id"],
        expose_headers=["Location", "Retry-After", "X-Request-Id"],
        max_age=600,
    )


def _openapi(operator: OperatorCard) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=f"Eletrovia · {operator.name}",
        version=VERSION,
        description=(
            "One request books every charging stop of a trip at several operators, or none. Errors are "
            "problem documents (RFC 9457) in English or Brazilian Portuguese, by Accept-Language."
        ),
        openapi_router=Router(
            "/api",
            route_handlers=[],
            response_headers=[
                ResponseHeader(name=name, value=value) for name, value in policy_headers().items()
            ],
        ),
        render_plugins=[JsonDocument(), DocsPage()],
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="From POST /api/v1/tokens."
                )
            }
        ),
        tags=[Tag(name=name, description=said) for name, said in _TAGS.items()],
        use_handler_docstrings=True,
    )
