"""Several processes' worth of rivals on one database; each test begins by showing that it can fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from eletrovia.base.clock import SystemClock
from eletrovia.base.window import Window
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, HoldKey, HoldRequest, HoldState, Ticket, Verdict
from eletrovia.booking.holdstore import HoldStore
from eletrovia.booking.homestore import HomeStore
from eletrovia.store.pool import Store

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOME = "BR*CAR"
RIVALS = 4
OVERLAPS = """
select count(*) from hold a join hold b
on a.evse_uid = b.evse_uid and a.during && b.during and a.trip_id < b.trip_id
where a.state <> 'released' and b.state <> 'released'
"""


def wanted(trip: str, evse: str, begins_min: int, lasts_min: int) -> HoldRequest:
    starts_at = NOW + timedelta(minutes=begins_min)
    return HoldRequest(
        key=HoldKey(trip, 1, 0),
        home=HOME,
        evse_uid=evse,
        window=Window(starts_at, starts_at + timedelta(minutes=lasts_min)),
        ticket=Ticket(NOW, trip),
        ttl_s=10.0,
        energy_wh=1000,
        charging_s=600,
        price=Decimal("1.00"),
    )


async def crowd(url: str, requests: Sequence[HoldRequest]) -> int:
    """All requests at once, through rivals that share nothing but the database; how many were taken."""
    async with AsyncExitStack() as stack:
        rivals = []
        for _ in range(RIVALS):
            store = await stack.enter_async_context(await Store.open(url, size=4))
            holds = HoldStore(store, SystemClock())
            stack.push_async_callback(holds.close)
            rivals.append(holds)
        takes = (rivals[number % RIVALS].take(request, NOW) for number, request in enumerate(requests))
        taken = await asyncio.gather(*takes)
    return sum(one.fresh for one in taken)


def overlapping(seed: int, how_many: int) -> list[HoldRequest]:
    draw = random.Random(seed)
    return [
        wanted(f"t{seed}-{n}", f"E{draw.randrange(4)}", draw.randrange(0, 240), draw.randrange(5, 60))
        for n in range(how_many)
    ]


async def test_no_two_holds_overlap(database_url: str, store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute("alter table hold drop constraint hold_no_overlap")
    await crowd(database_url, overlapping(0, 200))
    assert await overlaps(store) > 0, "canary: without the constraint the windows must overlap"
    async with store.connection() as connection:
        await connection.execute("truncate hold")
        await connection.execute(
            "alter table hold add constraint hold_no_overlap exclude using gist "
            "(int8range(evse_key, evse_key, '[]') with &&, during with &&) "
            "where (state <> 'released' and ended_by is null)"
        )
    for seed in range(1, 6):
        assert await crowd(database_url, overlapping(seed, 300)) > 0
        assert await overlaps(store) == 0


async def overlaps(store: Store) -> int:
    async with store.connection() as connection:
        row = await (await connection.execute(OVERLAPS)).fetchone()
    assert row is not None
    return int(row[0])


class Graveless(HoldStore):
    """A hold store that leaves no tombstones."""

    async def _bury(self, barred: Sequence[tuple[str, HoldKey]]) -> int:
        return len(set(barred))


async def revived(store: Store, kind: type[HoldStore], rounds: int) -> int:
    """A request and its release race; how often a hold was left standing for a released attempt."""
    asking, telling = HoldStore(store, SystemClock()), kind(store, SystemClock())
    left = 0
    for number in range(rounds):
        request = wanted(f"{kind.__name__}{number}", f"E{number}", 0, 30)
        release = Decision(key=request.key.attempt_key, verdict=Verdict.RELEASED, by=HOME, stops=(0,))
        await asyncio.gather(telling.apply(HOME, release, NOW), asking.take(request, NOW))
        held = [hold for hold in await asking.undecided() if hold.request.key == request.key]
        left += len(held)
    await asking.close()
    await telling.close()
    return left


async def test_a_release_is_never_overtaken_by_its_hold(store: Store) -> None:
    assert await revived(store, Graveless, 60) > 0, "canary: without tombstones a late hold must revive"
    assert await revived(store, HoldStore, 200) == 0


async def test_rival_registers_agree(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        rivals = []
        for _ in range(RIVALS):
            store = await stack.enter_async_context(await Store.open(database_url, size=4))
            home = HomeStore(HOME, store, SystemClock())
            stack.push_async_callback(home.close)
            await home.decision(AttemptKey("warm", 1))  # connected: else the first to be is alone for a while
            rivals.append(home)
        # More than one batch each, begun at different places: nobody is first everywhere.
        keys = [AttemptKey(f"t{number}", 1) for number in range(800)]
        proposals = [
            (number, Proposal(key=key, verdict=list(Verdict)[number % 2], by=f"rival{number}"))
            for number in range(RIVALS)
            for key in keys[number * 200 :] + keys[: number * 200]
        ]
        decisions = await asyncio.gather(*(rivals[number].decide(one) for number, one in proposals))
    said: dict[AttemptKey, set[tuple[str, str]]] = {}
    for decision in decisions:
        said.setdefault(decision.key, set()).add((decision.verdict, decision.by))
    assert all(len(answers) == 1 for answers in said.values())
    winners = {next(iter(answers))[1] for answers in said.values()}
    assert len(winners) > 1, "with one winner throughout, nobody was a rival"


async def test_one_decision_moves_every_hold_once(store: Store) -> None:
    """The same decision told many times at once: one charge."""
    holds = HoldStore(store, SystemClock())
    request = wanted("t1", "E1", 0, 30)
    await holds.take(request, NOW)
    confirm = Decision(key=request.key.attempt_key, verdict=Verdict.CONFIRMED, by=HOME, stops=(0,))
    tellers = [HoldStore(store, SystemClock()) for _ in range(RIVALS)]
    for standing in await asyncio.gather(*(teller.apply(HOME, confirm, NOW) for teller in tellers * 5)):
        assert [hold.state for hold in standing] == [HoldState.CONFIRMED]
    async with store.connection() as connection:
        rows = await (await connection.execute("select count(*) from charge")).fetchall()
    assert rows == [(1,)]
    for teller in (*tellers, holds):
        await teller.close()
