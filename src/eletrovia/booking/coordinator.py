"""The home operator's side of one attempt, as a plain function of state and event.

Nothing here waits, sends or stores. A driver of the machine performs the effects in order and feeds
back what happened; the same machine runs under a real server and in a simulated world.

    ASKING ──all receipts, in time──▶ DECIDING(confirmed) ──┐
       └────refused, or time is up──▶ DECIDING(released) ───┴──Stands──▶ DECIDED
       └──────────────────────────────Stands────────────────────────────▶ DECIDED

What was proposed counts for nothing: only ``Stands`` ends an attempt.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from eletrovia.booking.hold import HoldReply, Outcome, Verdict

CONTESTED_AGAIN_S = 0.05
SILENT_AGAIN_S = 0.25


class Phase(StrEnum):
    ASKING = "asking"
    DECIDING = "deciding"
    DECIDED = "decided"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Where one attempt stands.

    Units: all times are seconds on the home's monotonic clock.
    ``confirm_before_s`` is when the first of the holds could run out; past it nothing is confirmed.
    """

    answers: tuple[Outcome | None, ...]
    ask_until_s: float
    confirm_before_s: float
    phase: Phase = Phase.ASKING
    verdict: Verdict | None = None


class Answered(msgspec.Struct, frozen=True, tag=True):
    """A reply came to a request that was sent at ``sent_at_s``."""

    reply: HoldReply
    sent_at_s: float
    now_s: float


class Silent(msgspec.Struct, frozen=True, tag=True):
    """No reply came: nobody knows whether the hold stands."""

    stop: int
    now_s: float


class TimeIsUp(msgspec.Struct, frozen=True, tag=True):
    """The time for asking may be over."""

    now_s: float


class Stands(msgspec.Struct, frozen=True, tag=True):
    """The register said what stands."""

    verdict: Verdict


Event = Answered | Silent | TimeIsUp | Stands


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Send the hold request of ``stop``, the same words each time."""

    stop: int
    after_s: float = 0.0


class Propose(msgspec.Struct, frozen=True, tag=True):
    """Propose at the register, until it says what stands."""

    verdict: Verdict


class Conclude(msgspec.Struct, frozen=True, tag=True):
    """The attempt is over: tell whoever waits."""

    verdict: Verdict


Effect = Ask | Propose | Conclude


def begin(
    stops: int, *, now_s: float, ask_s: float, ttl_s: float, margin_s: float
) -> tuple[Attempt, list[Effect]]:
    """Ask every operator for its holds, all at once; a trip without stops has nothing to wait for."""
    attempt = Attempt(
        answers=(None,) * stops,
        ask_until_s=now_s + ask_s,
        confirm_before_s=now_s + ttl_s - margin_s,
    )
    if not stops:
        return _deciding(attempt, Verdict.CONFIRMED)
    return attempt, [Ask(stop) for stop in range(stops)]


def step(attempt: Attempt, event: Event, *, margin_s: float) -> tuple[Attempt, list[Effect]]:
    """The attempt after ``event``, and what to do about it."""
    if isinstance(event, Stands):
        return _stands(attempt, event.verdict)
    if attempt.phase is not Phase.ASKING:
        return attempt, []  # too late to matter: what stands, or soon will, decides
    match event:
        case Answered():
            return _answered(attempt, event, margin_s)
        case Silent():
            if event.now_s + SILENT_AGAIN_S >= attempt.ask_until_s:
                return _deciding(attempt, Verdict.RELEASED)
            return attempt, [Ask(event.stop, SILENT_AGAIN_S)]
        case TimeIsUp():
            if event.now_s < attempt.ask_until_s:
                return attempt, []
            return _deciding(attempt, Verdict.RELEASED)
        case _:
            assert_never(event)


def _answered(attempt: Attempt, event: Answered, margin_s: float) -> tuple[Attempt, list[Effect]]:
    reply = event.reply
    answers = list(attempt.answers)
    answers[reply.key.stop] = reply.outcome
    attempt = msgspec.structs.replace(attempt, answers=tuple(answers))
    match reply.outcome:
        case Outcome.REFUSED:
            return _deciding(attempt, Verdict.RELEASED)
        case Outcome.CONTESTED:
            if event.now_s + CONTESTED_AGAIN_S >= attempt.ask_until_s:
                return _deciding(attempt, Verdict.RELEASED)
            return attempt, [Ask(reply.key.stop, CONTESTED_AGAIN_S)]
        case Outcome.HELD:
            # Counted from the sending: the receiver answered no earlier, so this errs to the safe side.
            runs_out_s = event.sent_at_s + reply.left_s - margin_s
            attempt = msgspec.structs.replace(
                attempt, confirm_before_s=min(attempt.confirm_before_s, runs_out_s)
            )
            if any(answer is not Outcome.HELD for answer in answers):
                return attempt, []
            in_time = event.now_s < attempt.confirm_before_s
            return _deciding(attempt, Verdict.CONFIRMED if in_time else Verdict.RELEASED)
        case _:
            assert_never(reply.outcome)


def _deciding(attempt: Attempt, verdict: Verdict) -> tuple[Attempt, list[Effect]]:
    return msgspec.structs.replace(attempt, phase=Phase.DECIDING), [Propose(verdict)]


def _stands(attempt: Attempt, verdict: Verdict) -> tuple[Attempt, list[Effect]]:
    if attempt.phase is Phase.DECIDED:
        assert attempt.verdict is verdict, "the register changed its word"  # noqa: S101 - I1
        return attempt, []
    decided = msgspec.structs.replace(attempt, phase=Phase.DECIDED, verdict=verdict)
    return decided, [Conclude(verdict)]
