"""Marks and verdicts in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.window import Window
from eletrovia.metering.hours import moment_of
from eletrovia.metering.register import BACKWARDS, GAP, JUMP, ROLL_OVER
from eletrovia.metering.usage import Mark, MarkKind
from eletrovia.store.pool import Connection, Store

KINDS: Final = {
    BACKWARDS: MarkKind.BACKWARDS.value,
    ROLL_OVER: MarkKind.ROLL_OVER.value,
    JUMP: MarkKind.JUMP.value,
    GAP: MarkKind.GAP.value,
}

# What is touched stands in the temporary table of usagestore.py.
_STANDING: Final = """
select m.meter, m.at, m.kind from touched t
cross join lateral (
    select meter, at, kind from mark
    where meter = t.meter and at >= t.lo and at <= t.hi
        and cleared_at is null and kind <> 'conflict' and verdict is distinct from 'exclude'
    offset 0
) m
"""
_CLEAR: Final = """
update mark m set cleared_at = %s
from unnest(%b::integer[], %b::timestamptz[], %b::text[]) as gone (meter, at, kind)
where m.meter = gone.meter and m.at = gone.at and m.kind = gone.kind
"""
_ON_CONFLICT: Final = """
on conflict (meter, at, kind) do update
    set starts_at = excluded.starts_at, energy_wh = excluded.energy_wh, verdict = excluded.verdict,
        cleared_at = null
    where (mark.starts_at, mark.energy_wh, mark.verdict, mark.cleared_at)
        is distinct from (excluded.starts_at, excluded.energy_wh, excluded.verdict, null::timestamptz)
"""
_PUT: Final = f"""
insert into mark (at, starts_at, noticed_at, energy_wh, meter, kind, verdict)
select n.at, n.starts_at, %s, n.energy_wh, n.meter, n.kind, v.verdict
from unnest(%b::integer[], %b::timestamptz[], %b::text[], %b::timestamptz[], %b::bigint[])
    as n (meter, at, kind, starts_at, energy_wh)
left join verdict v on v.meter = n.meter and v.at = n.at and not v.superseded
order by n.meter, n.at, n.kind
{_ON_CONFLICT}
"""  # noqa: S608 - a fixed text
# The first of the other values tells how far apart they are.
_PUT_CONFLICTS: Final = f"""
insert into mark (at, starts_at, noticed_at, energy_wh, meter, kind, verdict)
select distinct on (c.meter, c.at) c.at, c.at, %s, c.energy_wh - r.energy_wh, c.meter, 'conflict', v.verdict
from touched t
join reading_conflict c on c.meter = t.meter and c.at >= t.lo and c.at <= t.hi
join reading r on r.meter = c.meter and r.at = c.at
left join verdict v on v.meter = c.meter and v.at = c.at and not v.superseded
order by c.meter, c.at, c.arrived_at, c.energy_wh
{_ON_CONFLICT}
"""  # noqa: S608 - a fixed text
_MARKS: Final = """
select meter, kind, starts_at, at, energy_wh, verdict, cleared_at from mark
where meter = %b and at >= %b and starts_at < %b order by starts_at, at, kind
"""
_LONGEST: Final = """
select meter, kind, starts_at, at, energy_wh, verdict, cleared_at from mark
where meter = %b and at >= %b and starts_at < %b and kind = 'gap' and cleared_at is null
    and verdict is distinct from 'exclude'
    and at - starts_at > make_interval(secs => %b::double precision) order by at
