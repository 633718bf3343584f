"""Usage in PostgreSQL, as whoever works it out needs it: thousands of stretches in a few statements.

All runs in one transaction on the connection that holds the lock: if that goes, so does what was half done.
What is looked up for many stretches goes through a temporary table, one descent of an index for each.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.arrival import SPAN, unpacked
from eletrovia.metering.copyrows import Layout, columns_out, copied_in
from eletrovia.metering.hours import MOST_HOURS, moment_of
from eletrovia.metering.reading import NO_POWER
from eletrovia.metering.rollup import READING, STRETCH
from eletrovia.store.pool import Connection

Rows = NDArray[Any]

# Any constant will do, as long as nobody else locks it.
LOCK: Final = int.from_bytes(b"usageone", "big") & (2**63 - 1)

_TABLES: Final = """
create temporary table if not exists touched (
    stretch integer not null, meter integer not null, lo timestamptz not null, hi timestamptz not null
) on commit delete rows;
create temporary table if not exists touched_day (
    place integer not null, meter integer not null, day integer not null
) on commit delete rows;
create temporary table if not exists new_day (
    meter integer not null, day integer not null, area integer not null,
    hour_wh integer[] not null, estimated_wh integer[] not null
) on commit delete rows;
create temporary table if not exists new_latest (
    at timestamptz not null, first_at timestamptz not null, energy_wh bigint not null,
    meter integer not null, area integer not null, power_w integer not null, power_told boolean not null
) on commit delete rows;
"""
# Each look-up is one descent of an index, whatever the planner thinks of how many there are.
_PLANS: Final = """
set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off;
set local enable_bitmapscan = off; set local enable_memoize = off; set local enable_material = off;
set local jit = off;
"""
_ARRIVALS: Final = """
select id, spans from (
    select id, spans, sum(octet_length(spans)) over (order by id) - octet_length(spans) as before
    from (select * from arrival order by id limit 10000) oldest
) counted where before < %s
"""
_TOUCHED: Final = Layout({"stretch": "i4", "meter": "i4", "lo": "at", "hi": "at"})

_NATURE: Final = Layout(
    {
        "stretch": "i4",
        "rolls_over_at_wh": "i8",
        "max_power_w": "i4",
        "interval_s": "i4",
        "first": "at",
        "last": "at",
    }
)
_NO_FIRST_US: Final = 7_000_000_000_000_000
_NATURES: Final = """
select t.stretch, coalesce(m.rolls_over_at_wh, 0), m.max_power_w, m.interval_s,
    coalesce(l.first_at, '2200-01-01+00'), coalesce(l.at, '1900-01-01+00')
from touched t
cross join lateral (
    select rolls_over_at_wh, max_power_w, interval_s from meter where key = t.meter offset 0
) m
left join lateral (select first_at, at from meter_latest where meter = t.meter offset 0) l on true
"""
_READING: Final = Layout(
    {"stretch": "i4", "at_us": "at", "energy_wh": "i8", "power_w": "i4", "estimated": "?"}
)
_READINGS: Final = """
select t.stretch, r.at, r.energy_wh, coalesce(r.power_w, {none}), r.estimated
from touched t
cross join lateral (
    select at, energy_wh, power_w, estimated from reading
    where meter = t.meter and at >= t.lo and at <= t.hi and at >= '{low}' and at <= '{high}'
    offset 0
) r
"""
_NOT_EXCLUDED: Final = """
not exists (
    select from verdict v
    where v.meter = reading.meter and v.at = reading.at and v.verdict = 'exclude' and not superseded
)"""
_NEIGHBOURS: Final = f"""
select t.stretch, r.at, r.energy_wh, coalesce(r.power_w, {NO_POWER}), r.estimated
from touched t
cross join lateral (
    (select at, energy_wh, power_w, estimated from reading
        where meter = t.meter and at < t.lo and {_NOT_EXCLUDED} order by at desc limit 1)
    union all
    (select at, energy_wh, power_w, estimated from reading
        where meter = t.meter and at > t.hi and {_NOT_EXCLUDED} order by at limit 1)
) r
"""  # noqa: S608 - a fixed text
_VERDICT: Final = Layout({"stretch": "i4", "at_us": "at", "accepted": "?"})
_VERDICTS: Final = """
select t.stretch, v.at, v.verdict = 'accept' from touched t join verdict v on v.meter = t.meter
where not v.superseded
"""
_FITTING: Final = Layout({"stretch": "i4", "from_us": "at", "area": "i4"})
_FITTINGS: Final = """
select t.stretch, f.from_at, coalesce(a.key, -1)
from touched t
cross join lateral (
    select from_at, usage_point_id from fitting where meter = t.meter offset 0
) f
cross join lateral (select area from usage_point where id = f.usage_point_id offset 0) p
left join area a on a.name = p.area
"""
_NEW_AREAS: Final = """
insert into area (name)
select distinct p.area from touched t join fitting f on f.meter = t.meter
    join usage_point p on p.id = f.usage_point_id
