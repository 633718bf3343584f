"""The coordinator and the holds as one Hypothesis state machine: any order of messages, lost or repeated.

The machine plays network, clock and rivals; the rules below are all that can happen, in any order.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eletrovia.booking.coordinator import (
    Answered,
    Ask,
    Attempt,
    Conclude,
    Effect,
    Event,
    Propose,
    Silent,
    Stands,
    TimeIsUp,
    begin,
    step,
)
from eletrovia.booking.hold import MOVES, HoldKey, HoldReply, HoldState, Outcome, Verdict, moved

MARGIN_S = 0.5
TTL_S = 6.0


class Protocol(RuleBasedStateMachine):
    """One attempt over some stops; every message may be lost, come twice, or come late."""

    @initialize(stops=st.integers(1, 4))
    def start(self, stops: int) -> None:
        self.now_s = 0.0
        self.attempt: Attempt
        self.attempt, effects = begin(stops, now_s=0, ask_s=3, ttl_s=TTL_S, margin_s=MARGIN_S)
        self.requests: set[int] = set()
        self.replies: list[tuple[HoldReply, float]] = []
        self.proposals: set[Verdict] = set()
        self.holds: dict[int, HoldState] = {}
        self.taken_at_s: dict[int, float] = {}
        self.standing: Verdict | None = None
        self.concluded: Verdict | None = None
        self.perform(effects)

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    self.requests.add(effect.stop)
                case Propose():
                    self.proposals.add(effect.verdict)
                case Conclude():
                    assert self.concluded is None, "concluded twice"
                    self.concluded = effect.verdict

    def feed(self, event: Event) -> None:
        self.attempt, effects = step(self.attempt, event, margin_s=MARGIN_S)
        self.perform(effects)

    @rule(seconds=st.floats(0.01, 4))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.feed(TimeIsUp(self.now_s))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), free=st.booleans())
    def a_request_arrives(self, data: st.DataObject, free: bool) -> None:
        stop = data.draw(st.sampled_from(sorted(self.requests)))
        key = HoldKey("t", 1, stop)
        state = self.holds.get(stop)
        if state is None and free:
            self.holds[stop], self.taken_at_s[stop] = HoldState.HELD, self.now_s
            state = HoldState.HELD
        if state in (HoldState.HELD, HoldState.CONFIRMED):
            left_s = max(0.0, self.taken_at_s[stop] + TTL_S - self.now_s)
            answer = HoldReply(key=key, outcome=Outcome.HELD, left_s=left_s)
        else:
            answer = HoldReply(key=key, outcome=Outcome.REFUSED)
        self.replies.append((answer, self.now_s))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def a_request_is_contested(self, data: st.DataObject) -> None:
        stop = data.draw(st.sampled_from(sorted(self.requests)))
        answer = HoldReply(key=HoldKey("t", 1, stop), outcome=Outcome.CONTESTED)
        self.replies.append((answer, self.now_s))

    @precondition(lambda self: self.replies)
    @rule(data=st.data())
    def a_reply_arrives(self, data: st.DataObject) -> None:
        """Any reply ever sent: so they come late, twice, out of order, or never."""
        reply, sent_at_s = data.draw(st.sampled_from(self.replies))
        self.feed(Answered(reply, sent_at_s, self.now_s))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def nothing_is_heard(self, data: st.DataObject) -> None:
        self.feed(Silent(data.draw(st.sampled_from(sorted(self.requests))), self.now_s))

    @precondition(lambda self: self.proposals)
    @rule(data=st.data(), heard=st.booleans())
    def home_writes_its_decision(self, data: st.DataObject, heard: bool) -> None:
        self.standing = self.standing or data.draw(st.sampled_from(sorted(self.proposals)))
        if heard:
            self.feed(Stands(self.standing))

    @precondition(lambda self: self.holds)
    @rule(heard=st.booleans(), data=st.data())
    def an_operator_proposes_released(self, heard: bool, data: st.DataObject) -> None:
        self.standing = self.standing or Verdict.RELEASED
        stop = data.draw(st.sampled_from(sorted(self.holds)))
        self.holds[stop] = moved(self.holds[stop], self.standing)
        if heard:
            self.feed(Stands(self.standing))

    @precondition(lambda self: self.standing is not None)
    @rule(stop=st.integers(0, 3))
    def a_decision_is_delivered(self, stop: int) -> None:
        """Also for a hold that never came: then a tombstone is left, or nothing on *confirmed*."""
        assert self.standing is not None
        if stop in self.holds:
            self.holds[stop] = moved(self.holds[stop], self.standing)
        elif self.standing is Verdict.RELEASED:
            self.holds[stop] = HoldState.RELEASED

    @invariant()
    def a_confirmed_decision_finds_every_hold(self) -> None:
        if getattr(self, "standing", None) is Verdict.CONFIRMED:
            for stop in range(len(self.attempt.answers)):
                assert self.holds.get(stop) in (HoldState.HELD, HoldState.CONFIRMED)

    @invariant()
    def what_was_concluded_stands(self) -> None:
        if getattr(self, "concluded", None) is not None:
            assert self.concluded is self.standing


Protocol.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_protocol = Protocol.TestCase


def test_no_move_leads_out_of_an_end() -> None:
    for (state, verdict), after in MOVES.items():
        if state is not HoldState.HELD:
            assert after is state
            assert state.value == verdict.value


def test_time_zones_do_not_change_a_ticket() -> None:
    from datetime import timedelta, timezone

    from eletrovia.booking.hold import Ticket

    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    there = noon.astimezone(timezone(timedelta(hours=-3)))
    assert Ticket(noon, "a") == Ticket(there, "a")
    assert Ticket(noon, "a") < Ticket(noon, "b")
    capped = Ticket(noon, "a").capped(noon + timedelta(seconds=90), 60)
    assert capped.asked_at == noon + timedelta(seconds=30)
    assert Ticket(noon, "a").capped(noon + timedelta(seconds=60), 60) == Ticket(noon, "a")
