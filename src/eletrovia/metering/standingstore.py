"""PostgreSQL for contracts, and for all that stands about a usage point before a bill is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Conflict, NotFound
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract, Days, Stay
from eletrovia.metering.invoice import Billed
from eletrovia.metering.metered import Fitted
from eletrovia.metering.standing import Earlier, Silence, Standing
from eletrovia.store.pool import Connection, Store

_CONTRACTS: Final = """
select usage_point_id, valid_from, terms, reading_day, due_days
from contract where usage_point_id = any (%b::text[]) order by usage_point_id, valid_from
"""
# Days are whole: whoever comes at noon has that day, whoever leaves at noon has not.
_STAYS: Final = """
select usage_point_id, customer_id, (from_at at time zone %s)::date, (until_at at time zone %s)::date
from occupancy where usage_point_id = any (%b::text[]) order by usage_point_id, from_at
"""
_FITTINGS: Final = """
select f.usage_point_id, f.meter, m.id, f.from_at, f.until_at, m.interval_s
from fitting f join meter m on m.key = f.meter
where f.usage_point_id = any (%b::text[]) order by f.usage_point_id, f.from_at
"""
# What a period was charged: its invoice without the lines of earlier periods, later lines about it, less
# corrections. Kindness does not change what was owed.
_EARLIER: Final = """
select i.usage_point_id, i.id, i.number, i.customer_id, i.starts_on, i.ends_on, i.month,
       i.energy_wh + s.energy_wh,
       i.total - carried.amount + s.amount - c.corrected,
       i.total - c.credited,
       i.total - c.credited - p.paid,
       s.count, s.carried_by,
       case when i.starts_on >= %s and who.erased_at is null
            then coalesce(known.measured, i.measured) else ''::bytea end
from invoice i
join customer who on who.id = i.customer_id
cross join lateral (
    select coalesce(sum(energy_wh), 0)::bigint as energy_wh, coalesce(sum(amount), 0) as amount,
           count(*)::int as count,
           coalesce(array_agg(by_invoice_id order by sequence desc) filter (where by_invoice_id is not null),
                    '{}') as carried_by
    from settlement where invoice_id = i.id
) s
cross join lateral (
    select coalesce(sum(amount), 0) as amount from settlement where by_invoice_id = i.id
) carried
cross join lateral (
    select coalesce(sum(amount), 0) as credited,
           coalesce(sum(amount) filter (where reason = 'correction'), 0) as corrected
    from credit_note where invoice_id = i.id
) c
cross join lateral (select coalesce(sum(amount), 0) as paid from payment where invoice_id = i.id) p
left join lateral (
    select measured from settlement where invoice_id = i.id order by sequence desc limit 1
) known on true
where i.usage_point_id = any (%b::text[]) and (i.starts_on >= %s or i.total - c.credited - p.paid < 0)
order by i.usage_point_id, i.starts_on
"""
_CUSTOMERS: Final = """
select id, name, tax_id, address, language
from customer where id = any (%b::text[])
"""
_PLACES: Final = """
select distinct o.usage_point_id,
       (select max(ends_on) from invoice i
        where i.usage_point_id = o.usage_point_id and i.customer_id = %(customer)s)
from occupancy o join contract c on c.usage_point_id = o.usage_point_id
where o.customer_id = %(customer)s order by o.usage_point_id
"""
_SILENCE: Final = """
select asked.meter, last.at,
       not exists (select from reading r where r.meter = asked.meter and r.at >= asked.moment)
