"""Alerts with a real PostgreSQL: raised once, watched for, due when people want them, told in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from psycopg.errors import CheckViolation

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.base.ids import Ids
from eletrovia.base.rng import Rng
from eletrovia.metering.alert import AlertKind, Channel, Finding, Level, News, Preferences
from eletrovia.metering.alerts import Alerts, may_hear
from eletrovia.metering.alertstore import AlertStore
from eletrovia.metering.alertwatch import AlertWatch
from eletrovia.metering.alertwords import words_of
from eletrovia.metering.bill import Terms
from eletrovia.metering.billahead import HomeBills, HourlyUse
from eletrovia.metering.contract import Contract, Days
from eletrovia.metering.hours import hours_of
from eletrovia.metering.pricedahead import PricedAhead
from eletrovia.metering.prices import Prices
from eletrovia.metering.quiet import QuietHours
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.standingstore import StandingStore
from eletrovia.metering.tariffbook import carried_book
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.watchstore import WatchStore
from eletrovia.metering.webhook import Allowed, Poster, Webhook
from eletrovia.metering.webhookstore import WebhookStore
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Fortaleza")
NOON = datetime(2026, 3, 20, 15, tzinfo=UTC)  # noon in Fortaleza


class HandClock:
    """Stands until it is put on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


class Town:
    """Customers, homes and meters: meter ``n`` hangs in home ``Pn``, where customer ``cn`` lives."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.alerts = Alerts(
            store,
            clock=self.clock,
            ids=Ids.seeded(self.clock, Rng(3).stream("ids")),
            zone=ZONE,
            ways=tuple(Channel),
            staff_has_mail=True,
            allowed=Allowed(["127.0.0.1"]),
            poster=Poster(Allowed()),
        )

    def watch(self, bills: Any = None) -> AlertWatch:
        return AlertWatch(WatchStore(self.store, ZONE), self.alerts, clock=self.clock, zone=ZONE, bills=bills)

    async def run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.store.connection() as connection:
            rows = await connection.execute(query, values)  # type: ignore[arg-type]
            return await rows.fetchall() if rows.description else []

    async def settle(self, homes: int, *, since: str = "2024-01-01", area: str = "Centro") -> None:
        for n in range(1, homes + 1):
            await self.run(
                "insert into customer (id, name, email, language, created_at)"
                " values (%s, 'A', %s, 'pt-BR', now())", f"c{n}", f"c{n}@example.org",
            )  # fmt: skip
            await self.run(
                "insert into usage_point (id, area, created_at) values (%s, %s, now())", f"P{n}", area
            )
            await self.run("insert into occupancy values (%s, default, %s, %s)", f"P{n}", f"c{n}", since)
            ((key,),) = await self.run(
                "insert into meter (id, registered_at) values (%s, now()) returning key", f"M{n}"
            )
            assert key == n
            await self.run(
                "insert into fitting (usage_point_id, meter, from_at, start_wh) values (%s, %s, %s, 0)",
                f"P{n}", n, since,
            )  # fmt: skip

    async def used(self, meter: int, first: date, hours: Any) -> None:
        """Hours of use on consecutive days; NaN is not known."""
        async with self.store.connection() as connection, connection.cursor() as cursor:
            rows = [
                (
                    first + timedelta(days=place), meter,
                    [-1 if np.isnan(wh) else round(wh) for wh in day] + [-1],
                )
                for place, day in enumerate(hours)
            ]  # fmt: skip
            await cursor.executemany(
                "insert into usage_day (day, meter, area, hour_wh) values (%s, %s, 1, %s)"
                " on conflict (meter, day) do update set hour_wh = excluded.hour_wh", rows,
            )  # fmt: skip

    async def heard(self, meter: int, at: datetime) -> None:
        await self.run(
            "insert into meter_latest values (%s, %s, 0, %s, 1, null, false)"
            " on conflict (meter) do update set at = excluded.at", at, at, meter,
        )  # fmt: skip

    async def open(self) -> set[tuple[str, str]]:
        rows = await self.run("select kind, subject from alert where cleared_at is null")
        return {(kind, subject) for kind, subject in rows}

    async def due(self) -> list[tuple[str, str | None, str, str, datetime]]:
        """Channel, customer, kind, news and moment of all that waits."""
        return await self.run(  # type: ignore[return-value]
            "select d.channel, d.customer_id, a.kind, n.news, d.due_at from alert_delivery d"
            " join alert_news n on n.id = d.news_id join alert a on a.id = n.alert_id order by d.id"
        )


@pytest.fixture
async def town(store: Store) -> Town:
    return Town(store)


def finding(**changes: Any) -> Finding:
    made = Finding(
        kind=AlertKind.EXCESS,
        subject="point:P1",
        period="2026-03-20",
        level=Level.NOTICE,
        facts={
            "pattern": "hours", "day": "2026-03-20", "from_hour": 18, "until_hour": 21,
            "used_wh": 5200, "usual_wh": 2300,
        },
        customer_id="c1",
        usage_point_id="P1",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


# -- once ----------------------------------------------------------------------------------------------


async def test_the_same_is_told_once_worse_is_told_once_more_and_the_next_must_wait(town: Town) -> None:
    await town.settle(1)
    assert await town.alerts.tell([finding()]) == 1
    assert await town.alerts.tell([finding(), finding()]) == 0
    assert await town.alerts.tell([finding(level=Level.WARNING)]) == 1
    assert await town.alerts.tell([finding(level=Level.WARNING), finding()]) == 0
    # Another day is another alert, but not within the hours that this kind cools down.
    tomorrow = finding(period="2026-03-21")
    town.clock.at += timedelta(hours=19)
    assert await town.alerts.tell([tomorrow]) == 0
    town.clock.at += timedelta(hours=2)
    assert await town.alerts.tell([tomorrow]) == 1
    # A base that stays high is a subject of its own, and rests for a week.
    base = finding(subject="point:P1:base", cool_down=timedelta(days=7))
    assert await town.alerts.tell([base]) == 1
    town.clock.at += timedelta(days=6)
    assert await town.alerts.tell([msgspec.structs.replace(base, period="2026-03-26")]) == 0


async def test_what_lasts_is_one_alert_whoever_says_since_when(town: Town) -> None:
    await town.settle(1)
    dark = finding(kind=AlertKind.OUTAGE, subject="area:Centro", for_staff=True, customer_id=None, facts={
        "area": "Centro", "since": NOON.isoformat(), "silent": 40, "meters": 50})  # fmt: skip
    assert await town.alerts.tell([dark]) == 1
    town.clock.at += timedelta(days=2)
    assert await town.alerts.tell([msgspec.structs.replace(dark, period="another")]) == 0
    assert await town.alerts.over(AlertKind.OUTAGE, ["area:Centro", "area:Bessa"]) == 1
    assert await town.alerts.over(AlertKind.OUTAGE, ["area:Centro"]) == 0
    assert await town.alerts.tell([msgspec.structs.replace(dark, period="another")]) == 1
    told = await town.run("select news from alert_news order by id")
    assert [news for (news,) in told] == ["raised", "cleared", "raised"]


async def test_the_database_itself_knows_what_an_alert_may_be(town: Town) -> None:
    await town.settle(1)
    with pytest.raises(CheckViolation, match="alert_is_for_somebody"):
        await town.alerts.tell([finding(customer_id=None)])


async def test_a_days_excess_is_nobodys_worry_after_three_days(town: Town) -> None:
    await town.settle(1)
    await town.alerts.tell([finding(), finding(kind=AlertKind.BILL, facts=FACTS[AlertKind.BILL])])
    town.clock.at += timedelta(days=4)
    await town.alerts.fade()
    assert await town.open() == {("bill", "point:P1")}
    town.clock.at = datetime(2026, 4, 1, 4, tzinfo=UTC)
    await town.alerts.fade()
    assert await town.open() == set()
    assert len(await town.run("select id from alert_news")) == 2, "and nothing is told of it"


# -- who hears of it, and when -------------------------------------------------------------------------


async def test_everybody_is_told_by_the_ways_and_of_the_kinds_they_chose(town: Town) -> None:
    await town.settle(2)
    await town.alerts.put_webhook("c1", "https://example.org/a")
    await town.alerts.tell([finding()])
    assert [(channel, who) for channel, who, *_ in await town.due()] == [
        ("email", "c1"), ("mqtt", "c1"), ("webhook", "c1"),
    ]  # fmt: skip
    await town.alerts.prefer("c2", Preferences(kinds=(AlertKind.BILL,)))
    await town.alerts.tell([finding(subject="point:P2", customer_id="c2")])
    assert len(await town.due()) == 3
    assert [one.customer_id for one in await town.alerts.alerts("c2", "en")] == ["c2"]  # on the page it is
    # The staff has mail and MQTT; a silent meter is theirs, and its customer's who asked for that.
    await town.alerts.prefer("c2", Preferences(kinds=(AlertKind.SILENT,), channels=(Channel.MQTT,)))
    silent = finding(
        kind=AlertKind.SILENT, subject="meter:2", customer_id="c2", for_staff=True,
        facts={"meter_id": "M2", "last_at": NOON.isoformat(), "interval_s": 900},
    )  # fmt: skip
    await town.alerts.tell([silent])
    assert [(channel, who) for channel, who, *_ in (await town.due())[3:]] == [
        ("mqtt", "c2"), ("email", None), ("mqtt", None),
    ]  # fmt: skip


async def test_quiet_hours_hold_back_what_is_sent_and_newer_news_replaces_what_nobody_began_to_tell(
    town: Town,
) -> None:
    await town.settle(1)
    night = QuietHours(since="22:00", until="07:00")
    wanted = Preferences(channels=(Channel.EMAIL,), quiet_hours=night, urgent=(AlertKind.BLOCKED,))
    await town.alerts.prefer("c1", wanted)
    town.clock.at = datetime(2026, 3, 21, 2, tzinfo=UTC)  # 23:00
    morning = datetime(2026, 3, 21, 10, tzinfo=UTC)
    await town.alerts.tell([finding()])
    assert await town.due() == [("email", "c1", "excess", "raised", morning)]
    town.clock.at += timedelta(hours=1)
    await town.alerts.tell([finding(level=Level.WARNING)])
    assert await town.due() == [("email", "c1", "excess", "escalated", morning)]
    cut = finding(
        kind=AlertKind.BLOCKED, subject="meter:1", facts={"meter_id": "M1", "since": "2026-03-21T03:00Z"}
    )
    await town.alerts.tell([cut])
    assert (await town.due())[1] == ("email", "c1", "blocked", "raised", town.clock.at)


async def test_preferences_are_checked_and_kept(town: Town) -> None:
    await town.settle(1)
    assert await town.alerts.preferences("c1") == Preferences()
    for wrong in (
        Preferences(kinds=(AlertKind.OUTAGE,)),
        Preferences(quiet_hours=QuietHours(since="22:00", until="07:00", zone="Mars/Base")),
    ):
        with pytest.raises(Invalid):
            await town.alerts.prefer("c1", wrong)
    assert await town.alerts.preferences("c1") == Preferences()
    wanted = Preferences(bill_share=0.1, channels=())
    await town.alerts.prefer("c1", wanted)
    assert await town.alerts.preferences("c1") == wanted
    assert AlertKind.OUTAGE in (await town.alerts.preferences(None)).kinds


# -- mine, and nobody else's ---------------------------------------------------------------------------


async def test_somebody_elses_alert_is_not_there(town: Town) -> None:
    await town.settle(2)
    await town.alerts.tell([finding()])
    (mine,) = await town.alerts.alerts("c1", "en")
    assert await town.alerts.alerts("c2", "en") == []
    with pytest.raises(NotFound, match="alert.unknown"):
        await town.alerts.acknowledge(mine.id, "c2", "acc2", "en")
    seen = await town.alerts.acknowledge(mine.id, "c1", "acc1", "pt-BR")
    assert seen.acknowledged_at == NOON
    town.clock.at += timedelta(hours=1)
    assert (await town.alerts.acknowledge(mine.id, None, "staff", "en")).acknowledged_at == NOON
    assert await town.alerts.alerts("c1", "en", open_only=True) == []


async def test_others_news_takes_no_room_from_mine(town: Town) -> None:
    await town.settle(2)
    others = [finding(subject=f"point:P{n}", customer_id="c2") for n in range(3)]
    await town.alerts.tell([*others, finding(subject="point:P9", customer_id="c1")])
    mine = await town.alerts.told_after(0, "c1", limit=2)
    assert [told.alert.customer_id for told in mine] == ["c1"]
    assert len(await town.alerts.told_after(0, None, limit=2)) == 2


async def test_a_doubtful_reading_is_the_staffs_business_alone(town: Town) -> None:
    await town.settle(1)
    marked = finding(
        kind=AlertKind.REGISTER, subject="meter:1", for_staff=True,
        facts={"meter_id": "M1", "since": NOON.isoformat(), "kinds": ["jump"]},
    )  # fmt: skip
    await town.alerts.tell([marked])  # even if a customer were named
    assert await town.alerts.alerts("c1", "en") == []
    (told,) = await town.alerts.told_after(0, None)
    assert not may_hear(told, "c1")
    assert await town.alerts.told_after(0, "c1") == []


async def test_pages_go_on_where_the_last_one_ended(town: Town) -> None:
    await town.settle(1)
    for n in range(7):
        await town.alerts.tell([finding(subject=f"point:{n}")])
    seen: list[str] = []
    while page := await town.alerts.alerts("c1", "en", limit=3, before=seen[-1] if seen else None):
        seen += [alert.id for alert in page]
    assert len(set(seen)) == len(seen) == 7


async def test_a_customer_is_told_everything_and_leaves_nothing(town: Town) -> None:
    await town.settle(2)
    for n in (1, 2):
        await town.alerts.tell([finding(subject=f"point:P{n}", customer_id=f"c{n}")])
        await town.alerts.put_webhook(f"c{n}", "https://example.org/x")
        await town.alerts.prefer(f"c{n}", Preferences(bill_share=0.5))
    told = await town.alerts.export("c1")
    assert (len(told["alerts"]), told["webhooks"]) == (1, ["https://example.org/x"])
    async with town.store.transaction() as connection:
        await town.alerts.erase(connection, "c1", NOON)
    for table in ("alert", "alert_preference", "alert_webhook"):
        assert await town.run(f"select customer_id from {table}") == [("c2",)]  # noqa: S608
    assert {who for _, who, *_ in await town.due()} == {"c2"}


# -- webhooks ------------------------------------------------------------------------------------------


async def test_webhooks_are_few_and_each_ones_own(town: Town) -> None:
    await town.settle(2)
    first = await town.alerts.put_webhook("c1", "https://example.org/0")
    assert await town.alerts.put_webhook("c1", "https://example.org/0") == first
    for n in range(1, 5):
        await town.alerts.put_webhook("c1", f"https://example.org/{n}")
    with pytest.raises(Conflict, match="webhook.too_many"):
        await town.alerts.put_webhook("c1", "https://example.org/5")
    assert (await town.alerts.put_webhook("c2", "https://example.org/0")).id != first.id
    with pytest.raises(NotFound):
        await town.alerts.drop_webhook("c2", first.id)
    await town.alerts.tell([finding()])
    await town.alerts.drop_webhook("c1", first.id)
    assert len(await town.alerts.webhooks("c1")) == 4
    assert [channel for channel, *_ in await town.due()].count("webhook") == 4


# -- what is watched for -------------------------------------------------------------------------------


def ordinary(days: int, *, seed: int = 5) -> Any:
    chance = np.random.default_rng(seed)
    hours = np.full((days, 24), 100.0)
    hours[:, 18:22] += 1200
    return hours * chance.lognormal(0, 0.2, hours.shape)


async def test_an_excess_is_found_when_its_meter_is_touched_and_told_once(town: Town) -> None:
    await town.settle(2)
    today = date(2026, 3, 20)
    hours = ordinary(61)
    hours[60, 12:] = np.nan  # it is noon
    await town.used(1, today - timedelta(days=60), hours)
    await town.used(2, today - timedelta(days=60), hours)
    watch = town.watch()
    watch.touched([1, 2])
    assert await watch.look_at_usage() == 0
    hours[60, 8:12] += 2500
    await town.used(1, today - timedelta(days=60), hours)
    watch.touched([1, 2])
    assert await watch.look_at_usage() == 0, "as many hours are known as before: nothing is looked at"
    hours[60, 12] = 120
    await town.used(1, today - timedelta(days=60), hours)
    for _ in range(2):
        watch.touched([1])
        told = await watch.look_at_usage()
        assert await town.open() == {("excess", "point:P1")}
    assert told == 0
    (alert,) = await town.alerts.alerts("c1", "pt-BR")
    assert alert.facts["pattern"] == "day"  # by then it is too much for a whole day
    again = town.watch()  # another process
    again.touched([1, 2])
    assert await again.look_at_usage() == 0


async def test_who_moved_in_is_not_compared_with_whoever_lived_there_before(town: Town) -> None:
    await town.settle(1, since="2026-03-10")
    hours = ordinary(61)
    hours[60] += 3000
    await town.used(1, date(2026, 1, 19), hours)
    watch = town.watch()
    watch.touched([1])
    assert await watch.look_at_usage() == 0


async def test_silence_an_outage_and_their_end(town: Town) -> None:
    await town.settle(8)
    for n in range(1, 9):
        await town.heard(n, NOON - timedelta(minutes=5))
    watch = town.watch()
    assert await watch.look_for_silence() == 0
    await town.heard(1, NOON - timedelta(hours=3))
    assert await watch.look_for_silence() == 0, "once a minute is enough"
    town.clock.at += timedelta(minutes=2)
    assert await watch.look_for_silence() == 1
    assert await town.open() == {("silent", "meter:1")}
    # Two hours later nobody was heard any more: one alert, and the first one stays what it is.
    town.clock.at = NOON + timedelta(hours=2)
    assert await watch.look_for_silence() == 1
    assert await town.open() == {("silent", "meter:1"), ("outage", "all")}
    for n in range(1, 9):
        await town.heard(n, town.clock.at)
    town.clock.at += timedelta(minutes=2)
    assert await watch.look_for_silence() == 2
    assert await town.open() == set()
    # A meter that was imported from years ago, or never heard, is no silent one.
    await town.run("delete from meter_latest where meter = 2")
    await town.heard(3, NOON - timedelta(days=4000))
    town.clock.at += timedelta(minutes=2)
    assert await watch.look_for_silence() == 0


async def test_cut_off_and_on_again_every_time(town: Town) -> None:
    await town.settle(1)
    watch = town.watch()
    for _ in range(2):
        await town.run("update meter set state = 'blocked' where key = 1")
        assert await watch.look_at_meters() == 1
        assert await town.watch().look_at_meters() == 0
        await town.run("update meter set state = 'in_service' where key = 1")
        assert await watch.look_at_meters() == 1
    told = await town.run("select news from alert_news order by id")
    assert [news for (news,) in told] == ["raised", "cleared"] * 2
    (_, alert) = await town.alerts.alerts("c1", "en")
    assert alert.title == "Your electricity is back on"


async def test_the_end_is_not_told_to_whoever_has_moved_away(town: Town) -> None:
    await town.settle(1)
    watch = town.watch()
    await town.run("update meter set state = 'blocked' where key = 1")
    assert await watch.look_at_meters() == 1
    await town.run("update occupancy set until_at = %s", town.clock.now())
    await town.run("update meter set state = 'in_service' where key = 1")
    await watch.look_at_meters()
    assert await town.open() == set()
    assert [news for _, _, _, news, _ in await town.due() if news == "cleared"] == []


async def test_readings_that_need_a_look_are_told_to_staff_until_somebody_looked(town: Town) -> None:
    await town.settle(1)
    await town.run(
        "insert into mark (at, starts_at, noticed_at, energy_wh, meter, kind) values"
        " (%s, %s, %s, 9, 1, 'jump'), (%s, %s, %s, 9, 1, 'backwards'), (%s, %s, %s, 9, 1, 'gap')",
        *([NOON] * 9),
    )
    watch = town.watch()
    assert await watch.look_at_marks() == 1
    assert await watch.look_at_marks() == 0
    (alert,) = await town.alerts.alerts(None, "en", kind=AlertKind.REGISTER)
    assert sorted(alert.facts["kinds"]) == ["backwards", "jump"]
    await town.run("update mark set verdict = 'accept' where kind = 'jump'")
    assert await watch.look_at_marks() == 0
    assert await town.open() == {("register", "meter:1")}
    await town.run("update mark set cleared_at = now() where kind = 'backwards'")
    await watch.look_at_marks()
    assert await town.open() == set()


# -- bills ahead ---------------------------------------------------------------------------------------


class OneReal:
    """A kWh is one real, and the month before cost 300."""

    def __init__(self, period: Days, month_ago: str, year_ago: str | None = None) -> None:
        self.period = period
        self._before = month_ago, year_ago

    async def month_ago(self) -> Decimal | None:
        return Decimal(self._before[0])

    async def year_ago(self) -> Decimal | None:
        return None if self._before[1] is None else Decimal(self._before[1])

    def will_be(self, use: HourlyUse) -> tuple[Decimal, str]:
        assert len(use.days_wh) == self.period.count
        return Decimal(round(float(use.days_wh.sum()) / 1000, 2)).quantize(Decimal("0.01")), "BRL"


class Bills:
    def __init__(self, **homes: HomeBills) -> None:
        self.homes = homes

    async def of(self, usage_point_ids: Sequence[str], today: date) -> Mapping[str, HomeBills]:
        return {point: self.homes[point] for point in usage_point_ids if point in self.homes}


MARCH = Days(date(2026, 3, 1), date(2026, 4, 1))


async def test_a_bill_that_will_be_another_is_told_before_it_is_one(town: Town) -> None:
    await town.settle(1)
    hours = np.full((80, 24), 400.0)  # 9.6 kWh a day, 298 a month
    await town.used(1, date(2026, 1, 1), hours)
    rows = WatchStore(town.store, ZONE)
    (home,) = await rows.homes_of([1])
    watch = town.watch(Bills(P1=OneReal(MARCH, "300")))
    for day in range(1, 21):
        town.clock.at = datetime(2026, 3, day, 15, tzinfo=UTC)
        assert await watch.look_at_bills([home]) == 0
    # From the 8th on it uses twice as much; nothing is told before a third of the month is over.
    hours[66:] *= 2
    await town.used(1, date(2026, 1, 1), hours)
    told = {}
    for day in range(8, 21):
        town.clock.at = datetime(2026, 3, day, 15, tzinfo=UTC)
        if await watch.look_at_bills([home]):
            told[day] = await town.run("select level, facts from alert_news order by id desc limit 1")
    assert min(told) == 12
    ((_, facts),) = told[12]
    assert facts["up"]
    assert facts["against"] == "month"
    assert Decimal(facts["low"]) > 360
    assert len(told) <= 2, "once, and once more when it became much"
    # It comes to nothing: who pays attention may bring it back.
    hours[66:] = 410
    await town.used(1, date(2026, 1, 1), hours)
    assert await watch.look_at_bills([home]) == 1
    assert await town.open() == set()


async def test_the_share_is_each_customers_own_and_a_drop_is_told_too(town: Town) -> None:
    await town.settle(2)
    for n in (1, 2):
        await town.used(n, date(2026, 1, 1), np.full((80, 24), 400.0))
    await town.alerts.prefer("c1", Preferences(bill_share=0.1))
    homes = await WatchStore(town.store, ZONE).homes_of([1, 2])
    bills = Bills(P1=OneReal(MARCH, "360"), P2=OneReal(MARCH, "360"))
    assert await town.watch(bills).look_at_bills(homes) == 1
    assert await town.open() == {("bill", "point:P1:2026-03-01")}
    (alert,) = await town.alerts.alerts("c1", "en")
    assert alert.title == "Your bill is going to be 17 % lower"


async def test_the_round_takes_every_home_once_a_day_in_pieces_shared_by_processes(town: Town) -> None:
    await town.settle(5)
    rows = WatchStore(town.store, ZONE)
    seen: list[str] = []
    for _ in range(10):
        seen += [one.usage_point_id for one in await rows.piece_of_round("homes", NOON, timedelta(days=1), 2)]
    assert seen == ["P1", "P2", "P3", "P4", "P5"]
    tomorrow = NOON + timedelta(days=1)
    assert len(await rows.piece_of_round("homes", tomorrow, timedelta(days=1), 9)) == 5


@pytest.mark.parametrize("tariff", ["cariri-b1-convencional", "cariri-b1-branca"])
async def test_a_forecast_is_priced_by_the_very_engine_that_bills(town: Town, tariff: str) -> None:
    await town.settle(1)
    prices = Prices(carried_book, ZONE)
    stands = StandingStore(town.store, ZONE.key)
    contract = Contract(usage_point_id="P1", valid_from=date(2025, 1, 1), terms=Terms(tariff_id=tariff))
    await stands.set_contract(contract, NOON, "staff")
    ahead = PricedAhead(town.store, prices, StoredUsage(town.store, hours_of(ZONE)))
    own = (await ahead.of(["P1", "nowhere"], date(2026, 3, 20)))["P1"]
    assert own.period == MARCH
    use = HourlyUse(first=MARCH.starts_on, days_wh=ordinary(31))
    total, currency = own.will_be(use)
    # Beside it: every hour a stretch of its own, cut where the engine wants it.
    wh = float(use.days_wh.sum())
    assert currency == "BRL"
    assert Decimal("0.5") < total / Decimal(wh / 1000) < Decimal("1.6")
    twice, _ = own.will_be(HourlyUse(first=use.first, days_wh=use.days_wh * 2))
    assert twice == pytest.approx(2 * total, rel=Decimal("0.02"))
    evening = np.zeros((31, 24))
    evening[:, 18:20] = wh / 62
    peak, _ = own.will_be(HourlyUse(first=use.first, days_wh=evening))
    assert (peak > total * Decimal("1.2")) is (tariff == "cariri-b1-branca")
    assert await own.month_ago() is None  # nothing is known of it
    # What was measured in February is priced as its bill would have been.
    readings = [
        Reading(meter=1, at=prices.midnight(day), energy_wh=register)
        for day, register in (
            (date(2026, 2, 1), 1000),
            (date(2026, 2, 14), 90_000),
            (date(2026, 3, 1), 241_000),
        )
    ]
    await ReadingStore(town.store, town.clock).merge(Readings.of(Source.HTTP, readings))
    before = (await ahead.of(["P1"], date(2026, 3, 20)))["P1"]
    february = await before.month_ago()
    assert february is not None
    assert Decimal("0.5") < february / 240 < Decimal("1.6")
    assert await before.year_ago() is None
    await town.run("update occupancy set from_at = '2026-02-10'")
    later = (await ahead.of(["P1"], date(2026, 3, 20)))["P1"]
    assert await later.month_ago() is None, "the one before is somebody else's"


# -- in words ------------------------------------------------------------------------------------------


def test_an_alert_says_what_when_and_what_to_do() -> None:
    facts = finding().facts
    words = words_of(AlertKind.EXCESS, facts, news=News.RAISED, language="en", zone=ZONE, now=NOON)
    assert words.text.startswith("Today between 18 and 21 h you used 5.2 kWh, 2.3 times your usual 2.3.")
    assert words.text.endswith("?")
    falado = words_of(
        AlertKind.EXCESS, facts, news=News.RAISED, language="pt-BR", zone=ZONE, now=NOON + timedelta(days=1)
    )
    assert falado.text.startswith(
        "Ontem, entre 18 h e 21 h, você usou 5,2 kWh, 2,3 vezes o seu normal de 2,3."
    )
    later = words_of(
        AlertKind.EXCESS, facts, news=News.ESCALATED, language="en", zone=ZONE, now=NOON + timedelta(days=9)
    )
    assert later.title == "It got worse: more electricity than usual"
    assert later.text.startswith("On 20 March between")


FACTS: dict[AlertKind, dict[str, Any]] = {
    AlertKind.EXCESS: finding().facts,
    AlertKind.BILL: {
        "up": True, "against": "both", "share": 0.34, "expected": "1234.56", "low": "1100.00",
        "high": "1400.00", "month_ago": "900.00", "year_ago": "880.00", "currency": "BRL",
        "starts_on": "2026-03-01", "ends_on": "2026-04-01", "days_left": 12,
    },
    AlertKind.SILENT: {"meter_id": "M1", "last_at": NOON.isoformat(), "interval_s": 900},
    AlertKind.OUTAGE: {"area": "", "since": NOON.isoformat(), "silent": 40, "meters": 50},
    AlertKind.REGISTER: {"meter_id": "M1", "since": NOON.isoformat(), "kinds": ["jump", "new one"]},
    AlertKind.BLOCKED: {"meter_id": "M1", "usage_point_id": "P1", "since": NOON.isoformat()},
}  # fmt: skip


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("news", News)
def test_every_alert_has_whole_sentences_in_both_languages(kind: AlertKind, news: News) -> None:
    facts = FACTS[kind] | {"until": NOON.isoformat()}
    patterns = ("hours", "day", "base") if kind is AlertKind.EXCESS else ("",)
    for pattern in patterns:
        told = [
            words_of(kind, facts | {"pattern": pattern}, news=news, language=language, zone=ZONE, now=NOON)
            for language in ("en", "pt-BR")
        ]
        assert told[0] != told[1]
        for one in told:
            assert "{" not in one.title + one.text
            assert " ?" not in one.title + one.text, "a fact that nobody gave"
            assert one.text[-1] in ".?"
    if kind is AlertKind.BILL and news is not News.CLEARED:
        assert "R$ 1,234.56" in told[0].text
        assert "R$ 1.234,56" in told[1].text
        assert "34 %" in told[0].title


async def test_news_is_read_in_order_and_none_is_missed(town: Town) -> None:
    """A transaction that commits late with an early number is found by the next look."""
    await town.settle(1)
    rows = AlertStore(town.store)
    _, since = await rows.told_since("")
    async with town.store.transaction() as slow:
        await AlertStore.add(slow, finding(subject="point:slow"), "alert_slow", NOON)
        await AlertStore.news(slow, "alert_slow", News.RAISED, finding(), NOON)
        await town.alerts.tell([finding(subject="point:fast")])
        first, since = await rows.told_since(since)
    second, since = await rows.told_since(since)
    assert len(first) == 1
    assert "alert_slow" in {told.alert.id for told in second}
    third, _ = await rows.told_since(since)
    assert third == []


async def test_webhooks_put_at_once_do_not_wait_for_each_others_connection(database_url: str) -> None:
    at_once = 4
    async with await Store.open(database_url, size=at_once, wait_s=2.0) as store:
        hooks = [
            Webhook(id=f"h{n}", customer_id=None, url=f"https://example.org/{n}", secret="s", created_at=NOON)
            for n in range(at_once)
        ]
        ready = asyncio.Barrier(at_once)

        async def put(hook: Webhook) -> Webhook | None:
            await ready.wait()
            return await WebhookStore(store).put(hook, 5)

        put_there = await asyncio.gather(*map(put, hooks))
    assert [one.id for one in put_there if one] == [one.id for one in hooks]
