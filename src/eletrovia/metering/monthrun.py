"""A month's invoices, batch by batch, as often as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Conflict, EletroviaError, Invalid
from eletrovia.metering.contract import Days, Piece, pieces
from eletrovia.metering.draft import Draft
from eletrovia.metering.press import TRIES, Press
from eletrovia.metering.standing import Standing, period

BATCH: Final = 100
_AT_ONCE: Final = 4
_NOT_THE_POINTS: Final = ("unavailable", "overloaded", "internal")

Progress = Callable[[int, int], None]
"""Told after each batch: how many usage points were looked at, of how many."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A usage point that was not billed, and why."""

    usage_point_id: str
    code: str
    facts: dict[str, Any] = {}


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a month's usage points.

    Shape:  ``standing`` invoices were there already; ``next`` is behind which usage point to go on, None when
            all were looked at.
    """

    month: date
    looked_at: int
    issued: int
    standing: int
    held: tuple[Held, ...]
    next: str | None = None


class _Todo(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do for one usage point: a piece, its draft, whether more follow; else what stands."""

    piece: Piece | None = None
    draft: Draft | None = None
    more: bool = False
    standing: int = 0
    held: Held | None = None


class MonthRun:
    """Issues the billing periods called after one month.

    Shape:  with ``only`` for that customer alone; with ``until`` a period that goes on is cut there.
    """

    def __init__(
        self,
        press: Press,
        month: date,
        *,
        batch: int = BATCH,
        only: str | None = None,
        until: date | None = None,
    ) -> None:
        self._press = press
        self._month = month.replace(day=1)
        self._around = self._month - timedelta(days=40)
        self._batch = batch
        self._only = only
        self._until = until
        self._issued = 0
        self._standing = 0
        self._held: list[Held] = []

    async def over(
        self,
        points: Collection[str] | None,
        *,
        after: str = "",
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> MonthReport:
        """Look at all usage points with a contract, or at these, in their order from behind ``after`` on.

        Each batch is written all or nothing: broken off and begun again, each invoice is there once. A usage
        point that has to wait holds up no other.
        """
        asked = None if points is None else sorted({point for point in points if point > after})
        count = await self._press.stands.count_points(after) if asked is None else len(asked)
        count = count if limit is None else min(limit, count)
        looked_at, last = 0, False
        while not last and (limit is None or looked_at < limit):
            room = self._batch if limit is None else min(self._batch, limit - looked_at)
            if asked is None:
                batch = await self._press.stands.points(after, room)
            else:
                batch = asked[looked_at : looked_at + room]
            last = len(batch) < room
            if not batch:
                break
            await self._issue(batch)
            after = batch[-1]
            looked_at += len(batch)
            if progress is not None:
                progress(looked_at, max(count, looked_at))
        return MonthReport(
            month=self._month,
            looked_at=looked_at,
            issued=self._issued,
            standing=self._standing,
            held=tuple(self._held),
            next=None if last else after,
        )

    async def _issue(self, points: list[str]) -> None:
        """Issue until nothing is left to do: a piece at a time, since each stands on the one before."""
        waiting = points
        stale_rounds = 0
        while waiting and stale_rounds < TRIES:
            standings = await self._press.stands.standings(waiting, self._around)
            drafts: dict[str, Draft] = {}
            again: list[str] = []
            for point, todo in zip(waiting, await self._todos(waiting, standings), strict=True):
                if todo.held is not None:
                    self._held.append(todo.held)
                elif todo.draft is None:
                    self._standing += todo.standing
                else:
                    drafts[point] = todo.draft
                    if todo.more:
                        again.append(point)
            if not drafts:
                return
            plans = {point: standings[point] for point in drafts}
            try:
                written, stale = await self._press.write(plans, drafts, self._around)
            except Conflict:
                if len(drafts) > 1:  # one of them is in the way of all: one by one the others get through
                    for point in drafts:
                        await self._issue([point])
                    return
                stale_rounds += 1
                continue
            self._issued += len(written)
            stale_rounds += 1 if stale else 0
            waiting = sorted({*stale, *again})
        self._held += [Held(usage_point_id=point, code="invoice.changes_too_often") for point in waiting]

    async def _todos(self, points: list[str], standings: dict[str, Standing]) -> list[_Todo]:
        """What there is to do for each usage point; what must be known of all is asked for at once."""
        todos: dict[str, _Todo] = {}
        pieces_: dict[str, tuple[Standing, Piece]] = {}
        for point in points:
            try:
                todos[point] = self._todo(standings[point])
            except EletroviaError as error:
                todos[point] = _Todo(held=_held(point, error))
            if (piece := todos[point].piece) is not None:
                pieces_[point] = (standings[point], piece)
        heard = await self._press.heard(pieces_)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def drafted(point: str) -> None:
            async with limit:
                standing, piece = pieces_[point]
                try:
                    draft = await self._press.draft(standing, piece, self._month, heard=heard[point])
                    if draft.held is not None:
                        raise draft.held
                    todos[point] = msgspec.structs.replace(todos[point], draft=draft)
                except EletroviaError as error:
                    if error.kind in _NOT_THE_POINTS:
                        raise
                    todos[point] = _Todo(held=_held(point, error))

        await asyncio.gather(*map(drafted, pieces_))
        return [todos[point] for point in points]

    def _todo(self, standing: Standing) -> _Todo:
        days = period(standing.contracts, self._month)
        if days is None or (self._until is not None and self._until <= days.starts_on):
            return _Todo()
        if self._until is not None and self._until < days.ends_on:
            days = Days(days.starts_on, self._until)
        if days.ends_on > self._press.pen.today:
            raise Invalid("invoice.period_not_over", ends_on=days.ends_on.isoformat())
        stays = [one for one in standing.stays if self._only in (None, one.customer_id)]
        found = pieces(days, standing.contracts, stays, standing.billed)
        if not found:
            inside = [one for one in standing.earlier if one.days.overlaps(days)]
            return _Todo(standing=len(inside))
        return _Todo(piece=found[0], more=len(found) > 1)


def _held(point: str, error: EletroviaError) -> Held:
    facts = {name: value for name, value in error.facts.items() if name != "usage_point_id"}
    return Held(usage_point_id=point, code=error.code, facts=facts)
