"""Booking's figures for Prometheus."""

from __future__ import annotations

import os
import signal

from prometheus_client import CollectorRegistry, Counter, Histogram

from eletrovia.booking.hold import Outcome, Verdict
from eletrovia.booking.observer import Step
from eletrovia.booking.trip import TripState

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

KILL_AFTER = "EVTEST_KILL_AFTER"
"""For acceptance tests only: the step of the protocol after which this process kills itself, ``-9``."""


class BookingMetrics:
    """Counts what happens in booking. Units: seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._holds = Histogram(
            "eletrovia_hold_seconds",
            "Hold requests answered",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._decisions = Counter(
            "eletrovia_decisions", "Decisions that stand", ["verdict"], registry=registry
        )
        self._plans = Histogram(
            "eletrovia_plan_seconds", "Plans searched", ["found"], buckets=_SECONDS, registry=registry
        )
        self._trips = Histogram(
            "eletrovia_trip_seconds", "Trips that ended", ["state"], buckets=_SECONDS, registry=registry
        )
        self._attempts = Counter(
            "eletrovia_trip_attempts", "Attempts that ended trips needed", registry=registry
        )
        self._steps = Counter("eletrovia_steps", "Steps of the protocol passed", ["step"], registry=registry)
        self._kill_after = os.environ.get(KILL_AFTER, "")

    def passed(self, step: Step) -> None:
        self._steps.labels(step.value).inc()
        if self._kill_after == step.value:
            os.kill(os.getpid(), signal.SIGKILL)

    def hold_answered(self, outcome: Outcome, took_s: float) -> None:
        self._holds.labels(outcome.value).observe(took_s)

    def decided(self, verdict: Verdict) -> None:
        self._decisions.labels(verdict.value).inc()

    def planned(self, took_s: float, found: bool) -> None:
        self._plans.labels("yes" if found else "no").observe(took_s)

    def trip_ended(self, state: TripState, took_s: float, attempts: int) -> None:
        self._trips.labels(state.value).observe(took_s)
        self._attempts.inc(attempts)
