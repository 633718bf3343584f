"""Ourselves among the operators: what concerns our own stations needs no wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from eletrovia.base.errors import EletroviaError
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import HoldReply, HoldRequest
from eletrovia.booking.partner import Arrival, Cancellation, Partner
from eletrovia.federation.server import Decisions, Holds

Answer = TypeVar("Answer")


class Everyone:
    """Implements ``booking.partner.Partner`` for all operators: the others over REST, ourselves by a call.

    ``settle`` it with our own keeper and register once they are made: the keeper itself needs a Partner.
    """

    def __init__(self, own_operator_id: str, others: Partner) -> None:
        self._own = own_operator_id
        self._others = others
        self._holds: Holds | None = None
        self._decisions: Decisions | None = None

    def settle(self, holds: Holds, decisions: Decisions) -> None:
        """Who answers for ourselves."""
        self._holds = holds
        self._decisions = decisions

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply:
        if operator_id == self._own and self._holds is not None:
            return _one(await self._holds.hold(self._own, [request]))
        return await self._others.hold(operator_id, request)

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision:
        if operator_id == self._own and self._decisions is not None:
            return _one(await self._decisions.propose_all([proposal]))
        return await self._others.propose(operator_id, proposal)

    async def deliver(self, operator_id: str, decision: Decision) -> None:
        if operator_id == self._own and self._holds is not None:
            return _one(await self._holds.apply(self._own, [decision]))
        return await self._others.deliver(operator_id, decision)

    async def cancel(self, operator_id: str, cancellation: Cancellation) -> None:
        if operator_id == self._own and self._holds is not None:
            return _one(await self._holds.cancel(self._own, [cancellation]))
        return await self._others.cancel(operator_id, cancellation)

    async def arrive(self, operator_id: str, arrival: Arrival) -> None:
        if operator_id == self._own and self._holds is not None:
            return _one(await self._holds.arrive(self._own, [arrival]))
        return await self._others.arrive(operator_id, arrival)


def _one(answers: Sequence[Answer | EletroviaError]) -> Answer:
    (answer,) = answers
    if isinstance(answer, EletroviaError):
        raise answer
    return answer
