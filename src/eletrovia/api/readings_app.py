"""Readings over HTTP and nothing else: what a gateway process beside others answers."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from prometheus_client import CollectorRegistry

from eletrovia.api.access import AccessLog, HttpMetrics
from eletrovia.api.desks import OperatorCard, PartCheck
from eletrovia.api.problems import on_litestar_error, on_our_error, on_silence, on_surprise
from eletrovia.api.routes.health import health
from eletrovia.api.routes.readings import readings
from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.base.ids import Ids
from eletrovia.metering.gateways.login import DeviceLogin
from eletrovia.metering.intake import Intake
from eletrovia.metering.roster import Roster
from eletrovia.people.people import People


def create_readings_app(
    *,
    intake: Intake,
    roster: Roster,
    devices: DeviceLogin,
    operator: OperatorCard,
    clock: Clock,
    ids: Ids,
    registry: CollectorRegistry,
    people: People | None = None,
    parts: Mapping[str, PartCheck] | None = None,
) -> Litestar:
    """An ASGI application that takes readings, and says how it is. Without ``people``, from devices only."""
    app = Litestar(
        route_handlers=[
            Router("/api/v1", route_handlers=[readings(intake, roster, devices, people)]),
            health(operator, parts or {}, registry, clock),
        ],
        exception_handlers={
            EletroviaError: on_our_error,
            HTTPException: on_litestar_error,
            TimeoutError: on_silence,
            Exception: on_surprise,
        },
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = AccessLog(app.asgi_handler, clock=clock, ids=ids, metrics=HttpMetrics(registry))
    return app
