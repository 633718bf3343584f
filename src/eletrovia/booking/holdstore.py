"""The EVSE owner's half of the ledger in PostgreSQL: holds under the exclusion constraint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.errors import DeadlockDetected
from psycopg.types.range import TimestamptzRange

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, EletroviaError, NotFound, Unavailable
from eletrovia.base.lane import Lane
from eletrovia.base.window import Window
from eletrovia.booking.apart import apart, connected
from eletrovia.booking.decision import Decision
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldRequest, HoldState, Ticket, Verdict, moved
from eletrovia.booking.ledger import Hold, Taken
from eletrovia.booking.participant import Blocker
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.store.pool import Store

# Lists travel as %b: as text, psycopg would quote them value by value, in Python.
# Rows go in by EVSE and start: two batches that want the same windows then wait in one order only.
TAKE = """
with asked as (
    select * from unnest(
        %b::text[], %b::text[], %b::integer[], %b::integer[], %b::text[], %b::tstzrange[], %b::timestamptz[],
        %b::double precision[], %b::integer[], %b::integer[], %b::numeric[], %b::text[], %b::timestamptz[]
    ) as a (home, trip_id, attempt, stop, evse_uid, during, ticket_asked_at, ttl_s, energy_wh, charging_s,
            price, driver_ref, taken_at)
)
insert into hold (home, trip_id, attempt, stop, state, evse_uid, during, ticket_asked_at, ttl_s, energy_wh,
                  charging_s, price, driver_ref, taken_at)
select home, trip_id, attempt, stop, 'held', evse_uid, during, ticket_asked_at, ttl_s, energy_wh, charging_s,
       price, driver_ref, taken_at
from asked order by evse_uid, during
on conflict do nothing
returning home, trip_id, attempt, stop
"""

_COLUMNS = """
h.home, h.trip_id, h.attempt, h.stop, h.state, h.evse_uid, h.during, h.ticket_asked_at, h.ttl_s, h.energy_wh,
h.charging_s, h.price, h.ended_by, h.driver_ref
"""

_KNOWN = f"""
select {_COLUMNS} from hold h
where (home, trip_id, attempt, stop) in
      (select * from unnest(%b::text[], %b::text[], %b::integer[], %b::integer[]))
