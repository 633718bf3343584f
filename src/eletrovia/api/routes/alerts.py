"""/api/v1/alerts: what somebody should hear of, how they want to hear of it, and as it happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Router, delete, get, post, put
from litestar.params import Body, FromPath, HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.api.problems import language_of
from eletrovia.base.errors import Overloaded
from eletrovia.metering.access import Access
from eletrovia.metering.alert import Alert, AlertKind, Preferences, Told
from eletrovia.metering.alerts import Alerts, may_hear
from eletrovia.metering.webhook import Webhook
from eletrovia.people.people import People

STREAMS_MAX: Final = 1000
STREAMS_EACH_MAX: Final = 8
WAITING_MAX: Final = 100
BEAT_S: Final = 15.0
"""A comment goes out this often, so that proxies keep the line and a gone reader is noticed."""

WEBHOOK = {"url": "https://example.org/eletrovia"}
PREFERENCES = {
    "kinds": ["excess", "bill", "blocked"],
    "channels": ["email", "webhook"],
    "bill_share": 0.2,
    "quiet_hours": {"since": "22:00", "until": "07:00", "zone": "America/Fortaleza"},
    "urgent": ["blocked"],
}


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, newest first. ``next`` is the ``before`` of the following page; null on the last."""

    alerts: list[Alert]
    next: str | None = None