from (select unnest(%b::int[]) as meter, unnest(%b::timestamptz[]) as moment) asked
left join lateral (
    select r.at from reading r where r.meter = asked.meter and r.at < asked.moment order by r.at desc limit 1
) last on true
"""
_POINTS: Final = """
select usage_point_id from contract where usage_point_id > %s
group by usage_point_id order by usage_point_id limit %s
"""

# Days from which on readings are there still: those of older days are needed by nobody any more.
_UNBILLED: Final = """
select exists (
    select from occupancy o
    cross join lateral (
        select min(valid_from) as since from contract where usage_point_id = o.usage_point_id
    ) c
    cross join lateral (
        select greatest(c.since, (o.from_at at time zone %(zone)s)::date, %(first)s::date) as starts_on,
               least((o.until_at at time zone %(zone)s)::date, %(end)s::date) as ends_on
    ) lived
    where c.since is not null and starts_on < ends_on and not exists (
        select from (
            select range_agg(daterange(i.starts_on, i.ends_on)) as days from invoice i
            where i.usage_point_id = o.usage_point_id and i.ends_on > lived.starts_on
        ) billed where days @> daterange(lived.starts_on, lived.ends_on)
    )
)
"""

_LOOK_BACK: Final = timedelta(days=430)  # thirteen months, and a period that hangs over
_SETTLE_BACK: Final = timedelta(days=170)  # three periods, each as long as one can be


class StandingStore:
    """Reads what stands; writes contracts."""

    def __init__(self, store: Store, zone: str) -> None:
        self._store = store
        self._zone = zone

    async def standings(self, points: Collection[str], around: date) -> dict[str, Standing]:
        """What stands about each usage point, for bills of about that day: invoices of the year before and
        later ones, and older ones with money left."""
        async with self._store.connection() as connection:
            return await standings(connection, self._zone, points, around)

    async def customers(self, ids: Collection[str]) -> dict[str, Billed]:
        """Customers as a bill names them."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_CUSTOMERS, (sorted(ids),))
            return {
                str(row[0]): Billed(**dict(zip(Billed.__struct_fields__, row, strict=True)))
                for row in await rows.fetchall()
            }

    async def places(self, customer_id: str) -> list[tuple[str, date | None]]:
        """Where a customer lives or lived under a contract, and up to which day they are billed there."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_PLACES, {"customer": customer_id})
            return [(str(point), billed_until) for point, billed_until in await rows.fetchall()]

    async def silences(self, asked: Mapping[int, datetime]) -> dict[int, Silence]:
        """For each meter when it was heard last before its moment."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_SILENCE, (list(asked), list(asked.values())))
            return {
                meter: Silence(last_at=last_at, goes_on=goes_on)
                for meter, last_at, goes_on in await rows.fetchall()
            }

    async def kept_from(self) -> datetime | None:
        """Since when readings are there; None when none were ever dropped."""
        async with self._store.connection() as connection:
            row = await (await connection.execute("select from_at from reading_kept")).fetchone()
        return None if row is None else row[0]

    async def unbilled_before(self, day: date) -> bool:
        """Whether somebody lived somewhere under a contract, before that day, and has no bill for it.

        Days whose readings were dropped before are not asked about.
        """
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select (from_at at time zone %s)::date from reading_kept", (self._zone,)
            )
            kept = await rows.fetchone()
            first = date.min if kept is None else kept[0]
            rows = await connection.execute(_UNBILLED, {"zone": self._zone, "first": first, "end": day})
            return await rows.fetchone() == (True,)

    async def points(self, after: str, limit: int) -> list[str]:
        """Usage points that have a contract, in order, behind ``after``."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_POINTS, (after, limit))
            return [str(point) for (point,) in await rows.fetchall()]

    async def count_points(self, after: str = "") -> int:
        """How many usage points have a contract, behind ``after``."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select count(distinct usage_point_id) from contract where usage_point_id > %s", (after,)
            )
            row = await rows.fetchone()
        return 0 if row is None else int(row[0])

    # -- contracts -----------------------------------------------------------------------------------------

    async def contracts(self, usage_point_id: str) -> list[Contract]:
        async with self._store.connection() as connection:
            rows = await connection.execute(_CONTRACTS, ([usage_point_id],))
            return [_contract(*row) for row in await rows.fetchall()]

    async def set_contract(self, contract: Contract, now: datetime, by: str) -> None:
        """Locks: the usage point, so that no invoice is written over the same days meanwhile.

        Raises: NotFound; Conflict for a day that is billed already.
        """
        async with self._store.transaction() as connection:
            point = contract.usage_point_id
            await lock_point(connection, point)
            rows = await connection.execute(
                "select max(ends_on) from invoice where usage_point_id = %s", (point,)
            )
            row = await rows.fetchone()
            if row is not None and row[0] is not None and row[0] > contract.valid_from:
                raise Conflict(
                    "contract.days_billed",
                    usage_point_id=point,
                    valid_from=contract.valid_from.isoformat(),
                    first_free=row[0].isoformat(),
                )
            await connection.execute(
                """
                insert into contract (usage_point_id, valid_from, terms, reading_day, due_days, set_at,
                                      set_by)
                values (%s, %s, %s, %s, %s, %s, %s)
                on conflict (usage_point_id, valid_from) do update
                set terms = excluded.terms, reading_day = excluded.reading_day, due_days = excluded.due_days,
                    set_at = excluded.set_at, set_by = excluded.set_by
                """,
                (
                    point,
                    contract.valid_from,
                    msgspec.json.encode(contract.terms).decode(),
                    contract.reading_day,
                    contract.due_days,
                    now,
                    by,
                ),
            )


