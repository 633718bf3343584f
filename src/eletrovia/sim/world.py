"""A world of operators in virtual time: the real desk, keeper and register over a bad network.

Only the ledger is kept in memory and only the network is made up. One seed decides everything, so a
run that breaks an invariant is replayed by its seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from eletrovia.base.errors import Conflict, EletroviaError, Unavailable
from eletrovia.base.geo import Point
from eletrovia.base.ids import Ids
from eletrovia.base.rng import Rng
from eletrovia.base.window import Window
from eletrovia.booking.board import Board, EvseRef, span
from eletrovia.booking.desk import Desk
from eletrovia.booking.hold import HoldReply, HoldRequest
from eletrovia.booking.keeper import Keeper
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.register import LedgerRegister
from eletrovia.booking.rules import Rules
from eletrovia.booking.switchboard import Switchboard
from eletrovia.booking.trip import Itinerary, Place, Stop, Trip, TripAsk, TripState
from eletrovia.sim.check import Broken, Check
from eletrovia.sim.ledger import MemoryLedger
from eletrovia.sim.loop import DAY_ONE, VirtualClock, VirtualLoop, run_virtual
from eletrovia.sim.network import PEACE, Crashing, Faults, Wire, inside

Answer = TypeVar("Answer")

RULES = Rules(hold_ttl_s=6.0, ask_s=3.0, margin_s=0.5, attempts=4, deadline_s=20.0, no_show_grace_s=60.0)
_PRICE = Decimal("10.00")


class SlotPlanner:
    """One stop at each operator, in order, on the first EVSE that is free in the stop's half hour."""

    def __init__(self, world: World, board: Board, draw: random.Random) -> None:
        self._world = world
        self._board = board
        self._draw = draw

    async def plan(
        self, ask: TripAsk, *, without: frozenset[str] = frozenset(), alternatives: bool = False
    ) -> list[Itinerary]:
        stops: list[Stop] = []
        assert ask.departs_at is not None  # noqa: S101 - the world's drivers say when
        for number, operator_id in enumerate(self._world.operator_ids):
            if operator_id in without:
                continue
            stop = self._first_free(operator_id, ask.departs_at + timedelta(hours=number))
            if stop is None:
                raise Conflict("trip.no_way", reason="occupied")
            stops.append(stop)
        here = Place("here", Point(0, 0))
        return [
            Itinerary(
                origin=here, destination=here, vehicle_id="car", vehicle_name="car",
                departs_at=ask.departs_at, arrives_at=ask.departs_at + timedelta(hours=4),
                soc=ask.soc, arrival_soc=0.3, reserve_soc=0.2, distance_km=1.0, drive_s=1, wait_s=0,
                charge_s=1, last_leg_km=1.0, last_leg_s=1, price=_PRICE * len(stops), currency="BRL",
                stops=tuple(stops),
            )
        ]  # fmt: skip

    def _first_free(self, operator_id: str, earliest: Any) -> Stop | None:
        for half_hour in range(3):
            starts_at = earliest + timedelta(minutes=30 * half_hour)
            window = Window(starts_at, starts_at + timedelta(minutes=30))
            evses = list(self._world.evses)
            self._draw.shuffle(evses)
            for evse_uid in evses:
                wanted = span(window)
                busy = self._board.busy(EvseRef(operator_id, evse_uid))
                if any(starts < wanted[1] and wanted[0] < ends for starts, ends in busy):
                    continue
                return Stop(
                    operator_id=operator_id, location_id="L", location_name="L", city="L",
                    coordinates=Point(0, 0), evse_uid=evse_uid, evse_id=evse_uid, power_w=1,
                    arrives_at=starts_at, starts_at=starts_at, ends_at=window.ends_at, window=window,
                    arrival_soc=0.2, departure_soc=0.8, energy_wh=1000, distance_km=1.0, drive_s=1,
                    price=_PRICE,
                )  # fmt: skip
        return None


class FlatOffer:
    """Every EVSE of the world sells at one price."""

    def __init__(self, evses: tuple[str, ...]) -> None:
        self._evses = evses

    def price(self, evse_uid: str, energy_wh: int, charging_s: int) -> Decimal | None:
        return _PRICE if evse_uid in self._evses else None


class Watched(Switchboard):
    """The home's way to every keeper, its own among them, with the checker listening."""

    def __init__(self, operator_id: str, register: LedgerRegister, remote: Wire, check: Check) -> None:
        super().__init__(operator_id, register, remote)
        self._check = check

    async def hold(self, operator_id: str, request: HoldRequest) -> HoldReply:
        reply = await super().hold(operator_id, request)
        self._check.answered(request, reply)
        return reply