where not exists (select from area where name = p.area)
order by 1 on conflict do nothing
"""
HOURS: Final = f"i4[{MOST_HOURS}]"
# Days travel as days since 2000-01-01.
_DAY_ASKED: Final = Layout({"place": "i4", "meter": "i4", "day": "i4"})
_DAY_STANDS: Final = Layout({"place": "i4", "area": "i4", "doubtful": "?", "hour_wh": HOURS})
_DAYS: Final = """
select d.place, u.area, u.estimated_wh is not null, u.hour_wh from touched_day d
cross join lateral (
    select area, hour_wh, estimated_wh from usage_day
    where meter = d.meter and day = date '2000-01-01' + d.day offset 0
) u
"""
_DAY_ESTIMATED: Final = Layout({"place": "i4", "estimated_wh": HOURS})
_ESTIMATED: Final = """
select d.place, u.estimated_wh from touched_day d
join usage_day u on u.meter = d.meter and u.day = date '2000-01-01' + d.day
where u.estimated_wh is not null
"""
_DAY_NEW: Final = Layout({"meter": "i4", "day": "i4", "area": "i4", "hour_wh": HOURS, "estimated_wh": HOURS})
_PUT_DAYS: Final = """
insert into usage_day (day, meter, area, hour_wh, estimated_wh)
select date '2000-01-01' + day, meter, area, hour_wh,
    case when 0 = all (estimated_wh) then null else estimated_wh end
from new_day
on conflict (meter, day) do update
    set area = excluded.area, hour_wh = excluded.hour_wh, estimated_wh = excluded.estimated_wh
"""
_DROP_DAYS: Final = """
delete from usage_day u using unnest(%b::integer[], %b::integer[]) as gone (meter, day)
where u.meter = gone.meter and u.day = date '2000-01-01' + gone.day
"""
_AREA_DAYS: Final = """
select area, day - date '2000-01-01', hour_wh, estimated_wh, meters
from area_hour join unnest(%b::integer[], %b::integer[]) as asked (area, number)
    using (area) where day = date '2000-01-01' + asked.number
"""
_PUT_AREA_DAY: Final = """
insert into area_hour (day, area, hour_wh, estimated_wh, meters)
values (date '2000-01-01' + %b::integer, %b, %b, %b, %b)
on conflict (area, day) do update
    set hour_wh = excluded.hour_wh, estimated_wh = excluded.estimated_wh, meters = excluded.meters
"""
_LATEST: Final = Layout(
    {
        "at": "at",
        "first_at": "at",
        "energy_wh": "i8",
        "meter": "i4",
        "area": "i4",
        "power_w": "i4",
        "power_told": "?",
    }
)
_OLDER: Final = """
update meter_latest l set first_at = least(l.first_at, older.first_at)
from unnest(%b::integer[], %b::timestamptz[]) as older (meter, first_at) where l.meter = older.meter
"""
_PUT_LATEST: Final = f"""
insert into meter_latest (at, first_at, energy_wh, meter, area, power_w, power_told)
select at, first_at, energy_wh, meter, area, nullif(power_w, {NO_POWER}), power_told from new_latest
on conflict (meter) do update
    set at = excluded.at, first_at = excluded.first_at, energy_wh = excluded.energy_wh, area = excluded.area,
        power_w = excluded.power_w, power_told = excluded.power_told
