"""Up to which number each sender's frames are settled, in memory only: frames themselves tell the rest.

A frame names the oldest one that its sender still holds. So everything before that is settled, whoever
settled it, and a gateway that has just begun needs to know nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.frame import MOST_BACKLOG

_MOST_AHEAD: Final = 10_000
"""Senders with a gap that are remembered; a forgotten one sends a few frames again."""

Numbers = NDArray[np.uint64]
_MOST_BEHIND: Final = np.uint64(MOST_BACKLOG)
_ONE: Final = np.uint64(1)


class Windows:
    """Cumulative acknowledgement for many senders at once.

    Shape: 16 octets a sender, by its key; more only for those with a gap in what has arrived.

    It claims only what was settled, in whatever order frames come and are committed. Numbers never go back:
    where one does, by more than any sender may hold, its sender has begun anew against the rule, and nothing
    that was known before counts any more.
    """

    def __init__(self) -> None:
        self._done: Numbers = np.zeros(1024, np.uint64)  # settled up to here, by sender
        self._told: Numbers = np.zeros(1024, np.uint64)  # settled up to here, said the sender
        self._ahead: OrderedDict[int, set[int]] = OrderedDict()  # settled beyond a gap

    def settle(
        self, sender: NDArray[Any], sequence: NDArray[Any], backlog: NDArray[Any]
    ) -> tuple[NDArray[np.int32], Numbers]:
        """These frames are settled: each of their senders once, and up to where its frames are.

        Shape: arrays of one length, in any order; senders are keys, so above 0; ``backlog < sequence``.
        """
        if not len(sender):
            return np.empty(0, np.int32), np.empty(0, np.uint64)
        self._grow(int(sender.max()))
        number = sequence.astype(np.uint64)
        before = number - backlog.astype(np.uint64) - _ONE
        order = np.lexsort((number, before, sender))  # as they were sent, as far as they tell
        who, number, before = sender[order].astype(np.int32), number[order], before[order]
        first = np.r_[True, who[1:] != who[:-1]]
        starts = np.flatnonzero(first)
        last = np.r_[starts[1:], len(who)] - 1
        # Most senders' frames come without a gap: those are done all at once, the others in turn.
        previous = np.where(first, np.uint64(0), np.r_[np.uint64(0), number[:-1]])
        done = self._done[who]
        follows = (
            (number <= np.maximum(np.maximum(previous, done), before) + _ONE)
            & (number >= previous)
            & (number + _MOST_BEHIND >= self._told[who])
        )
        simple = np.logical_and.reduceat(follows, starts)
        senders = who[starts]
        if self._ahead:
            simple &= np.fromiter((one not in self._ahead for one in senders.tolist()), bool, len(senders))
        self._done[senders[simple]] = np.maximum(number[last], done[last])[simple]
        self._told[senders[simple]] = np.maximum(before[last], self._told[senders])[simple]
        for place in np.flatnonzero(~simple).tolist():
            piece = slice(int(starts[place]), int(last[place]) + 1)
            self._settle_one(int(senders[place]), number[piece].tolist(), before[piece].tolist())
        return senders, self._done[senders]

    def _settle_one(self, sender: int, numbers: list[int], befores: list[int]) -> None:
        done, told = int(self._done[sender]), int(self._told[sender])
        ahead = self._ahead.pop(sender, set())
        for number, before in zip(numbers, befores, strict=True):
            if number + MOST_BACKLOG < told:
                done, told, ahead = before, before, set()
            told = max(told, before)
            done = max(done, before)
            ahead.add(number)
            while done + 1 in ahead:
                done += 1
        ahead = {one for one in ahead if one > done}
        self._done[sender], self._told[sender] = done, told
        if ahead:
            self._ahead[sender] = ahead
            if len(self._ahead) > _MOST_AHEAD:
                self._ahead.popitem(last=False)

    def _grow(self, top: int) -> None:
        if top >= len(self._done):
            more = np.zeros(max(top + 1, 2 * len(self._done)) - len(self._done), np.uint64)
            self._done = np.concatenate([self._done, more])
            self._told = np.concatenate([self._told, more])
