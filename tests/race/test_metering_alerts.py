"""Rivals who find the same thing, couriers who share an outbox, a courier killed; canaries first."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import Ids
from eletrovia.metering.alert import AlertKind, Channel, Finding, Level
from eletrovia.metering.alerts import Alerts
from eletrovia.metering.delivery import Courier
from eletrovia.metering.deliverystore import Delivery, DeliveryStore
from eletrovia.metering.webhook import Allowed, Poster
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Fortaleza")
CLOCK = SystemClock()
RIVALS = 6


def finding(subject: str = "point:P1", period: str = "1", level: Level = Level.NOTICE) -> Finding:
    facts = {"pattern": "day", "day": "2026-03-20", "from_hour": 0, "until_hour": 24,
             "used_wh": 5200, "usual_wh": 2300}  # fmt: skip
    return Finding(
        kind=AlertKind.EXCESS,
        subject=subject,
        period=period,
        level=level,
        facts=facts,
        customer_id="c1",
    )


def alerts(store: Store) -> Alerts:
    return Alerts(
        store,
        clock=CLOCK,
        ids=Ids(CLOCK),
        zone=ZONE,
        ways=(Channel.WEBHOOK,),
        staff_has_mail=False,
        allowed=Allowed(["127.0.0.1"]),
        poster=Poster(Allowed()),
    )


async def customer(store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "insert into customer (id, name, language, created_at) values ('c1', 'A', 'en', now())"
        )


@asynccontextmanager
async def rivals(url: str) -> AsyncIterator[list[Alerts]]:
    """Several processes' worth of alerts: each has connections of its own."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(await Store.open(url, size=2)) for _ in range(RIVALS)]
        yield [alerts(store) for store in stores]


async def told(store: Store) -> list[str]:
    async with store.connection() as connection:
        rows = await connection.execute("select news from alert_news order by id")
        return [str(news) for (news,) in await rows.fetchall()]


async def all_at_once(them: list[Alerts], rounds: int) -> None:
    """Everybody finds everything, at the same moments."""
    for n in range(rounds):
        await asyncio.gather(
            *(one.tell([finding(f"point:{n}", period=str(place))]) for place, one in enumerate(them)),
            *(one.tell([finding(f"point:same{n}")]) for one in them),
        )


async def test_canary_without_its_constraints_the_same_alert_is_told_many_times(
    store: Store, database_url: str
) -> None:
    await customer(store)
    async with store.connection() as connection:
        await connection.execute("alter table alert drop constraint alert_once")
        await connection.execute("alter table alert drop constraint alert_cool_down")
    async with rivals(database_url) as them:
        await all_at_once(them, 5)
    assert len(await told(store)) > 2 * 5


async def test_rivals_tell_the_same_thing_once_and_no_two_within_the_cool_down(
    store: Store, database_url: str
) -> None:
    await customer(store)
    async with rivals(database_url) as them:
        await all_at_once(them, 10)
        assert await told(store) == ["raised"] * 20
        worse = finding("point:same0", level=Level.WARNING)
        await asyncio.gather(*(one.tell([worse]) for one in them))
        assert (await told(store))[20:] == ["escalated"]


# -- couriers ------------------------------------------------------------------------------------------