"""  # noqa: S608 - a fixed text


class UsageStore:
    """The statements of one connection; ``begin`` first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self) -> None:
        """In a transaction, before all else: the temporary tables, and how to look things up."""
        await self._connection.execute(_PLANS + _TABLES)

    # -- arrivals -----------------------------------------------------------------------------------------

    async def arrivals(self, most_spans: int) -> tuple[list[int], Rows]:
        """The oldest arrivals and their spans; at least one if there is any."""
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(_ARRIVALS, (most_spans * SPAN.itemsize,))
            rows = await cursor.fetchall()
        if not rows:
            return [], np.empty(0, SPAN)
        return [row[0] for row in rows], np.concatenate([unpacked(row[1]) for row in rows])

    async def done_with(self, arrivals: list[int]) -> None:
        """Forget arrivals."""
        await self._connection.execute("delete from arrival where id = any (%b::bigint[])", (arrivals,))

    async def kept_from_us(self) -> int | None:
        """Since when readings are there, where older ones were dropped."""
        found = await self._connection.execute(
            "select (extract(epoch from from_at) * 1000000)::bigint from reading_kept"
        )
        row = await found.fetchone()
        return None if row is None else int(row[0])

    # -- what there is ------------------------------------------------------------------------------------

    async def stretches(self, spans: Rows) -> Rows:
        """``STRETCH`` for ``SPAN_S``: with what their meters are. Those of no meter are left out."""
        made = np.zeros(len(spans), STRETCH)
        made["meter"] = spans["meter"]
        for name in ("first", "last", "known_first", "known_last"):
            made[f"{name}_us"] = spans[f"{name}_s"] * 1_000_000
        await self.touch(made, made["first_us"], made["last_us"])
        natures = await columns_out(self._connection, _NATURES, _NATURE)
        at = natures["stretch"]
        for name in ("rolls_over_at_wh", "max_power_w", "interval_s"):
            made[name][at] = natures[name]
        made["kept_first_us"][at] = natures["first"]
        made["known_first_us"][at] = np.minimum(made["known_first_us"][at], natures["first"])
        made["known_last_us"][at] = np.maximum(made["known_last_us"][at], natures["last"])
        return made[made["max_power_w"] > 0]

    async def touch(self, stretches: Rows, lo: Rows, hi: Rows, which: Rows | None = None) -> None:
        """Put (some) stretches where statements find them, with moments of each."""
        number = np.arange(len(stretches)) if which is None else which
        rows = {"stretch": number, "meter": stretches["meter"][number], "lo": lo, "hi": hi}
        await self._connection.execute("delete from touched")
        await copied_in(self._connection, "touched", _TOUCHED, rows, len(number))

    async def readings(self, low_us: int, high_us: int, most: int | None) -> Rows:
        """The readings of what is touched, as ``READING``, in no order. Raises: TooWide."""
        statement = _READINGS.format(none=NO_POWER, low=moment_of(low_us), high=moment_of(high_us))
        found = await columns_out(self._connection, statement, _READING, most_rows=most)
        return _as_readings(found)

    async def neighbours(self) -> Rows:
        """The readings on either side of what is touched, as ``READING``; excluded ones are passed by."""
        return _as_readings(await columns_out(self._connection, _NEIGHBOURS, _READING))

    async def verdicts(self) -> Rows:
        """What was decided about readings of the touched meters."""
        return await columns_out(self._connection, _VERDICTS, _VERDICT)

    async def fittings(self) -> Rows:
        """Where the touched meters hung, and since when."""
        found = await columns_out(self._connection, _FITTINGS, _FITTING)
        if (found["area"] < 0).any():
            await self._connection.execute(_NEW_AREAS)
            found = await columns_out(self._connection, _FITTINGS, _FITTING)
        return found[np.lexsort((found["from_us"], found["stretch"]))]

    async def nowhere(self) -> int:
        """The area of meters that hang nowhere in particular."""
        row = await (await self._connection.execute("select key from area where name = ''")).fetchone()
        assert row is not None  # noqa: S101 - the migration put it there
        return int(row[0])

    # -- days ---------------------------------------------------------------------------------------------

    async def days(self, meter: Rows, day: Rows) -> tuple[Rows, Rows, Rows]:
        """Area, hours and estimated hours of these days as they stand; area 0 where there is no such row."""
        rows = {"place": np.arange(len(meter)), "meter": meter, "day": day}
        await copied_in(self._connection, "touched_day", _DAY_ASKED, rows, len(meter))
        found = await columns_out(self._connection, _DAYS, _DAY_STANDS)
        area = np.zeros(len(meter), np.int32)
        hour_wh = np.full((len(meter), MOST_HOURS), -1, np.int32)
        estimated_wh = np.zeros((len(meter), MOST_HOURS), np.int32)
        area[found["place"]] = found["area"]
        hour_wh[found["place"]] = found["hour_wh"]
        if found["doubtful"].any():
            doubtful = await columns_out(self._connection, _ESTIMATED, _DAY_ESTIMATED)
            estimated_wh[doubtful["place"]] = doubtful["estimated_wh"]
        return area, hour_wh, estimated_wh

    async def put_days(self, meter: Rows, day: Rows, area: Rows, hour_wh: Rows, estimated_wh: Rows) -> None:
        """Write days; one without a single hour that is known goes."""
        empty = (hour_wh < 0).all(axis=1)
        if empty.any():
            await self._connection.execute(_DROP_DAYS, (meter[empty].tolist(), day[empty].tolist()))
        some = ~empty
        if some.any():
            rows = {
                "meter": meter[some],
                "day": day[some],
                "area": area[some],
                "hour_wh": hour_wh[some],
                "estimated_wh": estimated_wh[some],
            }
            await copied_in(self._connection, "new_day", _DAY_NEW, rows, int(some.sum()))
            await self._connection.execute(_PUT_DAYS)

    async def add_to_areas(
        self, area: Rows, day: Rows, hour_wh: Rows, estimated_wh: Rows, meters: Rows
    ) -> None:
        """Correct sums of areas by these differences; each (area, day) once."""
        found = await self._connection.execute(_AREA_DAYS, (area.tolist(), day.tolist()))
        stands = {(row[0], row[1]): row[2:] for row in await found.fetchall()}
        changed = []
        for n, key in enumerate(zip(area.tolist(), day.tolist(), strict=True)):
            old = np.array(stands.get(key, np.zeros((3, MOST_HOURS), np.int64)), np.int64)
            new = old + np.array([hour_wh[n], estimated_wh[n], meters[n]])
            changed.append((key[1], key[0], new[0].tolist(), new[1].tolist(), new[2].tolist()))
        async with self._connection.cursor() as cursor:
            await cursor.executemany(_PUT_AREA_DAY, changed)

    # -- the latest ---------------------------------------------------------------------------------------

    async def put_latest(self, latest: Rows, area: Rows, gone: Rows, stretches: Rows) -> None:
        """Write the latest values (``LATEST``), and forget those of meters without any reading.

        ``stretches`` may tell of a meter whose latest value stays that it has older readings than was known.
        """
        was = stretches["kept_first_us"]
        older = stretches[(stretches["known_first_us"] < was) & (was < _NO_FIRST_US)]
        if len(older):
            first = [moment_of(at_us) for at_us in older["known_first_us"].tolist()]
            await self._connection.execute(_OLDER, (older["meter"].tolist(), first))
        if len(gone):
            await self._connection.execute(
                "delete from meter_latest where meter = any (%b::integer[])", (gone.tolist(),)
            )
        if len(latest):
            rows = {
                "at": latest["at_us"],
                "first_at": latest["first_us"],
                "energy_wh": latest["energy_wh"],
                "meter": latest["meter"],
                "area": area,
                "power_w": latest["power_w"],
                "power_told": latest["told"],
            }
            await copied_in(self._connection, "new_latest", _LATEST, rows, len(latest))
            await self._connection.execute(_PUT_LATEST)


def _as_readings(found: Rows) -> Rows:
    made = np.zeros(len(found), READING)
    for name in ("stretch", "at_us", "energy_wh", "power_w", "estimated"):
        made[name] = found[name]
    return made
