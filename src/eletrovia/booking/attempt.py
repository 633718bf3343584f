"""One attempt carried out: the coordinator's machine, driven with real asks and a real register."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import assert_never

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.booking import coordinator
from eletrovia.booking.coordinator import Answered, Ask, Conclude, Event, Propose, Silent, Stands, TimeIsUp
from eletrovia.booking.decision import Proposal
from eletrovia.booking.hold import HoldReply, Outcome, Verdict
from eletrovia.booking.ledger import Intent
from eletrovia.booking.observer import Observer, Step
from eletrovia.booking.partner import Partner
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.trip import Setback

_PROPOSE_AGAIN_S = 0.25


class Setbacks:
    """What went against a trip, attempt by attempt: who was silent, what was taken."""

    def __init__(self) -> None:
        self.silent_operators: frozenset[str] = frozenset()
        self.refusals: list[HoldReply] = []
        self.no_way: EletroviaError | None = None

    def add(self, other: Setbacks) -> None:
        self.silent_operators |= other.silent_operators
        self.refusals.extend(other.refusals)

    def told(self, attempts: int) -> Setback:
        """The reason a driver is given."""
        facts: dict[str, object] = {"attempts": attempts}
        if self.silent_operators:
            facts["unreachable_operators"] = sorted(self.silent_operators)
        if self.no_way is not None:
            return Setback(code=self.no_way.code, facts=facts | self.no_way.facts)
        if self.refusals:
            facts["reasons"] = sorted({reply.reason for reply in self.refusals})
            return Setback(code="trip.taken", facts=facts)
        code = "trip.operators_unreachable" if self.silent_operators else "trip.interrupted"
        return Setback(code=code, facts=facts)


class AttemptRun:
    """Carries one journaled intent to the decision that stands for it.

    After a crash the same intent is simply run again: every request may be repeated.
    """

    def __init__(
        self,
        intent: Intent,
        register: LedgerRegister,
        partner: Partner,
        clock: Clock,
        rules: Rules,
        observer: Observer,
    ) -> None:
        self.setbacks = Setbacks()
        self._intent = intent
        self._register = register
        self._partner = partner
        self._clock = clock
        self._rules = rules
        self._observer = observer
        self._machine, self._first = coordinator.begin(
            len(intent.holds),
            now_s=clock.monotonic(),
            ask_s=rules.ask_s,
            ttl_s=rules.hold_ttl_s,
            margin_s=rules.margin_s,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._concluded: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    async def carry_out(self, *, give_up: bool = False) -> Verdict:
        """What stands in the end; with ``give_up`` nothing is asked any more, only *released* proposed."""
        self._register.listen(self._intent.key, lambda verdict: self._feed(Stands(verdict)))
        timer = asyncio.create_task(self._time())
        try:
            self._perform([Propose(Verdict.RELEASED)] if give_up else self._first)
            return await self._concluded
        finally:
            self._register.unlisten(self._intent.key)
            timer.cancel()
            for task in self._tasks:
                task.cancel()

    async def _time(self) -> None:
        while not self._concluded.done():
            await asyncio.sleep(max(0.01, self._machine.ask_until_s - self._clock.monotonic()))
            self._feed(TimeIsUp(self._clock.monotonic()))

    def _feed(self, event: Event) -> None:
        self._machine, effects = coordinator.step(self._machine, event, margin_s=self._rules.margin_s)
        self._perform(effects)

    def _perform(self, effects: list[coordinator.Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    self._start(self._ask(effect))
                case Propose():
                    if effect.verdict is Verdict.CONFIRMED:
                        self._observer.passed(Step.RECEIPTS_IN)
                    self._start(self._propose(effect.verdict))
                case Conclude():
                    if not self._concluded.done():
                        self._concluded.set_result(effect.verdict)
                case _:
                    assert_never(effect)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, ask: Ask) -> None:
        if ask.after_s:
            await asyncio.sleep(ask.after_s)
        operator_id = self._intent.operators[ask.stop]
        sent_at_s = self._clock.monotonic()
        try:
            reply = await self._partner.hold(operator_id, self._intent.holds[ask.stop])
        except EletroviaError as error:
            if error.kind == "unavailable":
                self.setbacks.silent_operators |= {operator_id}
                self._feed(Silent(ask.stop, self._clock.monotonic()))
                return
            key = self._intent.holds[ask.stop].key
            code = error.code if error.code.isprintable() and len(error.code) <= 200 else "refused"
            reply = HoldReply(key=key, outcome=Outcome.REFUSED, reason=code)
        if reply.outcome is Outcome.REFUSED:
            self.setbacks.refusals.append(reply)
        elif reply.outcome is Outcome.HELD:
            self.setbacks.silent_operators -= {operator_id}
        self._feed(Answered(reply, sent_at_s, self._clock.monotonic()))

    async def _propose(self, verdict: Verdict) -> None:
        proposal = Proposal(key=self._intent.key, verdict=verdict, by=self._register.operator_id)
        while True:
            try:
                decision = await self._register.propose(proposal)
            except EletroviaError:
                await asyncio.sleep(_PROPOSE_AGAIN_S)
            else:
                self._feed(Stands(decision.verdict))
                return