class Tally:
    """Counts what it is told, and takes a moment for it."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    async def tell(self, delivery: Delivery) -> None:
        self.seen[delivery.id] += 1
        await asyncio.sleep(0.01)


async def shared_out(store: Store, url: str, lease_s: float) -> Counter[int]:
    """How often each of 60 deliveries was told by couriers who share them."""
    await customer(store)
    everyone = alerts(store)
    for n in range(5):
        await everyone.put_webhook("c1", f"http://127.0.0.1:9/{n}")
    for n in range(12):
        await everyone.tell([finding(f"point:{n}")])
    tally = Tally()
    async with AsyncExitStack() as stack:
        tasks = []
        for _ in range(RIVALS):
            own = await stack.enter_async_context(await Store.open(url, size=2))
            rows = DeliveryStore(own, staff_language="en")
            courier = Courier(rows, {Channel.WEBHOOK: tally}, CLOCK, lease_s=lease_s, look_s=0.01)
            tasks.append(asyncio.create_task(courier.run()))
        async with asyncio.timeout(30):
            while await left(store):
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return tally.seen


async def left(store: Store) -> int:
    async with store.connection() as connection:
        rows = await connection.execute(
            "select count(*) from alert_delivery where sent_at is null and given_up_at is null"
        )
        row = await rows.fetchone()
    return 0 if row is None else int(row[0])


class Unleased(DeliveryStore):
    """Takes what is due without writing down that it did."""

    async def claim(self, now: datetime, lease: datetime, **which: object) -> list[Delivery]:
        return await super().claim(now, now - timedelta(seconds=1), **which)  # type: ignore[arg-type]


async def test_canary_without_leases_couriers_tell_the_same_thing_twice(
    store: Store, database_url: str
) -> None:
    await customer(store)
    everyone = alerts(store)
    await everyone.put_webhook("c1", "http://127.0.0.1:9/")
    await everyone.tell([finding()])
    now = datetime.now(UTC)
    rows = Unleased(store, staff_language="en")
    taken = [await rows.claim(now, now, busy=(), each=4, most=10, failing=False) for _ in range(2)]
    assert [len(those) for those in taken] == [1, 1]


async def test_couriers_share_an_outbox_and_tell_everything_once(store: Store, database_url: str) -> None:
    seen = await shared_out(store, database_url, lease_s=60.0)
    assert len(seen) == 60
    assert set(seen.values()) == {1}


_COURIER = """
import asyncio, sys
from zoneinfo import ZoneInfo
from eletrovia.base.clock import SystemClock
from eletrovia.metering.alert import Channel
from eletrovia.metering.delivery import Courier
from eletrovia.metering.deliverystore import DeliveryStore
from eletrovia.metering.telling import ByWebhook
from eletrovia.metering.webhook import Allowed, Poster
from eletrovia.metering.webhookstore import WebhookStore
from eletrovia.store.pool import Store

async def main():
    async with await Store.open(sys.argv[1], size=2) as store:
        clock = SystemClock()
        poster = Poster(Allowed(["127.0.0.1"]))
        teller = ByWebhook(poster, WebhookStore(store), clock, ZoneInfo("America/Fortaleza"))
        rows = DeliveryStore(store, staff_language="en")
        await Courier(rows, {Channel.WEBHOOK: teller}, clock, lease_s=2.0, look_s=0.05).run()

asyncio.run(main())
"""


async def test_a_courier_killed_between_telling_and_writing_it_down_tells_once_more(
    store: Store, database_url: str
) -> None:
    """Killed in the very moment in which the receiver has it, twice."""
    await customer(store)
    posts: Counter[str] = Counter()
    bodies: dict[str, bytes] = {}
    kills = 0
    courier: asyncio.subprocess.Process

    async def take(request: web.Request) -> web.Response:
        nonlocal kills
        delivery = request.headers["Eletrovia-Delivery"]
        posts[delivery] += 1
        bodies.setdefault(delivery, await request.read())
        if kills < 2 and posts.total() % 4 == 2:
            kills += 1
            courier.send_signal(signal.SIGKILL)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    everyone = alerts(store)
    await everyone.put_webhook("c1", f"http://127.0.0.1:{runner.addresses[0][1]}/")
    for n in range(6):
        await everyone.tell([finding(f"point:{n}")])

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", _COURIER, database_url)

    starts = 0
    courier = await start()
    try:
        async with asyncio.timeout(40):
            while await left(store):
                if courier.returncode is not None:
                    assert courier.returncode == -signal.SIGKILL
                    starts += 1
                    courier = await start()
                await asyncio.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):
            courier.kill()
        await courier.wait()
        await runner.cleanup()
    assert kills == starts == 2
    assert len(posts) == 6, "each at least once"
    # A kill repeats what was under way, each once; a receiver that looks at the header sees which.
    assert max(posts.values()) <= 1 + kills
    assert posts.total() - 6 <= kills * 4
    assert posts.total() > 6, "or nobody was killed in that moment"
    assert {json.loads(body)["kind"] for body in bodies.values()} == {"excess"}
