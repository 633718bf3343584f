"""The rows of EVSEs, brought in line with the documents of their locations. Part of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from eletrovia.base.errors import Conflict
from eletrovia.charging.location import EvseStatus, Location


class _Row(msgspec.Struct):
    """An EVSE as the table should have it."""

    operator_id: str
    uid: str
    location_id: str
    evse_id: str
    status: EvseStatus
    news: bool
    """Whether the source says another status than last time."""


def _claims(
    changed: Sequence[Location], known: Mapping[tuple[str, str], Location]
) -> dict[tuple[str, str], _Row]:
    """One row for every EVSE of these locations. Raises: Conflict when two of them claim one."""
    claims: dict[tuple[str, str], _Row] = {}
    for location in changed:
        old = known.get((location.operator_id, location.id))
        before = {evse.uid: evse.status for evse in old.evses} if old is not None else {}
        for evse in location.evses:
            key = (location.operator_id, evse.uid)
            other = claims.get(key)
            if other is not None and EvseStatus.REMOVED not in (other.status, evse.status):
                raise Conflict("evse.claimed_twice", uid=evse.uid, at=[other.location_id, location.id])
            if other is None or other.status is EvseStatus.REMOVED:
                news = before.get(evse.uid) is not evse.status
                claims[key] = _Row(*key, location.id, evse.evse_id, evse.status, news)
    return claims


async def write_evses(
    connection: AsyncConnection[Any],
    changed: Sequence[Location],
    known: Mapping[tuple[str, str], Location],
    own: bool,
) -> None:
    """Inserts and updates the rows of these locations' EVSEs; ``known`` are the documents before.

    Raises: Conflict when an EVSE stands at another location that still has it.
    """
    claims = _claims(changed, known)
    here = {(location.operator_id, location.id) for location in changed}
    rows = await connection.execute(
        """SELECT operator_id, uid, location_id, evse_id, status FROM evse
        WHERE (operator_id, uid) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        ORDER BY operator_id, uid FOR UPDATE""",
        ([key[0] for key in claims], [key[1] for key in claims]),
    )
    standing = {(row[0], row[1]): row for row in await rows.fetchall()}
    updates: list[_Row] = []
    for key, row in standing.items():
        claim, (_, _, location_id, evse_id, status) = claims[key], row
        moved = location_id != claim.location_id
        if moved and status != EvseStatus.REMOVED and (key[0], location_id) not in here:
            raise Conflict("evse.at_another_location", uid=claim.uid, at=[location_id, claim.location_id])
        if own and not claim.news and not moved:
            claim.status = EvseStatus(status)
        if moved or (claim.evse_id, claim.status) != (evse_id, status):
            updates.append(claim)
    # What goes makes room first: a printed id may pass to a new EVSE in the same batch.
    for batch in (
        [row for row in updates if row.status is EvseStatus.REMOVED],
        [row for row in updates if row.status is not EvseStatus.REMOVED],
    ):
        await connection.execute(
            """UPDATE evse SET location_id = t.location_id, evse_id = t.evse_id, status = t.status
            FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                AS t (operator_id, uid, location_id, evse_id, status)
            WHERE evse.operator_id = t.operator_id AND evse.uid = t.uid""",
            _columns(batch),
        )
    await connection.execute(
        """INSERT INTO evse (operator_id, uid, location_id, evse_id, status)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])""",
        _columns([claim for key, claim in claims.items() if key not in standing]),
    )


def _columns(rows: Sequence[_Row]) -> tuple[list[str], ...]:
    return (
        [row.operator_id for row in rows],
        [row.uid for row in rows],
        [row.location_id for row in rows],
        [row.evse_id for row in rows],
        [row.status.value for row in rows],
    )
