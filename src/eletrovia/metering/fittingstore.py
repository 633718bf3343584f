"""PostgreSQL for meters as staff has them: registered, fitted, swapped, blocked, removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
import numpy as np
from psycopg.errors import CheckViolation, ExclusionViolation, UniqueViolation

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.base.window import Window
from eletrovia.metering.arrival import packed
from eletrovia.metering.meter import (
    Changes,
    Fitting,
    Meter,
    MeterKind,
    MeterState,
    NewMeter,
    Swap,
    tidy_area,
)
from eletrovia.metering.reading import epoch_us
from eletrovia.store.pool import Connection, Store, constraint_of

_BORN: Final = """
insert into meter (id, kind, via, rolls_over_at_wh, max_power_w, interval_s, claim_code_sha256, registered_at)
select a.id, a.kind, v.key, a.rolls_over_at_wh, a.max_power_w, a.interval_s, a.code, %s
from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::integer[], %b::integer[], %b::bytea[])
    as a (id, kind, via, rolls_over_at_wh, max_power_w, interval_s, code)
left join meter v on v.id = a.via and v.kind = 'concentrator'
where a.via is null or v.key is not null
order by a.id
on conflict (id) do nothing
returning id, key
"""
_PLACES: Final = """
insert into usage_point (id, area, created_at)
select id, area, %s from unnest(%b::text[], %b::text[]) as a (id, area) order by id
on conflict (id) do nothing
"""
_PUT: Final = """
insert into fitting (usage_point_id, meter, from_at, start_wh, readings_due)
select * from unnest(%b::text[], %b::integer[], %b::timestamptz[], %b::bigint[], %b::boolean[])
    as a (place, meter, from_at, start_wh, readings_due)
order by place
"""
_METER: Final = """
select m.id, m.kind, m.state, f.usage_point_id, coalesce(p.area, ''), p.customer_id, m.max_power_w,
       m.rolls_over_at_wh, m.interval_s, v.id, m.registered_at, m.claim_code_sha256 is not null
from meter m
left join fitting f on f.meter = m.key and f.until_at is null
left join usage_point p on p.id = f.usage_point_id
left join meter v on v.key = m.via
"""
_LISTED: Final = f"""{_METER}
where m.id > %(after)s
  and (%(area)s::text is null or p.area = %(area)s)
  and (%(state)s::text is null or m.state = %(state)s)
  and (not %(unclaimed)s or (f.meter is not null and p.customer_id is null))
order by m.id limit %(limit)s
"""
_FITTINGS: Final = """
select f.meter, m.id, f.usage_point_id, f.from_at, f.until_at, f.start_wh, f.end_wh
from fitting f join meter m on m.key = f.meter
"""


_CHANGE: Final = """
update meter set max_power_w = coalesce(%s, max_power_w), rolls_over_at_wh = coalesce(%s, rolls_over_at_wh),
    interval_s = coalesce(%s, interval_s),
    via = case when %s::text is null then via else (select key from meter v where v.id = %s) end
where id = %s
"""
# What was counted before readings were dropped stays as it is.
_COUNTED: Final = """
select key, greatest(first_at, (select from_at from reading_kept)), at
from meter join meter_latest on meter = key
where id = %s and at >= coalesce((select from_at from reading_kept), at)
"""
_AREA: Final = """
update usage_point set area = %s
where id = (
    select usage_point_id from fitting join meter on key = meter where until_at is null and meter.id = %s
)
"""
# One statement: of two that take the same meter out, the second finds no open fitting.
_TAKE_OUT: Final = """
update fitting f set until_at = %(at)s, readings_due = true,
    end_wh = coalesce(%(end_wh)s, (
        select r.energy_wh from reading r
        where r.meter = f.meter and r.at >= f.from_at and r.at <= %(at)s order by r.at desc limit 1
    ), f.start_wh)
