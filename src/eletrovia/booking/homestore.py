"""The home's half of the ledger in PostgreSQL: every call is one transaction, calls travel in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, EletroviaError, Invalid, NotFound
from eletrovia.base.lane import Lane
from eletrovia.booking.apart import apart, connected
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldReply, Verdict
from eletrovia.booking.ledger import Delivery, Intent, Opening, Unfinished
from eletrovia.booking.partner import Cancellation
from eletrovia.booking.trip import Itinerary, Setback, Trip, TripAsk, TripState
from eletrovia.store.pool import Store

# Lists travel as %b: as text, psycopg would quote them value by value, in Python.
_OPEN = """
with asked as (
    select * from unnest(
        %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::text[], %b::text[]
    ) with ordinality as a (
        id, driver_id, idempotency_key, body_digest, asked_at, ask, operators, document, place
    )
), opened as (
    insert into trip (id, driver_id, idempotency_key, body_digest, asked_at, ask)
    select id, driver_id, idempotency_key, body_digest, asked_at, ask::jsonb from asked order by place
    on conflict on constraint trip_asked_once do nothing
    returning id
), journaled as (
    insert into intent (trip_id, attempt, operators, document)
    select id, 1, array(select jsonb_array_elements_text(operators::jsonb)), document::jsonb
    from asked where id in (select id from opened)
)
select id from opened
"""

_DECIDE = """
with proposed as (
    select * from unnest(%b::text[], %b::integer[], %b::text[], %b::text[])
        with ordinality as p (trip_id, attempt, verdict, by_operator, place)
), written as (
    insert into decision (trip_id, attempt, verdict, by_operator, decided_at)
    select trip_id, attempt, verdict, by_operator, %s from proposed order by trip_id, attempt, place
    on conflict do nothing
    returning trip_id, attempt, verdict, by_operator
), to_tell as (
    insert into outbox (operator_id, kind, trip_id, attempt)
    select distinct operator_id, 'decision', trip_id, attempt
    from written join intent using (trip_id, attempt), unnest(operators) as operator_id
), confirmed as (
    update trip set state = 'confirmed'
    from written
    where written.verdict = 'confirmed' and trip.id = written.trip_id
      and trip.attempt = written.attempt and trip.state = 'pending'
)
select trip_id, attempt, verdict, by_operator from written
"""

_STANDING = """
select trip_id, attempt, verdict, by_operator from decision
where (trip_id, attempt) in (select * from unnest(%b::text[], %b::integer[]))
"""

_NEXT = """
with moved as (
    update trip set attempt = %(attempt)s
    where id = %(trip_id)s and state = 'pending' and attempt = %(attempt)s - 1
      and exists (select from decision d
                  where d.trip_id = %(trip_id)s and d.attempt = %(attempt)s - 1 and d.verdict = 'released')
    returning id
)
insert into intent (trip_id, attempt, operators, document)
select id, %(attempt)s, %(operators)s, %(document)s from moved
returning trip_id
"""

_TRIP = """
select trip.id, driver_id, state, trip.attempt, asked_at, document -> 'itinerary' as itinerary, setback,
       alternatives, cancellation_fee, body_digest, ask, document as intent
