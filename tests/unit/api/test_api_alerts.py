"""Alerts over HTTP: every route as nobody, a stranger, a customer, another one, staff; and live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from litestar import Router

from eletrovia.api.body import StrictBody
from eletrovia.api.routes.alerts import PREFERENCES, STREAMS_EACH_MAX, alerts
from eletrovia.metering.access import Access
from eletrovia.metering.alert import AlertKind, Channel, Finding, Level
from eletrovia.metering.alerts import Alerts
from eletrovia.metering.webhook import Allowed, Poster
from eletrovia.store.pool import Store


class House:
    """A customer with an alert, and a neighbour without; headers by who asks."""

    def __init__(self, operator: Any, store: Store) -> None:
        self.operator = operator
        self.store = store
        self.who: dict[str, dict[str, str]] = {"nobody": {}}
        self.poster = Poster(Allowed())
        self.alerts = Alerts(
            store,
            clock=operator.clock,
            ids=operator.ids,
            zone=ZoneInfo("America/Fortaleza"),
            ways=(Channel.WEBHOOK,),
            staff_has_mail=False,
            allowed=Allowed(),
            poster=self.poster,
        )
        operator.app.register(
            Router(
                "/api/v1",
                dto=StrictBody,
                return_dto=None,
                route_handlers=[alerts(self.alerts, Access(store), operator.people)],
            )
        )

    async def open(self) -> House:
        for who in ("stranger", "owner", "neighbour"):
            self.who[who] = await self.operator.driver(f"{who}@example.org")
        self.who["staff"] = await self.operator.driver("staff@example.org", staff=True)
        async with self.store.connection() as connection:
            await connection.execute(
                "insert into customer (id, account_id, name, language, created_at)"
                " select split_part(email, '@', 1), id, 'A', 'en', now() from account"
                " where email like any ('{owner@%%,neighbour@%%}'::text[])"
            )
        await self.tell("point:P1")
        return self

    async def tell(self, subject: str, customer_id: str = "owner") -> None:
        facts = {"pattern": "day", "day": "2026-03-20", "from_hour": 0, "until_hour": 24,
                 "used_wh": 52000, "usual_wh": 23000}  # fmt: skip
        found = Finding(
            kind=AlertKind.EXCESS, subject=subject, period="1", level=Level.WARNING, facts=facts,
            customer_id=customer_id,
        )  # fmt: skip
        await self.alerts.tell([found])

    async def ask(self, who: str, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = self.who[who] | options.pop("headers", {})
        status, body, _ = await self.operator.ask(method, f"/api/v1{path}", headers=headers, **options)
        return status, body


@pytest.fixture
async def house(operator: Any, store: Store) -> AsyncIterator[House]:
    made = await House(operator, store).open()
    following = asyncio.create_task(made.alerts.feed.run())
    yield made
    following.cancel()
    await made.poster.close()


HOOK = {"url": "https://example.org/x"}

# Method, path, body, and the statuses for: nobody, a stranger, a neighbour, the owner, staff.
ROUTES: list[tuple[str, str, Any, tuple[int, int, int, int, int]]] = [
    ("GET", "/alerts", None, (401, 404, 200, 200, 200)),
    ("GET", "/alerts/news", None, (401, 404, 200, 200, 200)),
    ("GET", "/alerts/live", None, (401, 404, 200, 200, 200)),
    ("POST", "/alerts/ALERT/acknowledge", None, (401, 404, 404, 200, 200)),
    ("POST", "/alerts/alert_0/acknowledge", None, (401, 404, 404, 404, 404)),
    ("GET", "/alerts/preferences", None, (401, 404, 200, 200, 200)),
    ("PUT", "/alerts/preferences", PREFERENCES, (401, 404, 200, 200, 200)),
    ("PUT", "/alerts/preferences", {"kinds": ["outage"]}, (401, 404, 422, 422, 200)),
    ("PUT", "/alerts/preferences", {"share": 1}, (401, 422, 422, 422, 422)),
    ("PUT", "/alerts/preferences", {"bill_share": 9}, (401, 422, 422, 422, 422)),
    ("GET", "/alerts/webhooks", None, (401, 404, 200, 200, 200)),
    ("PUT", "/alerts/webhooks", HOOK, (401, 404, 200, 200, 200)),
    ("PUT", "/alerts/webhooks", {"url": "http://example.org/"}, (401, 404, 422, 422, 422)),
    ("PUT", "/alerts/webhooks", {"url": "https://127.0.0.1/"}, (401, 404, 422, 422, 422)),
    ("DELETE", "/alerts/webhooks/HOOK", None, (401, 404, 404, 204, 404)),
    ("POST", "/alerts/webhooks/HOOK/test", None, (401, 404, 404, 503, 404)),
]


@pytest.mark.parametrize("place", range(5), ids=["nobody", "stranger", "neighbour", "owner", "staff"])
async def test_who_may_what(house: House, place: int) -> None:
    who = ["nobody", "stranger", "neighbour", "owner", "staff"][place]
    for method, path, body, statuses in ROUTES:
        (alert,) = await house.alerts.alerts("owner", "en")
        # A name that leads to this machine: posting there is refused when it is tried.
        hook = await house.alerts.put_webhook("owner", "https://localhost/")
        address = path.replace("ALERT", alert.id).replace("HOOK", hook.id)
        options = {} if body is None else {"json": body}
        if path == "/alerts/live" and statuses[place] == 200:
            continue  # it never ends; below it is read
        status, answer = await house.ask(who, method, address, **options)
        assert status == statuses[place], (who, method, path, answer)


async def test_my_alerts_in_my_language_until_i_have_seen_them(house: House) -> None:
    await house.tell("point:P2", "neighbour")
    _, page = await house.ask("owner", "GET", "/alerts", headers={"Accept-Language": "pt-BR"})
    (alert,) = page["alerts"]
    assert alert["title"] == "Um dia com muito mais energia que o normal"
    assert "2,3 vezes" in alert["text"]
    assert page["next"] is None
    _, both = await house.ask("staff", "GET", "/alerts?limit=1")
    assert both["next"] == both["alerts"][0]["id"]
    _, rest = await house.ask("staff", "GET", f"/alerts?limit=1&before={both['next']}")
    assert rest["alerts"][0]["id"] == alert["id"]
    await house.ask("owner", "POST", f"/alerts/{alert['id']}/acknowledge")
    _, still = await house.ask("owner", "GET", "/alerts?open=true")
    assert still["alerts"] == []
    _, none = await house.ask("owner", "GET", "/alerts?kind=bill")
    assert none["alerts"] == []


async def test_a_secret_is_told_to_whoever_asks_for_the_webhook_and_not_in_lists(house: House) -> None:
    _, made = await house.ask("owner", "PUT", "/alerts/webhooks", json=HOOK)
    assert len(made["secret"]) > 30
    _, again = await house.ask("owner", "PUT", "/alerts/webhooks", json=HOOK)
    assert again["secret"] == made["secret"]
    _, listed = await house.ask("owner", "GET", "/alerts/webhooks")
    assert [one["secret"] for one in listed] == [None]
    _, others = await house.ask("neighbour", "PUT", "/alerts/webhooks", json=HOOK)
    assert others["secret"] != made["secret"]
    await house.ask("owner", "POST", f"/alerts/webhooks/{made['id']}/test")
    status, again = await house.ask("owner", "POST", f"/alerts/webhooks/{made['id']}/test")
    assert (status, again["code"]) == (429, "webhook.test_too_soon")


async def test_preferences_come_back_as_they_were_put(house: House) -> None:
    await house.ask("owner", "PUT", "/alerts/preferences", json=PREFERENCES)
    _, kept = await house.ask("owner", "GET", "/alerts/preferences")
    assert kept == PREFERENCES
    _, others = await house.ask("neighbour", "GET", "/alerts/preferences")
    assert others["quiet_hours"] is None


async def events(response: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            line = (await response.content.readline()).decode().strip()
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data:")))
    return found


async def test_live_tells_mine_as_it_happens_and_goes_on_where_i_left(house: House) -> None:
    url = f"{house.operator.url}/api/v1/alerts/live"
    client = house.operator.client
    async with client.get(url, headers=house.who["owner"]) as response:
        assert await response.content.readline() == b": hello\r\n"
        await house.tell("point:P2", "neighbour")
        await house.tell("point:P3")
        (told,) = await events(response, 1)
        assert told["news"] == "raised"
        assert told["alert"]["customer_id"] == "owner"
        assert told["alert"]["title"]
    _, news = await house.ask("owner", "GET", "/alerts/news")
    assert [one["id"] for one in news][-1] == told["id"]
    await house.tell("point:P4")
    await house.tell("point:P5")
    back = house.who["owner"] | {"Last-Event-ID": str(told["id"])}
    async with client.get(url, headers=back) as response:
        missed = await events(response, 2)
    assert [one["id"] > told["id"] for one in missed] == [True, True]


async def test_nobody_opens_streams_without_end(house: House) -> None:
    url = f"{house.operator.url}/api/v1/alerts/live"
    client = house.operator.client
    opened = [await client.get(url, headers=house.who["owner"]) for _ in range(STREAMS_EACH_MAX)]
    for one in opened:
        await one.content.readline()
    status, refused = await house.ask("owner", "GET", "/alerts/live")
    assert (status, refused["code"]) == (429, "alert.too_many_streams")
    for one in opened:
        one.close()