async def standings(
    connection: Connection, zone: str, points: Collection[str], around: date
) -> dict[str, Standing]:
    """As ``StandingStore.standings``, on a connection that is at work already."""
    asked = sorted(points)
    since, settle_since = around - _LOOK_BACK, around - _SETTLE_BACK
    contracts: defaultdict[str, list[Contract]] = defaultdict(list)
    stays: defaultdict[str, list[Stay]] = defaultdict(list)
    fittings: defaultdict[str, list[Fitted]] = defaultdict(list)
    earlier: defaultdict[str, list[Earlier]] = defaultdict(list)
    async for point, valid_from, terms, reading_day, due_days in connection.cursor().stream(
        _CONTRACTS, (asked,)
    ):
        contracts[point].append(_contract(point, valid_from, terms, reading_day, due_days))
    async for point, customer_id, from_on, until_on in connection.cursor().stream(
        _STAYS, (zone, zone, asked)
    ):
        if until_on is None or from_on < until_on:
            stays[point].append(Stay(customer_id=customer_id, from_on=from_on, until_on=until_on))
    async for point, *row in connection.cursor().stream(_FITTINGS, (asked,)):
        fittings[point].append(Fitted(**dict(zip(Fitted.__struct_fields__, row, strict=True))))
    async for told in connection.cursor().stream(_EARLIER, (settle_since, asked, since)):
        earlier[told[0]].append(_earlier(told))
    return {
        point: Standing(
            usage_point_id=point,
            contracts=tuple(contracts[point]),
            stays=tuple(stays[point]),
            fittings=tuple(fittings[point]),
            earlier=tuple(earlier[point]),
        )
        for point in asked
    }


async def lock_point(connection: Connection, usage_point_id: str) -> None:
    """Contracts, customers and money of a usage point stay as they are. Raises: NotFound."""
    rows = await connection.execute(
        "select from usage_point where id = %s for no key update", (usage_point_id,)
    )
    if await rows.fetchone() is None:
        raise NotFound("usage_point.unknown", usage_point_id=usage_point_id)


def _contract(point: str, valid_from: date, terms: Any, reading_day: int, due_days: int) -> Contract:
    return Contract(
        usage_point_id=point,
        valid_from=valid_from,
        terms=msgspec.convert(terms, Terms),
        reading_day=reading_day,
        due_days=due_days,
    )


def _earlier(row: Sequence[Any]) -> Earlier:
    return Earlier(
        id=row[1],
        number=row[2],
        customer_id=row[3],
        days=Days(row[4], row[5]),
        month=row[6],
        energy_wh=int(row[7]),
        charged=row[8],
        room=row[9],
        open=row[10],
        settled=row[11],
        carried_by=tuple(row[12]),
        measured=bytes(row[13]),
    )
