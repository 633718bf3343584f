"""A million readings while gateway and PostgreSQL are killed twenty times: what was acknowledged stands."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np

from bench.city import free_ports
from bench.process import family
from bench.readingload import SLOT_S, energy_wh
from bench.readings import BOXES, METERS, STARTS_S, Utility
from bench.report import Figure, figure
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.frame import RECORD
from eletrovia.metering.sender import Sender, TcpLink

_FRAME: Final = 250


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """Concentrators over TCP, as their rules are; every kill comes in the middle of acknowledged readings."""
    kills, slots = (4, 10) if quick else (20, 50)
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        utility = Utility(Path(folder) / "utility", free_ports(4))
        utility.data.mkdir()
        await utility.fleet.start()
        try:
            await utility.settle()
            figures = await _under_kills(utility, kills, slots, say, broken)
            return {f"{kills} kills in the middle of {METERS * slots:,} readings": figures}
        finally:
            await utility.fleet.stop()


async def _under_kills(
    utility: Utility, kills: int, slots: int, say: Callable[[str], None], broken: list[str]
) -> list[Figure]:
    total = METERS * slots
    acknowledged = np.zeros((METERS, slots), np.bool_)
    link = await TcpLink.open("127.0.0.1", utility.ports["tcp"], chance=random.Random(1))
    keys = DeviceKeys((utility.data / "meter.key").read_text().strip().encode())
    meters = np.array(utility.meters, np.int64)
    size = METERS // BOXES

    async def concentrator(number: int) -> None:
        box, _ = utility.boxes[number]
        chance = random.Random(number)
        sender = Sender(box, keys.of(box, 0), link, first_sequence=1_000_000, chance=chance)
        away: set[asyncio.Task[None]] = set()

        async def one(slot: int, first: int) -> None:
            some = meters[first : first + _FRAME]
            records = np.zeros(len(some), RECORD)
            records["meter"], records["at"] = some, STARTS_S + slot * SLOT_S
            records["energy_wh"], records["power_w"] = energy_wh(some, slot), -(2**31)
            outcome = await (await sender.post(records))
            if outcome.refused:
                raise RuntimeError(f"refused: {outcome}")
            acknowledged[first : first + _FRAME, slot] = True

        for slot in range(slots):
            for first in range(number * size, (number + 1) * size, _FRAME):
                task = asyncio.create_task(one(slot, first))
                away.add(task)
                while len(away) >= 16:
                    done, away = await asyncio.wait(away, return_when=asyncio.FIRST_COMPLETED)
                    for ended in done:
                        ended.result()
        await asyncio.gather(*away)

    began_s = perf_counter()
    senders = asyncio.gather(*(concentrator(number) for number in range(BOXES)))
    for kill in range(kills):
        goal = total * (kill + 1) // (kills + 1)
        while int(acknowledged.sum()) < goal and not senders.done():
            await asyncio.sleep(0.005)
        victim = await _kill(utility, gateway=kill % 2 == 0)
        say(f"kill {kill + 1}: {victim} at {int(acknowledged.sum()):,} acknowledged")
    await senders
    took_s = perf_counter() - began_s
    await link.close()

    worked_s = await utility.at_rest()
    rows = await utility.sql("select meter, (extract(epoch from at))::bigint, energy_wh from reading")
    stored = {(int(meter), int(at)): int(wh) for meter, at, wh in rows}
    missing = wrong = 0
    for meter in meters.tolist():
        for slot in range(slots):
            found = stored.get((meter, STARTS_S + slot * SLOT_S))
            missing += found is None
            wrong += found is not None and found != int(energy_wh(np.int64(meter), slot))
    ((used_wh,),) = await utility.sql(
        "select coalesce(sum(wh), 0) from usage_day, lateral unnest(hour_wh) wh where wh >= 0"
    )
    expected_wh = int((energy_wh(meters, slots - 1) - energy_wh(meters, 0)).sum())
    if not acknowledged.all() or missing or wrong or len(rows) != total or int(used_wh) != expected_wh:
        broken.append(
            f"acknowledged {int(acknowledged.sum())} of {total}, missing {missing}, wrong {wrong}, "
            f"rows {len(rows)}, used {used_wh} Wh instead of {expected_wh}"
        )
    return [
        figure("acknowledged minus stored", [float(missing)], "readings", note=f"{wrong} with another value"),
        figure(
            "counted twice", [float(int(used_wh) - expected_wh)], "Wh", note=f"of {expected_wh:,} Wh used"
        ),
        figure(
            "pace, kills and all",
            [total / took_s],
            "readings/s",
            note=f"{took_s:.0f} s, {worked_s:.1f} s more",
        ),
    ]


async def _kill(utility: Utility, *, gateway: bool) -> str:
    """-9 to the gateway's process or to PostgreSQL's first, once it is there."""
    name = "gateway" if gateway else "PostgreSQL"
    async with asyncio.timeout(60):
        while True:
            for process in family(utility.fleet.pid("utility")):
                arguments = _arguments(process.pid)
                if gateway and b"gateway" in arguments:
                    os.kill(process.pid, signal.SIGKILL)
                    return f"{name} {process.pid}"
                if not gateway and arguments[0].endswith(b"/postgres") and b"-D" in arguments:
                    os.kill(process.pid, signal.SIGKILL)
                    return f"{name} {process.pid}"
            await asyncio.sleep(0.05)


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile
        return [b""]
