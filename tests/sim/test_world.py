"""Worlds from seeds: the invariants hold in all of them, and break at once where the protocol is broken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import HoldRequest, HoldState, Verdict
from eletrovia.booking.ledger import Hold, Taken
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.sim.check import Broken
from eletrovia.sim.ledger import MemoryLedger
from eletrovia.sim.network import PEACE, Faults
from eletrovia.sim.world import World

STORM = Faults()
CALM = Faults(crash=0, cut=0, lost=0, twice=0.2)
SEEDS = 250


@pytest.mark.parametrize("faults", [PEACE, CALM, STORM], ids=["peace", "calm", "storm"])
def test_invariants_hold(faults: Faults) -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        try:
            seen.update(trip.state for trip in World(seed, faults).run(drivers=6))
        except Broken as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
    # Nobody is refused a world where there was room for some, and not everybody fits.
    assert seen["confirmed"] > SEEDS
    assert seen["failed"] > 0
    assert seen["cancelled"] > 0


SOON = timedelta(minutes=3)


def test_who_does_not_come_loses_the_window_and_nobody_else() -> None:
    ends: Counter[str | None] = Counter()
    for seed in range(30):
        world = World(seed, STORM, departs_in=SOON, until=SOON + timedelta(minutes=5))
        world.run(drivers=6)
        for ledger in world.ledgers.values():
            ends.update(h.ended_by for h in ledger.holds.values() if h.state is HoldState.CONFIRMED)
    assert min(ends[None], ends["cancelled"], ends["no_show"]) > 0, ends


def test_a_seed_replays() -> None:
    first, second = World(7, STORM), World(7, STORM)
    assert first.run(6) == second.run(6)
    assert first.trace == second.trace
    assert any("crash" in line for line in first.trace)


def test_another_seed_is_another_world() -> None:
    one, other = World(1, STORM), World(2, STORM)
    one.run(6)
    other.run(6)
    assert one.trace != other.trace


# -- canaries: each takes one thing out of the protocol, and the checker must see the fault ------------


class LastWriterWins(MemoryLedger):
    """A register that forgets what stood."""

    async def decide(self, proposal: Proposal) -> Decision:
        self.decisions.pop(proposal.key, None)
        return await super().decide(proposal)


class NoExclusion(MemoryLedger):
    """Any window is free."""

    async def take(self, request: HoldRequest, received_at: datetime) -> Taken:
        taken = await super().take(request, received_at)
        if taken.blockers:
            self.holds[request.home, request.key] = Hold(request=request, state=HoldState.HELD)
            return Taken(state=HoldState.HELD, fresh=True)
        return taken


class NoOutbox(MemoryLedger):
    """A restart forgets who must still be told."""

    async def deliveries(self) -> Sequence[object]:  # type: ignore[override]
        return []


class ChargesTwice(MemoryLedger):
    """A decision that comes twice is charged twice."""

    async def apply(self, home: str, decision: Decision, decided_at: datetime) -> Sequence[Hold]:
        holds = await super().apply(home, decision, decided_at)
        if decision.verdict is Verdict.CONFIRMED:
            self.charges = [*self.charges, *(hold.request.key for hold in holds)]
        return holds


class KeepsWhatWasCalledOff(MemoryLedger):
    """A cancellation that frees nothing."""

    async def free(self, cancellation: Cancellation) -> Sequence[Hold]:
        return []


class WaitsForEver(MemoryLedger):
    """Windows stay taken whoever comes."""

    async def give_up_no_shows(self, starting_before: datetime, at: datetime) -> Sequence[Hold]:
        return []


class SeesNobody(MemoryLedger):
    """Who comes is not noted."""

    async def arrive(self, arrival: Arrival) -> None:
        return None


@pytest.mark.parametrize(
    ("broken_ledger", "invariant"),
    [
        (KeepsWhatWasCalledOff, "cancelled: .* still blocks"),
        (WaitsForEver, "no-show: .* still blocks"),
        (SeesNobody, "I3: .* though its driver had come"),
    ],
)
def test_canary_of_ends(broken_ledger: type[MemoryLedger], invariant: str) -> None:
    until = SOON + timedelta(minutes=5)
    with pytest.raises(Broken, match=invariant):
        any(
            World(seed, PEACE, ledger=broken_ledger, departs_in=SOON, until=until).run(6) == []
            for seed in range(9)
        )


@pytest.mark.parametrize(
    ("broken_ledger", "invariant"),
    [
        (LastWriterWins, "I2|I3|changed its word|outbox"),
        (NoExclusion, "I4"),
        (NoOutbox, "outbox|I5"),
        (ChargesTwice, "I6"),
    ],
)
def test_canary(broken_ledger: type[MemoryLedger], invariant: str) -> None:
    shown = None
    for seed in range(SEEDS):
        try:
            World(seed, STORM, ledger=broken_ledger).run(drivers=6)
        except AssertionError as fault:
            shown = f"seed {seed}: {fault}"
            break
    assert shown is not None, "the fault was put in and no world showed it"
    assert re.search(invariant, shown), shown