"""
_WAITING: Final = """
select m.meter, m.kind, m.starts_at, m.at, m.energy_wh, m.verdict, m.cleared_at, meter.id, m.noticed_at
from mark m join meter on meter.key = m.meter
where m.cleared_at is null and m.verdict is null and m.kind in ('backwards', 'jump', 'conflict')
order by m.at desc, m.meter limit %b
"""
_NOTICED: Final = """
select m.meter, m.kind, m.starts_at, m.at, m.energy_wh, m.verdict, m.cleared_at, meter.id, m.noticed_at
from mark m join meter on meter.key = m.meter order by m.at desc, m.meter limit %b
"""
_SUPERSEDE: Final = "update verdict set superseded = true where meter = %b and at = %b and not superseded"
_DECIDE: Final = """
insert into verdict (meter, at, verdict, account_id, note, decided_at) values (%s, %s, %s, %s, %s, %s)
"""
_TELL_MARKS: Final = (
    "update mark set verdict = %b where meter = %b and at = %b returning kind, energy_wh, starts_at"
)


class MarkStore:
    """Reads marks, and writes what people decide."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_meter(self, meter: int, during: Window) -> list[Mark]:
        """Marks whose stretch touches the window."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_MARKS, (meter, during.starts_at, during.ends_at))
            return [_mark(row) for row in await rows.fetchall()]

    async def long_gaps(self, meter: int, during: Window, longer_than_s: float) -> list[Mark]:
        """Gaps so long that no hours were laid out in them."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _LONGEST, (meter, during.starts_at, during.ends_at, longer_than_s)
            )
            return [_mark(row) for row in await rows.fetchall()]

    async def of_all(self, *, waiting: bool, limit: int) -> list[tuple[str, datetime, Mark]]:
        """Marks of all meters with their meter's id and when they were noticed, newest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_WAITING if waiting else _NOTICED, (limit,))
            return [(str(row[7]), row[8], _mark(row[:7])) for row in await rows.fetchall()]


def _mark(row: tuple[Any, ...]) -> Mark:
    meter, kind, starts_at, at, energy_wh, verdict, cleared_at = row
    return Mark(
        meter=meter,
        kind=MarkKind(kind),
        starts_at=starts_at,
        ends_at=at,
        energy_wh=energy_wh,
        verdict=verdict,
        cleared_at=cleared_at,
    )


async def decide(
    connection: Connection, meter: int, at: datetime, verdict: str, account_id: str, note: str, now: datetime
) -> list[tuple[str, int, datetime]]:
    """Write a verdict and tell the marks of that reading; answers those: kind, difference, beginning."""
    await connection.execute(_SUPERSEDE, (meter, at))
    await connection.execute(_DECIDE, (meter, at, verdict, account_id, note, now))
    rows = await connection.execute(_TELL_MARKS, (verdict, meter, at))
    return [(str(kind), int(energy_wh), starts_at) for kind, energy_wh, starts_at in await rows.fetchall()]


async def put_marks(connection: Connection, marks: NDArray[Any], now: datetime) -> None:
    """Marks (``rollup.MARK``) in place of those that stood in what is touched; others there are cleared."""
    wanted = {
        (meter, at_us, KINDS[kind]): (starts_us, energy_wh)
        for meter, at_us, starts_us, energy_wh, kind in marks[
            ["meter", "at_us", "starts_us", "energy_wh", "kind"]
        ].tolist()
    }
    rows = await (await connection.execute(_STANDING)).fetchall()
    gone = sorted({row for row in rows if (row[0], _us(row[1]), row[2]) not in wanted})
    if gone:
        meters, moments, kinds = zip(*gone, strict=True)
        await connection.execute(_CLEAR, (now, list(meters), list(moments), list(kinds)))
    if wanted:
        await connection.execute(
            _PUT,
            (
                now,
                [meter for meter, _, _ in wanted],
                [moment_of(at_us) for _, at_us, _ in wanted],
                [kind for _, _, kind in wanted],
                [moment_of(starts_us) for starts_us, _ in wanted.values()],
                [energy_wh for _, energy_wh in wanted.values()],
            ),
        )


async def put_conflicts(connection: Connection, now: datetime) -> None:
    """Marks for readings in what is touched that have more than one value."""
    found = await connection.execute("select exists (select from reading_conflict)")
    if await found.fetchone() == (True,):
        await connection.execute(_PUT_CONFLICTS, (now,))


def _us(moment: datetime) -> int:
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))
