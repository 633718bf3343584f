"""A network that loses, delays, duplicates and reorders, and processes that die at any call."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from eletrovia.base.errors import EletroviaError, Unavailable
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import HoldReply, HoldRequest
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.booking.register import LedgerRegister

Message = TypeVar("Message", bound=msgspec.Struct)
Answer = TypeVar("Answer")


class Process(Protocol):
    """One life of an operator's process, as the network meets it."""

    operator_id: str
    keeper: Keeper
    register: LedgerRegister
    tasks: list[asyncio.Task[Any]]

    @property
    def world(self) -> Surroundings: ...

    async def may_die(self, draw: random.Random) -> None: ...

    async def serve(self, work: Awaitable[Answer]) -> Answer:
        """Run a request inside this process: it dies with it."""
        ...


class Surroundings(Protocol):
    """Who is there, and what lies between them."""

    @property
    def faults(self) -> Faults: ...

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...

    def down(self, operator_id: str) -> bool: ...

    def alive(self, operator_id: str) -> Process: ...

    def is_cut(self, one: str, other: str) -> bool: ...


inside: ContextVar[Process | None] = ContextVar("inside", default=None)
"""Which process a task belongs to: inherited by every task it starts, so that a crash finds them all."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the world is, as probabilities per message or per ledger call. Units: ``_s`` seconds."""

    lost: float = 0.05
    twice: float = 0.05
    slowest_s: float = 0.3
    crash: float = 0.004
    down_s: float = 4.0
    cut: float = 0.02
    cut_s: float = 3.0
    store_away: float = 0.004


PEACE = Faults(lost=0, twice=0, slowest_s=0.02, crash=0, cut=0, store_away=0)


def wired(message: Message) -> Message:
    """The message as it arrives: through its real encoding."""
    return msgspec.json.decode(msgspec.json.encode(message), type=type(message))


class Crashing:
    """A ledger whose process may die before or after any call: then the call never returns.

    Its store may be away too: then nobody can say whether the call was carried out.
    """

    def __init__(self, ledger: Any, incarnation: Process, draw: random.Random) -> None:
        self._ledger = ledger
        self._incarnation = incarnation
        self._draw = draw

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._ledger, name)

        async def mortal(*args: Any) -> Any:
            await self._incarnation.may_die(self._draw)
            await asyncio.sleep(self._draw.random() * 0.002)
            await self._incarnation.may_die(self._draw)
            self._may_be_away()
            answer = await call(*args)
            await self._incarnation.may_die(self._draw)
            self._may_be_away()
            return answer

        return mortal

    def _may_be_away(self) -> None:
        if self._draw.random() < self._incarnation.world.faults.store_away:
            raise Unavailable("store.unreachable")


class Wire:
    """What one process says to the other operators: booking's Partner over the bad network."""

    def __init__(self, world: Surroundings, sender: Process, draw: random.Random) -> None:
        self._world = world
        self._sender = sender
        self._draw = draw

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply:
        request = wired(request)

        async def serve(receiver: Process) -> HoldReply:
            (reply,) = await receiver.keeper.hold(self._sender.operator_id, [request])
            return _said(reply)

        return wired(await self._call(operator_id, serve))

    async def propose(self, operator_id: str, proposal: Proposal) -> Decision:
        async def serve(receiver: Process) -> Decision:
            (decision,) = await receiver.register.propose_all([wired(proposal)])
            return _said(decision)

        return wired(await self._call(operator_id, serve))

    async def deliver(self, operator_id: str, decision: Decision) -> None:
        async def serve(receiver: Process) -> None:
            (answer,) = await receiver.keeper.apply(self._sender.operator_id, [wired(decision)])
            _said(answer)

        await self._call(operator_id, serve)

    async def cancel(self, operator_id: str, cancellation: Cancellation) -> None:
        async def serve(receiver: Process) -> None:
            (answer,) = await receiver.keeper.cancel(self._sender.operator_id, [wired(cancellation)])
            _said(answer)

        await self._call(operator_id, serve)

    async def arrive(self, operator_id: str, arrival: Arrival) -> None:
        async def serve(receiver: Process) -> None:
            (answer,) = await receiver.keeper.arrive(self._sender.operator_id, [wired(arrival)])
            _said(answer)

        await self._call(operator_id, serve)

    async def _call(self, operator_id: str, serve: Callable[[Process], Awaitable[Answer]]) -> Answer:
        faults = self._world.faults
        patience_s = 1.0
        try:
            async with asyncio.timeout(patience_s):
                await self._travel(operator_id)
                if self._draw.random() < faults.twice:
                    late = self._world.spawn(self._late(operator_id, serve))
                    late.add_done_callback(lambda _: None)
                receiver = self._world.alive(operator_id)
                answer = await receiver.serve(serve(receiver))
                await self._travel(operator_id)
                return answer
        except TimeoutError:
            raise Unavailable("operator.unreachable", operator_id=operator_id) from None

    async def _travel(self, operator_id: str) -> None:
        """Takes its time; a lost message never arrives."""
        faults = self._world.faults
        await asyncio.sleep(self._draw.random() * faults.slowest_s)
        gone = self._draw.random() < faults.lost
        if gone or self._world.is_cut(self._sender.operator_id, operator_id):
            await asyncio.sleep(3600)
        if self._world.down(operator_id):
            raise Unavailable("operator.unreachable", operator_id=operator_id)

    async def _late(self, operator_id: str, serve: Callable[[Process], Awaitable[Answer]]) -> None:
        """The same message once more, long after."""
        await asyncio.sleep(self._draw.random() * 8)
        if not self._world.down(operator_id):
            receiver = self._world.alive(operator_id)
            with contextlib.suppress(EletroviaError):  # nobody waits for the answer to a stray copy
                await receiver.serve(serve(receiver))


def _said(answer: Answer | EletroviaError) -> Answer:
    if isinstance(answer, EletroviaError):
        raise answer
    return answer
