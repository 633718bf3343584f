"""The load of ``bench.trips``: drivers who book over HTTP, and the ledger entries of their trips alone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bench.child import perform
from bench.ledgerload import Replay, Replayed, replay
from bench.wire import Line
from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import Ids
from eletrovia.booking.trip import Itinerary

WAYS = (
    ("João Pessoa", "Feira de Santana"),
    ("Feira de Santana", "João Pessoa"),
    ("Cabedelo", "Salvador"),
    ("Salvador", "Santa Rita, PB"),
)
"""Some 860 km each, over all three of the demo's operators."""

_PATH = "/api/v1/trips?wait_s=10"
_GIVE_UP_S = 15.0
_KEPT = 400


class Home(msgspec.Struct, frozen=True):
    url: str
    token: str


class Drive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``drivers`` who ask again as soon as they are answered or, with ``rate``, so many who come a second."""

    homes: list[Home]
    seed: int
    duration_s: float
    drivers: int = 0
    rate: float = 0.0
    days: int = 45


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """``answered_ms`` counts from when the driver came, for confirmed trips; others are in ``answers``."""

    took_s: float
    asked: int
    answered_ms: list[float]
    answers: dict[str, int]
    attempts: list[int]
    operators: list[int]
    late_ms: float
    """How late the load itself was at worst: over a few ms its own process was starved."""


class _Answer(msgspec.Struct):
    attempt: int = 0
    itinerary: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""


class _Drivers:
    """All drivers of one job."""

    def __init__(self, job: Drive) -> None:
        self.job = job
        self.chance = random.Random(job.seed)
        self.ids = Ids(SystemClock())
        self.begin = datetime.now(UTC) + timedelta(days=1)
        self.idle: dict[str, list[Line]] = {home.url: [] for home in job.homes}
        self.done: list[tuple[float, str, bytes]] = []
        self.asked = 0
        self.late_s = 0.0

    def _wish(self) -> bytes:
        origin, destination = self.chance.choice(WAYS)
        departs_at = self.begin + timedelta(seconds=self.chance.randrange(self.job.days * 86_400))
        wish = {
            "origin": origin,
            "destination": destination,
            "soc": self.chance.randrange(50, 91) / 100,
            "departs_at": departs_at.isoformat(),
        }
        return msgspec.json.encode(wish)

    async def book(self, came_s: float) -> None:
        """One trip at the next home in turn, from the driver's coming to the answer."""
        loop = asyncio.get_running_loop()
        home = self.job.homes[self.asked % len(self.job.homes)]
        self.asked += 1
        lines = self.idle[home.url]
        line = lines.pop() if lines else Line(home.url)
        headers = {"Authorization": f"Bearer {home.token}", "Idempotency-Key": self.ids.new("key")}
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                status, body = await line.post(_PATH, headers, self._wish())
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.done.append((loop.time() - came_s, type(error).__name__, b""))
            return
        lines.append(line)
        self.done.append((loop.time() - came_s, str(status), body))

    async def closed(self) -> None:
        """Each driver asks again as soon as they are answered."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.job.duration_s

        async def drive() -> None:
            while loop.time() < end_s:
                await self.book(loop.time())

        async with asyncio.TaskGroup() as group:
            for _ in range(self.job.drivers):
                group.create_task(drive())

    async def open(self) -> None:
        """Drivers come when they come, whether those before are answered or not."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time() + 0.05
        at_s = begin_s
        async with asyncio.TaskGroup() as group:
            while (at_s := at_s + self.chance.expovariate(self.job.rate)) < begin_s + self.job.duration_s:
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                self.late_s = max(self.late_s, loop.time() - at_s)
                group.create_task(self.book(at_s))


_seen: list[bytes] = []
"""Ways that were booked, for the yardstick to write down again."""


async def work(job: Drive | Replay) -> Driven | Replayed:
    """Drive, or replay what was driven."""
    if isinstance(job, Replay):
        ways = [msgspec.json.decode(way, type=Itinerary) for way in _seen]
        return await replay(job, ways)
    loop = asyncio.get_running_loop()
    drivers = _Drivers(job)
    began_s = loop.time()
    run: Callable[[], Awaitable[None]] = drivers.open if job.rate else drivers.closed
    await run()
    took_s = loop.time() - began_s
    for lines in drivers.idle.values():
        for line in lines:
            line.close()
    return _read(drivers, took_s)


def _read(drivers: _Drivers, took_s: float) -> Driven:
    answers: Counter[str] = Counter()
    answered_ms, attempts, operators = [], [], []
    for waited_s, outcome, body in drivers.done:
        if outcome != "201":
            code = msgspec.json.decode(body, type=_Answer).code if body else ""
            answers[f"{outcome} {code}".strip()] += 1
            continue
        answer = msgspec.json.decode(body, type=_Answer)
        stops: Any = msgspec.json.decode(answer.itinerary)["stops"]
        answers["confirmed"] += 1
        answered_ms.append(waited_s * 1000)
        attempts.append(answer.attempt)
        operators.append(len({stop["operator_id"] for stop in stops}))
        if len(_seen) < _KEPT:
            _seen.append(bytes(answer.itinerary))
    return Driven(
        took_s=took_s,
        asked=drivers.asked,
        answered_ms=answered_ms,
        answers=dict(answers),
        attempts=attempts,
        operators=operators,
        late_ms=drivers.late_s * 1000,
    )


if __name__ == "__main__":
    perform(Drive | Replay, work)  # type: ignore[arg-type]  # a union of structs decodes like one
