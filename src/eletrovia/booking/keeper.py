"""The EVSE owner at work: takes holds, carries out decisions, settles what ran out of time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

import msgspec
import structlog

from eletrovia.base.clock import Clock, at_epoch_s
from eletrovia.base.errors import Conflict, Denied, EletroviaError, Unavailable
from eletrovia.base.window import Window
from eletrovia.booking.board import Board, EvseRef, merged, reaching, span
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import (
    MOST_BUSY,
    AttemptKey,
    HoldKey,
    HoldReply,
    HoldRequest,
    HoldState,
    Outcome,
    Verdict,
)
from eletrovia.booking.ledger import Hold, HoldLedger, Taken
from eletrovia.booking.observer import Observer, Step, Unwatched
from eletrovia.booking.participant import Blocker, Claim, claim, in_the_way
from eletrovia.booking.partner import Arrival, Cancellation, Partner
from eletrovia.booking.rules import Rules

_log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 10.0
_AROUND_S = 6 * 3600  # how far around its window a loser is told what is taken
_ROUNDS = 8  # how often a contested window is fought for before the asker is sent to plan again


class Offer(Protocol):
    """What this operator sells."""

    def price(self, evse_uid: str, energy_wh: int, charging_s: int) -> Decimal | None:
        """What a stop costs here now, or None where no such EVSE can be booked."""
        ...


class _Due(msgspec.Struct):
    at_s: float
    tries: int = 0


_Asked = tuple[str, AttemptKey]
"""An attempt and its home: only together do they name one, for homes choose their trips' ids themselves."""


