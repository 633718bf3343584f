"""PostgreSQL for invoices, credit notes and payments: each is written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import psycopg

from eletrovia.base.errors import Conflict
from eletrovia.metering.invoice import Account, CreditNote, Invoice, Payment, Summary, frozen
from eletrovia.metering.standing import Standing
from eletrovia.metering.standingstore import lock_point, standings
from eletrovia.store.pool import Connection, Store, constraint_of

_COUNT: Final = """
insert into invoice_counter (kind, year, last) values (%s, %s, %s)
on conflict (kind, year) do update set last = invoice_counter.last + excluded.last
returning last
"""
_INSERT: Final = """
insert into invoice (id, number, usage_point_id, customer_id, starts_on, ends_on, month, due_on, issued_at,
                     energy_wh, total, currency, document, sha256, measured)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict do nothing
"""
_SETTLE: Final = """
insert into settlement (invoice_id, sequence, energy_wh, amount, by_invoice_id, by_credit_note_id, measured,
                        settled_at)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_CREDIT: Final = """
insert into credit_note (id, number, invoice_id, amount, reason, request_id, issued_at, document, sha256)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_PAY: Final = """
insert into payment (id, invoice_id, amount, method, reference, paid_on, recorded_at, recorded_by)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_KEPT: Final = """
select 'invoices', count(*)::int, max(issued_at) from invoice where customer_id = %(customer)s
union all
select 'credit_notes', count(*)::int, max(n.issued_at)
from credit_note n join invoice i on i.id = n.invoice_id where i.customer_id = %(customer)s
union all
select 'payments', count(*)::int, max(p.recorded_at)
from payment p join invoice i on i.id = p.invoice_id where i.customer_id = %(customer)s
"""
_ACCOUNT: Final = """
select i.total,
       (select coalesce(sum(amount), 0) from credit_note where invoice_id = i.id),
       (select coalesce(sum(amount), 0) from payment where invoice_id = i.id)
from invoice i where i.id = %s
"""
_SUMMARIES: Final = """
select i.id, i.number, i.usage_point_id, i.customer_id, i.starts_on, i.ends_on, i.month, i.due_on,
       i.issued_at, i.energy_wh, i.total, i.currency,
       (select coalesce(sum(amount), 0) from credit_note where invoice_id = i.id),
       (select coalesce(sum(amount), 0) from payment where invoice_id = i.id)
from invoice i left join customer c on c.id = i.customer_id
where (%(account)s::text is null or c.account_id = %(account)s)
  and (%(customer)s::text is null or i.customer_id = %(customer)s)
  and (%(point)s::text is null or i.usage_point_id = %(point)s)
  and (%(month)s::date is null or i.month = %(month)s)
  and (%(before)s::text is null
       or (i.starts_on, i.id) < (select starts_on, id from invoice where id = %(before)s))
order by i.starts_on desc, i.id desc limit %(limit)s
"""

_INVOICE: Final = msgspec.json.Decoder(Invoice)
_NOTE: Final = msgspec.json.Decoder(CreditNote)


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A difference to an earlier invoice that is made good. Shape: ``note`` when by a credit note."""

    invoice_id: str
    sequence: int
    energy_wh: int
    amount: Decimal
    measured: bytes
    note: CreditNote | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A finished invoice with all that is written along with it."""

    invoice: Invoice
    measured: bytes
    settled: tuple[Settled, ...] = ()
    payments: tuple[Payment, ...] = ()


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """The last numbers that were drawn for a batch: it has those up to them."""

    invoice: int
    credit_note: int


