"""The coordinator's machine, move by move."""

from __future__ import annotations

from eletrovia.booking.coordinator import (
    Answered,
    Ask,
    Attempt,
    Conclude,
    Effect,
    Event,
    Phase,
    Propose,
    Silent,
    Stands,
    TimeIsUp,
    begin,
    step,
)
from eletrovia.booking.hold import HoldKey, HoldReply, Outcome, Verdict

MARGIN_S = 1.0


def begun(stops: int = 3) -> Attempt:
    attempt, effects = begin(stops, now_s=100, ask_s=4, ttl_s=15, margin_s=MARGIN_S)
    assert effects == [Ask(stop) for stop in range(stops)]
    return attempt


def reply(
    stop: int, outcome: Outcome, *, sent_at_s: float = 100, now_s: float = 101, left_s: float = 15
) -> Event:
    answer = HoldReply(key=HoldKey("t", 1, stop), outcome=outcome, left_s=left_s)
    return Answered(answer, sent_at_s, now_s)


def fed(attempt: Attempt, *events: Event) -> tuple[Attempt, list[Effect]]:
    effects: list[Effect] = []
    for event in events:
        attempt, effects = step(attempt, event, margin_s=MARGIN_S)
    return attempt, effects


def test_all_receipts_propose_confirmed() -> None:
    attempt, effects = fed(begun(), *(reply(stop, Outcome.HELD) for stop in range(3)))
    assert effects == [Propose(Verdict.CONFIRMED)]
    assert attempt.phase is Phase.DECIDING


def test_two_receipts_of_three_wait() -> None:
    attempt, effects = fed(begun(), reply(0, Outcome.HELD), reply(2, Outcome.HELD))
    assert effects == []
    assert attempt.phase is Phase.ASKING


def test_the_same_receipt_three_times_is_one() -> None:
    _, effects = fed(begun(), *[reply(0, Outcome.HELD)] * 3)
    assert effects == []


def test_one_refusal_proposes_released() -> None:
    _, effects = fed(begun(), reply(0, Outcome.HELD), reply(1, Outcome.REFUSED))
    assert effects == [Propose(Verdict.RELEASED)]


def test_receipts_that_run_out_are_not_confirmed() -> None:
    events = [reply(stop, Outcome.HELD, left_s=2, now_s=101.5) for stop in range(3)]
    _, effects = fed(begun(), *events)
    assert effects == [Propose(Verdict.RELEASED)]


def test_time_left_counts_from_the_sending() -> None:
    late = reply(2, Outcome.HELD, sent_at_s=90, now_s=105, left_s=15)
    _, effects = fed(begun(), reply(0, Outcome.HELD), reply(1, Outcome.HELD), late)
    assert effects == [Propose(Verdict.RELEASED)]


def test_contested_and_silent_are_asked_again_with_a_pause() -> None:
    attempt, effects = fed(begun(), reply(1, Outcome.CONTESTED))
    assert [type(effect) for effect in effects] == [Ask]
    _, effects = fed(attempt, Silent(0, 101))
    assert isinstance(effects[0], Ask)
    assert effects[0].stop == 0
    assert effects[0].after_s > 0


def test_silence_past_the_time_for_asking_proposes_released() -> None:
    _, effects = fed(begun(), Silent(0, 104))
    assert effects == [Propose(Verdict.RELEASED)]
    _, effects = fed(begun(), TimeIsUp(104))
    assert effects == [Propose(Verdict.RELEASED)]
    _, effects = fed(begun(), TimeIsUp(103.9))
    assert effects == []


def test_what_stands_decides_whatever_was_proposed() -> None:
    attempt, _ = fed(begun(), *(reply(stop, Outcome.HELD) for stop in range(3)))
    attempt, effects = fed(attempt, Stands(Verdict.RELEASED))
    assert effects == [Conclude(Verdict.RELEASED)]
    assert fed(attempt, Stands(Verdict.RELEASED))[1] == []


def test_a_rival_may_end_the_asking() -> None:
    _, effects = fed(begun(), Stands(Verdict.RELEASED))
    assert effects == [Conclude(Verdict.RELEASED)]


def test_a_trip_without_stops_has_nothing_to_wait_for() -> None:
    attempt, effects = begin(0, now_s=0, ask_s=4, ttl_s=15, margin_s=1)
    assert effects == [Propose(Verdict.CONFIRMED)]
    assert attempt.phase is Phase.DECIDING
