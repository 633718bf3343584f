"""Cumulative acknowledgement claims only what was settled, whatever the network and the senders do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.metering.frame import MOST_BACKLOG
from eletrovia.metering.gateways.window import Windows


def told(windows: Windows, frames: list[tuple[int, int, int]]) -> dict[int, int]:
    columns = np.array(frames, np.int64).reshape(-1, 3)
    senders, upto = windows.settle(columns[:, 0], columns[:, 1], columns[:, 2])
    return dict(zip(senders.tolist(), upto.tolist(), strict=True))


class Slow:
    """The rule, one frame after the other."""

    def __init__(self) -> None:
        self.done: dict[int, int] = {}
        self.told: dict[int, int] = {}
        self.seen: dict[int, set[int]] = {}

    def settle(self, frames: list[tuple[int, int, int]]) -> dict[int, int]:
        for sender, number, backlog in sorted(frames, key=lambda one: (one[0], one[1] - one[2], one[1])):
            before = number - backlog - 1
            if number + MOST_BACKLOG < self.told.get(sender, 0):
                self.done[sender], self.told[sender], self.seen[sender] = 0, 0, set()
            self.told[sender] = max(before, self.told.get(sender, 0))
            self.seen.setdefault(sender, set()).add(number)
            done = max(self.done.get(sender, 0), before)
            while done + 1 in self.seen[sender]:
                done += 1
            self.done[sender] = done
        return {sender: self.done[sender] for sender, _, _ in frames}


frames = st.one_of(st.integers(1, 12), st.integers(1_020, 1_040)).flatmap(
    lambda number: st.tuples(
        st.integers(1, 3), st.just(number), st.integers(0, min(number, MOST_BACKLOG) - 1)
    )
)


@given(st.lists(st.lists(frames, max_size=8), max_size=5))
@settings(max_examples=100, deadline=None)
def test_many_at_once_is_one_after_the_other(batches: list[list[tuple[int, int, int]]]) -> None:
    windows, slow = Windows(), Slow()
    for batch in batches:
        assert told(windows, batch) == slow.settle(batch)


@given(st.permutations(range(6)))
def test_commits_may_end_in_any_order(order: list[int]) -> None:
    """Frames of one connection, held or not any more when the next was sent, nothing ever repeated."""
    windows = Windows()
    batches = [[(1, 100 + 3 * part + one, 3 * (part % 3) + one) for one in range(3)] for part in range(6)]
    for part in order:
        upto = told(windows, batches[part])
    assert upto == {1: 117}


class Meter:
    """A sender as the rules want it; it uses no number twice."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.held: list[int] = []

    def sends(self) -> tuple[int, int]:
        self.held.append(self.next)
        self.next += 1
        return self.held[-1], len(self.held) - 1

    def repeats(self) -> list[tuple[int, int]]:
        return [(number, number - self.held[0]) for number in self.held]

    def hears(self, upto: int) -> list[int]:
        """What it believes to be settled."""
        if not self.held or not self.held[0] <= upto < self.next:
            return []
        gone = [number for number in self.held if number <= upto]
        self.held = self.held[len(gone) :]
        return gone


@given(st.integers(0, 2**32), st.integers(50, 200))
@settings(max_examples=80, deadline=None)
def test_nothing_is_believed_settled_that_was_not(seed: int, steps: int) -> None:
    """Loss, delay, repetition, other order, gateways and senders that begin anew."""
    chance = np.random.default_rng(seed)
    windows, settled, lives, low = Windows(), set[int](), 1, 1 << 31
    meter = Meter(1 << 32)
    wire: list[tuple[int, int]] = []
    answers: list[int] = []
    for _ in range(steps):
        match int(chance.integers(10)):
            case 0 | 1 | 2:
                if len(meter.held) < 20:
                    wire.append(meter.sends())
            case 3:
                wire += meter.repeats()
            case 4 | 5 | 6 if wire:
                chance.shuffle(wire)
                count = int(chance.integers(1, len(wire) + 1))
                arrived, wire = wire[:count], wire[count:]
                settled |= {number for number, _ in arrived}
                answers += told(windows, [(1, *one) for one in arrived]).values()
                wire += [one for one in arrived if chance.random() < 0.1]  # the network repeats some
            case 7 | 8 if answers:
                for upto in (answers.pop(int(chance.integers(len(answers)))), *answers[:1]):
                    assert set(meter.hears(upto)) <= settled
            case 9 if chance.random() < 0.3:
                windows = Windows()
            case _ if chance.random() < 0.05:
                lives, low = lives + 1, low - 10_000
                meter = Meter(lives << 32 if chance.random() < 0.8 else low)  # drawn anew: lower, perhaps
    for _ in range(3):  # with a network that works, everything ends
        repeats = meter.repeats()
        settled |= {number for number, _ in repeats}
        for upto in told(windows, [(1, *one) for one in repeats]).values():
            assert set(meter.hears(upto)) <= settled
    assert not meter.held


def test_memory_stays_small() -> None:
    windows = Windows()
    for first in range(2, 20_000, 100):
        told(windows, [(1, one, min(one - 1, MOST_BACKLOG)) for one in range(first, first + 100, 2)])
    assert 0 < len(windows._ahead[1]) <= MOST_BACKLOG + 1
    told(windows, [(sender, 5, 3) for sender in range(1, 20_000)])
    assert len(windows._ahead) == 10_000


def test_a_gateway_that_begins_anew_carries_on() -> None:
    assert told(Windows(), [(1, 1_000_007, 2), (1, 1_000_005, 0)]) == {1: 1_000_005}
    assert told(Windows(), [(1, 1_000_007, 2), (1, 1_000_005, 0), (1, 1_000_006, 1)]) == {1: 1_000_007}
