"""The other operators, asked over REST: what their holds, decisions and stations are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import aiohttp
import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, EletroviaError, NotFound, Unavailable
from eletrovia.base.lane import Lane
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldReply, HoldRequest
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.charging.location import Location
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.circuit import Circuit, Reach
from eletrovia.federation.doors import Doors
from eletrovia.federation.handshake import whole
from eletrovia.federation.live import Availability
from eletrovia.federation.wire import (
    ARRIVE,
    CANCEL,
    DELIVER,
    HOLD,
    MAX_BATCH,
    PREFIX,
    PROPOSE,
    Asked,
    Greeting,
    Page,
    Problem,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a partner, for the figures. ``outcome`` is ``ok``, ``refused`` or ``silent``."""

    operator_id: str
    verb: str
    items: int
    took_s: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait for an answer, in seconds."""

    connect_s: float = 1.0
    batch_s: float = 3.0
    read_s: float = 10.0


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
        self._doors = doors
        self._clock = clock
        self._patience = patience or Patience()
        self._on_call = on_call
        self._on_reach = on_reach
        self._session: aiohttp.ClientSession | None = None
        self._lanes: dict[tuple[str, str], Lane[Any, Any]] = {}
        self._circuits: dict[str, Circuit] = {}

    async def __aenter__(self) -> FederationClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for what is under way, then hang up."""
        for lane in self._lanes.values():
            await lane.close()
        for circuit in self._circuits.values():
            await circuit.close()
        if self._session is not None:
            await self._session.close()

    def reach(self, operator_id: str) -> Reach:
        """Whether the operator answers; one that was never asked is taken to."""
        return self._circuit(operator_id).reach

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

    def _circuit(self, operator_id: str) -> Circuit:
        circuit = self._circuits.get(operator_id)
        if circuit is None:
            patience_s = self._patience.connect_s

            async def probe() -> None:
                await self._ask(operator_id, "probe", 1, "GET", "/operators", {}, None, patience_s)

            circuit = Circuit(self._clock, probe, partial(self._on_reach, operator_id))
            self._circuits[operator_id] = circuit
        return circuit

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
        self._fail_fast(operator_id)
        body = encode(Asked(list(items)))
        patience_s = self._patience.batch_s
        answered = await self._ask(
            operator_id, verb.name, len(items), "POST", verb.path, {}, body, patience_s
        )
        try:
            replies = verb.answered.decode(answered).replies
        except (msgspec.MsgspecError, EletroviaError, ValueError) as error:
            raise _malformed(operator_id, str(error)) from None
        if len(replies) != len(items):
            raise _malformed(operator_id, f"{len(replies)} replies to {len(items)} requests")
        results: list[Answer | Exception] = []
        for reply in replies:
            if reply.problem is not None:
                results.append(error_of(reply.problem))
            elif verb.answers and reply.reply is None:
                results.append(_malformed(operator_id, "neither a reply nor a problem"))
            else:
                results.append(reply.reply)  # type: ignore[arg-type]  # None is the answer where there is none to give
        return results

    async def _get(
        self, operator_id: str, verb: str, path: str, query: dict[str, str], kind: type[Message]
    ) -> Message | None:
        self._fail_fast(operator_id)
        body = await self._ask(operator_id, verb, 1, "GET", path, query, None, self._patience.read_s)
        if not body:
            return None
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, EletroviaError, ValueError) as error:
            raise _malformed(operator_id, str(error)) from None

    def _fail_fast(self, operator_id: str) -> None:
        self._doors.partner(operator_id)
        reach = self._circuit(operator_id).reach
        if not reach.up:
            raise Unavailable("operator.unreachable", operator_id=operator_id, since=reach.since.isoformat())

    async def _ask(
        self,
        operator_id: str,
        verb: str,
        items: int,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None,
        patience_s: float,
    ) -> bytes:
        circuit = self._circuit(operator_id)
        began_s = self._clock.monotonic()
        outcome = "silent"
        try:
            status, answer = await self._send(operator_id, method, path, query, body, patience_s)
            if status >= 500:
                raise Unavailable("operator.unreachable", operator_id=operator_id, status=status)
            circuit.answered()
            outcome = "ok" if status < 300 else "refused"
        except (aiohttp.ClientConnectorError, ConnectionRefusedError) as error:
            circuit.silent(for_sure=True)
            raise _unreachable(operator_id, error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            circuit.silent(for_sure=False)
            raise _unreachable(operator_id, error) from error
        except Unavailable:
            circuit.silent(for_sure=False)
            raise
        finally:
            took_s = self._clock.monotonic() - began_s
            self._on_call(
                Call(operator_id=operator_id, verb=verb, items=items, took_s=took_s, outcome=outcome)
            )
        if status < 300:
            return answer
        if status == 401:
            raise Denied("federation.denied", operator_id=operator_id)
        try:
            raise error_of(msgspec.json.decode(answer, type=Problem))
        except (msgspec.MsgspecError, ValueError):
            raise _malformed(operator_id, f"status {status} without a problem document") from None

    async def _send(
        self,
        operator_id: str,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None,
        patience_s: float,
    ) -> tuple[int, bytes]:
        peer = self._doors.partner(operator_id)
        session = self._opened()
        url = f"{peer.base_url}{PREFIX}{path}"
        headers = {"Authorization": f"Bearer {peer.outbound_token}", "Content-Type": "application/json"}
        async with asyncio.timeout(patience_s):
            # Every call may be repeated, so a connection that died while it lay idle costs one more try.
            for last_try in (False, True):
                try:
                    async with session.request(
                        method, url, params=query, data=body, headers=headers, allow_redirects=False
                    ) as response:
                        return response.status, await whole(response, _MOST_OCTETS)
                except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                    if last_try:
                        raise
        raise AssertionError("unreachable")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect_s = self._patience.connect_s
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _about(answer: Answer, same: bool, operator_id: str) -> Answer:
    if not same:
        raise _malformed(operator_id, "an answer to another request")
    return answer


def _malformed(operator_id: str, detail: str) -> Unavailable:
    """An answer that says nothing is no answer."""
    return Unavailable("operator.answer_malformed", operator_id=operator_id, detail=detail)


def _unreachable(operator_id: str, error: Exception) -> Unavailable:
    return Unavailable("operator.unreachable", operator_id=operator_id, reason=type(error).__name__)
