"""A bill before it is issued: what was measured, what it costs, and what earlier ones still owe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from eletrovia.base.clock import at_epoch_s
from eletrovia.base.errors import Conflict, EletroviaError
from eletrovia.base.money import cents
from eletrovia.base.window import Window
from eletrovia.metering.bill import Bill, TaxShare
from eletrovia.metering.contract import Piece, contract_on
from eletrovia.metering.invoice import MonthUse
from eletrovia.metering.metered import Fitted, Metered, metered, metered_all, packed, unpacked
from eletrovia.metering.prices import Prices
from eletrovia.metering.standing import Earlier, Silence, Standing
from eletrovia.metering.usage import Mark, Resolution, UsageBook

SETTLED_PERIODS: Final = 3
"""How many periods back use that was not billed may still be. Source: REN ANEEL 1.000/2021, art. 323."""

WAIT_FOR_READING: Final = timedelta(days=3)
"""How long after a period's end its last reading is waited for."""

HISTORY_MONTHS: Final = 13


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know about readings beside their values.

    Shape:  ``silence`` is that of the meter at the period's end; readings before ``kept_from`` were dropped.
    """

    now: datetime
    silence: Silence | None = None
    kept_from: datetime | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What readings say now of a period that is billed already, beside what was charged for it so far."""

    earlier: Earlier
    bill: Bill
    energy_wh: int
    amount: Decimal
    measured: bytes

    def taxes_in(self, amount: Decimal) -> tuple[TaxShare, ...]:
        """The taxes inside a part of the difference: of the whole bill's, as much as it is of the bill."""
        if not self.bill.total:
            return ()
        share = amount / self.bill.total
        return tuple(
            replace(tax, base=cents(tax.base * share), amount=cents(tax.amount * share))
            for tax in self.bill.taxes
        )


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an invoice is made of but its number."""

    usage_point_id: str
    piece: Piece
    month: date
    tariff_name: str
    metered: Metered
    bill: Bill
    differences: tuple[Difference, ...] = ()
    history: tuple[MonthUse, ...] = ()
    unread_since: datetime | None = None
    held: EletroviaError | None = None
    """Why it must not be issued without a person's word."""


class Drafts:
    """Makes drafts of what stands, what meters counted, and what that costs."""

    def __init__(self, usage: UsageBook, prices: Prices) -> None:
        self._usage = usage
        self._prices = prices

    async def draft(
        self,
        standing: Standing,
        piece: Piece,
        month: date,
        *,
        heard: Heard,
        settle: bool = True,
    ) -> Draft:
        """The bill for a piece of a usage point's days. Raises: NotFound for a price that is not there."""
        terms = piece.contract.terms
        edges = self._prices.edges(terms, piece.days)
        settled = _to_settle(standing, piece, heard) if settle else []
        counted, *again = await metered_all(
            self._usage, standing.fittings, [edges, *(edges_of(one) for one in settled)]
        )
        bill = self._prices.bill(terms, piece.days, counted.stretches)
        differences = [
            await self._difference(standing, one, now, heard) for one, now in zip(settled, again, strict=True)
        ]
        unread_since = _unread_since(standing, heard.silence, edges[-1])
        return Draft(
            usage_point_id=standing.usage_point_id,
            piece=piece,
            month=month,
            tariff_name=self._prices.name(terms),
            metered=counted,
            bill=bill,
            differences=tuple(one for one in differences if one is not None),
            history=await self._history(standing, piece, month, bill.energy_wh),
            unread_since=unread_since,
            held=_held(standing.usage_point_id, piece, counted, heard, unread_since, edges),
        )

    async def difference(self, standing: Standing, earlier: Earlier, heard: Heard) -> Difference | None:
        """What an invoice's period would cost more or less by now; None while nothing changed.

        Nothing is said while a person has to look at the readings in it, nor when they are not kept any more.
        """
        if not _may_settle(standing, earlier, heard):
            return None
        counted = await metered(self._usage, standing.fittings, edges_of(earlier))
        return await self._difference(standing, earlier, counted, heard)

    async def _difference(
        self, standing: Standing, earlier: Earlier, counted: Metered, heard: Heard
    ) -> Difference | None:
        contract = contract_on(standing.contracts, earlier.days.starts_on)
        before = [energy_wh for *_, energy_wh in unpacked(earlier.measured)]
        if contract is None or counted.doubtful or _dropped(counted, heard, edges_of(earlier)):
            return None
        if [one.energy_wh for one in counted.stretches] == before:
            return None
        # Prices that were corrected since may ask for more edges than there were then.
        edges = {*edges_of(earlier), *self._prices.edges(contract.terms, earlier.days)}
        if len(edges) > len(before) + 1:
            counted = await metered(self._usage, standing.fittings, sorted(edges))
        bill = self._prices.bill(contract.terms, earlier.days, counted.stretches)
        return Difference(
            earlier=earlier,
            bill=bill,
            energy_wh=bill.energy_wh - earlier.energy_wh,
            amount=bill.total - earlier.charged,
            measured=packed(counted.stretches),
        )

    async def _history(
        self, standing: Standing, piece: Piece, month: date, energy_wh: int
    ) -> tuple[MonthUse, ...]:
        """The last months of this very customer: as billed, where there were no bills as measured."""
        first = _months_before(month, HISTORY_MONTHS - 1)
        sums: dict[date, tuple[int, int]] = {}
        for one in standing.earlier:
            if one.customer_id == piece.customer_id and first <= one.month <= month:
                _add(sums, one.month, one.energy_wh, one.days.count)
        _add(sums, month, energy_wh, piece.days.count)
        await self._fill_in(sums, standing, piece, first, month)
        return tuple(
            MonthUse(month=at, energy_wh=used_wh, days=days) for at, (used_wh, days) in sorted(sums.items())
        )

    async def _fill_in(
        self, sums: dict[date, tuple[int, int]], standing: Standing, piece: Piece, first: date, month: date
    ) -> None:
        lived = [
            (stay.from_on, stay.until_on) for stay in standing.stays if stay.customer_id == piece.customer_id
        ]
        missing = [
            at
            for at in (_months_before(month, back) for back in range(1, HISTORY_MONTHS))
            if at not in sums
            and any(since <= at and (until is None or _after(at) <= until) for since, until in lived)
        ]
        if not missing:
            return
        span = (self._prices.midnight(min(missing)), self._prices.midnight(_after(max(missing))))
        used: dict[date, int] = {}
        for fitted in standing.fittings:
            part = fitted.within(span[0].astimezone(UTC), span[1].astimezone(UTC))
            if part is None:
                continue
            for slot in await self._usage.series(fitted.meter, Window(*part), Resolution.MONTH):
                at = slot.starts_at.astimezone(self._prices.zone).date().replace(day=1)
                used[at] = used.get(at, 0) + slot.energy_wh
        for at in missing:
            if used.get(at):
                _add(sums, at, used[at], (_after(at) - at).days)