class NewsItem(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news: ``raised``, ``escalated`` or ``cleared``, and the alert as it stands now."""

    id: int
    news: str
    told_at: datetime
    alert: Alert


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An https address that alerts are posted to."""

    url: Annotated[str, msgspec.Meta(max_length=2000)]


class WebhookSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and how it fares. ``secret`` is only told by the request that made or asked for it."""

    id: str
    url: str
    created_at: datetime
    answered_at: datetime | None
    failing_since: datetime | None
    problem: str | None
    secret: str | None = None


Limit = Annotated[int, QueryParameter(ge=1, le=500)]
Before = Annotated[str | None, QueryParameter(max_length=64, description="An alert's id.")]
After = Annotated[int, QueryParameter(ge=0, le=2**62, description="The last news you have.")]
OpenOnly = Annotated[bool, QueryParameter(name="open", description="Neither over nor acknowledged.")]
Kind = Annotated[AlertKind | None, QueryParameter(description="Only of this kind.")]
LastId = Annotated[str | None, HeaderParameter(name="Last-Event-ID", description="Go on behind this one.")]


def alerts(alerts: Alerts, access: Access, people: People) -> Router:
    """A customer's own alerts; for staff everybody's, with the utility's own preferences."""
    open_streams: dict[str, int] = {}

    async def whose(request: Asked) -> str | None:
        """The customer who asks; None for staff, whom everything concerns."""
        if request.user.is_staff:
            return None
        return await access.customer_id(request.user.account_id)

    def language(request: Asked) -> Any:
        return language_of(request.headers.get("accept-language", "")[:200]).value

    def item(told: Told, request: Asked) -> NewsItem:
        alert = msgspec.structs.replace(told.alert, level=told.level, facts=told.facts)
        return NewsItem(
            id=told.id,
            news=told.news.value,
            told_at=told.told_at,
            alert=alerts.worded(alert, language(request)),
        )

    @get("/", responses=problems(404, 422, signed_in=True), summary="My alerts", tags=["alerts"])
    async def mine(
        request: Asked,
        open_only: OpenOnly = False,
        kind: Kind = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> AlertPage:
        """Newest first, in the language of the request. Staff see everybody's."""
        found = await alerts.alerts(
            await whose(request),
            language(request),
            open_only=open_only,
            kind=kind,
            before=before,
            limit=limit,
        )
        return AlertPage(alerts=found, next=found[-1].id if len(found) == limit else None)

    @get("/news", responses=problems(404, 422, signed_in=True), summary="News since", tags=["alerts"])
    async def news(request: Asked, after: After = 0) -> list[NewsItem]:
        """What was told after the news with that number, oldest first, 1,000 at most."""
        return [item(told, request) for told in await alerts.told_after(after, await whose(request))]

    @post(
        "/{alert_id:str}/acknowledge",
        status_code=200,
        responses=problems(404, signed_in=True),
        summary="I have seen it",
        tags=["alerts"],
    )
    async def acknowledge(request: Asked, alert_id: FromPath[str]) -> Alert:
        """It is no longer open; asked again, nothing changes."""
        return await alerts.acknowledge(
            alert_id, await whose(request), request.user.account_id, language(request)
        )

    # -- preferences -----------------------------------------------------------------------------------

    @get("/preferences", responses=problems(404, signed_in=True), summary="My preferences", tags=["alerts"])
    async def preferences(request: Asked) -> Preferences:
        """Which kinds are sent, by which ways, and when not. On the page everything is, always."""
        return await alerts.preferences(await whose(request))

    @put(
        "/preferences",
        responses=problems(404, body=True, signed_in=True),
        summary="Change my preferences",
        tags=["alerts"],
    )
    async def prefer(
        request: Asked, data: Annotated[Preferences, Body(examples=example("quiet nights", PREFERENCES))]
    ) -> Preferences:
        """All of them at once; what is left out becomes its default."""
        return await alerts.prefer(await whose(request), data)

    # -- webhooks --------------------------------------------------------------------------------------

    @get("/webhooks", responses=problems(404, signed_in=True), summary="My webhooks", tags=["alerts"])
    async def webhooks(request: Asked) -> list[WebhookSheet]:
        """Without their secrets."""
        return [_sheet(one) for one in await alerts.webhooks(await whose(request))]

    @put(
        "/webhooks",
        responses=problems(404, 409, body=True, signed_in=True),
        summary="Post my alerts there",
        description=(
            "The answer's `secret` signs what is posted: `Eletrovia-Signature` is `v1=` and in hex the "
            "HMAC-SHA256 of `Eletrovia-Timestamp`, a full stop and the body. Refuse others, and timestamps "
            "older than five minutes; `Eletrovia-Delivery` is the same when something is posted again. The "
            "same address again is the same webhook."
        ),
        tags=["alerts"],
    )
    async def put_webhook(
        request: Asked, data: Annotated[NewWebhook, Body(examples=example("mine", WEBHOOK))]
    ) -> WebhookSheet:
        made = await alerts.put_webhook(await whose(request), data.url)
        return msgspec.structs.replace(_sheet(made), secret=made.secret)

    @delete(
        "/webhooks/{webhook_id:str}",
        status_code=204,
        responses=problems(404, signed_in=True),
        summary="Post nothing there any more",
        tags=["alerts"],
    )
    async def drop_webhook(request: Asked, webhook_id: FromPath[str]) -> None:
        """What waits for it goes, too."""
        await alerts.drop_webhook(await whose(request), webhook_id)

    @post(
        "/webhooks/{webhook_id:str}/test",
        status_code=204,
        responses=problems(404, 429, signed_in=True),
        summary="Post a test there",
        tags=["alerts"],
    )
    async def test_webhook(request: Asked, webhook_id: FromPath[str]) -> None:
        """A document of the kind `test`, signed like any; 503 with `problem` when it did not arrive."""
        await alerts.test_webhook(await whose(request), webhook_id)

    # -- as it happens ---------------------------------------------------------------------------------

    async def stream(
        request: Asked, customer_id: str | None, last_id: int | None
    ) -> AsyncIterator[ServerSentEventMessage]:
        account_id = request.user.account_id
        heard: asyncio.Queue[Told] = asyncio.Queue(WAITING_MAX)

        def hear(told: Told) -> None:
            if may_hear(told, customer_id):
                if heard.full():
                    heard.get_nowait()
                heard.put_nowait(told)

        def event(told: Told) -> ServerSentEventMessage:
            data = msgspec.json.encode(item(told, request)).decode()
            return ServerSentEventMessage(event="alert", id=str(told.id), data=data)

        def one_less() -> None:
            open_streams[account_id] -= 1
            if open_streams[account_id] == 0:
                del open_streams[account_id]

        open_streams[account_id] = open_streams.get(account_id, 0) + 1
        with contextlib.ExitStack() as ending:
            ending.callback(one_less)  # also when they are gone before we listen
            ending.callback(await alerts.feed.listen(hear))
            yield ServerSentEventMessage(comment="hello", retry=2000)
            sent: set[int] = set()
            if last_id is not None:
                for told in await alerts.told_after(last_id, customer_id):
                    sent.add(told.id)
                    yield event(told)
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        told = await heard.get()
                except TimeoutError:
                    yield ServerSentEventMessage(comment="beat")
                    continue
                if told.id not in sent:
                    yield event(told)

    @get("/live", responses=problems(404, 429, signed_in=True), summary="Alerts, live", tags=["alerts"])
    async def live(request: Asked, last_event_id: LastId = None) -> ServerSentEvent:
        """An event `alert` for each piece of news; with `Last-Event-ID` first those that came since."""
        account_id = request.user.account_id
        mine = open_streams.get(account_id, 0)
        if mine >= STREAMS_EACH_MAX or sum(open_streams.values()) >= STREAMS_MAX:
            raise Overloaded("alert.too_many_streams", retry_after_s=int(BEAT_S))
        customer_id = await whose(request)
        last_id = int(last_event_id) if last_event_id and _is_number(last_event_id) else None
        return ServerSentEvent(
            stream(request, customer_id, last_id),
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return Router(
        "/alerts",
        route_handlers=[
            mine, news, acknowledge, preferences, prefer, webhooks, put_webhook, drop_webhook, test_webhook,
            live,
        ],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )  # fmt: skip


def _sheet(webhook: Webhook) -> WebhookSheet:
    return WebhookSheet(
        id=webhook.id,
        url=webhook.url,
        created_at=webhook.created_at,
        answered_at=webhook.answered_at,
        failing_since=webhook.failing_since,
        problem=webhook.problem,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
