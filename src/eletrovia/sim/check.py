"""The invariants of booking, checked on what every operator's ledger holds and every driver was told."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from eletrovia.booking.hold import AttemptKey, HoldReply, HoldRequest, HoldState, Outcome, Verdict
from eletrovia.booking.trip import Trip, TripState
from eletrovia.sim.ledger import MemoryLedger


class Broken(AssertionError):
    """An invariant does not hold."""


class Check:
    """I1 to I6 of the protocol, and that no older trip yields to a younger undecided one."""

    def __init__(self, ledgers: dict[str, MemoryLedger]) -> None:
        self._ledgers = ledgers
        self._told: dict[str, Trip] = {}
        self._seen: list[Broken] = []  # found where a raise would only end somebody's task

    def answered(self, request: HoldRequest, reply: HoldReply) -> None:
        """Every reply: who was asked to yield to whom."""
        undecided = reply.outcome is Outcome.REFUSED and reply.blocker_state is HoldState.HELD
        if undecided and reply.reason == "taken" and reply.blocker and request.ticket < reply.blocker:
            self._seen.append(Broken(f"priority: {request.ticket} yields to {reply.blocker}"))

    def told(self, trip: Trip) -> None:
        before = self._told.setdefault(trip.id, trip)
        if before.state is not trip.state:
            self._seen.append(Broken(f"I3: {trip.id} was told {before.state}, then {trip.state}"))

    def at_peace(self) -> None:
        """With everybody back, and time for the last word to arrive."""
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
            self._told_is_true(trip)

    def no_overlap(self) -> None:
        for operator_id, ledger in self._ledgers.items():
            standing = [hold for hold in ledger.holds.values() if hold.state is not HoldState.RELEASED]
            for one, other in combinations(standing, 2):
                same = one.request.evse_uid == other.request.evse_uid
                if same and one.request.window.overlaps(other.request.window):
                    raise Broken(f"I4: {operator_id} promised twice: {one.request.key}, {other.request.key}")

    def _told_is_true(self, trip: Trip) -> None:
        decisions = self._ledgers[trip.home].decisions
        confirmed = [
            key
            for key, decision in decisions.items()
            if key.trip_id == trip.id and decision.verdict is Verdict.CONFIRMED
        ]
        if trip.state is TripState.CONFIRMED:
            if confirmed != [AttemptKey(trip.id, trip.attempt)] or trip.itinerary is None:
                raise Broken(f"I3: {trip.id} was told confirmed, decisions say {confirmed}")
            for number, stop in enumerate(trip.itinerary.stops):
                holds = self._ledgers[stop.operator_id].holds
                states = [
                    hold.state
                    for (_, key), hold in holds.items()
                    if (key.trip_id, key.attempt, key.stop) == (trip.id, trip.attempt, number)
                ]
                if states != [HoldState.CONFIRMED]:
                    raise Broken(f"I3: {trip.id} was told confirmed, stop {number} is {states}")
        elif confirmed:
            raise Broken(f"I3: {trip.id} was told {trip.state}, yet {confirmed} is confirmed")
