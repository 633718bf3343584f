"""The SQL of locations, EVSEs and tariffs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection, errors

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.charging.change import Changes, keeping_removed, removed, without_time
from eletrovia.charging.evse_rows import write_evses
from eletrovia.charging.location import EvseStatus, Location
from eletrovia.charging.tariff import Tariff
from eletrovia.store.pool import Store

BATCH: Final = 1_000
_WRITERS: Final = 0x6C6F6361  # advisory lock: one writer of locations at a time

_CONSTRAINTS: Final = {
    "location_operator_id_shape": "operator.id_malformed",
    "location_id_plain": "location.id_malformed",
    "evse_uid_plain": "evse.uid_malformed",
}
_LOCATION: Final = msgspec.json.Decoder(Location)


class LocationStore:
    """Locations in PostgreSQL. A location's document is what its source told; EVSE statuses live beside it.

    Locks: writers of locations take one advisory lock, then location rows before EVSE rows, both in order.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put_locations(
        self, locations: Iterable[Location], *, own: bool, at: datetime | None = None
    ) -> Changes:
        """Inserts and updates, all or none; what says nothing new is left alone.

        An own EVSE keeps its live status until its source tells a new one; a partner's is as it says.
        Changed own locations are stamped with ``at``, so that partners who ask for news hear of them.

        Raises: Invalid when a document cannot be kept; Conflict when an EVSE already stands elsewhere.
        """
        told: dict[tuple[str, str], Location] = {}
        for location in locations:
            told[location.operator_id, location.id] = location
        inserted, updated, unchanged = 0, 0, 0
        stored: list[Location] = []
        keys = sorted(told)
        async with self._writing() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))
            for start in range(0, len(keys), BATCH):
                chunk = keys[start : start + BATCH]
                known = await _documents(connection, chunk)
                changed: list[Location] = []
                for key in chunk:
                    location, old = told[key], known.get(key)
                    if old is not None:
                        location = keeping_removed(location, old)
                        if without_time(location, old) == old:
                            unchanged += 1
                            continue
                    if at is not None and location.last_updated < at:
                        location = msgspec.structs.replace(location, last_updated=at)
                    inserted += old is None
                    updated += old is not None
                    changed.append(location)
                await _write_locations(connection, changed, own)
                await write_evses(connection, changed, known, own)
                stored += await _read(connection, [(one.operator_id, one.id) for one in changed])
        return Changes(inserted=inserted, updated=updated, unchanged=unchanged, stored=tuple(stored))

    async def locations(
        self,
        operator_id: str | None = None,
        updated_since: datetime | None = None,
        limit: int = 1_000,
        offset: int = 0,
    ) -> list[Location]:
        """A page in the order of operator and id, with live statuses."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _SELECT
                + """
                WHERE (%(operator)s::text IS NULL OR l.operator_id = %(operator)s)
                  AND (%(since)s::timestamptz IS NULL OR l.last_updated >= %(since)s)
                ORDER BY l.operator_id, l.id LIMIT %(limit)s OFFSET %(offset)s""",
                {"operator": operator_id, "since": updated_since, "limit": limit, "offset": offset},
            )
            return [_location(*row) for row in await rows.fetchall()]

    async def everything(self) -> AsyncIterator[Location]:
        """Every location, in pages of one reading each."""
        after = ("", "")
        while True:
            async with self._store.connection() as connection:
                rows = await connection.execute(
                    _SELECT + " WHERE (l.operator_id, l.id) > (%s, %s) ORDER BY l.operator_id, l.id LIMIT %s",
                    (*after, BATCH),
                )
                page = [_location(*row) for row in await rows.fetchall()]
            for location in page:
                yield location
            if len(page) < BATCH:
                return
            after = (page[-1].operator_id, page[-1].id)

    async def location(self, operator_id: str, location_id: str) -> Location | None:
        async with self._store.connection() as connection:
            found = await _read(connection, [(operator_id, location_id)])
            return found[0] if found else None

    async def remove(self, operator_id: str, location_ids: Sequence[str], at: datetime) -> list[Location]:
        """Marks every EVSE of these locations REMOVED; the rows stay. Answers those that changed."""
        keys = sorted((operator_id, location_id) for location_id in set(location_ids))
        async with self._writing() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))
            changed: list[Location] = []
            for old in await _read(connection, keys):
                gone = removed(old, at)
                if without_time(gone, old) != old:
                    changed.append(gone)
            await _write_locations(connection, changed, None)
            await connection.execute(
                "UPDATE evse SET status = 'REMOVED' WHERE operator_id = %s AND location_id = ANY(%s)",
                (operator_id, [location.id for location in changed]),
            )
            return changed

    async def set_statuses(
        self, operator_id: str, statuses: Sequence[tuple[str, EvseStatus]], at: datetime
    ) -> int:
        """The live statuses of EVSEs by uid, the later of two standing; answers how many changed."""
        latest = dict(statuses)
        uids, values = list(latest), [status.value for status in latest.values()]
        async with self._writing() as connection:
            await connection.execute(
                """SELECT 1 FROM location
                WHERE operator_id = %s
                  AND id IN (SELECT location_id FROM evse WHERE operator_id = %s AND uid = ANY(%s))
                ORDER BY id FOR UPDATE""",
                (operator_id, operator_id, uids),
            )
            rows = await connection.execute(
                """WITH told AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS t (uid, status)),
                changed AS (
                    UPDATE evse SET status = told.status FROM told
                    WHERE evse.operator_id = %s AND evse.uid = told.uid AND evse.status <> told.status
                    RETURNING evse.location_id
                ),
                stamped AS (
                    UPDATE location SET last_updated = greatest(last_updated, %s)
                    WHERE operator_id = %s AND id IN (SELECT location_id FROM changed)
                )
                SELECT count(*) FROM changed""",
                (uids, values, operator_id, at, operator_id),
            )
            row = await rows.fetchone()
            return int(row[0]) if row else 0

    async def evse_keys(self, operator_id: str) -> dict[str, int]:
        """The small integer of every EVSE of one operator, those that are gone included."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "SELECT uid, evse_key FROM evse WHERE operator_id = %s ORDER BY evse_key", (operator_id,)
            )
            return dict(await rows.fetchall())

    async def put_tariffs(self, operator_id: str, tariffs: Iterable[Tariff]) -> None:
        """Inserts and updates; others of the operator stay."""
        latest = {tariff.id: _text(tariff) for tariff in tariffs}
        async with self._writing() as connection:
            await connection.execute(
                """INSERT INTO tariff (operator_id, id, document)
                SELECT %s, t.id, t.document FROM unnest(%s::text[], %s::jsonb[]) AS t (id, document)
                ORDER BY t.id
                ON CONFLICT ON CONSTRAINT tariff_pk DO UPDATE SET document = excluded.document""",
                (operator_id, list(latest), list(latest.values())),
            )

    async def tariffs(self, operator_id: str | None = None) -> dict[str, dict[str, Tariff]]:
        """Tariffs by operator, then id."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                """SELECT operator_id, document::text FROM tariff
                WHERE %(operator)s::text IS NULL OR operator_id = %(operator)s ORDER BY operator_id, id""",
                {"operator": operator_id},
            )
            found: dict[str, dict[str, Tariff]] = {}
            for operator, document in await rows.fetchall():
                tariff = msgspec.json.decode(document, type=Tariff)
                found.setdefault(operator, {})[tariff.id] = tariff
            return found

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A transaction whose broken constraints are told by our codes."""
        try:
            async with self._store.transaction() as connection:
                yield connection
        except errors.UniqueViolation as error:
            if error.diag.constraint_name != "evse_id_once":
                raise
            raise Conflict("evse.id_taken", detail=error.diag.message_detail or "") from None
        except errors.CheckViolation as error:
            code = _CONSTRAINTS.get(error.diag.constraint_name or "")
            if code is None:
                raise
            raise Invalid(code, constraint=error.diag.constraint_name) from None


