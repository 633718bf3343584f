"""PostgreSQL for the outbox of alerts: what is due to whom, and which process is at it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from eletrovia.metering.alert import AlertKind, Channel, Level, News
from eletrovia.store.pool import Connection, Store

_ADD: Final = """
insert into alert_delivery (news_id, channel, lane, customer_id, webhook_id, created_at, due_at)
values (%s, %s, %s, %s, %s, %s, %s) on conflict on constraint alert_delivery_once do nothing
"""
# What nobody has begun to tell is not told any more when there is something newer to say of the same alert.
_SUPERSEDE: Final = """
delete from alert_delivery d using alert_news n
where n.id = d.news_id and n.alert_id = %s and n.id < %s and d.tries = 0
"""
# Of each lane only so many, or one slow receiver with a long queue would have every hand. While a lane is
# down, the one that found it so is tried again when its rest is over, and nothing else.
_CLAIM: Final = """
with due as (
    select d.id, row_number() over (partition by d.lane order by d.due_at, d.id) as nth
    from alert_delivery d left join alert_webhook w on w.id = d.webhook_id
    where d.sent_at is null and d.given_up_at is null and d.due_at <= %(now)s
      and d.lane <> all (%(busy)b::text[]) and (w.failing_since is not null) = %(failing)s
      and not exists (
          select from alert_delivery x
          where x.lane = d.lane and x.lane_down and x.due_at > %(now)s
            and x.sent_at is null and x.given_up_at is null
      )
),
mine as (
    select d.id from alert_delivery d join due using (id)
    where due.nth <= %(each)s and d.sent_at is null and d.given_up_at is null and d.due_at <= %(now)s
    order by d.due_at, d.id limit %(most)s
    for update of d skip locked
),
taken as (
    update alert_delivery d set due_at = %(lease)s, tries = tries + 1, first_at = coalesce(first_at, %(now)s)
    from mine where d.id = mine.id
    returning d.*
)
select d.id, d.channel, d.lane, d.customer_id, d.webhook_id, d.created_at, d.tries, d.first_at,
       n.id, n.news, n.level, n.facts, n.told_at, a.id, a.kind, a.usage_point_id, a.raised_at,
       coalesce(c.language, %(language)s), c.email
from taken d
join alert_news n on n.id = d.news_id
join alert a on a.id = n.alert_id
left join customer c on c.id = d.customer_id
"""
_SENT: Final = "update alert_delivery set sent_at = %s, problem = null where id = %s and sent_at is null"
_REST: Final = """
update alert_delivery set due_at = %s, problem = %s, lane_down = %s where id = %s and sent_at is null
"""
_GIVE_UP: Final = """
update alert_delivery set given_up_at = %s, problem = %s where id = %s and sent_at is null
"""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news on its way to one receiver.

    Shape: ``email`` is the customer's as it is now; without a customer it goes to the utility's staff.
    """

    id: int
    channel: Channel
    lane: str
    customer_id: str | None
    webhook_id: str | None
    created_at: datetime
    tries: int
    first_at: datetime
    news_id: int
    news: News
    level: Level
    facts: dict[str, Any]
    told_at: datetime
    alert_id: str
    kind: AlertKind
    usage_point_id: str | None
    raised_at: datetime
    language: str
    email: str | None


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to write down, in the transaction of its news."""

    channel: Channel
    lane: str
    customer_id: str | None
    webhook_id: str | None
    due_at: datetime


async def add(
    connection: Connection, alert_id: str, news_id: int, pending: Sequence[Pending], now: datetime
) -> None:
    """News goes out with the transaction that wrote it down, or not at all."""
    await connection.execute(_SUPERSEDE, (alert_id, news_id))
    for one in pending:
        await connection.execute(
            _ADD, (news_id, one.channel.value, one.lane, one.customer_id, one.webhook_id, now, one.due_at)
        )


class DeliveryStore:
    """Claims and settles deliveries; several processes share them."""

    def __init__(self, store: Store, *, staff_language: str) -> None:
        self._store = store
        self._staff_language = staff_language

    async def claim(
        self,
        now: datetime,
        lease: datetime,
        *,
        busy: Collection[str],
        each: int,
        most: int,
        failing: bool,
    ) -> list[Delivery]:
        """Up to ``most`` that are due, ``each`` of a lane, none of ``busy`` lanes; to webhooks that are
        ``failing``, or to everybody else.

        They are ours until ``lease``; after that others think that we are dead, and take them.
        """
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _CLAIM,
                {
                    "now": now,
                    "busy": list(busy),
                    "each": each,
                    "most": most,
                    "lease": lease,
                    "failing": failing,
                    "language": self._staff_language,
                },
            )
            return [_delivery(row) for row in await rows.fetchall()]

    async def sent(self, delivery_id: int, now: datetime) -> None:
        async with self._store.connection() as connection:
            await connection.execute(_SENT, (now, delivery_id))

    async def rest(self, delivery_id: int, until: datetime, problem: str, *, lane_down: bool) -> None:
        """Try again at ``until``; with ``lane_down`` whatever is for the same receiver waits for that try."""
        async with self._store.connection() as connection:
            await connection.execute(_REST, (until, problem, lane_down, delivery_id))

    async def give_up(self, delivery_id: int, problem: str, now: datetime) -> None:
        async with self._store.connection() as connection:
            await connection.execute(_GIVE_UP, (now, problem, delivery_id))


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return Delivery(
        id=row[0],
        channel=Channel(row[1]),
        lane=row[2],
        customer_id=row[3],
        webhook_id=row[4],
        created_at=row[5],
        tries=row[6],
        first_at=row[7],
        news_id=row[8],
        news=News(row[9]),
        level=Level(row[10]),
        facts=row[11],
        told_at=row[12],
        alert_id=row[13],
        kind=AlertKind(row[14]),
        usage_point_id=row[15],
        raised_at=row[16],
        language=row[17],
        email=row[18],
    )
