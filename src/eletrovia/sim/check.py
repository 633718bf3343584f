"""The invariants of booking, checked on what every operator's ledger holds and every driver was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations

from eletrovia.booking.board import merged, span
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldReply, HoldRequest, HoldState, Outcome, Verdict
from eletrovia.booking.ledger import Hold
from eletrovia.booking.trip import Trip, TripState
from eletrovia.planning.plan import Span
from eletrovia.sim.ledger import MemoryLedger


class Broken(AssertionError):
    """An invariant does not hold."""


class Check:
    """I1 to I6 of the protocol, and that no older trip yields to a younger undecided one."""

    def __init__(self, ledgers: dict[str, MemoryLedger]) -> None:
        self._ledgers = ledgers
        self._told: dict[str, Trip] = {}
        self._arrived: set[HoldKey] = set()
        self._seen: list[Broken] = []

    def answered(self, request: HoldRequest, reply: HoldReply) -> None:
        """Every reply: who was asked to yield to whom."""
        undecided = reply.outcome is Outcome.REFUSED and reply.blocker_state is HoldState.HELD
        if undecided and reply.reason == "taken" and reply.blocker and request.ticket < reply.blocker:
            self.found(f"priority: {request.ticket} yields to {reply.blocker}")

    def told(self, trip: Trip) -> None:
        before = self._told.get(trip.id, trip)
        self._told[trip.id] = trip
        called_off = (before.state, trip.state) == (TripState.CONFIRMED, TripState.CANCELLED)
        if before.state is not trip.state and not called_off:
            self.found(f"I3: {trip.id} was told {before.state}, then {trip.state}")

    def arrived(self, trip: Trip, stop: int) -> None:
        """The driver was told that the window will be kept."""
        self._arrived.add(HoldKey(trip.id, trip.attempt, stop))

    def found(self, fault: str) -> None:
        """A fault where a raise would only end somebody's task."""
        self._seen.append(Broken(fault))

    def at_peace(self, *, began_before: datetime) -> None:
        """With everybody back, and time for the last word to arrive.

        Nobody waits any longer for a driver whose window ``began_before``.
        """
        if self._seen:
            raise self._seen[0]
        self.no_overlap()
        for operator_id, ledger in self._ledgers.items():
            for (home, key), hold in ledger.holds.items():
                where = f"{operator_id} {key.trip_id}/{key.attempt}/{key.stop}"
                if hold.state is HoldState.HELD:
                    raise Broken(f"I5: {where} is still undecided")
                decision = self._ledgers[home].decisions.get(key.attempt_key)
                if decision is None or decision.verdict.value != hold.state.value:
                    raise Broken(f"I2: {where} is {hold.state}, its decision is {decision}")
            confirmed = Counter(
                key for (_, key), hold in ledger.holds.items() if hold.state is HoldState.CONFIRMED
            )
            if Counter(ledger.charges) != confirmed:
                raise Broken(f"I6: {operator_id} charges {ledger.charges}, confirmed {confirmed}")
            if ledger.outbox:
                raise Broken(f"outbox: {operator_id} still has {list(ledger.outbox)}")
        for trip in self._told.values():
            self._told_is_true(trip, began_before)

    def no_overlap(self) -> None:
        for operator_id, ledger in self._ledgers.items():
            standing = [
                hold
                for hold in ledger.holds.values()
                if hold.state is not HoldState.RELEASED and hold.ended_by is None
            ]
            for one, other in combinations(standing, 2):
                same = one.request.evse_uid == other.request.evse_uid
                if same and one.request.window.overlaps(other.request.window):
                    raise Broken(f"I4: {operator_id} promised twice: {one.request.key}, {other.request.key}")

    def shown(self, operator_id: str, evse_uid: str, shown: Sequence[Span], now: datetime) -> None:
        """What an owner tells its partners is taken, is taken, and nothing else."""
        taken = merged(
            span(hold.request.window)
            for hold in self._ledgers[operator_id].holds.values()
            if hold.request.evse_uid == evse_uid
            and hold.state is not HoldState.RELEASED
            and hold.ended_by is None
            and hold.request.window.ends_at > now
        )
        if tuple(shown) != taken:
            raise Broken(f"board: {operator_id} shows {shown} on {evse_uid}, taken is {taken}")

    def _told_is_true(self, trip: Trip, began_before: datetime) -> None:
        decisions = self._ledgers[trip.home].decisions
        confirmed = [
            key
            for key, decision in decisions.items()
            if key.trip_id == trip.id and decision.verdict is Verdict.CONFIRMED
        ]
        if trip.state in (TripState.CONFIRMED, TripState.CANCELLED):
            if confirmed != [AttemptKey(trip.id, trip.attempt)] or trip.itinerary is None:
                raise Broken(f"I3: {trip.id} was told {trip.state}, decisions say {confirmed}")
            for number, stop in enumerate(trip.itinerary.stops):
                holds = self._ledgers[stop.operator_id].holds
                hold = holds.get((trip.home, HoldKey(trip.id, trip.attempt, number)))
                if hold is None or hold.state is not HoldState.CONFIRMED:
                    raise Broken(f"I3: {trip.id} was told {trip.state}, stop {number} is {hold}")
                self._ended_rightly(trip, hold, began_before)
        elif confirmed:
            raise Broken(f"I3: {trip.id} was told {trip.state}, yet {confirmed} is confirmed")

    def _ended_rightly(self, trip: Trip, hold: Hold, began_before: datetime) -> None:
        """A window that was called off or missed is free, and nobody loses one that was not."""
        key, missed = hold.request.key, hold.request.window.starts_at < began_before
        if trip.state is TripState.CANCELLED:
            if hold.ended_by is None:
                raise Broken(f"cancelled: {key} still blocks its window")
        elif hold.ended_by == "cancelled" or (hold.ended_by and key in self._arrived):
            raise Broken(f"I3: {key} was given up ({hold.ended_by}) though its driver had come")
        elif missed and key not in self._arrived and hold.ended_by != "no_show":
            raise Broken(f"no-show: {key} still blocks its window")