class Incarnation:
    """One life of an operator's process: what it knows dies with it, its ledger stays."""

    def __init__(self, world: World, operator_id: str, number: int) -> None:
        self.world = world
        self.operator_id = operator_id
        self.alive = True
        self.tasks: list[asyncio.Task[Any]] = []
        draw = world.rng.stream(f"{operator_id}/{number}")
        ledger: Any = Crashing(world.ledgers[operator_id], self, draw)
        self.board = board = Board()
        self.register = LedgerRegister(operator_id, ledger)
        partner = Watched(operator_id, self.register, Wire(world, self, draw), world.check)
        self.keeper = Keeper(
            operator_id, ledger=ledger, homes=partner, offer=FlatOffer(world.evses), board=board,
            clock=world.clock, rules=RULES,
        )  # fmt: skip
        partner.connect(self.keeper)
        outbox = Outbox(ledger, partner)
        self.desk = Desk(
            operator_id, ledger=ledger, register=self.register, partner=partner, outbox=outbox,
            planner=SlotPlanner(world, board, draw), board=board, clock=world.clock,
            ids=Ids.seeded(world.clock, draw), draw=draw, rules=RULES,
        )  # fmt: skip

    async def begin(self) -> None:
        try:
            await self.keeper.recover()
            await self.desk.recover()
        except Unavailable:  # no store, no start: somebody will try again
            self.world.crash(self.operator_id)
            await asyncio.sleep(1e6)
        await asyncio.gather(self.keeper.run(), self.desk.run())

    async def may_die(self, draw: random.Random) -> None:
        if self.alive and draw.random() < self.world.faults.crash:
            self.world.crash(self.operator_id)
        if not self.alive:
            await asyncio.sleep(1e6)  # a dead process never comes back from a call

    async def serve(self, work: Awaitable[Answer]) -> Answer:
        """Run a request inside this process: it dies with it."""
        token = inside.set(self)
        try:
            task = asyncio.ensure_future(work)
        finally:
            inside.reset(token)
        await asyncio.wait([task])
        if task.cancelled() or not self.alive:
            raise Unavailable("operator.unreachable", operator_id=self.operator_id)
        return task.result()


