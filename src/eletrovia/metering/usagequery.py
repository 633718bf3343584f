"""Usage in PostgreSQL, as those who ask about it need it: little of it, soon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.window import Window
from eletrovia.metering.copyrows import PG_EPOCH_US, Layout, columns_out
from eletrovia.metering.hours import MOST_HOURS, moment_of
from eletrovia.metering.latest import CHANGE
from eletrovia.metering.reading import NO_POWER
from eletrovia.store.pool import Store

# One round trip, and columns of octets: a month of quarters of an hour would else be 9,000 objects.
_EXCLUDED: Final = """
exists (
    select from verdict v
    where v.meter = reading.meter and v.at = reading.at and v.verdict = 'exclude' and not superseded
)"""
_READINGS: Final = f"""
select coalesce(m.rolls_over_at_wh, 0), m.max_power_w, m.interval_s,
    r.at, r.energy_wh, r.estimated, v.at, v.accepted
from meter m
cross join lateral (
    select coalesce((
        select at from reading
        where meter = m.key and at <= %(first)b and not {_EXCLUDED} order by at desc limit 1
    ), %(first)b) as lo,
    coalesce((
        select at from reading
        where meter = m.key and at >= %(last)b and not {_EXCLUDED} order by at limit 1
    ), %(last)b) as hi
) ends
cross join lateral (
    select string_agg(timestamptz_send(at), '') as at, string_agg(int8send(energy_wh), '') as energy_wh,
        string_agg(boolsend(estimated), '') as estimated
    from (
        select at, energy_wh, estimated from reading
        where meter = m.key and at >= ends.lo and at <= ends.hi order by at limit %(most)b
    ) these
) r
cross join lateral (
    select string_agg(timestamptz_send(at), '') as at,
        string_agg(boolsend(verdict = 'accept'), '') as accepted
    from (
        select at, verdict from verdict
        where meter = m.key and at >= ends.lo and at <= ends.hi and not superseded order by at
    ) decided
) v
where m.key = %(meter)b
"""  # noqa: S608 - a fixed text
_DAYS: Final = """
select day, hour_wh, estimated_wh from usage_day where meter = %b and day >= %b and day <= %b order by day
"""
_ESTIMATES: Final = """
select at, begins, ends from (
    select at, estimated, not coalesce(lag(estimated) over way, false) as begins,
        not coalesce(lead(estimated) over way, false) as ends
    from reading where meter = %b and at >= %b and at < %b
    window way as (order by at)
) told where estimated and (begins or ends) order by at
"""
_LATEST: Final = """
select m.key, m.id, l.at, l.energy_wh, l.power_w, l.power_told, m.interval_s, a.name
from meter_latest l join meter m on m.key = l.meter join area a on a.key = l.area where l.meter = %b
"""
_ALL: Final = Layout({"meter": "i4", "area": "i4", "at_us": "at", "energy_wh": "i8", "power_w": "i4"})
_ALL_LATEST: Final = f"""
select meter, area, at, energy_wh, coalesce(power_w, {NO_POWER}) from meter_latest
"""  # noqa: S608 - a fixed text
_AREAS: Final = "select area, count(*) from usage_point group by area order by area"
_POINTS: Final = "select count(*) from usage_point where area = %b"
_AREA_KEYS: Final = "select key, name from area"
_DAY_SUMS: Final = Layout(
    {
        "day": "i4",
        "hour_wh": f"i8[{MOST_HOURS}]",
        "estimated_wh": f"i8[{MOST_HOURS}]",
        "meters": f"i4[{MOST_HOURS}]",
    }
)
_ALL_DAYS: Final = """
select day - %(first)b::date, hour_wh, estimated_wh, meters from area_hour
where day >= %(first)b and day <= %(last)b
"""
_AREA_DAYS: Final = f"{_ALL_DAYS} and area = (select key from area where name = %(area)b)"  # noqa: S608 - fixed


class MeterReadings(NamedTuple):
    """One meter's readings in order, without excluded ones, and what is known of the meter."""

    at_us: NDArray[np.int64]
    energy_wh: NDArray[np.int64]
    estimated: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    rolls_over_at_wh: int
    max_power_w: int
    interval_s: int


class Latest(NamedTuple):
    """A meter's last reading that counts. ``power_w`` is told, or the mean since the reading before."""

    meter: int
    meter_id: str
    at: datetime
    energy_wh: int
    power_w: int | None
    power_told: bool
    interval_s: int
    area: str