from meter m
where m.id = %(id)s and m.key = f.meter and f.until_at is null
returning f.usage_point_id, m.key, m.state
"""
# A removed one may come back from repair; what it was before decides nothing.
_NEW_LIKE: Final = """
insert into meter (id, via, rolls_over_at_wh, max_power_w, interval_s, registered_at)
select %s, via, rolls_over_at_wh, max_power_w, interval_s, %s from meter where key = %s
on conflict (id) do nothing
"""
_TAKE_OVER: Final = """
update meter set state = %s, spent_code_sha256 = null,
    claim_code_sha256 = case when exists (
        select from usage_point where id = %s and customer_id is not null) then null else %s end
where id = %s and kind = 'meter'
returning key, secret_epoch, claim_code_sha256 is not null
"""
_SAME_SWAP: Final = """
select o.usage_point_id, n.meter, nm.secret_epoch, nm.state
from fitting o join meter om on om.key = o.meter
join fitting n on n.usage_point_id = o.usage_point_id and n.from_at = o.until_at
join meter nm on nm.key = n.meter
where om.id = %s and o.until_at = %s and o.end_wh = %s and nm.id = %s and n.start_wh = %s
"""
_REMOVED: Final = """
update meter set state = 'removed', claim_code_sha256 = null, spent_code_sha256 = null where id = %s
"""


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """The meter that a swap put in."""

    usage_point_id: str
    key: int
    epoch: int
    blocked: bool
    claimable: bool


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that is to be written, with its code's digest and since when it hangs."""

    meter: NewMeter
    code_sha256: bytes | None
    from_at: datetime


