"""PostgreSQL for alerts, what was told of them, and what people want to be told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from psycopg.types.json import Jsonb

from eletrovia.metering.alert import (
    COOL_DOWN,
    FOR_CUSTOMERS,
    STAFF_PREFERENCES,
    Alert,
    AlertKind,
    Finding,
    Level,
    News,
    Preferences,
    Told,
)
from eletrovia.store.pool import Connection, Store

LASTING: Final = (AlertKind.SILENT, AlertKind.OUTAGE, AlertKind.BLOCKED)
"""States: one alert for as long as they last."""

_COLUMNS: Final = (
    "a.id, a.kind, a.level, a.period, a.facts, a.customer_id, a.usage_point_id, a.raised_at, a.cleared_at,"
    " a.acknowledged_at"
)
_STANDING: Final = """
select n
from unnest(%b::text[], %b::text[], %b::text[], %b::int[])
     with ordinality as f (kind, subject, period, level, n)
where exists (
    select from alert a where a.kind = f.kind and a.subject = f.subject and a.level >= f.level
    and (a.period = f.period or a.cleared_at is null and a.kind = any (%b::text[]))
)
"""
_RAISE: Final = """
insert into alert (id, kind, subject, period, level, facts, customer_id, for_staff, usage_point_id, meter,
                   raised_at, again_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict do nothing returning id
"""
_THE_SAME: Final = """
select id, level, cleared_at from alert
where kind = %s and subject = %s and (period = %s or cleared_at is null and kind = any (%b::text[]))
order by period = %s desc limit 1
for update
"""
_WORSE: Final = "update alert set level = %s, facts = %s, cleared_at = null where id = %s"
_AGAIN: Final = """
update alert set facts = %s, cleared_at = null where id = %s and (facts <> %s or cleared_at is not null)
"""
# Whoever has moved away since is not told what goes on in the home of others.
_CLEAR: Final = """
update alert set cleared_at = %s, facts = facts || %s
where kind = %s and subject = any (%b::text[]) and cleared_at is null
returning id, kind, level, facts,
    case when usage_point_id is null or exists (
        select from usage_point p where p.id = alert.usage_point_id and p.customer_id = alert.customer_id
    ) then customer_id end,
    for_staff
"""
_FADE: Final = """
update alert set cleared_at = %(now)s
where cleared_at is null and (
    kind = 'excess' and raised_at < %(before)s or kind = 'bill' and (facts ->> 'ends_on')::date <= %(today)s
)
"""
_NEWS: Final = """
insert into alert_news (alert_id, news, level, facts, told_at) values (%s, %s, %s, %s, %s)
on conflict on constraint alert_news_once do nothing returning id
"""
_LIST: Final = f"""
select {_COLUMNS} from alert a
where (%(customer)s::text is null or a.customer_id = %(customer)s and a.kind = any (%(kinds)s))
  and (not %(open)s or a.cleared_at is null and a.acknowledged_at is null)
  and (%(kind)s::text is null or a.kind = %(kind)s)
  and (%(before)s::text is null
       or (a.raised_at, a.id) < (select raised_at, id from alert where id = %(before)s))
order by a.raised_at desc, a.id desc limit %(limit)s
"""  # noqa: S608
_TOLD: Final = f"""
select n.id, n.news, n.told_at, n.level, n.facts, a.for_staff, {_COLUMNS}
from alert_news n join alert a on a.id = n.alert_id
"""  # noqa: S608
_ACKNOWLEDGE: Final = """
update alert set acknowledged_at = coalesce(acknowledged_at, %s),
                 acknowledged_by = coalesce(acknowledged_by, %s)
where id = %s and (%s::text is null or customer_id = %s and kind = any (%b::text[]))
returning id
"""
_KEEP_PREFERENCES: Final = """
insert into alert_preference (customer_id, preferences, changed_at) values (%s, %s, %s)
on conflict on constraint alert_preference_once
do update set preferences = excluded.preferences, changed_at = excluded.changed_at
"""


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may have to be told: a customer, or without one the utility."""

    customer_id: str | None
    preferences: Preferences
    email: str | None
    webhooks: tuple[str, ...]


class AlertStore:
    """Reads and writes alerts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- raising and clearing: each inside a transaction of the caller's ------------------------------------

    async def not_standing(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those that are no alert already: what a round finds again and again costs one question.

        Forecasts of bills always go on, so that an alert's facts are today's.
        """
        columns = [
            [one.kind.value for one in findings],
            [one.subject for one in findings],
            [one.period for one in findings],
            [int(one.level) for one in findings],
        ]
        async with self._store.connection() as connection:
            rows = await connection.execute(_STANDING, (*columns, list(LASTING)))
            standing = {int(row[0]) for row in await rows.fetchall()}
        return [
            one
            for place, one in enumerate(findings, 1)
            if place not in standing or one.kind is AlertKind.BILL
        ]

    @staticmethod
    async def add(
        connection: Connection, finding: Finding, alert_id: str, now: datetime
    ) -> tuple[str, News] | None:
        """The alert's id and what there is to tell; None where it was told, or its kind cools down still.

        Locks: the alert's row.
        """
        facts = Jsonb(finding.facts)
        cool_down = COOL_DOWN[finding.kind] if finding.cool_down is None else finding.cool_down
        rows = await connection.execute(
            _RAISE,
            (
                alert_id,
                finding.kind.value,
                finding.subject,
                finding.period,
                int(finding.level),
                facts,
                finding.customer_id,
                finding.for_staff,
                finding.usage_point_id,
                finding.meter,
                now,
                now + cool_down,
            ),
        )
        if await rows.fetchone() is not None:
            return alert_id, News.RAISED
        same = (finding.kind.value, finding.subject, finding.period, list(LASTING), finding.period)
        row = await (await connection.execute(_THE_SAME, same)).fetchone()
        if row is None:
            return None
        if int(row[1]) < finding.level:
            await connection.execute(_WORSE, (int(finding.level), facts, row[0]))
            return str(row[0]), News.ESCALATED
        await connection.execute(_AGAIN, (facts, row[0], facts))
        return None

    @staticmethod
    async def clear(
        connection: Connection,
        kind: AlertKind,
        subjects: Sequence[str],
        facts: dict[str, Any],
        now: datetime,
    ) -> list[tuple[str, Finding]]:
        """Those of the open alerts that are over now, as what they were found as."""
        rows = await connection.execute(_CLEAR, (now, Jsonb(facts), kind.value, list(subjects)))
        return [
            (
                str(id_),
                Finding(
                    kind=AlertKind(kind_),
                    subject="",
                    period="",
                    level=Level(level),
                    facts=known,
                    customer_id=customer_id,
                    for_staff=for_staff,
                ),
            )
            for id_, kind_, level, known, customer_id, for_staff in await rows.fetchall()
        ]

    async def fade(self, now: datetime, before: datetime, today: date) -> None:
        """Excesses raised before that moment and bills of periods that ended are nobody's worry any more."""
        async with self._store.connection() as connection:
            await connection.execute(_FADE, {"now": now, "before": before, "today": today})

    @staticmethod
    async def news(
        connection: Connection, alert_id: str, news: News, finding: Finding, now: datetime
    ) -> int | None:
        """Write down what there is to tell; None where it was told before."""
        values = (alert_id, news.value, int(finding.level), Jsonb(finding.facts), now)
        row = await (await connection.execute(_NEWS, values)).fetchone()
        return None if row is None else int(row[0])

    @staticmethod
    async def audience(connection: Connection, customer_id: str | None) -> Audience | None:
        """Whom to tell, and how they want it; None for a customer who was erased."""
        email = None
        if customer_id is not None:
            rows = await connection.execute(
                "select email from customer where id = %s and erased_at is null", (customer_id,)
            )
            row = await rows.fetchone()
            if row is None:
                return None
            email = row[0]
        rows = await connection.execute(
            "select id from alert_webhook where customer_id is not distinct from %s order by id",
            (customer_id,),
        )
        webhooks = tuple(str(row[0]) for row in await rows.fetchall())
        preferences = await _preferences(connection, customer_id)
        return Audience(customer_id=customer_id, preferences=preferences, email=email, webhooks=webhooks)

    # -- reading --------------------------------------------------------------------------------------------

    async def alerts(
        self,
        *,
        customer_id: str | None,
        open_only: bool,
        kind: AlertKind | None,
        before: str | None,
        limit: int,
    ) -> list[Alert]:
        """A page, newest first; without a customer everybody's."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _LIST,
                {
                    "customer": customer_id,
                    "kinds": list(FOR_CUSTOMERS),
                    "open": open_only,
                    "kind": kind,
                    "before": before,
                    "limit": limit,
                },
            )
            return [_alert(row) for row in await rows.fetchall()]

    async def alert(self, alert_id: str, customer_id: str | None) -> Alert | None:
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"select {_COLUMNS} from alert a where a.id = %s"  # noqa: S608
                " and (%s::text is null or a.customer_id = %s and a.kind = any (%b::text[]))",
                (alert_id, customer_id, customer_id, list(FOR_CUSTOMERS)),
            )
            row = await rows.fetchone()
        return None if row is None else _alert(row)

    async def told_after(self, news_id: int, customer_id: str | None, limit: int) -> list[Told]:
        """News with greater ids that a customer may hear (staff, without one, all), oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _TOLD + "where n.id > %s"
                " and (%s::text is null or a.customer_id = %s and a.kind = any (%b::text[]))"
                " order by n.id limit %s",
                (news_id, customer_id, customer_id, list(FOR_CUSTOMERS), limit),
            )
            return [_told(row) for row in await rows.fetchall()]

    async def told_since(self, xid: str) -> tuple[list[Told], str]:
        """News written in that transaction or later, and what to ask for next; "" asks only that."""
        async with self._store.connection() as connection:
            rows = await connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
            row = await rows.fetchone()
            # A transaction still at work may commit with an older number: from the oldest such one on.
            upto = "0" if row is None else str(row[0])
            if not xid:
                return [], upto
            rows = await connection.execute(
                _TOLD + "where n.written_in >= %s::xid8 order by n.id limit 10000", (xid,)
            )
            return [_told(row) for row in await rows.fetchall()], upto

    async def acknowledge(
        self, alert_id: str, customer_id: str | None, account_id: str, now: datetime
    ) -> bool:
        """Whether there is such an alert of theirs; who came first stays."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _ACKNOWLEDGE, (now, account_id, alert_id, customer_id, customer_id, list(FOR_CUSTOMERS))
            )
            return await rows.fetchone() is not None

    # -- preferences ----------------------------------------------------------------------------------------

    async def preferences(self, customer_id: str | None) -> Preferences:
        async with self._store.connection() as connection:
            return await _preferences(connection, customer_id)

    async def keep_preferences(
        self, customer_id: str | None, preferences: Preferences, now: datetime
    ) -> None:
        async with self._store.connection() as connection:
            kept = Jsonb(msgspec.to_builtins(preferences))
            await connection.execute(_KEEP_PREFERENCES, (customer_id, kept, now))


async def erase(connection: Connection, customer_id: str) -> None:
    """Nothing of alerts stays of a customer who is erased."""
    for table in ("alert_webhook", "alert_preference", "alert"):
        await connection.execute(f"delete from {table} where customer_id = %s", (customer_id,))  # noqa: S608


async def _preferences(connection: Connection, customer_id: str | None) -> Preferences:
    rows = await connection.execute(
        "select preferences from alert_preference where customer_id is not distinct from %s", (customer_id,)
    )
    row = await rows.fetchone()
    if row is None:
        return STAFF_PREFERENCES if customer_id is None else Preferences()
    return msgspec.convert(row[0], Preferences)


def _alert(row: Sequence[Any]) -> Alert:
    return Alert(
        id=row[0],
        kind=AlertKind(row[1]),
        level=Level(row[2]),
        period=row[3],
        facts=row[4],
        customer_id=row[5],
        usage_point_id=row[6],
        raised_at=row[7],
        cleared_at=row[8],
        acknowledged_at=row[9],
    )


def _told(row: Sequence[Any]) -> Told:
    return Told(
        id=row[0],
        news=News(row[1]),
        told_at=row[2],
        level=Level(row[3]),
        facts=row[4],
        for_staff=row[5],
        alert=_alert(row[6:]),
    )