class InvoiceStore:
    """Reads what stands, and writes what is issued, each thing once."""

    def __init__(self, store: Store, zone: str) -> None:
        self._store = store
        self._zone = zone

    # -- issuing -------------------------------------------------------------------------------------------

    async def issue(
        self,
        plans: Mapping[str, Standing],
        around: date,
        *,
        year: int,
        notes: int,
        finish: Callable[[str, Numbers], Written],
    ) -> list[str]:
        """Write at once what ``finish`` makes of each usage point; the points that have to be made anew.

        Those are left alone of which something stands otherwise than in ``plans``.
        Locks:  the usage points, shared, so that contracts and customers stay; then the year's counter,
                alone, so that one batch is written after the other.
        """
        stale: list[str] = []
        async with self._store.transaction() as connection:
            points = sorted(plans)
            await connection.execute(
                "select from usage_point where id = any (%b::text[]) order by id for share", (points,)
            )
            numbers = Numbers(
                invoice=await _draw(connection, "invoice", year, len(points)),
                credit_note=await _draw(connection, "credit_note", year, notes) if notes else 0,
            )
            standing = await standings(connection, self._zone, points, around)
            for point in points:
                if standing[point] == plans[point]:
                    await _write(connection, finish(point, numbers))
                else:
                    stale.append(point)
        return stale

    # -- what was issued -----------------------------------------------------------------------------------

    async def document(self, invoice_id: str) -> tuple[bytes, bytes] | None:
        """An invoice's octets and their SHA-256; found by its id or its number."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select document, sha256 from invoice where id = %s or number = %s", (invoice_id, invoice_id)
            )
            row = await rows.fetchone()
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    async def account_of(self, invoice_id: str) -> str | None:
        """The account of the customer an invoice was issued to."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select c.account_id from invoice i join customer c on c.id = i.customer_id"
                " where i.id = %s or i.number = %s",
                (invoice_id, invoice_id),
            )
            row = await rows.fetchone()
        return None if row is None else row[0]

    async def summaries(
        self,
        *,
        account_id: str | None = None,
        customer_id: str | None = None,
        usage_point_id: str | None = None,
        month: date | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Summary]:
        """Invoices, newest period first; each condition that is given narrows."""
        asked = {
            "account": account_id,
            "customer": customer_id,
            "point": usage_point_id,
            "month": month,
            "before": before,
            "limit": limit,
        }
        async with self._store.connection() as connection:
            rows = await connection.execute(_SUMMARIES, asked)
            names = [name for name in Summary.__struct_fields__ if name != "open"]
            return [
                Summary(**dict(zip(names, row, strict=True)), open=row[10] - row[12] - row[13])
                for row in await rows.fetchall()
            ]

    async def kept(self, connection: Connection, customer_id: str) -> list[tuple[str, int, datetime]]:
        """Which fiscal documents there are of a customer: what, how many, and the last one's moment."""
        rows = await connection.execute(_KEPT, {"customer": customer_id})
        return [(what, count, last) for what, count, last in await rows.fetchall() if count]

    async def account(self, invoice_id: str) -> Account | None:
        async with self._store.connection() as connection:
            return await _account(connection, invoice_id)

    async def notes(self, invoice_id: str) -> list[CreditNote]:
        """An invoice's credit notes, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select document from credit_note where invoice_id = %s order by issued_at, id", (invoice_id,)
            )
            return [_NOTE.decode(bytes(document)) for (document,) in await rows.fetchall()]

    async def payments(self, invoice_id: str) -> list[Payment]:
        """An invoice's payments, oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                "select id, invoice_id, amount, method, reference, paid_on, recorded_at, recorded_by"
                " from payment where invoice_id = %s order by recorded_at, id",
                (invoice_id,),
            )
            return [_payment(row) for row in await rows.fetchall()]

    # -- corrections and money -----------------------------------------------------------------------------

    async def standing_note(self, invoice_id: str, request_id: str) -> CreditNote | None:
        """The credit note of that request, if there is one."""
        async with self._store.connection() as connection:
            return await _note(connection, invoice_id, request_id)

    async def credit(
        self,
        about: Invoice,
        request_id: str,
        make: Callable[[int], CreditNote],
        settle: Callable[[CreditNote], Settled | None],
        year: int,
    ) -> CreditNote:
        """The credit note of that request: the one that stands, else the one that ``make`` makes of a number.

        ``settle`` tells which difference it makes good, if any.

        Raises: Conflict when it exceeds its invoice, or when somebody else has settled the same difference.
        """
        try:
            async with self._store.transaction() as connection:
                number = await _draw(connection, "credit_note", year, 1)
                standing = await _note(connection, about.id, request_id)
                if standing is not None:
                    return standing
                note = make(number)
                await _write_note(connection, note, request_id)
                settled = settle(note)
                if settled is not None:
                    await _settle(connection, settled, None, note.id, note.issued_at)
                return note
        except psycopg.IntegrityError as broken:
            match constraint_of(broken):
                case "credit_note_within_invoice":
                    account = await self.account(about.id)
                    room = account.total - account.credited if account else Decimal(0)
                    raise Conflict(
                        "credit_note.exceeds_invoice", number=about.number, room=str(room)
                    ) from None
                case "settlement_once":
                    raise Conflict("invoice.settled_meanwhile", number=about.number) from None
            raise

    async def pay(self, payment: Payment, usage_point_id: str) -> Payment:
        """Record a payment; the same reference again is the same payment.

        Locks:  the usage point: no invoice takes money that goes back at the same time.
        Raises: Conflict for a reference that stands for another amount, or for more than is open.
        """
        async with self._store.transaction() as connection:
            await lock_point(connection, usage_point_id)
            rows = await connection.execute(
                "select id, invoice_id, amount, method, reference, paid_on, recorded_at, recorded_by"
                " from payment where invoice_id = %s and reference = %s",
                (payment.invoice_id, payment.reference),
            )
            row = await rows.fetchone()
            if row is not None:
                standing = _payment(row)
                if standing.amount != payment.amount or standing.method != payment.method:
                    raise Conflict("payment.reference_used", reference=payment.reference)
                return standing
            account = await _account(connection, payment.invoice_id)
            left = account.open if account is not None else Decimal(0)
            if payment.amount > 0 and payment.amount > left:
                raise Conflict("payment.exceeds_open", open=str(left), amount=str(payment.amount))
            if payment.amount < 0 and (account is None or -payment.amount > account.paid):
                raise Conflict("payment.exceeds_paid", amount=str(payment.amount))
            await _pay(connection, payment)
            return payment


