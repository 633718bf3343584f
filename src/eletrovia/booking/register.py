"""The home's decision register, for itself and for the operators that hold something for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from eletrovia.base.errors import Denied, EletroviaError
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, Verdict
from eletrovia.booking.ledger import HomeLedger
from eletrovia.booking.observer import Observer, Step, Unwatched


class LedgerRegister:
    """Decisions in the home's own ledger: first writer wins, every later one is told what stands.

    Whoever runs an attempt here listens, and hears at once when somebody else's proposal came first.
    """

    def __init__(self, operator_id: str, ledger: HomeLedger, observer: Observer | None = None) -> None:
        self.operator_id = operator_id
        self._ledger = ledger
        self._observer = observer or Unwatched()
        self._listeners: dict[AttemptKey, Callable[[Verdict], None]] = {}

    def listen(self, key: AttemptKey, heard: Callable[[Verdict], None]) -> None:
        self._listeners[key] = heard

    def unlisten(self, key: AttemptKey) -> None:
        self._listeners.pop(key, None)

    async def propose(self, proposal: Proposal) -> Decision:
        decision = await self._ledger.decide(proposal)
        self._observer.passed(Step.DECIDED)
        heard = self._listeners.get(decision.key)
        if heard is not None:
            heard(decision.verdict)
        return decision

    async def propose_all(self, proposals: Sequence[Proposal]) -> list[Decision | EletroviaError]:
        """What other operators propose, one answer each; an error is an answer to its own proposal.

        They may only release, and only what they hold something of: confirming takes all receipts, which
        nobody but us has.
        """
        try:
            allowed = await self._ledger.may_release(proposals)
        except EletroviaError as error:
            return [error] * len(proposals)
        return list(await asyncio.gather(*map(self._guarded, proposals, allowed)))

    async def _guarded(self, proposal: Proposal, allowed: bool) -> Decision | EletroviaError:
        if not allowed or proposal.verdict is not Verdict.RELEASED:
            return Denied("decision.not_yours", attempt=str(proposal.key))
        try:
            return await self.propose(proposal)
        except EletroviaError as error:
            return error

    async def read(self, key: AttemptKey) -> Decision | None:
        """What stands, if it is known to stand: None proves nothing."""
        return await self._ledger.decision(key)
