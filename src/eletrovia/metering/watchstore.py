"""PostgreSQL for what alerts look at: who lives where, hours of usage, who was heard, who is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from eletrovia.metering.excess import Days, Floats
from eletrovia.metering.silence import Silent
from eletrovia.store.pool import Store

_OF_METERS: Final = """
select p.id, p.customer_id, o.from_at
from usage_point p join occupancy o on o.usage_point_id = p.id and o.until_at is null
where p.id in (select usage_point_id from fitting where meter = any (%b::int[]) and until_at is null)
"""
_AFTER: Final = """
select p.id, p.customer_id, o.from_at
from usage_point p join occupancy o on o.usage_point_id = p.id and o.until_at is null
where p.id > %s order by p.id limit %s
"""
_DAYS: Final = """
select f.usage_point_id, d.day, d.hour_wh, d.estimated_wh
from fitting f join usage_day d
  on d.meter = f.meter and d.day >= %(first)s and d.day < %(end)s
 and d.day >= (f.from_at at time zone %(zone)s)::date
 and (f.until_at is null or d.day <= (f.until_at at time zone %(zone)s)::date)
where f.usage_point_id = any (%(points)b::text[])
"""
_HEARD: Final = """
with piece as (
    select m.key, m.id, m.interval_s, l.at
    from meter m left join meter_latest l on l.meter = m.key and l.at > %(now)s - interval '30 days'
    where m.key > %(after)s and m.state = 'in_service' and m.kind = 'meter'
    order by m.key limit %(limit)s
),
placed as (
    select piece.*, coalesce(f.usage_point_id, '') as usage_point_id, coalesce(p.area, '') as area,
           p.customer_id,
           piece.at < %(now)s - make_interval(secs => %(intervals)s * piece.interval_s) as silent
    from piece
    left join fitting f on f.meter = piece.key and f.until_at is null
    left join usage_point p on p.id = f.usage_point_id
)
"""
_AREAS: Final = (
    _HEARD
    + """
select area, count(at), max(key), count(*) from placed group by area
"""
)
_SILENT: Final = (
    _HEARD
    + """
select key, id, usage_point_id, area, customer_id, at, interval_s from placed where silent
"""
)
_HEARD_AGAIN: Final = """
select a.subject from alert a join meter m on m.key = a.meter left join meter_latest l on l.meter = m.key
where a.kind = 'silent' and a.cleared_at is null
  and (m.state <> 'in_service' or l.at >= %s - make_interval(secs => %s * m.interval_s))