class UsageQuery:
    """Asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def readings(
        self, meter: int, first_us: int, last_us: int, *, most: int | None = None
    ) -> MeterReadings:
        """Those of a stretch, and the one before it and the one after it where none stand at its ends."""
        asked = {"meter": meter, "first": moment_of(first_us), "last": moment_of(last_us), "most": most}
        async with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_READINGS, asked)
            row = await cursor.fetchone()
        rolls_over_at_wh, max_power_w, interval_s, *columns = row or (0, 1, 1, None, None, None, None, None)
        at, energy_wh, estimated, judged, accepts = (column or b"" for column in columns)
        at_us, judged_us = _moments(at), _moments(judged)
        accepted = np.zeros(len(at_us), np.bool_)
        stays = np.ones(len(at_us), np.bool_)
        if len(judged_us) and len(at_us):
            place = np.minimum(np.searchsorted(at_us, judged_us), len(at_us) - 1)
            there, accept = at_us[place] == judged_us, np.frombuffer(accepts, np.bool_)
            accepted[place[there & accept]] = True
            stays[place[there & ~accept]] = False
        return MeterReadings(
            at_us[stays],
            np.frombuffer(energy_wh, ">i8").astype(np.int64)[stays],
            np.frombuffer(estimated, np.bool_)[stays],
            accepted[stays],
            rolls_over_at_wh,
            max_power_w,
            interval_s,
        )

    async def days(
        self, meter: int, first: date, last: date
    ) -> Sequence[tuple[date, list[int], list[int] | None]]:
        """What was used on each day, hour by hour."""
        async with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_DAYS, (meter, first, last))
            rows: Any = await cursor.fetchall()
            return list(rows)

    async def estimates(self, meter: int, during: Window) -> list[tuple[datetime, datetime]]:
        """The first and the last of estimated readings that follow each other, run by run."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_ESTIMATES, (meter, during.starts_at, during.ends_at))
            runs: list[tuple[datetime, datetime]] = []
            began: datetime | None = None
            for at, begins, ends in await rows.fetchall():
                began = at if begins or began is None else began
                if ends:
                    runs.append((began, at))
            return runs

    async def latest(self, meter: int) -> Latest | None:
        """The meter's last reading that counts."""
        async with self._store.connection() as connection:
            row = await (await connection.execute(_LATEST, (meter,))).fetchone()
            return None if row is None else Latest(*row)

    async def all_latest(self) -> NDArray[Any]:
        """Every meter's last reading that counts, as ``latest.CHANGE``."""
        async with self._store.connection() as connection:
            found = await columns_out(connection, _ALL_LATEST, _ALL)
        made = np.empty(len(found), CHANGE)
        for name in _ALL.plain.names or ():
            made[name] = found[name]
        return made

    # -- areas --------------------------------------------------------------------------------------------

    async def areas(self) -> list[tuple[str, int]]:
        """Every area with the number of its usage points."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_AREAS)
            return [(str(name), int(count)) for name, count in await rows.fetchall()]

    async def points_in(self, area: str) -> int:
        """How many usage points an area has."""
        async with self._store.connection() as connection:
            row = await (await connection.execute(_POINTS, (area,))).fetchone()
            return 0 if row is None else int(row[0])

    async def area_names(self) -> dict[int, str]:
        """Areas by their keys."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_AREA_KEYS)
            return {int(key): str(name) for key, name in await rows.fetchall()}

    async def area_days(self, area: str | None, first: date, last: date) -> NDArray[np.int64]:
        """What one area used, or all did together.

        Shape: by day from ``first`` on; then usage, estimated usage and meters; then hour of the day.
        """
        asked = {"area": area, "first": first, "last": last}
        async with self._store.connection() as connection:
            rows = await columns_out(connection, _ALL_DAYS if area is None else _AREA_DAYS, _DAY_SUMS, asked)
        sums = np.zeros((last.toordinal() - first.toordinal() + 1, 3, MOST_HOURS), np.int64)
        for place, name in enumerate(("hour_wh", "estimated_wh", "meters")):
            np.add.at(sums[:, place], rows["day"], rows[name])
        return sums


def _moments(octets: bytes) -> NDArray[np.int64]:
    moments: NDArray[np.int64] = np.frombuffer(octets, ">i8").astype(np.int64) + PG_EPOCH_US
    return moments