class World:
    """Operators, drivers and faults; ``check`` holds what must be true of them."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        operators: int = 3,
        evses: int = 2,
        ledger: Callable[[str], MemoryLedger] = MemoryLedger,
        departs_in: timedelta = timedelta(hours=5),
        changes_of_mind: float = 0.3,
        until: timedelta = timedelta(),
    ) -> None:
        """``changes_of_mind`` is how many of those who were told *confirmed* call it off at once.

        The world goes on until all is quiet, and at least ``until`` after it began.
        """
        self.rng = Rng(seed)
        self._departs_in = departs_in
        self._until_s = until.total_seconds()
        self._changes_of_mind = changes_of_mind
        self.faults = faults
        self.loop = VirtualLoop()
        self.loop.set_task_factory(self._make_task)
        self.clock = VirtualClock(self.loop)
        self.operator_ids = tuple(f"BR*OP{number}" for number in range(operators))
        self.evses = tuple(f"E{number}" for number in range(evses))
        self.ledgers = {operator_id: ledger(operator_id) for operator_id in self.operator_ids}
        self.check = Check(self.ledgers)
        self.trace: list[str] = []
        self._draw = self.rng.stream("world")
        self._lives: dict[str, int] = {}
        self._running: dict[str, Incarnation | None] = {}
        self._cuts: set[frozenset[str]] = set()

    def _make_task(self, loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        life = inside.get()
        if life is not None:
            life.tasks.append(task)
            task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A process's task may end in an error that callers know; any other is work left undone."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, EletroviaError):
            self.check.found(f"a task died of {error!r}")

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that belongs to no process."""
        token = inside.set(None)
        try:
            return self.loop.create_task(work)
        finally:
            inside.reset(token)

    # -- processes and links ----------------------------------------------------------------------------

    def start(self, operator_id: str) -> None:
        number = self._lives[operator_id] = self._lives.get(operator_id, 0) + 1
        token = inside.set(None)
        try:
            life = Incarnation(self, operator_id, number)
            self._running[operator_id] = life
            inside.set(life)
            self.loop.create_task(life.begin())
        finally:
            inside.reset(token)

    def crash(self, operator_id: str) -> None:
        life = self._running.get(operator_id)
        if life is None:
            return
        self.note(f"crash {operator_id}")
        life.alive = False
        self._running[operator_id] = None
        for task in life.tasks:
            task.cancel()
        self.spawn(self._restart(operator_id))

    async def _restart(self, operator_id: str) -> None:
        await asyncio.sleep(self._draw.random() * self.faults.down_s + 0.1)
        self.note(f"start {operator_id}")
        self.start(operator_id)

    def down(self, operator_id: str) -> bool:
        return self._running.get(operator_id) is None

    def alive(self, operator_id: str) -> Incarnation:
        life = self._running.get(operator_id)
        if life is None:
            raise Unavailable("operator.unreachable", operator_id=operator_id)
        return life

    def is_cut(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self._cuts

    async def cut_links(self) -> None:
        """Now and then two operators cannot hear each other."""
        while True:
            await asyncio.sleep(0.5)
            if self._draw.random() < self.faults.cut * 10:
                one, other = self._draw.sample(self.operator_ids, 2)
                link = frozenset((one, other))
                self._cuts.add(link)
                self.loop.call_later(self._draw.random() * self.faults.cut_s, self._cuts.discard, link)

    def note(self, what: str) -> None:
        self.trace.append(f"{self.loop.elapsed_s:.6f} {what}")

    # -- drivers --------------------------------------------------------------------------------------

    async def drive(self, number: int, draw: random.Random) -> Trip:
        """Ask one operator, with the same key until it says how it ended."""
        home = draw.choice(self.operator_ids)
        await asyncio.sleep(draw.random() * 2)
        departs_at = (DAY_ONE + self._departs_in).replace(second=0, microsecond=0)
        ask = TripAsk(origin="here", destination="there", soc=0.6, departs_at=departs_at)
        try:
            while True:
                trip = await self._asked(
                    home, lambda desk: desk.book(ask, driver_id=f"d{number}", idempotency_key="k", wait_s=5)
                )
                if trip.state is not TripState.PENDING:
                    break
                await asyncio.sleep(0.2)
        except EletroviaError as refusal:
            self.note(f"driver {number}: {refusal.code}")
            raise
        self.note(f"driver {number}: {trip.state} after {trip.attempt}")
        self.check.told(trip)
        if trip.state is TripState.CONFIRMED and draw.random() < self._changes_of_mind:
            trip = await self._asked(home, lambda desk: desk.cancel(trip.id))
            self.note(f"driver {number}: {trip.state}")
            self.check.told(trip)
        elif trip.state is TripState.CONFIRMED and draw.random() < 0.5:
            await self._asked(home, lambda desk: desk.arrive(trip.id, 0))
            self.note(f"driver {number}: arrived")
            self.check.arrived(trip, 0)
        return trip

    async def _asked(self, home: str, ask: Callable[[Desk], Awaitable[Answer]]) -> Answer:
        """The home's answer, however often it takes to get one. Raises: Broken when none ever comes."""
        for _ in range(1000):
            try:
                life = self.alive(home)
                return await life.serve(ask(life.desk))
            except Unavailable:
                await asyncio.sleep(0.5)
        raise Broken(f"liveness: {home} never answers")

    async def _live(self, drivers: int) -> list[Trip]:
        for operator_id in self.operator_ids:
            self.start(operator_id)
        storm = self.spawn(self.cut_links())
        asks = [
            self.spawn(self.drive(number, self.rng.stream(f"driver/{number}"))) for number in range(drivers)
        ]
        told = await asyncio.gather(*asks, return_exceptions=True)
        for answer in told:
            if isinstance(answer, Broken):
                raise answer
        storm.cancel()
        self.faults = PEACE
        self._cuts.clear()
        await asyncio.sleep(self.faults.down_s + RULES.hold_ttl_s + 5.0 + 12.0)
        await asyncio.sleep(max(0.0, self._until_s - self.loop.elapsed_s))
        # A sweep comes every ten seconds; what is due for longer must have been swept.
        grace = timedelta(seconds=RULES.no_show_grace_s + 15)
        self.check.at_peace(began_before=self.clock.now() - grace)
        for operator_id in self.operator_ids:
            board = self.alive(operator_id).board
            for evse_uid in self.evses:
                shown = board.own(EvseRef(operator_id, evse_uid))
                self.check.shown(operator_id, evse_uid, shown, self.clock.now())
        trips = []
        for answer in told:
            if isinstance(answer, Trip):
                trips.append(answer)
            elif not isinstance(answer, EletroviaError):
                raise answer
        return trips

    def run(self, drivers: int) -> list[Trip]:
        """Let ``drivers`` book in this world, heal it, and check every invariant."""
        return run_virtual(self._live(drivers), self.loop)
