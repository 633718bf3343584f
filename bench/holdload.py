"""The load of ``bench.holds``: holds in batches, over the federation's HTTP or raw into PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg

from bench.child import perform
from bench.wire import Line
from eletrovia.base.window import Window
from eletrovia.booking.hold import HoldKey, HoldRequest, Ticket
from eletrovia.booking.holdstore import TAKE, take_columns
from eletrovia.federation.wire import HOLD, PREFIX, Asked, encode

SLOT = timedelta(minutes=30)
TABLE = "bench_hold"


class HoldJob(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` holds on windows from number ``first`` on, ``size`` in a batch, over ``lines`` connections.

    With ``taken_from`` every second hold asks for a window from that number on, which is taken already.
    Without ``base_url`` the statement goes raw to ``store_url``, into a table of the same make.
    """

    base_url: str = ""
    token: str = ""
    store_url: str
    home: str
    evses: list[str]
    price: Decimal
    energy_wh: int
    charging_s: int
    begins_at: datetime
    first: int
    count: int
    size: int
    lines: int
    taken_from: int | None = None
    serial: int


class HoldsDone(msgspec.Struct, frozen=True, kw_only=True):
    """``outcomes`` counts answers; a raw statement only knows what it put down."""

    took_s: float
    outcomes: dict[str, int]


def requests_of(job: HoldJob) -> list[HoldRequest]:
    """The holds that a job asks for; later serials are younger, so nobody contests what is taken."""
    asked_at = datetime.now(UTC)
    made = []
    for number in range(job.count):
        window = job.first + number
        if job.taken_from is not None:
            window = (job.taken_from if number % 2 else job.first) + number // 2
        slot, evse = divmod(window, len(job.evses))
        starts_at = job.begins_at + slot * SLOT
        trip_id = f"bench{job.serial:06}{number:08}"
        made.append(
            HoldRequest(
                key=HoldKey(trip_id, 1, 0),
                home=job.home,
                evse_uid=job.evses[evse],
                window=Window(starts_at, starts_at + SLOT - timedelta(minutes=5)),
                ticket=Ticket(asked_at, trip_id),
                ttl_s=600.0,
                energy_wh=job.energy_wh,
                charging_s=job.charging_s,
                price=job.price,
            )
        )
    return made


async def work(job: HoldJob) -> HoldsDone:
    """Everything is encoded before the clock starts, and read after it stopped."""
    requests = requests_of(job)
    batches = [requests[at : at + job.size] for at in range(0, len(requests), job.size)]
    if job.base_url:
        return await _over_http(job, batches)
    return await _raw(job, batches)


async def _over_http(job: HoldJob, batches: Sequence[Sequence[HoldRequest]]) -> HoldsDone:
    bodies = [encode(Asked(list(batch))) for batch in batches]
    answers: list[bytes] = []
    lines = [Line(job.base_url) for _ in range(job.lines)]
    headers = {"Authorization": f"Bearer {job.token}"}

    async def send(line: int, number: int) -> None:
        status, answer = await lines[line].post(f"{PREFIX}{HOLD.path}", headers, bodies[number])
        if status != 200:
            raise RuntimeError(f"{status}: {answer[:300]!r}")
        answers.append(answer)

    took_s = await _shared_out(job.lines, len(bodies), send)
    for line in lines:
        line.close()
    outcomes: Counter[str] = Counter()
    for answer in answers:
        for reply in HOLD.answered.decode(answer).replies:
            one = reply.reply
            outcomes[reply.problem.code if reply.problem else (one.outcome if one else "none")] += 1
    return HoldsDone(took_s=took_s, outcomes=dict(outcomes))


async def _raw(job: HoldJob, batches: Sequence[Sequence[HoldRequest]]) -> HoldsDone:
    statement = TAKE.replace("insert into hold ", f"insert into {TABLE} ")
    assert TABLE in statement
    connections = [
        await psycopg.AsyncConnection.connect(job.store_url, autocommit=True) for _ in range(job.lines)
    ]
    await connections[0].execute(f"create table if not exists {TABLE} (like hold including all)")
    now = datetime.now(UTC)
    columns = [take_columns(batch, [now] * len(batch)) for batch in batches]
    held = 0

    async def send(line: int, number: int) -> None:
        nonlocal held
        cursor = await connections[line].execute(statement, columns[number])
        held += len(await cursor.fetchall())

    took_s = await _shared_out(job.lines, len(columns), send)
    for connection in connections:
        await connection.close()
    return HoldsDone(took_s=took_s, outcomes={"held": held, "refused": job.count - held})


async def _shared_out(lines: int, items: int, send: Callable[[int, int], Awaitable[None]]) -> float:
    """Seconds until every item is sent, each line taking the next when it is free."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(items))

    async def run(line: int) -> None:
        for number in numbers:
            await send(line, number)

    began_s = loop.time()
    async with asyncio.TaskGroup() as group:
        for line in range(lines):
            group.create_task(run(line))
    return loop.time() - began_s


if __name__ == "__main__":
    perform(HoldJob, work)
