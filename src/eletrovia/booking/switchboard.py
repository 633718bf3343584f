"""One way to speak to every operator, ourselves among them."""

from __future__ import annotations

from eletrovia.base.errors import EletroviaError
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import HoldReply, HoldRequest
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.partner import Arrival, Cancellation, Partner
from eletrovia.booking.register import LedgerRegister


class Switchboard:
    """A Partner that reaches our own keeper and register directly, and the others over the wire."""

    def __init__(self, operator_id: str, register: LedgerRegister, remote: Partner) -> None:
        self._own_id = operator_id
        self._register = register
        self._remote = remote
        self._keeper: Keeper | None = None

    def connect(self, keeper: Keeper) -> None:
        """The keeper speaks through the switchboard too, so it can only come second."""
        self._keeper = keeper

    def _own(self, operator_id: str) -> Keeper | None:
        return self._keeper if operator_id == self._own_id else None

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply:
        keeper = self._own(operator_id)
        if keeper is None:
            return await self._remote.hold(operator_id, request)
        (reply,) = await keeper.hold(self._own_id, [request])
        if isinstance(reply, EletroviaError):
            raise reply
        return reply

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision:
        if operator_id == self._own_id:
            return await self._register.propose(proposal)
        return await self._remote.propose(operator_id, proposal)

    async def deliver(self, operator_id: str, decision: Decision) -> None:
        keeper = self._own(operator_id)
        if keeper is None:
            return await self._remote.deliver(operator_id, decision)
        return _raised(await keeper.apply(self._own_id, [decision]))

    async def cancel(self, operator_id: str, cancellation: Cancellation) -> None:
        keeper = self._own(operator_id)
        if keeper is None:
            return await self._remote.cancel(operator_id, cancellation)
        return _raised(await keeper.cancel(self._own_id, [cancellation]))

    async def arrive(self, operator_id: str, arrival: Arrival) -> None:
        keeper = self._own(operator_id)
        if keeper is None:
            return await self._remote.arrive(operator_id, arrival)
        return _raised(await keeper.arrive(self._own_id, [arrival]))


def _raised(answers: list[EletroviaError | None]) -> None:
    (answer,) = answers
    if answer is not None:
        raise answer