_SELECT: Final = """SELECT l.document::text, l.last_updated, e.uids, e.statuses
FROM location l CROSS JOIN LATERAL (
    SELECT array_agg(uid ORDER BY uid) AS uids, array_agg(status ORDER BY uid) AS statuses FROM evse
    WHERE evse.operator_id = l.operator_id AND evse.location_id = l.id
) e"""


def _text(document: Location | Tariff) -> str:
    """The document as jsonb takes it. Raises: Invalid: PostgreSQL keeps no NUL in a text."""
    written = msgspec.json.encode(document).decode()
    if "\\u0000" in written:
        raise Invalid("document.nul", id=document.id)
    return written


def _location(
    document: str, last_updated: datetime, uids: list[str] | None, statuses: list[str] | None
) -> Location:
    """The document with the live statuses laid over it."""
    location = _LOCATION.decode(document)
    live = dict(zip(uids or (), map(EvseStatus, statuses or ()), strict=True))
    return msgspec.structs.replace(
        location,
        last_updated=last_updated,
        evses=tuple(
            evse
            if live.get(evse.uid, evse.status) is evse.status
            else msgspec.structs.replace(evse, status=live[evse.uid])
            for evse in location.evses
        ),
    )


async def _read(connection: AsyncConnection[Any], keys: Sequence[tuple[str, str]]) -> list[Location]:
    rows = await connection.execute(
        _SELECT
        + """ JOIN unnest(%s::text[], %s::text[]) AS k (operator_id, id)
            ON k.operator_id = l.operator_id AND k.id = l.id
        ORDER BY l.operator_id, l.id""",
        ([key[0] for key in keys], [key[1] for key in keys]),
    )
    return [_location(*row) for row in await rows.fetchall()]


async def _documents(
    connection: AsyncConnection[Any], keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Location]:
    """The documents as their sources told them, their rows locked in order."""
    rows = await connection.execute(
        """SELECT document::text FROM location
        WHERE (operator_id, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        ORDER BY operator_id, id FOR UPDATE""",
        ([key[0] for key in keys], [key[1] for key in keys]),
    )
    known = [_LOCATION.decode(row[0]) for row in await rows.fetchall()]
    return {(location.operator_id, location.id): location for location in known}


async def _write_locations(
    connection: AsyncConnection[Any], locations: Sequence[Location], own: bool | None
) -> None:
    """``own`` None leaves the mark of rows that stand already."""
    await connection.execute(
        """INSERT INTO location (operator_id, id, own, document, last_updated)
        SELECT t.operator_id, t.id, coalesce(%(own)s, false), t.document, t.last_updated
        FROM unnest(%(operators)s::text[], %(ids)s::text[], %(documents)s::jsonb[], %(times)s::timestamptz[])
            AS t (operator_id, id, document, last_updated)
        ON CONFLICT ON CONSTRAINT location_pk DO UPDATE SET
            own = coalesce(%(own)s, location.own),
            document = excluded.document,
            last_updated = excluded.last_updated""",
        {
            "own": own,
            "operators": [location.operator_id for location in locations],
            "ids": [location.id for location in locations],
            "documents": [_text(location) for location in locations],
            "times": [location.last_updated for location in locations],
        },
    )
