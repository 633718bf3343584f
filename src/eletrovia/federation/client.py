"""The other operators, asked over REST: what their holds, decisions and stations are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import NotFound
from eletrovia.base.lane import Lane
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldReply, HoldRequest
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.charging.location import Location
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.caller import Ask, Call, Caller, Patience, malformed
from eletrovia.federation.circuit import Reach
from eletrovia.federation.doors import Doors
from eletrovia.federation.live import Availability
from eletrovia.federation.wire import (
    ARRIVE,
    CANCEL,
    DELIVER,
    HOLD,
    MAX_BATCH,
    PROPOSE,
    UNREADABLE,
    Asked,
    Greeting,
    Page,
    Verb,
    encode,
    error_of,
)

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Message = TypeVar("Message")

_IN_FLIGHT = 2  # batches under way to one operator for one verb
_MOST_PAGES = 1000
_MOST_OCTETS = 64 << 20


class FederationClient:
    """Implements ``booking.partner.Partner`` over REST, with one lane per operator and verb.

    While a batch is under way what comes after it gathers, and leaves together. No answer is Unavailable
    ("operator.unreachable"), never a refusal: it says nothing of what was done over there.
    """

    def __init__(
        self,
        doors: Doors,
        clock: Clock,
        *,
        patience: Patience | None = None,
        on_call: Callable[[Call], None] = lambda call: None,
        on_reach: Callable[[str, Reach], None] = lambda operator_id, reach: None,
    ) -> None:
        self._patience = patience or Patience()
        self._caller = Caller(doors, clock, self._patience, on_call, on_reach)
        self._lanes: dict[tuple[str, str], Lane[Any, Any]] = {}

    async def __aenter__(self) -> FederationClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for what is under way, then hang up."""
        for lane in self._lanes.values():
            await lane.close()
        await self._caller.close()

    def reach(self, operator_id: str) -> Reach:
        """Whether the operator answers; one that was never asked is taken to."""
        return self._caller.circuit(operator_id).reach

    # -- booking.partner.Partner ----------------------------------------------------------------------

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply:
        reply = await self._lane(operator_id, HOLD).put(request)
        return _about(reply, reply.key == request.key, operator_id)

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision:
        decision = await self._lane(operator_id, PROPOSE).put(proposal)
        return _about(decision, decision.key == proposal.key, operator_id)

    async def deliver(self, operator_id: str, decision: Decision) -> None:
        await self._lane(operator_id, DELIVER).put(decision)

    async def cancel(self, operator_id: str, cancellation: Cancellation) -> None:
        await self._lane(operator_id, CANCEL).put(cancellation)

    async def arrive(self, operator_id: str, arrival: Arrival) -> None:
        await self._lane(operator_id, ARRIVE).put(arrival)

    # -- reading --------------------------------------------------------------------------------------

    async def read(self, operator_id: str, key: AttemptKey) -> Decision | None:
        """What stands at the operator's register; None proves nothing."""
        try:
            path = f"/decisions/{key.trip_id}/{key.attempt}"
            decision = await self._get(operator_id, "read", path, {}, Decision)
        except NotFound:
            return None
        assert decision is not None  # noqa: S101 - this path never answers 204
        return _about(decision, decision.key == key, operator_id)

    async def greet(self, operator_id: str) -> Greeting | None:
        """The operator's card, from itself."""
        return await self._get(operator_id, "greet", "/operators", {}, Greeting)

    async def locations(self, operator_id: str) -> list[Location]:
        """All the operator's locations, page by page."""
        found: list[Location] = []
        for _ in range(_MOST_PAGES):
            page = await self._get(operator_id, "locations", "/locations", {"offset": str(len(found))}, Page)
            assert page is not None  # noqa: S101 - this path never answers 204
            found += page.data
            if not page.data or len(found) >= page.total:
                break
        return [location for location in found if location.operator_id == operator_id]

    async def tariffs(self, operator_id: str) -> list[Tariff]:
        """The operator's tariffs."""
        return await self._get(operator_id, "tariffs", "/tariffs", {}, list[Tariff]) or []

    async def availability(self, operator_id: str, sequence: int = -1) -> Availability | None:
        """All its stations now; None when nothing has changed since ``sequence``."""
        query = {"sequence": str(sequence)}
        return await self._get(operator_id, "availability", "/availability", query, Availability)

    # -- below the surface ----------------------------------------------------------------------------

    def _lane(self, operator_id: str, verb: Verb[Item, Answer]) -> Lane[Item, Answer]:
        lane: Lane[Item, Answer] | None = self._lanes.get((operator_id, verb.name))
        if lane is None:

            async def flush(items: Sequence[Item]) -> Sequence[Answer | Exception]:
                return await self._post(operator_id, verb, items)

            lane = Lane(flush, most=MAX_BATCH, in_flight=_IN_FLIGHT)
            self._lanes[operator_id, verb.name] = lane
        return lane

    async def _post(
        self, operator_id: str, verb: Verb[Item, Answer], items: Sequence[Item]
    ) -> Sequence[Answer | Exception]:
        ask = Ask(
            verb=verb.name,
            method="POST",
            path=verb.path,
            body=encode(Asked(list(items))),
            items=len(items),
            patience_s=self._patience.batch_s,
        )
        answered = await self._caller.ask(operator_id, ask)
        try:
            replies = verb.answered.decode(answered).replies
        except UNREADABLE as error:
            raise malformed(operator_id, str(error)) from None
        if len(replies) != len(items):
            raise malformed(operator_id, f"{len(replies)} replies to {len(items)} requests")
        results: list[Answer | Exception] = []
        for reply in replies:
            if reply.problem is not None:
                results.append(error_of(reply.problem))
            elif verb.answers and reply.reply is None:
                results.append(malformed(operator_id, "neither a reply nor a problem"))
            else:
                results.append(reply.reply)  # type: ignore[arg-type]  # None is the answer where there is none to give
        return results

    async def _get(
        self, operator_id: str, verb: str, path: str, query: dict[str, str], kind: type[Message]
    ) -> Message | None:
        ask = Ask(verb=verb, path=path, query=query, patience_s=self._patience.read_s)
        body = await self._caller.ask(operator_id, ask)
        if not body:
            return None
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE as error:
            raise malformed(operator_id, str(error)) from None


def _about(answer: Answer, same: bool, operator_id: str) -> Answer:
    if not same:
        raise malformed(operator_id, "an answer to another request")
    return answer