class FittingStore:
    """Writes meters and where they hang; each call is one transaction, or a step of the caller's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def bear(self, births: Sequence[Birth], now: datetime) -> dict[str, int]:
        """The keys of those that were taken in: neither ids in use, nor those behind unknown concentrators.

        Raises: psycopg.IntegrityError for a place that has a meter; nothing is written then.
        """
        async with self._store.transaction() as connection:
            kept: dict[str, int] = {}
            # Concentrators first: the meters of the same batch may name them.
            for kind in (MeterKind.CONCENTRATOR, MeterKind.METER):
                those = [birth for birth in births if birth.meter.kind is kind]
                if those:
                    kept |= await _born(connection, those, now)
            await _fit(connection, [(one, kept[one.meter.id]) for one in births if one.meter.id in kept], now)
            return kept

    async def places_taken(self, places: Sequence[str]) -> set[str]:
        """Those of these usage points where a meter hangs."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select usage_point_id from fitting where until_at is null"
                " and usage_point_id = any (%b::text[])",
                (list(places),),
            )
            return {str(place) for (place,) in await rows.fetchall()}

    async def ids_taken(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that a meter has."""
        async with self._store.connection() as connection:
            rows = await connection.execute("select id from meter where id = any (%b::text[])", (list(ids),))
            return {str(id_) for (id_,) in await rows.fetchall()}

    # -- changing ------------------------------------------------------------------------------------------

    async def is_concentrator(self, meter_id: str) -> bool:
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select from meter where id = %s and kind = 'concentrator'", (meter_id,)
            )
            return await rows.fetchone() is not None

    async def change(self, meter_id: str, changes: Changes, now: datetime) -> None:
        """All that a meter counted is worked out anew where readings mean something else from now on."""
        async with self._store.transaction() as connection:
            await connection.execute(
                _CHANGE,
                (
                    changes.max_power_w,
                    changes.rolls_over_at_wh,
                    changes.interval_s,
                    changes.via,
                    changes.via,
                    meter_id,
                ),
            )
            if changes.area is not None:
                await connection.execute(_AREA, (tidy_area(changes.area), meter_id))
            if changes.how_it_counts:
                await _count_anew(connection, meter_id, now)

    async def set_state(self, meter_id: str, state: MeterState) -> bool:
        """Whether there is such a meter and it is not removed."""
        return await self._changed(
            "update meter set state = %s where id = %s and state <> 'removed'", (state.value, meter_id)
        )

    async def set_claim_code(self, meter_id: str, code_sha256: bytes) -> bool:
        """Whether there is such a meter and it hangs somewhere."""
        return await self._changed(
            "update meter m set claim_code_sha256 = %s, spent_code_sha256 = null"
            " where id = %s and exists (select from fitting where meter = m.key and until_at is null)",
            (code_sha256, meter_id),
        )

    async def next_epoch(self, meter_id: str) -> tuple[int, int] | None:
        """Key and new epoch of a meter."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "update meter set secret_epoch = secret_epoch + 1 where id = %s returning key, secret_epoch",
                (meter_id,),
            )
            row = await rows.fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    async def swap(self, meter_id: str, swap: Swap, at: datetime, code_sha256: bytes, now: datetime) -> Put:
        """Raises: NotFound; Conflict; Invalid for a moment before the old meter was put in."""
        try:
            async with self._store.transaction() as connection:
                taken = await _take_out(connection, meter_id, swap.end_wh, at)
                if taken is None:
                    return await _as_before(connection, meter_id, swap, at)
                usage_point_id, old_key, state = taken
                await connection.execute(_NEW_LIKE, (swap.new_id, now, old_key))
                rows = await connection.execute(_TAKE_OVER, (state, usage_point_id, code_sha256, swap.new_id))
                row = await rows.fetchone()
                if row is None:
                    raise Conflict("meter.counts_nothing", meter_id=swap.new_id)
                key, epoch, claimable = row
                await connection.execute(_REMOVED, (meter_id,))
                await connection.execute(_PUT, ([usage_point_id], [key], [at], [swap.start_wh], [True]))
        except (UniqueViolation, ExclusionViolation) as elsewhere:
            raise Conflict("meter.fitted_elsewhere", meter_id=swap.new_id) from elsewhere
        return Put(
            usage_point_id=usage_point_id,
            key=key,
            epoch=epoch,
            blocked=state == MeterState.BLOCKED,
            claimable=claimable,
        )

    async def remove(self, meter_id: str, end_wh: int | None, now: datetime) -> bool:
        """Whether there is such a meter."""
        async with self._store.transaction() as connection:
            await _take_out(connection, meter_id, end_wh, now)
            return (await connection.execute(_REMOVED, (meter_id,))).rowcount == 1

    async def readings_due(self, most: int = 5_000) -> list[Fitting]:
        """Fittings whose values are not all among the readings yet."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"{_FITTINGS} where f.readings_due order by f.meter limit %s", (most,)
            )
            return [fitting_of(row) for row in await rows.fetchall()]

    async def readings_taken(self, fittings: Sequence[Fitting]) -> None:
        """They are there now; a fitting that ended in between still waits for its last value."""
        async with self._store.connection() as connection:
            await connection.execute(
                "update fitting f set readings_due = false"
                " from unnest(%b::text[], %b::timestamptz[], %b::timestamptz[])"
                " as t (place, from_at, until_at)"
                " where f.usage_point_id = t.place and f.from_at = t.from_at"
                " and f.until_at is not distinct from t.until_at",
                (
                    [one.usage_point_id for one in fittings],
                    [one.from_at for one in fittings],
                    [one.until_at for one in fittings],
                ),
            )

    async def _changed(self, statement: LiteralString, values: tuple[object, ...]) -> bool:
        async with self._store.connection() as connection:
            return (await connection.execute(statement, values)).rowcount == 1

    # -- looking -------------------------------------------------------------------------------------------

    async def meter(self, meter_id: str) -> Meter | None:
        async with self._store.connection() as connection:
            row = await (await connection.execute(f"{_METER} where m.id = %s", (meter_id,))).fetchone()
        return None if row is None else _meter(row)

    async def meters(
        self, *, area: str | None, state: str | None, unclaimed: bool, after: str, limit: int
    ) -> list[Meter]:
        """A page of meters in order of their ids."""
        asked = {"area": area, "state": state, "unclaimed": unclaimed, "after": after, "limit": limit}
        async with self._store.connection() as connection:
            rows = await connection.execute(_LISTED, asked)
            return [_meter(row) for row in await rows.fetchall()]

    async def fittings(self, usage_point_id: str, during: Window) -> list[Fitting]:
        """The fittings of a place that touch the window, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"{_FITTINGS} where f.usage_point_id = %s"
                " and tstzrange(f.from_at, f.until_at) && tstzrange(%s, %s) order by f.from_at",
                (usage_point_id, during.starts_at, during.ends_at),
            )
            return [fitting_of(row) for row in await rows.fetchall()]


