"""Up to which number each sender's frames are settled, in memory only: frames themselves tell the rest.

A frame names the oldest one that its sender still holds. So everything before that is settled, whoever
settled it, and a gateway that has just begun needs to know nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MOST_AHEAD: Final = 10_000
"""Senders with a gap that are remembered; a forgotten one sends a few frames again."""

Numbers = NDArray[np.uint64]


class Windows:
    """Cumulative acknowledgement for many senders at once.

    Shape: 8 octets a sender, by its key; more only for those with a gap in what has arrived.

    It never claims a frame that was not settled: a number that goes back begins that sender's window anew,
    which costs a repetition at worst.
    """

    def __init__(self) -> None:
        self._done: Numbers = np.zeros(1024, np.uint64)  # by sender
        self._ahead: OrderedDict[int, set[int]] = OrderedDict()  # settled beyond a gap

    def settle(
        self, sender: NDArray[Any], sequence: NDArray[Any], backlog: NDArray[Any]
    ) -> tuple[NDArray[np.int32], Numbers]:
        """These frames are settled: each of their senders once, and up to where its frames are.

        Shape: arrays of one length, in any order; senders are keys, so above 0.
        """
        if not len(sender):
            return np.empty(0, np.int32), np.empty(0, np.uint64)
        self._grow(int(sender.max()))
        order = np.lexsort((sequence, sender))
        who = sender[order].astype(np.int32)
        number = sequence[order].astype(np.uint64)
        before = number - backlog[order].astype(np.uint64) - np.uint64(1)  # settled already, says the sender
        first = np.r_[True, who[1:] != who[:-1]]
        # Most senders' frames come one by one in order: those are done all at once, the others in turn.
        previous = np.r_[np.uint64(0), number[:-1]]
        done = self._done[who]
        previous[first] = np.where(number[first] > done[first], done[first], 0)
        follows = (np.maximum(previous, before) + np.uint64(1) == number) | (~first & (number == previous))
        starts = np.flatnonzero(first)
        simple = np.logical_and.reduceat(follows, starts)
        senders = who[starts]
        ends = np.r_[starts[1:], len(who)]
        if self._ahead:
            simple &= np.fromiter((one not in self._ahead for one in senders.tolist()), bool, len(senders))
        self._done[senders[simple]] = number[ends[simple] - 1]
        for place in np.flatnonzero(~simple).tolist():
            piece = slice(int(starts[place]), int(ends[place]))
            self._settle_one(int(senders[place]), number[piece].tolist(), before[piece].tolist())
        return senders, self._done[senders]

    def _settle_one(self, sender: int, numbers: list[int], befores: list[int]) -> None:
        done = int(self._done[sender])
        ahead = self._ahead.pop(sender, set())
        last = 0
        for number, before in zip(numbers, befores, strict=True):
            if number == last:
                continue
            last = number
            if number <= done:  # it came once more, or its sender began anew
                done = before
                ahead.clear()
            elif before > done:
                done = before
            ahead.add(number)
            while done + 1 in ahead:
                done += 1
            ahead = {one for one in ahead if one > done}
        self._done[sender] = done
        if ahead:
            self._ahead[sender] = ahead
            if len(self._ahead) > _MOST_AHEAD:
                self._ahead.popitem(last=False)

    def _grow(self, top: int) -> None:
        if top >= len(self._done):
            grown = np.zeros(max(top + 1, 2 * len(self._done)), np.uint64)
            grown[: len(self._done)] = self._done
            self._done = grown
