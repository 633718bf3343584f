"""/api/v1/readings: registers in; /api/v1/meters/{id}/readings: and as they stand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, QueryParameter

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.documented import SIGNED_IN, problems
from eletrovia.api.posted import READINGS_MAX_OCTETS, Posted, answer, refusal, unpacked
from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, Invalid
from eletrovia.base.window import Window
from eletrovia.metering.access import Sight
from eletrovia.metering.gateways.login import DeviceLogin
from eletrovia.metering.intake import SETTLED, Intake
from eletrovia.metering.reading import Fate
from eletrovia.metering.readinglog import Entry, ReadingLog
from eletrovia.metering.roster import Roster
from eletrovia.people.account import Who
from eletrovia.people.people import People

MaySee = Callable[[Who, str], Awaitable[Sight]]
"""Which stretches of a meter somebody may see. Raises: NotFound."""

_EXAMPLES: Final[dict[str, Example | Reference]] = {
    "one": Example(
        summary="one reading", value={"meter": "M1", "at": "2026-03-01T08:00:00Z", "energy_wh": 1234567}
    ),
    "many": Example(
        summary="a batch",
        value={
            "readings": [
                {"meter": "M1", "at": "2026-03-01T08:00:00Z", "energy_wh": 1234567, "power_w": 420},
                {"meter": "M2", "at": 1772352000, "energy_kwh": "88.25", "estimated": True},
            ]
        },
    ),
    "rows": Example(
        summary="a batch, written short",
        value={"rows": [["M1", 1772352000, 1234567], ["M2", 1772352000, 88250]]},
    ),
}


@dataclass
class _Takes(Operation):
    """The body is read by hand, so the document is told by hand what it is."""

    def __post_init__(self) -> None:
        media = OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT), examples=_EXAMPLES)
        self.request_body = RequestBody(required=True, content={"application/json": media})


class ReadingPage(msgspec.Struct, frozen=True, kw_only=True):
    """Readings, oldest first. ``next`` is the ``from`` of the following page; null on the last."""

    meter_id: str
    readings: list[Entry]
    next: datetime | None = None


def readings(intake: Intake, roster: Roster, devices: DeviceLogin, people: People | None) -> Router:
    """Taking readings in. Without ``people`` only devices may speak."""

    async def sender(request: Request[Any, Any, Any]) -> int | None:
        """The key of the device that asks; None is staff."""
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            device_id, password = _basic(shown)
            key = await devices.meter(device_id, password)
            request.scope["state"]["who"] = device_id
            return key
        if kind.lower() != "bearer" or not shown or people is None:
            raise Denied("token.missing")
        who = people.authenticate(shown.strip())
        request.scope["state"]["who"] = who.account_id
        if not who.is_staff:
            raise Denied("account.not_staff")
        return None

    @post(
        "/",
        status_code=200,
        request_max_body_size=READINGS_MAX_OCTETS,
        operation_class=_Takes,
        responses=problems(403, 404, 429, body=True, signed_in=True),
        summary="Readings in",
        description=(
            "One reading, up to 10,000 as `readings`, or as short `rows` of meter, time, Wh and, where there "
            "are any, W and whether it is estimated. `at` is ISO 8601 with an offset or seconds since 1970; "
            "the register is cumulative. The answer comes after the commit: each is `stored`, a `duplicate` "
            "(the same reading), a `conflict` (another value for that moment; kept, shown, not counted), or "
            "`refused` with `why`. 201 says that a single reading is new. Staff log in with a token; a "
            "device by HTTP Basic with its id and its key. The body may come with `Content-Encoding: gzip`."
        ),
        tags=["metering"],
        media_type=MediaType.JSON,
    )
    async def take(request: Request[Any, Any, Any]) -> Response[bytes]:
        by = await sender(request)
        body = unpacked(await request.body(), request.headers.get("content-encoding", "").strip().lower())
        posted = Posted(body)
        fates = await posted.take(intake, roster, sender=by)
        if posted.single and fates[0] > SETTLED:
            raise refusal(Fate(int(fates[0])), posted.told(0))
        status = 201 if posted.single and fates[0] == Fate.STORED else 200
        return Response(answer(fates), status_code=status, media_type=MediaType.JSON)

    return Router("/readings", route_handlers=[take], security=SIGNED_IN)


def meter_readings(log: ReadingLog, may_see: MaySee, people: People, clock: Clock) -> Router:
    """Looking at one meter's readings, as staff or as who lives with it."""

    @get(
        "/{meter_id:str}/readings",
        responses=problems(404, 422, signed_in=True),
        summary="A meter's readings",
        description=(
            "Every value it told between `from` and `until`, with how it came and what contradicts it. The "
            "last day without `from`."
        ),
        tags=["metering"],
    )
    async def listed(
        request: Asked,
        meter_id: FromPath[str],
        since: Annotated[str | None, QueryParameter(name="from", max_length=40)] = None,
        until: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
    ) -> ReadingPage:
        sight = await may_see(request.user, meter_id)
        ends_at = _moment("until", until) or clock.now() + timedelta(days=1)
        starts_at = _moment("from", since) or ends_at - timedelta(days=2 if until is None else 1)
        found = await log.entries(sight.meter, sight.within(Window(starts_at, ends_at)), limit + 1)
        more = found[limit].at if len(found) > limit else None
        return ReadingPage(meter_id=meter_id, readings=found[:limit], next=more)

    return Router("/meters", route_handlers=[listed], guards=[signed_in(people)], security=SIGNED_IN)


def _basic(shown: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(shown.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise Denied("login.device_unknown") from None
    return user, password


def _moment(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        # In an address a plus sign means a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError as problem:
        raise Invalid("parameter.invalid", field=field, problem=str(problem)) from None
    if moment.tzinfo is None:
        raise Invalid("reading.time_zone_missing", at=text)
    try:
        return moment.astimezone(UTC)
    except OverflowError as problem:
        raise Invalid("parameter.invalid", field=field, problem=str(problem)) from None