async def _take_out(
    connection: Connection, meter_id: str, end_wh: int | None, at: datetime
) -> tuple[str, int, str] | None:
    """Usage point, key and state of a meter that hung; None where it did not."""
    try:
        rows = await connection.execute(_TAKE_OUT, {"id": meter_id, "end_wh": end_wh, "at": at})
    except CheckViolation as early:
        if constraint_of(early) != "fitting_ends_later":
            raise
        raise Invalid("meter.fitted_later", meter_id=meter_id, at=at.isoformat()) from early
    row = await rows.fetchone()
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


async def _count_anew(connection: Connection, meter_id: str, now: datetime) -> None:
    rows = await connection.execute(_COUNTED, (meter_id,))
    if (row := await rows.fetchone()) is not None:
        spans = packed(np.array([row[0], row[0]], np.int32), np.array([epoch_us(row[1]), epoch_us(row[2])]))
        await connection.execute(
            "insert into arrival (spans, readings, arrived_at) values (%b, 0, %s)", (spans, now)
        )


async def _as_before(connection: Connection, meter_id: str, swap: Swap, at: datetime) -> Put:
    """The very same swap, where it stands. Raises: NotFound, Conflict."""
    same = (meter_id, at, swap.end_wh, swap.new_id, swap.start_wh)
    row = await (await connection.execute(_SAME_SWAP, same)).fetchone()
    if row is not None:
        return Put(
            usage_point_id=row[0],
            key=row[1],
            epoch=row[2],
            blocked=row[3] == MeterState.BLOCKED,
            claimable=False,
        )
    known = await connection.execute("select from meter where id = %s", (meter_id,))
    if await known.fetchone() is None:
        raise NotFound("meter.unknown", meter_id=meter_id)
    raise Conflict("meter.not_fitted", meter_id=meter_id)


async def _born(connection: Connection, births: Sequence[Birth], now: datetime) -> dict[str, int]:
    meters = [birth.meter for birth in births]
    rows = await connection.execute(
        _BORN,
        (
            now,
            [meter.id for meter in meters],
            [meter.kind.value for meter in meters],
            [meter.via for meter in meters],
            [meter.end_of_register_wh for meter in meters],
            [meter.max_power_w for meter in meters],
            [meter.interval_s for meter in meters],
            [birth.code_sha256 for birth in births],
        ),
    )
    return {str(id_): int(key) for id_, key in await rows.fetchall()}


async def _fit(connection: Connection, births: Sequence[tuple[Birth, int]], now: datetime) -> None:
    hanging = [(birth, key) for birth, key in births if birth.meter.hangs]
    if not hanging:
        return
    places = [birth.meter.place for birth, _ in hanging]
    await connection.execute(_PLACES, (now, places, [tidy_area(birth.meter.area) for birth, _ in hanging]))
    await connection.execute(
        _PUT,
        (
            places,
            [key for _, key in hanging],
            [birth.from_at for birth, _ in hanging],
            [birth.meter.start_wh or 0 for birth, _ in hanging],
            [birth.meter.start_wh is not None for birth, _ in hanging],
        ),
    )


def _meter(row: Sequence[Any]) -> Meter:
    return Meter(
        id=row[0],
        kind=MeterKind(row[1]),
        state=MeterState(row[2]),
        usage_point_id=row[3],
        area=row[4],
        customer_id=row[5],
        max_power_w=row[6],
        rolls_over_at_wh=row[7],
        interval_s=row[8],
        via=row[9],
        registered_at=row[10],
        claimable=row[11],
    )


def fitting_of(row: Sequence[Any]) -> Fitting:
    """Of a row of key, id, usage point, from, until, start and end."""
    return Fitting(
        meter=row[0],
        meter_id=row[1],
        usage_point_id=row[2],
        from_at=row[3],
        until_at=row[4],
        start_wh=row[5],
        end_wh=row[6],
    )