"""
_OPEN_OUTAGES: Final = "select subject from alert where kind = 'outage' and cleared_at is null"
_CUT_OFF: Final = """
select m.key, m.id, m.changed_in::text, f.usage_point_id, p.customer_id
from meter m
join fitting f on f.meter = m.key and f.until_at is null
join usage_point p on p.id = f.usage_point_id
where m.state = 'blocked' and p.customer_id is not null and not exists (
    select from alert a where a.kind = 'blocked' and a.subject = 'meter:' || m.key and a.cleared_at is null
)
"""
_ON_AGAIN: Final = """
select a.subject from alert a join meter m on m.key = a.meter
where a.kind = 'blocked' and a.cleared_at is null and m.state <> 'blocked'
"""
_MARKED: Final = """
select k.meter, m.id, min(k.at), array_agg(distinct k.kind), count(*)
from (
    select meter, at, kind from mark
    where cleared_at is null and verdict is null and kind in ('backwards', 'jump', 'conflict')
    and not exists (
        select from alert a where a.kind = 'register' and a.meter = mark.meter and a.cleared_at is null
    )
    order by at desc limit %s
) k join meter m on m.key = k.meter
group by k.meter, m.id
"""
_LOOKED_AT: Final = """
select a.subject from alert a
where a.kind = 'register' and a.cleared_at is null and not exists (
    select from mark k where k.meter = a.meter and k.cleared_at is null and k.verdict is null
    and k.kind in ('backwards', 'jump', 'conflict')
)
"""
_ROUND: Final = """
insert into alert_round (name, after, started_at) values (%s, '', %s)
on conflict on constraint alert_round_pkey do nothing
"""


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """A usage point with whoever lives there, and since when."""

    usage_point_id: str
    customer_id: str
    since: datetime


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that has its customer cut off; ``change`` is another one each time."""

    meter: int
    meter_id: str
    change: str
    usage_point_id: str
    customer_id: str


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A meter with readings that a person has to look at."""

    meter: int
    meter_id: str
    since: datetime
    kinds: list[str]
    count: int


class WatchStore:
    """Reads what rules need, many homes or meters at a time."""

    def __init__(self, store: Store, zone: ZoneInfo) -> None:
        self._store = store
        self._zone = zone

    async def homes_of(self, meters: Sequence[int]) -> list[Home]:
        """The homes where these meters hang and somebody lives."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_OF_METERS, (list(meters),))
            return [_home(row) for row in await rows.fetchall()]

    async def days(self, homes: Sequence[Home], first: date, end: date) -> dict[str, Days]:
        """Their use on ``[first, end)``, without the days before they lived there.

        What is estimated for the most part is not known here: it says nothing of anybody's habits.
        """
        asked = [one.usage_point_id for one in homes]
        async with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_DAYS, {"first": first, "end": end, "zone": self._zone.key, "points": asked})
            rows = await cursor.fetchall()
        since = {one.usage_point_id: one.since.astimezone(self._zone).date() for one in homes}
        rows = [row for row in rows if row[1] > since[row[0]]]
        number = {one: place for place, one in enumerate(asked)}
        at = [number[row[0]] for row in rows], [(row[1] - first).days for row in rows]
        hours = _hours([row[2] for row in rows], [row[3] for row in rows])
        # On the day of a swap two meters counted for one home.
        shape = (len(asked), (end - first).days, 24)
        total, seen = np.zeros(shape), np.zeros(shape, np.int8)
        np.add.at(total, at, np.nan_to_num(hours))
        np.add.at(seen, at, ~np.isnan(hours))
        total[seen == 0] = np.nan
        return {one: Days(first=first, hours=total[place]) for one, place in number.items()}

    async def piece_of_round(self, name: str, now: datetime, every: timedelta, limit: int) -> list[Home]:
        """The next homes of a round over all of them, which begins at most ``every``; [] when none is due.

        Each piece is one process's, so that several go round together.
        """
        async with self._store.transaction() as connection:
            await connection.execute(_ROUND, (name, now - every))
            rows = await connection.execute(
                "select after, started_at from alert_round where name = %s for update", (name,)
            )
            row = await rows.fetchone()
            after, started_at = ("", now) if row is None else (str(row[0]), row[1])
            if not after:
                if now - started_at < every:
                    return []
                started_at = now
            homes = [
                _home(row) for row in await (await connection.execute(_AFTER, (after, limit))).fetchall()
            ]
            reached = homes[-1].usage_point_id if len(homes) == limit else ""
            await connection.execute(
                "update alert_round set after = %s, started_at = %s where name = %s",
                (reached, started_at, name),
            )
        return homes

    async def begin_round(self, name: str, now: datetime, every: timedelta) -> bool:
        """Whether it is for us to go round now: once ``every``, whoever comes first."""
        async with self._store.transaction() as connection:
            await connection.execute(_ROUND, (name, now - every))
            rows = await connection.execute(
                "update alert_round set started_at = %s where name = %s and started_at <= %s returning name",
                (now, name, now - every),
            )
            return await rows.fetchone() is not None

    async def shares(self, customer_ids: Sequence[str]) -> dict[str, float]:
        """The share of a bill from which customers want to hear, of those who said so."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select customer_id, (preferences ->> 'bill_share')::float8 from alert_preference"
                " where customer_id = any (%b::text[]) and preferences ? 'bill_share'",
                (list(customer_ids),),
            )
            return {str(one): float(share) for one, share in await rows.fetchall()}

    # -- meters ---------------------------------------------------------------------------------------------

    async def heard(
        self, after: int, now: datetime, intervals: float, limit: int
    ) -> tuple[dict[str, int], list[Silent], int | None]:
        """Of the meters with greater keys: how many each area has, who is silent, and the last key.

        No key: these were the last. A meter that never said anything is not in service yet, and one that has
        said nothing for a month will not be missed today.
        """
        asked = {"after": after, "now": now, "intervals": intervals, "limit": limit}
        async with self._store.connection() as connection:
            areas = await (await connection.execute(_AREAS, asked)).fetchall()
            rows = await (await connection.execute(_SILENT, asked)).fetchall()
        silent = [
            Silent(
                meter=key,
                meter_id=id_,
                usage_point_id=point,
                area=area,
                customer_id=customer_id,
                last_at=at,
                interval_s=interval_s,
            )
            for key, id_, point, area, customer_id, at, interval_s in rows
        ]
        seen = sum(int(row[3]) for row in areas)
        last = max((int(row[2]) for row in areas), default=None)
        return {str(row[0]): int(row[1]) for row in areas}, silent, last if seen == limit else None

    async def heard_again(self, now: datetime, intervals: float) -> list[str]:
        """The subjects of open alerts of silence that are over."""
        return await self._subjects(_HEARD_AGAIN, (now, intervals))

    async def open_outages(self) -> list[str]:
        """The subjects of open alerts of outages."""
        return await self._subjects(_OPEN_OUTAGES, ())

    async def cut_off(self) -> list[CutOff]:
        """Meters that are blocked, with no open alert of it."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_CUT_OFF)
            return [
                CutOff(meter=key, meter_id=id_, change=change, usage_point_id=point, customer_id=customer_id)
                for key, id_, change, point, customer_id in await rows.fetchall()
            ]

    async def on_again(self) -> list[str]:
        """The subjects of open alerts of meters that are blocked no more."""
        return await self._subjects(_ON_AGAIN, ())

    async def marked(self, limit: int) -> list[Marked]:
        """Meters with readings that wait for a person and no open alert of it, by the ``limit`` newest."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_MARKED, (limit,))
            return [
                Marked(meter=key, meter_id=id_, since=since, kinds=kinds, count=count)
                for key, id_, since, kinds, count in await rows.fetchall()
            ]

    async def looked_at(self) -> list[str]:
        """The subjects of open alerts of readings that nobody waits for any more."""
        return await self._subjects(_LOOKED_AT, ())

    async def _subjects(self, query: str, values: tuple[Any, ...]) -> list[str]:
        async with self._store.connection() as connection:
            rows = await connection.execute(query, values)
            return [str(row[0]) for row in await rows.fetchall()]


def _home(row: tuple[Any, ...]) -> Home:
    return Home(usage_point_id=row[0], customer_id=row[1], since=row[2])


def _hours(hour_wh: list[list[int]], estimated_wh: list[list[int] | None]) -> Floats:
    """Days by 24. Of a day of 23 hours the last is not known, of one of 25 the last is left out."""
    if not hour_wh:
        return np.empty((0, 24))
    hours = np.array(hour_wh, np.float64)
    hours[hours < 0] = np.nan
    for place, estimated in enumerate(estimated_wh):
        if estimated is not None:
            hours[place, 2 * np.array(estimated) > np.nan_to_num(hours[place])] = np.nan
    return hours[:, :24]