from trip join intent on intent.trip_id = trip.id and intent.attempt = trip.attempt
"""

_json = msgspec.json.Encoder().encode


def _text(value: Any) -> str:
    return _json(value).decode()


class HomeStore:
    """Trips, intents, decisions and the outbox of one operator."""

    def __init__(self, operator_id: str, store: Store, clock: Clock) -> None:
        self._operator_id = operator_id
        self._store = store
        self._clock = clock
        self._openings: Lane[Opening, Trip] = Lane(apart(self._open_all), most=64, in_flight=2)
        self._proposals: Lane[Proposal, Decision] = Lane(apart(self._decide_all), most=128)
        self._done: Lane[Delivery, None] = Lane(apart(self._delivered_all), most=256)

    async def close(self) -> None:
        for lane in (self._openings, self._proposals, self._done):
            await lane.close()

    # -- trips ------------------------------------------------------------------------------------------

    async def open_trip(self, opening: Opening) -> Trip:
        return await self._openings.put(opening)

    async def _open_all(self, openings: Sequence[Opening]) -> Sequence[Trip | EletroviaError]:
        columns: list[list[Any]] = [
            [o.trip.id for o in openings],
            [o.trip.driver_id for o in openings],
            [o.idempotency_key for o in openings],
            [o.body_digest for o in openings],
            [o.trip.asked_at for o in openings],
            [_text(o.ask) for o in openings],
            [_text(o.intent.operators) for o in openings],
            [_text(o.intent) for o in openings],
        ]
        async with connected(self._store) as connection:
            cursor = await connection.execute(_OPEN, columns)
            opened = {row[0] for row in await cursor.fetchall()}
        answers: list[Trip | EletroviaError] = []
        for opening in openings:
            if opening.trip.id in opened:
                answers.append(opening.trip)
                continue
            try:
                known = await self.find(opening.trip.driver_id, opening.idempotency_key, opening.body_digest)
            except EletroviaError as error:
                answers.append(error)
            else:
                assert known is not None  # noqa: S101 - the constraint said so, and trips are never deleted
                answers.append(known)
        return answers

    async def find(self, driver_id: str, idempotency_key: str, body_digest: str) -> Trip | None:
        row = await self._one(
            _TRIP + "where driver_id = %s and idempotency_key = %s", driver_id, idempotency_key
        )
        if row is None:
            return None
        if row[9] != body_digest:
            raise Invalid("trip.key_reused", idempotency_key=idempotency_key)
        return self._trip(row)

    async def next_attempt(self, intent: Intent) -> None:
        row = await self._one(
            _NEXT,
            trip_id=intent.key.trip_id,
            attempt=intent.key.attempt,
            operators=list(intent.operators),
            document=_text(intent),
        )
        if row is None:
            raise Conflict("trip.moved_on", trip_id=intent.key.trip_id, attempt=intent.key.attempt)

    async def note_refusals(self, refusals: Sequence[HoldReply]) -> None:
        await self._do(
            "insert into refusal (trip_id, attempt, stop, document) "
            "select * from unnest(%s::text[], %s::integer[], %s::integer[], %s::jsonb[]) "
            "on conflict do nothing",
            [refusal.key.trip_id for refusal in refusals],
            [refusal.key.attempt for refusal in refusals],
            [refusal.key.stop for refusal in refusals],
            [_text(refusal) for refusal in refusals],
        )

    async def fail(self, trip_id: str, setback: Setback, alternatives: tuple[Itinerary, ...]) -> Trip:
        await self._do(
            "update trip set state = 'failed', setback = %s, alternatives = %s "
            "where id = %s and state = 'pending' and exists (select from decision d "
            "where d.trip_id = trip.id and d.attempt = trip.attempt and d.verdict = 'released')",
            _text(setback),
            _text(alternatives),
            trip_id,
        )
        return await self._known(trip_id)

    async def cancel_trip(self, trip_id: str, cancelled_at: datetime, fee: Decimal) -> Trip:
        row = await self._one(
            """
            with called_off as (
                update trip set state = 'cancelled', cancelled_at = %s, cancellation_fee = %s
                where id = %s and state = 'confirmed'
                returning id, attempt
            ), to_tell as (
                insert into outbox (operator_id, kind, trip_id, attempt)
                select distinct operator_id, 'cancellation', id, called_off.attempt
                from called_off
                join intent on intent.trip_id = id and intent.attempt = called_off.attempt,
                unnest(operators) as operator_id
            )
            select id from called_off
            """,
            cancelled_at,
            fee,
            trip_id,
        )
        trip = await self._known(trip_id)
        if row is None:
            raise Conflict("trip.not_confirmed", trip_id=trip_id, state=trip.state)
        return trip

    async def _known(self, trip_id: str) -> Trip:
        trip = await self.trip(trip_id)
        if trip is None:
            raise NotFound("trip.unknown", trip_id=trip_id)
        return trip

    async def trip(self, trip_id: str) -> Trip | None:
        row = await self._one(_TRIP + "where trip.id = %s", trip_id)
        return None if row is None else self._trip(row)

    async def trips(self, driver_id: str, *, limit: int, before: str | None) -> Sequence[Trip]:
        rows = await self._all(
            _TRIP
            + "where driver_id = %s and (%s::text is null or trip.id < %s) order by trip.id desc limit %s",
            driver_id,
            before,
            before,
            limit,
        )
        return [self._trip(row) for row in rows]

    async def unfinished(self) -> Sequence[Unfinished]:
        rows = await self._all(
            f"select found.*, verdict from ({_TRIP} where state = 'pending') as found "  # noqa: S608
            "left join decision d on d.trip_id = found.id and d.attempt = found.attempt order by 1"
        )
        return [
            Unfinished(
                trip=self._trip(row),
                ask=msgspec.convert(row[10], TripAsk, strict=False),
                intent=msgspec.convert(row[11], Intent, strict=False),
                verdict=None if row[12] is None else Verdict(row[12]),
            )
            for row in rows
        ]

    def _trip(self, row: Sequence[Any]) -> Trip:
        state = TripState(row[2])
        return Trip(
            id=row[0],
            driver_id=row[1],
            home=self._operator_id,
            state=state,
            attempt=row[3],
            asked_at=row[4],
            itinerary=None if state is TripState.FAILED else msgspec.convert(row[5], Itinerary, strict=False),
            setback=None if row[6] is None else msgspec.convert(row[6], Setback),
            alternatives=msgspec.convert(row[7] or (), tuple[Itinerary, ...], strict=False),
            cancellation_fee=row[8],
        )

    # -- decisions --------------------------------------------------------------------------------------

    async def decide(self, proposal: Proposal) -> Decision:
        return await self._proposals.put(proposal)

    async def _decide_all(self, proposals: Sequence[Proposal]) -> Sequence[Decision | EletroviaError]:
        keys = [[p.key.trip_id for p in proposals], [p.key.attempt for p in proposals]]
        columns = [*keys, [p.verdict.value for p in proposals], [p.by for p in proposals]]
        async with connected(self._store) as connection:
            cursor = await connection.execute(_DECIDE, [*columns, self._clock.now()])
            standing = {AttemptKey(row[0], row[1]): row for row in await cursor.fetchall()}
            if len(standing) < len(proposals):
                # A statement of its own: it must see what others wrote while ours ran.
                cursor = await connection.execute(_STANDING, keys)
                standing = {AttemptKey(row[0], row[1]): row for row in await cursor.fetchall()}
        decisions: list[Decision | EletroviaError] = []
        for proposal in proposals:
            found = standing.get(proposal.key)
            if found is None:  # the index decision_one_confirmed_attempt: another attempt has won the trip
                decisions.append(Conflict("decision.another_attempt_confirmed", attempt=str(proposal.key)))
            else:
                decisions.append(Decision(key=proposal.key, verdict=Verdict(found[2]), by=found[3]))
        return decisions

    async def decision(self, key: AttemptKey) -> Decision | None:
        row = await self._one(_STANDING, [key.trip_id], [key.attempt])
        return None if row is None else Decision(key=key, verdict=Verdict(row[2]), by=row[3])

    async def may_release(self, proposals: Sequence[Proposal]) -> Sequence[bool]:
        rows = await self._all(
            """
            select coalesce(
                p.by_operator = any(i.operators),
                not exists (select from trip t where t.id = p.trip_id and t.state = 'pending')
            )
            from unnest(%s::text[], %s::integer[], %s::text[])
                with ordinality as p (trip_id, attempt, by_operator, place)
            left join intent i using (trip_id, attempt)
            order by p.place
            """,
            [p.key.trip_id for p in proposals],
            [p.key.attempt for p in proposals],
            [p.by for p in proposals],
        )
        return [row[0] for row in rows]

    # -- the outbox ---------------------------------------------------------------------------------------

    async def deliveries(self) -> Sequence[Delivery]:
        rows = await self._all(
            """
            select operator_id, kind, outbox.trip_id, outbox.attempt, verdict, by_operator,
                   array_positions(operators, operator_id), cancelled_at
            from outbox
            join decision using (trip_id, attempt)
            join intent using (trip_id, attempt)
            join trip on trip.id = outbox.trip_id
            order by outbox.trip_id, kind desc
            """
        )
        due = []
        for owner, kind, trip_id, attempt, verdict, by, places, cancelled_at in rows:
            key = AttemptKey(trip_id, attempt)
            body: Decision | Cancellation
            if kind == "decision":
                stops = tuple(place - 1 for place in places)
                body = Decision(key=key, verdict=Verdict(verdict), by=by, stops=stops)
            else:
                body = Cancellation(key=key, home=self._operator_id, cancelled_at=cancelled_at)
            due.append(Delivery(operator_id=owner, body=body))
        return due

    async def delivered(self, delivery: Delivery) -> None:
        await self._done.put(delivery)

    async def _delivered_all(self, deliveries: Sequence[Delivery]) -> Sequence[None]:
        kinds = ["decision" if isinstance(d.body, Decision) else "cancellation" for d in deliveries]
        await self._do(
            "delete from outbox where (operator_id, kind, trip_id, attempt) in "
            "(select * from unnest(%b::text[], %b::text[], %b::text[], %b::integer[]))",
            [d.operator_id for d in deliveries],
            kinds,
            [d.body.key.trip_id for d in deliveries],
            [d.body.key.attempt for d in deliveries],
        )
        return [None] * len(deliveries)

    # -- plain statements -----------------------------------------------------------------------------------

    async def _do(self, statement: str, *values: Any) -> None:
        async with connected(self._store) as connection:
            await connection.execute(statement, values)

    async def _one(self, statement: str, *values: Any, **named: Any) -> Sequence[Any] | None:
        async with connected(self._store) as connection:
            cursor = await connection.execute(statement, named or values)
            return await cursor.fetchone()

    async def _all(self, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
        async with connected(self._store) as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()
