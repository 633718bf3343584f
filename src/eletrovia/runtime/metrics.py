"""Figures for Prometheus, of booking and of readings."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from eletrovia.booking.hold import Outcome, Verdict
from eletrovia.booking.observer import Step
from eletrovia.booking.trip import TripState
from eletrovia.metering.reading import Fate, Source

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

KILL_FILE = "EVTEST_KILL_FILE"
"""For acceptance tests only: names a file; once it holds the name of a step of the protocol, this process
removes it and kills itself, ``-9``, the next time it has passed that step."""


class BookingMetrics:
    """Counts what happens in booking. Units: seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Finding a child by its label takes a lock and builds strings: the few there are, are found once.
        holds = Histogram(
            "eletrovia_hold_seconds",
            "Hold requests answered",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        decisions = Counter("eletrovia_decisions", "Decisions that stand", ["verdict"], registry=registry)
        plans = Histogram(
            "eletrovia_plan_seconds", "Plans searched", ["found"], buckets=_SECONDS, registry=registry
        )
        trips = Histogram(
            "eletrovia_trip_seconds", "Trips that ended", ["state"], buckets=_SECONDS, registry=registry
        )
        self._attempts = Counter(
            "eletrovia_trip_attempts", "Attempts that ended trips needed", registry=registry
        )
        steps = Counter("eletrovia_steps", "Steps of the protocol passed", ["step"], registry=registry)
        self._holds = {outcome: holds.labels(outcome.value) for outcome in Outcome}
        self._decisions = {verdict: decisions.labels(verdict.value) for verdict in Verdict}
        self._plans = {found: plans.labels("yes" if found else "no") for found in (True, False)}
        self._trips = {state: trips.labels(state.value) for state in TripState}
        self._steps = {step: steps.labels(step.value) for step in Step}
        self._kill_file = os.environ.get(KILL_FILE)

    def passed(self, step: Step) -> None:
        self._steps[step].inc()
        if self._kill_file is not None:
            _die_if_asked(Path(self._kill_file), step)

    def hold_answered(self, outcome: Outcome, took_s: float) -> None:
        self._holds[outcome].observe(took_s)

    def decided(self, verdict: Verdict) -> None:
        self._decisions[verdict].inc()

    def planned(self, took_s: float, found: bool) -> None:
        self._plans[found].observe(took_s)

    def trip_ended(self, state: TripState, took_s: float, attempts: int) -> None:
        self._trips[state].observe(took_s)
        self._attempts.inc(attempts)


class ReadingMetrics:
    """Counts what became of readings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        readings = Counter("eletrovia_readings", "Readings dealt with", ["source", "fate"], registry=registry)
        self._readings = {
            (source, fate): readings.labels(source.name.lower(), fate.name.lower())
            for source in Source
            for fate in Fate
        }

    def settled(self, source: Source, fates: NDArray[np.int8]) -> None:
        for fate, count in enumerate(np.bincount(fates)):
            if count:
                self._readings[source, Fate(fate)].inc(int(count))


class Tallies(Collector):
    """Counters that a part keeps for itself, as ``{name}_total{event="…"}``."""

    def __init__(self, registry: CollectorRegistry, name: str, said: str, counts: Mapping[str, int]) -> None:
        self._name, self._said, self._counts = name, said, counts
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._said, labels=["event"])
        for event, count in sorted(self._counts.items()):
            family.add_metric([event], count)
        yield family


def _die_if_asked(file: Path, step: Step) -> None:
    if file.exists() and file.read_text() == step.value:
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