class Keeper:
    """Keeps the holds on this operator's EVSEs.

    Every hold that is taken is settled: by its home's word, or, past its time-to-live, by asking the
    register. While the register cannot be asked the window stays blocked.
    """

    def __init__(
        self,
        operator_id: str,
        *,
        ledger: HoldLedger,
        homes: Partner,
        offer: Offer,
        board: Board,
        clock: Clock,
        rules: Rules,
        observer: Observer | None = None,
        changed: Callable[[str], None] = lambda evse_uid: None,
    ) -> None:
        self.operator_id = operator_id
        self._ledger = ledger
        self._homes = homes
        self._offer = offer
        self._board = board
        self._clock = clock
        self._rules = rules
        self._observer = observer or Unwatched()
        self._changed = changed
        self._due: dict[_Asked, _Due] = {}
        self._undecided: Counter[str] = Counter()
        self._overdue: Counter[str] = Counter()
        self._contests: dict[tuple[str, HoldKey], asyncio.Task[HoldReply]] = {}
        self._settling: dict[_Asked, asyncio.Task[None]] = {}

    async def recover(self) -> None:
        """After a start: block what stands, and give every undecided hold its time-to-live anew."""
        for hold in await self._ledger.standing(self._clock.now()):
            self._board.hold(self._evse(hold.request), hold.request.key, hold.request.window)
        await self._adopt()

    async def _adopt(self) -> None:
        """Settle in time also those holds that were taken unnoticed: whoever asked gave up, or the store's
        answer was lost on its way."""
        for hold in await self._ledger.undecided():
            request = hold.request
            if (request.home, request.key.attempt_key) not in self._due:
                self._board.hold(self._evse(request), request.key, request.window)
                self._await_word(request)

    def _await_word(self, request: HoldRequest) -> None:
        asked = (request.home, request.key.attempt_key)
        runs_out_s = self._clock.monotonic() + request.ttl_s
        due = self._due.get(asked)
        if due is None:
            self._due[asked] = _Due(runs_out_s)
            self._undecided[request.home] += 1
        else:
            due.at_s = min(due.at_s, runs_out_s)

    def _word_came(self, asked: _Asked) -> None:
        due = self._due.pop(asked, None)
        if due is not None:
            self._undecided[asked[0]] -= 1
            self._overdue[asked[0]] -= due.tries > 0

    def _no_word(self, asked: _Asked, again_in_s: float) -> None:
        due = self._due.get(asked)
        if due is not None:  # else the home's own word came meanwhile
            self._overdue[asked[0]] += due.tries == 0
            due.tries += 1
            due.at_s = self._clock.monotonic() + again_in_s

    async def run(self) -> None:
        """Settle overdue holds and give up no-shows, until cancelled."""
        next_sweep_s = 0.0
        while True:
            await asyncio.sleep(self._rules.settle_every_s)
            now_s = self._clock.monotonic()
            for asked in [asked for asked, due in self._due.items() if due.at_s <= now_s]:
                if asked not in self._settling:
                    self._settling[asked] = asyncio.create_task(self._settle(asked))
            if now_s >= next_sweep_s:
                next_sweep_s = now_s + _SWEEP_EVERY_S
                try:
                    await self._sweep()
                except EletroviaError as error:
                    _log.warning("holds.unswept", error=str(error))
                except Exception:  # a sweep that failed must not be the last one
                    _log.exception("holds.unswept")

    # -- what operators ask -------------------------------------------------------------------------

    async def hold(self, caller: str, requests: Sequence[HoldRequest]) -> list[HoldReply | EletroviaError]:
        """One answer per request. Raises nothing: an error is an answer to its own request."""
        return list(await asyncio.gather(*(self._guarded(caller, request) for request in requests)))

    async def _guarded(self, caller: str, request: HoldRequest) -> HoldReply | EletroviaError:
        if request.home != caller:
            return Denied("hold.not_the_home", home=request.home)
        began_s = self._clock.monotonic()
        try:
            reply = await self._hold(request)
        except EletroviaError as error:
            return error
        except Exception:  # ours to mend, and no reason to leave the others of the batch without an answer
            _log.exception("hold.failed", hold=str(request.key))
            return Unavailable("hold.failed")
        self._observer.hold_answered(reply.outcome, self._clock.monotonic() - began_s)
        return reply

    async def _hold(self, request: HoldRequest) -> HoldReply:
        reason = self._unacceptable(request)
        if reason:
            return HoldReply(key=request.key, outcome=Outcome.REFUSED, reason=reason)
        place = (request.home, request.key)
        contest = self._contests.get(place)
        if contest is None:
            received_at = self._clock.now()
            ticket = request.ticket.capped(received_at, self._rules.max_ticket_age_s)
            if ticket is not request.ticket:
                request = msgspec.structs.replace(request, ticket=ticket)
            taken = await self._ledger.take(request, received_at)
            reply = self._settled_reply(request, taken)
            if reply is not None:
                return reply
            if claim(request.home, request.key, request.ticket, taken.blockers) is Claim.YIELD:
                return self._refused(request, taken.blockers)
            contest = asyncio.create_task(self._contest(request, taken.blockers))
            self._contests[place] = contest
            contest.add_done_callback(lambda _: self._contests.pop(place, None))
        done, _ = await asyncio.wait([contest], timeout=self._rules.contest_wait_s)
        if done:
            return contest.result()
        return HoldReply(key=request.key, outcome=Outcome.CONTESTED)

    def _unacceptable(self, request: HoldRequest) -> str:
        length = request.window.ends_at - request.window.starts_at
        if length > timedelta(seconds=self._rules.most_window_s):
            return "window_too_long"
        if request.window.ends_at <= self._clock.now():
            return "window_past"
        if request.window.starts_at - self._clock.now() > timedelta(seconds=self._rules.book_ahead_s):
            return "window_too_far"
        if request.home != self.operator_id and (
            self._undecided[request.home] >= self._rules.most_undecided
            or self._overdue[request.home] >= self._rules.most_overdue
        ):
            return "too_many_undecided"
        price = self._offer.price(request.evse_uid, request.energy_wh, request.charging_s)
        if price is None:
            return "evse_unknown"
        return "" if price == request.price else "price_changed"

    def _settled_reply(self, request: HoldRequest, taken: Taken) -> HoldReply | None:
        """The answer where the ledger already says it all; None where others stand in the way."""
        if not taken.same:
            raise Conflict("hold.key_reused", hold=str(request.key))
        match taken.state:
            case None:
                return None
            case HoldState.RELEASED:
                return HoldReply(key=request.key, outcome=Outcome.REFUSED, reason="released")
            # Taken now, or before without our hearing of it.
            case HoldState.HELD if taken.fresh or (request.home, request.key.attempt_key) not in self._due:
                self._observer.passed(Step.HOLD_TAKEN)
                self._board.hold(self._evse(request), request.key, request.window)
                self._changed(request.evse_uid)
                self._await_word(request)
        left_s = request.ttl_s
        waiting = self._due.get((request.home, request.key.attempt_key))
        if taken.state is HoldState.HELD and waiting:
            left_s = max(0.0, waiting.at_s - self._clock.monotonic())
        return HoldReply(key=request.key, outcome=Outcome.HELD, left_s=left_s)

    def _refused(self, request: HoldRequest, blockers: Sequence[Blocker], reason: str = "taken") -> HoldReply:
        first = in_the_way(request.home, request.key, request.ticket, blockers)
        return HoldReply(
            key=request.key,
            outcome=Outcome.REFUSED,
            reason=reason,
            busy=self._taken_around(request, blockers)[:MOST_BUSY],
            blocker=first.ticket,
            blocker_state=first.state,
        )

    def _taken_around(self, request: HoldRequest, blockers: Sequence[Blocker]) -> tuple[Window, ...]:
        """What is taken near the window, as the board has it; it may not know of the very latest blocker."""
        begins_s, ends_s = span(request.window)
        near = reaching(self._board.own(self._evse(request)), begins_s - _AROUND_S, ends_s + _AROUND_S)
        spans = merged((*near, *(span(blocker.window) for blocker in blockers)))
        return tuple(Window(at_epoch_s(starts), at_epoch_s(ends)) for starts, ends in spans)

    async def _contest(self, request: HoldRequest, blockers: Sequence[Blocker]) -> HoldReply:
        """An older trip meets younger undecided ones: have them released, unless already confirmed."""
        for _ in range(_ROUNDS):
            try:
                rivals = {(blocker.home, blocker.key) for blocker in blockers}
                async with asyncio.timeout(self._rules.ask_s):
                    await asyncio.gather(*map(self._ask_home, sorted(rivals)))
            except (EletroviaError, TimeoutError):
                # Nobody can say yet: the window stays blocked, and the asker plans around it.
                return self._refused(request, blockers, reason="undecided")
            taken = await self._ledger.take(request, self._clock.now())
            reply = self._settled_reply(request, taken)
            if reply is not None:
                return reply
            blockers = taken.blockers
            if claim(request.home, request.key, request.ticket, blockers) is Claim.YIELD:
                break
        return self._refused(request, blockers)

    # -- decisions ----------------------------------------------------------------------------------

    async def apply(self, caller: str, decisions: Sequence[Decision]) -> list[EletroviaError | None]:
        """Carry out what the caller, the trips' home, decided; twice changes nothing."""
        return list(await asyncio.gather(*(self._applied(caller, decision) for decision in decisions)))

    async def _applied(self, home: str, decision: Decision) -> EletroviaError | None:
        try:
            await self._carry_out(home, decision)
        except EletroviaError as error:
            return error
        return None

    async def _carry_out(self, home: str, decision: Decision) -> Sequence[Hold]:
        holds = await self._ledger.apply(home, decision, self._clock.now())
        self._word_came((home, decision.key))
        released = decision.verdict is Verdict.RELEASED
        self._freed([hold for hold in holds if released or hold.ended_by is not None])
        self._observer.passed(Step.APPLIED)
        return holds

    async def cancel(self, caller: str, cancellations: Sequence[Cancellation]) -> list[EletroviaError | None]:
        """Free the windows of trips that their home cancelled."""
        return list(await asyncio.gather(*(self._cancelled(caller, one) for one in cancellations)))

    async def _cancelled(self, caller: str, cancellation: Cancellation) -> EletroviaError | None:
        if cancellation.home != caller:
            return Denied("hold.not_the_home", home=cancellation.home)
        try:
            # Only what was confirmed is called off, and this news may have overtaken that one.
            holds = await self._carry_out(caller, _confirmed(cancellation.key, caller))
            await self._ledger.free(cancellation)
        except EletroviaError as error:
            return error
        self._freed(holds)  # all of them: an earlier answer to the same may have been lost
        return None

    async def arrive(self, caller: str, arrivals: Sequence[Arrival]) -> list[EletroviaError | None]:
        """Note that drivers have come."""
        return list(await asyncio.gather(*(self._arrived(caller, arrival) for arrival in arrivals)))

    async def _arrived(self, caller: str, arrival: Arrival) -> EletroviaError | None:
        if arrival.home != caller:
            return Denied("hold.not_the_home", home=arrival.home)
        try:
            await self._carry_out(caller, _confirmed(arrival.key.attempt_key, caller))
            await self._ledger.arrive(arrival)
        except EletroviaError as error:
            return error
        return None

    # -- time ---------------------------------------------------------------------------------------

    async def _settle(self, asked: _Asked) -> None:
        due = self._due.get(asked)
        try:
            if due is not None:
                await self._ask_home(asked)
        except Unavailable:
            tries = due.tries if due is not None else 0
            self._no_word(asked, min(5.0, 0.5 * 2 ** min(tries, 5)))
        except Exception as error:  # whatever it was, the hold is not settled yet
            _log.warning("hold.unsettled", home=asked[0], attempt=str(asked[1]), error=repr(error))
            self._no_word(asked, 5.0)
        finally:
            self._settling.pop(asked, None)

    async def _ask_home(self, asked: _Asked) -> None:
        """Propose *released*, and do what stands."""
        home, key = asked
        decision = await self._homes.propose(
            home, Proposal(key=key, verdict=Verdict.RELEASED, by=self.operator_id)
        )
        await self._carry_out(home, decision)

    async def _sweep(self) -> None:
        now = self._clock.now()
        grace = timedelta(seconds=self._rules.no_show_grace_s)
        self._freed(await self._ledger.give_up_no_shows(now - grace, now))
        self._board.forget_before(int(now.timestamp()) - 3600)
        await self._adopt()

    def _freed(self, holds: Sequence[Hold]) -> None:
        for hold in holds:
            self._board.free(self._evse(hold.request), hold.request.key)
            self._changed(hold.request.evse_uid)

    def _evse(self, request: HoldRequest) -> EvseRef:
        return EvseRef(self.operator_id, request.evse_uid)


def _confirmed(key: AttemptKey, home: str) -> Decision:
    return Decision(key=key, verdict=Verdict.CONFIRMED, by=home)
