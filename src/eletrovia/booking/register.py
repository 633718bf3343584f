"""The home's decision register, for itself and for the operators that hold something for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from eletrovia.base.errors import EletroviaError
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
        """One answer per proposal; an error is an answer to its own proposal."""
        return list(await asyncio.gather(*(self._guarded(proposal) for proposal in proposals)))

    async def _guarded(self, proposal: Proposal) -> Decision | EletroviaError:
        try:
            return await self.propose(proposal)
        except EletroviaError as error:
            return error

    async def read(self, key: AttemptKey) -> Decision | None:
        """What stands, if it is known to stand: None proves nothing."""
        return await self._ledger.decision(key)
