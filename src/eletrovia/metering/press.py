"""Where drafts become invoices: what stands is read, a bill is made of it, and written if it still stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, NotFound
from eletrovia.base.ids import Ids
from eletrovia.metering.contract import Days, Piece, pieces
from eletrovia.metering.creditshare import shares_of
from eletrovia.metering.draft import Draft, Drafts, Heard, last_fitted
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoicestore import InvoiceStore, Numbers, Written
from eletrovia.metering.pen import Pen, mine_of
from eletrovia.metering.prices import Prices
from eletrovia.metering.standing import Standing
from eletrovia.metering.standingstore import StandingStore
from eletrovia.metering.usage import UsageBook
from eletrovia.store.pool import Store

TRIES: Final = 5
"""How often a bill is made anew when something changed before it was written."""


class Press:
    """Makes drafts, and writes them down, each once."""

    def __init__(
        self, store: Store, usage: UsageBook, prices: Prices, issuer: Issuer, *, clock: Clock, ids: Ids
    ) -> None:
        self.rows = InvoiceStore(store, prices.zone.key)
        self.stands = StandingStore(store, prices.zone.key)
        self.drafts = Drafts(usage, prices)
        self.prices = prices
        self.pen = Pen(issuer, prices.zone, clock, ids)
        self._clock = clock

    async def standing(self, usage_point_id: str, around: date) -> Standing:
        """What stands about one usage point, for bills of about that day."""
        return (await self.stands.standings([usage_point_id], around))[usage_point_id]

    async def draft(
        self,
        standing: Standing,
        piece: Piece,
        month: date,
        *,
        heard: Heard | None = None,
        settle: bool = True,
    ) -> Draft:
        """The bill that would be issued now. ``heard`` spares asking for it."""
        if heard is None:
            heard = (await self.heard({standing.usage_point_id: (standing, piece)}))[standing.usage_point_id]
        return await self.drafts.draft(standing, piece, month, heard=heard, settle=settle)

    async def heard(self, pieces: Mapping[str, tuple[Standing, Piece]]) -> dict[str, Heard]:
        """What there is to know now about the readings of each usage point's piece."""
        now, kept_from = self._clock.now(), await self.stands.kept_from()
        ends = {point: self.prices.midnight(piece.days.ends_on) for point, (_, piece) in pieces.items()}
        fitted = {point: last_fitted(standing, ends[point]) for point, (standing, _) in pieces.items()}
        meters = {one.meter: ends[point] for point, one in fitted.items() if one is not None}
        silences = await self.stands.silences(meters)
        return {
            point: Heard(
                now=now, kept_from=kept_from, silence=None if one is None else silences.get(one.meter)
            )
            for point, one in fitted.items()
        }

    async def heard_of_none(self) -> Heard:
        """Likewise, for no piece in particular."""
        return Heard(now=self._clock.now(), kept_from=await self.stands.kept_from())

    async def write(
        self, plans: Mapping[str, Standing], drafts: Mapping[str, Draft], around: date, note: str = ""
    ) -> tuple[list[Written], list[str]]:
        """What was written, and the usage points of which something had changed since ``plans`` was read.

        ``around`` is the day that ``plans`` was read for.
        """
        customers = await self.stands.customers({draft.piece.customer_id for draft in drafts.values()})
        notes = sum(_notes(draft, plans[point]) for point, draft in drafts.items())
        written: list[Written] = []
        places = {point: place for place, point in enumerate(sorted(drafts))}
        note_numbers: Iterator[int] = iter(())
        year = self.pen.today.year

        def finish(point: str, numbers: Numbers) -> Written:
            nonlocal note_numbers
            if not written:
                note_numbers = iter(range(numbers.credit_note - notes + 1, numbers.credit_note + 1))
            draft = drafts[point]
            number = numbers.invoice - len(drafts) + 1 + places[point]
            customer = customers[draft.piece.customer_id]
            done = self.pen.invoice(draft, plans[point], customer, year, number, note_numbers, note)
            written.append(done)
            return done

        stale = await self.rows.issue(plans, around, year=year, notes=notes, finish=finish)
        return written, stale


def one_piece(standing: Standing, days: Days) -> Piece:
    """All of ``days`` as one piece.

    Raises: NotFound for days without a contract or without a customer; Conflict where one of them changes.
    """
    point = standing.usage_point_id
    found = pieces(days, standing.contracts, standing.stays, ())
    if len(found) == 1 and found[0].days == days:
        return found[0]
    if not standing.contracts or standing.contracts[0].valid_from > days.starts_on:
        raise NotFound("contract.none", usage_point_id=point, on=days.starts_on.isoformat())
    if not found:
        raise NotFound("invoice.nobody_to_bill", usage_point_id=point, on=days.starts_on.isoformat())
    first = found[0].days
    on = first.ends_on if first.starts_on == days.starts_on else first.starts_on
    raise Conflict("invoice.changes_inside", usage_point_id=point, on=on.isoformat())


def _notes(draft: Draft, standing: Standing) -> int:
    """How many credit notes its differences need."""
    return len(shares_of(draft.differences, mine_of(standing, draft.piece.customer_id)))
