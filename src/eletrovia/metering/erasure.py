"""PostgreSQL for taking a person out of what is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from eletrovia.metering.arrival import SPAN
from eletrovia.metering.customer import NOBODY
from eletrovia.metering.reading import epoch_us
from eletrovia.store.pool import Connection

# What a bill is made of stays: the first reading of each day, and the last before they left. What is between
# them tells when somebody gets up, and no bill needs it any more.
_THIN: Final = """
with stay as (
    select f.meter, greatest(f.from_at, o.from_at) as since, least(f.until_at, o.until_at) as until
    from occupancy o
    join fitting f on f.usage_point_id = o.usage_point_id
                  and tstzrange(f.from_at, f.until_at) && tstzrange(o.from_at, o.until_at)
    where o.customer_id = %(customer)s
),
mine as (
    select r.meter, r.at,
           row_number() over (
               partition by s.meter, s.since, (r.at at time zone %(zone)s)::date order by r.at
           ) > 1 and r.at < max(r.at) over (partition by s.meter, s.since) as between_them
    from stay s join reading r on r.meter = s.meter and r.at >= s.since and r.at < s.until
),
gone as (
    delete from reading r using mine m
    where m.between_them and r.meter = m.meter and r.at = m.at
    returning r.meter, r.at
),
plain as (
    update reading r set power_w = null from mine m
    where not m.between_them and r.meter = m.meter and r.at = m.at and r.power_w is not null
),
agreed as (
    delete from reading_conflict r using stay s
    where r.meter = s.meter and r.at >= s.since and r.at < s.until
)
select meter, min(at), max(at), count(*) from gone group by meter order by meter
"""
# Where readings have left by their age, nothing is worked out anew: hours are made even as they stand, to the
# Wh of each day. A day that is not all of one stay, or not all gone, keeps its; areas are sums over many.
_LEVEL: Final = """
with stay as (
    select f.meter, greatest(f.from_at, o.from_at) as since,
           least(coalesce(f.until_at, 'infinity'), coalesce(o.until_at, 'infinity'), k.from_at) as until
    from occupancy o
    join fitting f on f.usage_point_id = o.usage_point_id
                  and tstzrange(f.from_at, f.until_at) && tstzrange(o.from_at, o.until_at)
    cross join reading_kept k
    where o.customer_id = %(customer)s
),
old as (
    select d.* from stay s join usage_day d on d.meter = s.meter
           and d.day::timestamp at time zone %(zone)s >= s.since
           and (d.day + 1)::timestamp at time zone %(zone)s <= s.until
)
update usage_day u set hour_wh = even.hour_wh, estimated_wh = even.estimated_wh
from old, lateral (
    select array_agg(case when wh < 0 then wh else used / known + (rank <= used %% known)::int end
                     order by place)::integer[] as hour_wh,
           case when old.estimated_wh is not null then
               array_agg(case when wh < 0 then 0 else guessed / known + (rank <= guessed %% known)::int end
                         order by place)::integer[]
           end as estimated_wh
    from (
        select wh, place, sum(greatest(wh, 0)) over () as used,
               sum(case when wh < 0 then 0 else coalesce(estimated, 0) end) over () as guessed,
               count(*) filter (where wh >= 0) over () as known,
               count(*) filter (where wh >= 0) over (order by place) as rank
        from unnest(old.hour_wh, old.estimated_wh) with ordinality as hour (wh, estimated, place)
    ) hours
) even
where u.meter = old.meter and u.day = old.day
"""
_ARRIVAL: Final = "insert into arrival (spans, readings, arrived_at) values (%b, %s, %s)"
_NOBODY: Final = """
update customer set account_id = null, name = %s, tax_id = null, email = null, address = '', erased_at = %s
where id = %s
"""


async def lock(connection: Connection, customer_id: str) -> tuple[bool, datetime | None]:
    """Whether there is such a customer, and when they were erased.

    Locks: the customer's row, so that nobody moves in with them meanwhile.
    """
    rows = await connection.execute("select erased_at from customer where id = %s for update", (customer_id,))
    row = await rows.fetchone()
    return (False, None) if row is None else (True, row[0])


async def end_stays(connection: Connection, customer_id: str, now: datetime) -> int:
    """They live nowhere from now on; how many stays are kept, without a name."""
    await connection.execute(
        "delete from occupancy where customer_id = %s and until_at is null and from_at >= %s",
        (customer_id, now),
    )
    await connection.execute(
        "update occupancy set until_at = %s where customer_id = %s and until_at is null", (now, customer_id)
    )
    rows = await connection.execute("select count(*) from occupancy where customer_id = %s", (customer_id,))
    row = await rows.fetchone()
    return 0 if row is None else int(row[0])


async def thin_readings(connection: Connection, customer_id: str, zone: ZoneInfo, now: datetime) -> int:
    """Of the time they lived with a meter only day values stay; how many readings went.

    Usage finer than a day is worked out anew, from what is left.
    """
    asked = {"customer": customer_id, "zone": zone.key}
    await connection.execute(_LEVEL, asked)
    rows = await connection.execute(_THIN, asked)
    thinned = await rows.fetchall()
    if not thinned:
        return 0
    spans = np.array(
        [(meter, epoch_us(first_at), epoch_us(last_at)) for meter, first_at, last_at, _ in thinned], SPAN
    )
    gone = sum(int(count) for *_, count in thinned)
    await connection.execute(_ARRIVAL, (spans.tobytes(), gone, now))
    return gone


async def forget_person(connection: Connection, customer_id: str, now: datetime) -> None:
    """Nothing in the customers' tables says any more who they were."""
    await connection.execute(
        "delete from claim_try where account_id = (select account_id from customer where id = %s)",
        (customer_id,),
    )
    await connection.execute(_NOBODY, (NOBODY, now, customer_id))
