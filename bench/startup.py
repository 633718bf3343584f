"""How soon a city is up, on fresh data and again, and what one operator holds in memory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import aiohttp

from bench.city import OPERATORS, free_ports
from bench.process import kinds, memory, processes
from bench.report import Figure, figure
from eletrovia.charging.demo import DEMO_OPERATORS
from eletrovia.runtime.city import City, members
from eletrovia.runtime.fleet import Fleet
from eletrovia.store.embedded import EmbeddedPostgres

_LIBRARIES = "litestar uvicorn uvloop psycopg psycopg_pool aiohttp nats numpy scipy.sparse.csgraph numba"


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """The sections of the report; what did not hold goes to ``broken``."""
    loop = asyncio.get_running_loop()
    fresh: list[float] = []
    again: list[float] = []
    fresh_alone: list[float] = []
    again_alone: list[float] = []
    held: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        data = Path(folder)
        for number in range(2 if quick else 3):
            city_s, alone_s = (again, again_alone) if number else (fresh, fresh_alone)
            began_s = loop.time()
            await _postgres_alone(data / "alone")
            alone_s.append(loop.time() - began_s)
            fleet = Fleet(members(data, free_ports(len(OPERATORS))))
            began_s = loop.time()
            await fleet.start()
            try:
                async with aiohttp.ClientSession() as session:
                    await City(data, fleet, session).settle()
                    city_s.append(loop.time() - began_s)
                    say(f"startup: {'again' if number else 'fresh'}, {city_s[-1]:.1f} s")
                if number and not held:
                    held = await _held(fleet.pid(DEMO_OPERATORS[OPERATORS[0]]), broken)
            finally:
                await fleet.stop()
    yardstick = "s three PostgreSQL alone"
    up = [
        figure("three operators up, fresh data", fresh, "s", yardstick=yardstick, against=fresh_alone),
        figure("three operators up, second start", again, "s", yardstick=yardstick, against=again_alone),
    ]
    return {"start of the demo's city": up, "memory of one operator, just started": held}


async def _postgres_alone(folder: Path) -> None:
    """The same three databases with nobody to serve them: started, and stopped."""
    stores = await asyncio.gather(
        *(EmbeddedPostgres.start(folder / str(number), revive=False) for number in range(len(OPERATORS)))
    )
    await asyncio.gather(*(store.stop() for store in stores))


async def _held(pid: int, broken: list[str]) -> list[Figure]:
    if sys.platform != "linux":
        return []
    bare = await _bare()
    figures = []
    for kind, members_of in kinds(pid).items():
        try:
            held = memory(members_of)
        except OSError as error:
            broken.append(f"memory: {kind}: {error}")
            continue
        against, yardstick = ([bare], "MB Python with its libraries") if kind == "server" else ([], "")
        note = f"RSS {held.rss:,.0f} MB in {len(members_of)} process{'es' * (len(members_of) > 1)}"
        figures.append(
            figure(f"PSS, {kind}", [held.pss], "MB", yardstick=yardstick, against=against, note=note)
        )
    return figures


async def _bare() -> float:
    """PSS of a Python that has imported what the server stands on, and does nothing."""
    imports = "; ".join(f"import {name}" for name in _LIBRARIES.split())
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{imports}; print('ready', flush=True); input()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    await child.stdout.readline()
    held = memory([processes()[child.pid]])
    child.stdin.write(b"\n")
    await child.wait()
    return held.pss