def _held(
    point: str,
    piece: Piece,
    counted: Metered,
    heard: Heard,
    unread_since: datetime | None,
    edges: list[datetime],
) -> EletroviaError | None:
    days = {"starts_on": piece.days.starts_on.isoformat(), "ends_on": piece.days.ends_on.isoformat()}
    if counted.doubtful:
        marks = [told_of(mark) for mark in counted.doubtful]
        return Conflict("invoice.needs_a_look", usage_point_id=point, **days, marks=marks)
    if _dropped(counted, heard, edges):
        return Conflict("invoice.readings_dropped", usage_point_id=point, **days)
    if heard.silence is not None and heard.silence.goes_on and heard.now < edges[-1] + WAIT_FOR_READING:
        until = (edges[-1] + WAIT_FOR_READING).isoformat()
        return Conflict("invoice.not_read_yet", usage_point_id=point, **days, until=until)
    if not counted.meters or (unread_since is not None and unread_since <= edges[0]):
        return Conflict("invoice.nothing_measured", usage_point_id=point, **days)
    return None


def edges_of(earlier: Earlier) -> list[datetime]:
    """The moments between which an earlier invoice was measured."""
    stretches = unpacked(earlier.measured)
    return [at_epoch_s(stretches[0][0]), *(at_epoch_s(ends_s) for _, ends_s, _ in stretches)]


def _may_settle(standing: Standing, earlier: Earlier, heard: Heard) -> bool:
    if not earlier.measured or contract_on(standing.contracts, earlier.days.starts_on) is None:
        return False
    return heard.kept_from is None or heard.kept_from <= edges_of(earlier)[0]


def _dropped(counted: Metered, heard: Heard, edges: Sequence[datetime]) -> bool:
    """Whether readings between these edges were dropped, or the one before them that they begin from."""
    kept_from = heard.kept_from
    return kept_from is not None and (
        edges[0] < kept_from or any(since < kept_from for since in counted.unopened)
    )


def _to_settle(standing: Standing, piece: Piece, heard: Heard) -> list[Earlier]:
    """The customer's last invoices before a piece, as far back as they may still be settled."""
    mine = [
        one
        for one in standing.earlier
        if one.customer_id == piece.customer_id and one.days.ends_on <= piece.days.starts_on
    ]
    return [one for one in mine[-SETTLED_PERIODS:] if _may_settle(standing, one, heard)]


def told_of(mark: Mark) -> dict[str, str | int]:
    """A mark as a fact."""
    return {
        "kind": mark.kind.value,
        "starts_at": mark.starts_at.isoformat(),
        "ends_at": mark.ends_at.isoformat(),
        "energy_wh": mark.energy_wh,
    }


def last_fitted(standing: Standing, ends_at: datetime) -> Fitted | None:
    """The meter that hung there when a period ended."""
    at_the_end = [
        one
        for one in standing.fittings
        if one.from_at < ends_at and (one.until_at is None or one.until_at >= ends_at)
    ]
    return at_the_end[-1] if at_the_end else None


def _unread_since(standing: Standing, silence: Silence | None, ends_at: datetime) -> datetime | None:
    fitted = last_fitted(standing, ends_at)
    if fitted is None or silence is None or not silence.goes_on:
        return None
    last_at = silence.last_at or fitted.from_at
    return last_at if last_at < ends_at - timedelta(seconds=2 * fitted.interval_s) else None


def _add(sums: dict[date, tuple[int, int]], month: date, energy_wh: int, days: int) -> None:
    before = sums.get(month, (0, 0))
    sums[month] = (before[0] + energy_wh, before[1] + days)


def _after(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def _months_before(month: date, count: int) -> date:
    years, place = divmod(month.year * 12 + month.month - 1 - count, 12)
    return date(years, place + 1, 1)
