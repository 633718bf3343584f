"""One HTTP call to a partner, and what its silence means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, Unavailable
from eletrovia.federation.circuit import Circuit, Reach
from eletrovia.federation.doors import Doors
from eletrovia.federation.handshake import whole
from eletrovia.federation.wire import PREFIX, UNREADABLE, Problem, error_of

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to ask: ``verb`` and ``items`` are for the figures only."""

    verb: str
    method: str = "GET"
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    items: int = 1
    patience_s: float


class Caller:
    """Calls partners with what we present to them; one circuit each, so that nobody waits for the silent.

    Raises: Denied for one that is no partner, or that does not know us; Unavailable when no answer came; the
            other side's own error otherwise.
    """

    def __init__(
        self,
        doors: Doors,
        clock: Clock,
        patience: Patience,
        on_call: Callable[[Call], None],
        on_reach: Callable[[str, Reach], None],
    ) -> None:
        self._doors = doors
        self._clock = clock
        self._patience = patience
        self._on_call = on_call
        self._on_reach = on_reach
        self._session: aiohttp.ClientSession | None = None
        self._circuits: dict[str, Circuit] = {}

    async def close(self) -> None:
        """Hang up."""
        for circuit in self._circuits.values():
            await circuit.close()
        if self._session is not None:
            await self._session.close()

    def circuit(self, operator_id: str) -> Circuit:
        """The partner's circuit; one that was never asked is taken to answer."""
        circuit = self._circuits.get(operator_id)
        if circuit is None:
            greet = Ask(verb="probe", path="/operators", patience_s=self._patience.connect_s)

            async def probe() -> None:
                await self._answer(operator_id, greet)

            circuit = Circuit(self._clock, probe, partial(self._on_reach, operator_id))
            self._circuits[operator_id] = circuit
        return circuit

    async def ask(self, operator_id: str, ask: Ask) -> bytes:
        """The body of a good answer; at once Unavailable while the partner is known to be silent."""
        self._doors.partner(operator_id)
        reach = self.circuit(operator_id).reach
        if not reach.up:
            raise Unavailable("operator.unreachable", operator_id=operator_id, since=reach.since.isoformat())
        return await self._answer(operator_id, ask)

    async def _answer(self, operator_id: str, ask: Ask) -> bytes:
        status, body = await self._timed(operator_id, ask)
        if status < 300:
            return body
        if status == 401:
            raise Denied("federation.denied", operator_id=operator_id)
        try:
            problem = msgspec.json.decode(body, type=Problem)
        except UNREADABLE:
            raise malformed(operator_id, f"status {status} without a problem document") from None
        raise error_of(problem)

    async def _timed(self, operator_id: str, ask: Ask) -> tuple[int, bytes]:
        circuit = self.circuit(operator_id)
        began_s = self._clock.monotonic()
        outcome = "silent"
        try:
            status, body = await self._send(operator_id, ask)
            if status >= 500:
                raise Unavailable("operator.unreachable", operator_id=operator_id, status=status)
            circuit.answered()
            outcome = "ok" if status < 300 else "refused"
            return status, body
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            circuit.silent(for_sure=isinstance(error, aiohttp.ClientConnectorError))
            raise Unavailable(
                "operator.unreachable", operator_id=operator_id, reason=type(error).__name__
            ) from error
        except Unavailable:
            circuit.silent(for_sure=False)
            raise
        finally:
            took_s = self._clock.monotonic() - began_s
            self._on_call(
                Call(operator_id=operator_id, verb=ask.verb, items=ask.items, took_s=took_s, outcome=outcome)
            )

    async def _send(self, operator_id: str, ask: Ask) -> tuple[int, bytes]:
        peer = self._doors.partner(operator_id)
        session = self._opened()
        url = f"{peer.base_url}{PREFIX}{ask.path}"
        headers = {"Authorization": f"Bearer {peer.outbound_token}", "Content-Type": "application/json"}
        async with asyncio.timeout(ask.patience_s):
            # Every call may be repeated, so a connection that died while it lay idle costs one more try.
            for last_try in (False, True):
                try:
                    async with session.request(
                        ask.method,
                        url,
                        params=ask.query,
                        data=ask.body,
                        headers=headers,
                        allow_redirects=False,
                    ) as response:
                        return response.status, await whole(response, _MOST_OCTETS)
                except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                    if last_try:
                        raise
        raise AssertionError("the second try returns or raises")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect_s = self._patience.connect_s
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def malformed(operator_id: str, detail: str) -> Unavailable:
    """An answer that says nothing is no answer."""
    return Unavailable("operator.answer_malformed", operator_id=operator_id, detail=detail)