"""  # noqa: S608 - a fixed text

_IN_THE_WAY = """
select a.place, h.trip_id, h.attempt, h.home, h.state, h.ticket_asked_at, h.during
from unnest(%b::text[], %b::tstzrange[]) with ordinality as a (evse_uid, during, place)
cross join lateral (select hashtextextended(a.evse_uid, 0) >> 1 as evse_key) as k
cross join lateral (
    select * from hold
    where int8range(hold.evse_key, hold.evse_key, '[]') && int8range(k.evse_key, k.evse_key, '[]')
      and hold.during && a.during and state <> 'released' and ended_by is null
    offset 0  -- one look into the index for each window, whatever the planner thinks of how many there are
) as h
order by a.place, h.ticket_asked_at, h.trip_id
"""

# What is found is shown as it was before this statement; what it becomes follows from the moves.
_APPLY = f"""
with told as (
    select * from unnest(%b::text[], %b::text[], %b::integer[], %b::text[])
        as t (home, trip_id, attempt, verdict)
), changed as (
    update hold h set state = told.verdict, decided_at = %s
    from told
    where h.home = told.home and h.trip_id = told.trip_id and h.attempt = told.attempt and h.state = 'held'
    returning h.home, h.trip_id, h.attempt, h.stop, h.state, h.price, h.energy_wh
), charged as (
    insert into charge (home, trip_id, attempt, stop, amount, energy_wh, charged_at)
    select home, trip_id, attempt, stop, price, energy_wh, %s from changed where state = 'confirmed'
)
select {_COLUMNS} from hold h join told using (home, trip_id, attempt)
"""  # noqa: S608 - a fixed text

_TOMBSTONES = """
insert into hold (home, trip_id, attempt, stop, state, taken_at, decided_at)
select home, trip_id, attempt, stop, 'released', %s, %s
from unnest(%b::text[], %b::text[], %b::integer[], %b::integer[]) as t (home, trip_id, attempt, stop)
order by 1, 2, 3, 4
on conflict on constraint hold_once do nothing
returning home, trip_id, attempt, stop
"""

_END = f"""
update hold h set ended_by = %s, ended_at = %s
where h.state = 'confirmed' and h.ended_by is null and {{}}
returning {_COLUMNS}
"""  # noqa: S608 - a fixed text

_ROUNDS = 5


class _Asked(NamedTuple):
    request: HoldRequest
    received_at: datetime


class _Told(NamedTuple):
    home: str
    decision: Decision
    decided_at: datetime


class HoldStore:
    """Holds and charges on one operator's EVSEs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asked: Lane[_Asked, Taken] = Lane(apart(self._take_all), most=128, in_flight=2)
        self._told: Lane[_Told, Sequence[Hold]] = Lane(apart(self._apply_all), most=128)

    async def close(self) -> None:
        await self._asked.close()
        await self._told.close()

    # -- taking -------------------------------------------------------------------------------------------

    async def take(self, request: HoldRequest, received_at: datetime) -> Taken:
        return await self._asked.put(_Asked(request, received_at))

    async def _take_all(self, asked: Sequence[_Asked]) -> Sequence[Taken | EletroviaError]:
        answers: dict[int, Taken | EletroviaError] = {}
        open_places = list(range(len(asked)))
        for _ in range(_ROUNDS):
            try:
                answers |= await self._take_round(asked, open_places)
            except Unavailable as failed:
                if not isinstance(failed.__cause__, DeadlockDetected):
                    raise
                continue
            open_places = [place for place in open_places if place not in answers]
            if not open_places:
                return [answers[place] for place in range(len(asked))]
        busy = Unavailable("hold.too_contended")
        return [answers.get(place, busy) for place in range(len(asked))]

    async def _take_round(self, asked: Sequence[_Asked], places: Sequence[int]) -> dict[int, Taken]:
        """Answers as far as they can be given; what stood in the way may be gone by now, then none."""
        requests = [asked[place].request for place in places]
        columns = take_columns(requests, [asked[place].received_at for place in places])
        keys, spans = columns[:4], columns[5]
        async with connected(self._store) as connection:
            cursor = await connection.execute(TAKE, columns)
            put_down = {tuple(row) for row in await cursor.fetchall()}
            answers: dict[int, Taken] = {}
            missing: list[int] = []
            for place, row in zip(places, zip(*keys, strict=True), strict=True):
                # Two equal requests in one batch: the first put it down, the second finds it.
                if row in put_down:
                    answers[place] = Taken(state=HoldState.HELD, fresh=True)
                    put_down.discard(row)
                else:
                    missing.append(place)
            if not missing:
                return answers
            at = [places.index(place) for place in missing]
            cursor = await connection.execute(
                _KNOWN, [[column[i] for i in at] for column in keys], binary=True
            )
            known: dict[tuple[str, HoldKey], Sequence[Any]] = {
                (row[0], HoldKey(*row[1:4])): row for row in await cursor.fetchall()
            }
            cursor = await connection.execute(
                _IN_THE_WAY, [[requests[i].evse_uid for i in at], [spans[i] for i in at]], binary=True
            )
            blockers: dict[int, list[Blocker]] = {}
            for row in await cursor.fetchall():
                blockers.setdefault(missing[row[0] - 1], []).append(_blocker(row))
        for place in missing:
            request = asked[place].request
            standing = known.get((request.home, request.key))
            if standing is not None:
                answers[place] = Taken(state=HoldState(standing[4]), same=_same(standing, request))
            elif place in blockers:
                answers[place] = Taken(state=None, blockers=tuple(blockers[place]))
        return answers

    # -- decisions ----------------------------------------------------------------------------------------

    async def apply(self, home: str, decision: Decision, decided_at: datetime) -> Sequence[Hold]:
        return await self._told.put(_Told(home, decision, decided_at))

    async def _apply_all(self, told: Sequence[_Told]) -> Sequence[Sequence[Hold] | EletroviaError]:
        found = await self._apply_once(told)
        barred = [
            (t.home, HoldKey(t.decision.key.trip_id, t.decision.key.attempt, stop))
            for t, rows in zip(told, found, strict=True)
            for stop in t.decision.stops
            if t.decision.verdict is Verdict.RELEASED and all(row[3] != stop for row in rows)
        ]
        if barred:
            written = await self._bury(barred)
            if written < len(set(barred)):
                # A hold slipped in between the two statements: now it is there to be released.
                found = await self._apply_once(told)
        return [self._outcome(t, rows) for t, rows in zip(told, found, strict=True)]

    async def _apply_once(self, told: Sequence[_Told]) -> list[list[Sequence[Any]]]:
        distinct = {(t.home, t.decision.key): t for t in told}.values()
        at = self._clock.now()
        columns: list[Any] = [
            [t.home for t in distinct],
            [t.decision.key.trip_id for t in distinct],
            [t.decision.key.attempt for t in distinct],
            [t.decision.verdict.value for t in distinct],
            at,
            at,
        ]
        rows_of: dict[tuple[str, AttemptKey], list[Sequence[Any]]] = {}
        for row in await self._all(_APPLY, *columns):
            rows_of.setdefault((row[0], AttemptKey(row[1], row[2])), []).append(row)
        return [rows_of.get((t.home, t.decision.key), []) for t in told]

    async def _bury(self, barred: Sequence[tuple[str, HoldKey]]) -> int:
        at = self._clock.now()
        rows = await self._all(
            _TOMBSTONES,
            at,
            at,
            [home for home, _ in barred],
            [key.trip_id for _, key in barred],
            [key.attempt for _, key in barred],
            [key.stop for _, key in barred],
        )
        return len(rows)

    def _outcome(self, told: _Told, rows: Sequence[Sequence[Any]]) -> list[Hold] | EletroviaError:
        holds = []
        for row in rows:
            try:
                state = moved(HoldState(row[4]), told.decision.verdict)
            except Conflict as conflict:
                return conflict
            if row[5] is not None:
                holds.append(_hold(row, state))
        return holds

    # -- ends -----------------------------------------------------------------------------------------------

    async def free(self, cancellation: Cancellation) -> Sequence[Hold]:
        rows = await self._all(
            _END.format("h.home = %s and h.trip_id = %s and h.attempt = %s"),
            "cancelled",
            cancellation.cancelled_at,
            cancellation.home,
            cancellation.key.trip_id,
            cancellation.key.attempt,
        )
        return [_hold(row, HoldState.CONFIRMED) for row in rows]

    async def arrive(self, arrival: Arrival) -> None:
        key = arrival.key
        place = (arrival.home, key.trip_id, key.attempt, key.stop)
        rows = await self._all(
            """
            update hold set arrived_at = coalesce(arrived_at, %s)
            where home = %s and trip_id = %s and attempt = %s and stop = %s and state = 'confirmed'
              and ended_by is null
            returning stop
            """,
            arrival.arrived_at,
            *place,
        )
        if rows:
            return
        ended = await self._all(
            "select ended_by from hold where home = %s and trip_id = %s and attempt = %s and stop = %s "
            "and ended_by is not null",
            *place,
        )
        if ended:
            raise Conflict("hold.given_up", hold=str(key), ended_by=ended[0][0])
        raise NotFound("hold.unknown", hold=str(key))

    async def give_up_no_shows(self, starting_before: datetime, at: datetime) -> Sequence[Hold]:
        rows = await self._all(
            _END.format("h.arrived_at is null and lower(h.during) < %s and upper(h.during) > %s"),
            "no_show",
            at,
            starting_before,
            starting_before,
        )
        return [_hold(row, HoldState.CONFIRMED) for row in rows]

    # -- reading --------------------------------------------------------------------------------------------

    async def undecided(self) -> Sequence[Hold]:
        return await self._holds("h.state = 'held'")

    async def standing(self, ending_after: datetime) -> Sequence[Hold]:
        return await self._holds(
            "h.state <> 'released' and h.ended_by is null and upper(h.during) > %s", ending_after
        )

    async def _holds(self, where: str, *values: Any) -> Sequence[Hold]:
        rows = await self._all(f"select {_COLUMNS} from hold h where {where}", *values)  # noqa: S608
        return [_hold(row, HoldState(row[4])) for row in rows]

    async def _all(self, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
        async with connected(self._store) as connection:
            cursor = await connection.execute(statement, values, binary=True)
            return await cursor.fetchall()


def take_columns(requests: Sequence[HoldRequest], received_at: Sequence[datetime]) -> list[list[Any]]:
    """What ``TAKE`` is executed with: one list a column, one row a request."""
    return [
        [r.home for r in requests],
        [r.key.trip_id for r in requests],
        [r.key.attempt for r in requests],
        [r.key.stop for r in requests],
        [r.evse_uid for r in requests],
        [TimestamptzRange(r.window.starts_at, r.window.ends_at) for r in requests],
        [r.ticket.asked_at for r in requests],
        [r.ttl_s for r in requests],
        [r.energy_wh for r in requests],
        [r.charging_s for r in requests],
        [r.price for r in requests],
        [r.driver_ref for r in requests],
        list(received_at),
    ]


def _window(during: TimestamptzRange) -> Window:
    assert during.lower is not None  # noqa: S101 - ranges are written from windows
    assert during.upper is not None  # noqa: S101
    return Window(during.lower, during.upper)


def _blocker(row: Sequence[Any]) -> Blocker:
    return Blocker(
        key=AttemptKey(row[1], row[2]),
        home=row[3],
        state=HoldState(row[4]),
        ticket=Ticket(row[5], row[1]),
        window=_window(row[6]),
    )


def _hold(row: Sequence[Any], state: HoldState) -> Hold:
    request = HoldRequest(
        key=HoldKey(row[1], row[2], row[3]),
        home=row[0],
        evse_uid=row[5],
        window=_window(row[6]),
        ticket=Ticket(row[7], row[1]),
        ttl_s=row[8],
        energy_wh=row[9],
        charging_s=row[10],
        price=row[11],
        driver_ref=row[13],
    )
    return Hold(request=request, state=state, ended_by=row[12])


def _same(row: Sequence[Any], request: HoldRequest) -> bool:
    """Whether the row is what is asked now; a ticket may have been capped, so it does not count."""
    if row[5] is None:
        return True
    known = _hold(row, HoldState.HELD).request
    return (known.evse_uid, known.window, known.energy_wh, known.price) == (
        request.evse_uid,
        request.window,
        request.energy_wh,
        request.price,
    )
