"""Old readings leave by rule, a whole table of them at a time; what they add up to stays."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Final

import msgspec
import psycopg
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.arrival import unpacked
from eletrovia.metering.hours import moment_of
from eletrovia.store.pool import Connection, Store

_log = structlog.get_logger(__name__)

StillNeeded = Callable[[datetime], Awaitable[bool]]
"""Whether somebody still needs readings from before a moment: bills that are not written, say."""

_NAME: Final = re.compile(r"reading_(\d{4})_(\d\d)(?:_(\d\d))?")
# Those that were detached and not dropped, because somebody pulled the plug between the two, are found too.
_PARTITIONS: Final = """
select relname, inhdetachpending, pg_total_relation_size(c.oid), greatest(reltuples, 0)::bigint
from pg_class c left join pg_inherits on inhrelid = c.oid and inhparent = 'reading'::regclass
where relkind = 'r' and relnamespace = 'public'::regnamespace and relname ~ '^reading_[0-9]{4}_'
"""
# One row a batch, and all gone within a second: reading them all is a small thing.
_ARRIVALS: Final = "select spans from arrival"
_KEPT: Final = """
insert into reading_kept (from_at) values (%s)
on conflict (one_row) do update set from_at = greatest(reading_kept.from_at, excluded.from_at)
"""
_PATIENCE: Final = "5s"
_LOOK_S: Final = 60.0


class Hangs(Enum):
    """How a table hangs on ``reading``."""

    ON = "on"
    LOOSELY = "loosely"
    NO_MORE = "no_more"


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A table with the readings of ``[starts_at, ends_at)``. ``readings`` is the database's own estimate."""

    name: str
    starts_at: datetime
    ends_at: datetime
    octets: int
    readings: int


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """What was dropped, or would be, and what stays though it is old enough: ``waits_for`` says why."""

    keep_from: datetime | None
    dropped: list[Partition]
    stay: list[Partition] = []
    waits_for: str = ""


async def needed_by_nobody(before: datetime) -> bool:
    """Nobody is waiting for old readings."""
    return False


class Retention:
    """Drops readings older than so many months; 0 keeps them for good."""

    def __init__(
        self, store: Store, clock: Clock, keep_months: int, *, still_needed: StillNeeded = needed_by_nobody
    ) -> None:
        self._store = store
        self._clock = clock
        self._keep_months = keep_months
        self._still_needed = still_needed

    def keep_from(self) -> datetime | None:
        """The first moment whose readings must stay; None keeps all."""
        if not self._keep_months:
            return None
        today = self._clock.now().astimezone(UTC)
        months = today.year * 12 + today.month - 1 - self._keep_months
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)

    async def run(self, is_ours: Callable[[], bool]) -> None:
        """Prune once a day, where ``is_ours`` says that it is this process's to do, until cancelled."""
        done: date | None = None
        while True:
            today = self._clock.now().date()
            if today != done and is_ours():
                try:
                    await self.prune()
                    done = today
                except (EletroviaError, psycopg.Error) as failure:
                    _log.warning("retention.stumbled", reason=str(failure))
            await asyncio.sleep(_LOOK_S)

    async def prune(self, *, dry_run: bool = False) -> Pruning:
        """Drop what is old enough, unless readings that have just come, or bills to come, still need it."""
        keep_from = self.keep_from()
        if keep_from is None:
            return Pruning(keep_from=None, dropped=[])
        async with self._store.connection() as connection:
            found = await _partitions(connection)
            old = [part for part, _ in found if part.ends_at <= keep_from]
            hangs = {part.name: how for part, how in found}
            waits_for = ""
            go: list[Partition] = []
            for part in old:  # oldest first: nothing leaves before what is older
                waits_for = await self._reason_to_wait(connection, part.ends_at)
                if waits_for:
                    break
                go.append(part)
            if not dry_run:
                for part in go:
                    await self._drop(connection, part, hangs[part.name])
        return Pruning(keep_from=keep_from, dropped=go, stay=old[len(go) :], waits_for=waits_for)

    async def _reason_to_wait(self, connection: Connection, before: datetime) -> str:
        cursor = connection.cursor(binary=True)
        await cursor.execute(_ARRIVALS)
        async for (spans,) in cursor:
            touched = unpacked(spans)
            if len(touched) and moment_of(int(touched["first_us"].min())) < before:
                return "arrivals"
        return "still_needed" if await self._still_needed(before) else ""

    async def _drop(self, connection: Connection, part: Partition, hangs: Hangs) -> None:
        # First the word that older ones are gone: usage is then never worked out again from half of them.
        await connection.execute(_KEPT, (part.ends_at,))
        await connection.execute(f"set lock_timeout = '{_PATIENCE}'")
        try:
            # Concurrently: without it everybody who writes readings would have to wait.
            if hangs is not Hangs.NO_MORE:
                how = "concurrently" if hangs is Hangs.ON else "finalize"
                await connection.execute(f"alter table reading detach partition {part.name} {how}")
            await connection.execute(f"drop table {part.name}")
        finally:
            await connection.execute("reset lock_timeout")
        _log.info("retention.dropped", table=part.name, octets=part.octets)


async def _partitions(connection: Connection) -> list[tuple[Partition, Hangs]]:
    found = await connection.execute(_PARTITIONS)
    made = []
    for name, waits, octets, readings in await found.fetchall():
        parsed = _NAME.fullmatch(name)
        if parsed is None:
            continue  # somebody's own
        year, month, day = (int(part or 1) for part in parsed.groups())
        first = date(year, month, day)
        if parsed.group(3):
            end = date.fromordinal(first.toordinal() + 1)
        else:
            end = date(year + month // 12, month % 12 + 1, 1)
        part = Partition(
            name=name,
            starts_at=_midnight(first),
            ends_at=_midnight(end),
            octets=int(octets),
            readings=int(readings),
        )
        hangs = Hangs.NO_MORE if waits is None else Hangs.LOOSELY if waits else Hangs.ON
        made.append((part, hangs))
    return sorted(made, key=lambda one: one[0].starts_at)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
