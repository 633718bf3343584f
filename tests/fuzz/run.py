"""Feeding a decoder, and watching what it does."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import msgspec

from tests.fuzz.mutation import Mutator


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One decoder: examples it takes, how it is fed, and the errors that are its answer to nonsense.

    Shape: ``feed`` gives True for an input that was taken.
    """

    examples: Sequence[bytes]
    feed: Callable[[bytes], bool]
    answers: tuple[type[Exception], ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found. A run in which nothing is taken has fuzzed the front door only."""

    inputs: int
    taken: int
    per_s: float
    grew_mb: float


class Crash(Exception):
    """An error that is no answer; the input with it."""

    def __init__(self, number: int, data: bytes) -> None:
        super().__init__(number, data)
        self.number = number
        self.data = data


def fuzz(target: Target, inputs: int, *, seed: int = 0) -> Told:
    """Feed ``inputs`` bent examples. Raises: Crash."""
    for example in target.examples:
        if not target.feed(example):
            raise AssertionError(f"an example is not taken: {example!r}")
    mutator = Mutator(target.examples, seed)
    taken = 0
    warm = inputs // 5
    before_mb = 0.0
    began_s = perf_counter()
    for number in range(inputs):
        if number == warm:  # caches are full by now
            gc.collect()
            before_mb = _resident_mb()
        data = mutator.input()
        try:
            taken += target.feed(data)
        except target.answers:
            pass
        except Exception as crash:
            raise Crash(number, data) from crash
    gc.collect()
    return Told(
        inputs=inputs,
        taken=taken,
        per_s=inputs / (perf_counter() - began_s),
        grew_mb=_resident_mb() - before_mb,
    )


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # only the most there ever was, where there is no /proc
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