async def _draw(connection: Connection, kind: str, year: int, count: int) -> int:
    rows = await connection.execute(_COUNT, (kind, year, count))
    row = await rows.fetchone()
    if row is None:
        raise RuntimeError("the counter gives a row back")
    return int(row[0])


async def _account(connection: Connection, invoice_id: str) -> Account | None:
    rows = await connection.execute(_ACCOUNT, (invoice_id,))
    row = await rows.fetchone()
    return None if row is None else Account(total=row[0], credited=row[1], paid=row[2])


async def _note(connection: Connection, invoice_id: str, request_id: str) -> CreditNote | None:
    rows = await connection.execute(
        "select document from credit_note where invoice_id = %s and request_id = %s", (invoice_id, request_id)
    )
    row = await rows.fetchone()
    return None if row is None else _NOTE.decode(bytes(row[0]))


async def _write(connection: Connection, written: Written) -> None:
    invoice = written.invoice
    document, digest = frozen(invoice)
    done = await connection.execute(
        _INSERT,
        (
            invoice.id, invoice.number, invoice.usage_point_id, invoice.customer.customer_id,
            invoice.starts_on, invoice.ends_on, invoice.month, invoice.due_on, invoice.issued_at,
            invoice.bill.energy_wh, invoice.total, invoice.bill.currency, document, digest, written.measured,
        ),
    )  # fmt: skip
    if done.rowcount != 1:
        # What stands was looked at under the lock: only somebody who writes past it can be in the way.
        raise Conflict("invoice.period_billed", usage_point_id=invoice.usage_point_id)
    for settled in written.settled:
        if settled.note is not None:
            await _write_note(connection, settled.note, f"{invoice.id}:{settled.invoice_id}")
            await _settle(connection, settled, None, settled.note.id, invoice.issued_at)
        else:
            await _settle(connection, settled, invoice.id, None, invoice.issued_at)
    for payment in written.payments:
        await _pay(connection, payment)


async def _write_note(connection: Connection, note: CreditNote, request_id: str) -> None:
    document, digest = frozen(note)
    await connection.execute(
        _CREDIT,
        (
            note.id, note.number, note.invoice_id, note.amount, note.reason, request_id, note.issued_at,
            document, digest,
        ),
    )  # fmt: skip


async def _settle(
    connection: Connection, settled: Settled, invoice_id: str | None, note_id: str | None, now: datetime
) -> None:
    await connection.execute(
        _SETTLE,
        (
            settled.invoice_id, settled.sequence, settled.energy_wh, settled.amount, invoice_id, note_id,
            settled.measured, now,
        ),
    )  # fmt: skip


async def _pay(connection: Connection, payment: Payment) -> None:
    await connection.execute(
        _PAY,
        (
            payment.id, payment.invoice_id, payment.amount, payment.method, payment.reference,
            payment.paid_on, payment.recorded_at, payment.recorded_by,
        ),
    )  # fmt: skip


def _payment(row: Sequence[Any]) -> Payment:
    return Payment(**dict(zip(Payment.__struct_fields__, row, strict=True)))


def read_invoice(document: bytes) -> Invoice:
    """An invoice from its octets."""
    return _INVOICE.decode(document)
