"""Readings a second, by every way: decoded, checked and committed, beside PostgreSQL's own rate."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

import numpy as np
import psycopg

from bench.child import Child
from bench.city import free_ports
from bench.rawreadings import FLIGHT, merged_per_s, rows
from bench.readingload import SLOT_S, Done, Job, energy_wh
from bench.report import Figure, figure
from eletrovia.runtime.fleet import Fleet, Member
from eletrovia.store.folder import StoreFolder
from eletrovia.store.pool import Store
from eletrovia.store.postmaster import read_postmaster

METERS: Final = 20_000
BOXES: Final = 4
STARTS_S: Final = 1_772_323_200  # 2026-03-01T00:00:00Z
Way = Literal["tcp", "udp", "http", "mqtt"]


class Utility:
    """One server with its gateway, as `eletrovia serve` runs them, and meters registered."""

    def __init__(self, data: Path, first_port: int) -> None:
        self.data = data
        self.ports = {
            "http": first_port,
            "mqtt": first_port + 1,
            "udp": first_port + 2,
            "tcp": first_port + 3,
        }
        settings = {
            "http.port": self.ports["http"],
            "bus.nats_port": 0,
            "bus.websocket_port": 0,
            "bus.mqtt_port": self.ports["mqtt"],
            "metering.udp_port": self.ports["udp"],
            "metering.tcp_port": self.ports["tcp"],
            "log.format": "json",
        }
        arguments = ["serve", "--data", str(data)]
        for key, value in settings.items():
            arguments += ["--set", f"{key}={value}"]
        url = f"http://127.0.0.1:{self.ports['http']}"
        self.fleet = Fleet([Member(name="utility", data_dir=data, url=url, arguments=tuple(arguments))])
        self.meters: list[int] = []
        self.ids: list[str] = []
        self.boxes: list[tuple[int, str]] = []
        self._slot = 0

    @property
    def store_url(self) -> str:
        folder = StoreFolder(self.data / "postgresql")
        standing = read_postmaster(folder.cluster)
        if standing is None or standing.socket_folder is None:
            raise RuntimeError("the utility's PostgreSQL is gone")
        return folder.url(standing.socket_folder)

    async def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows straight from the database."""
        async with await psycopg.AsyncConnection.connect(self.store_url, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def settle(self) -> None:
        """Meters behind concentrators, each with a usage point."""
        await self.sql(f"""
            insert into meter (id, kind, registered_at)
                select 'box' || n, 'concentrator', '2026-01-01Z' from generate_series(1, {BOXES}) n;
            insert into meter (id, via, registered_at)
                select 'M' || n, (select key from meter where id = 'box' || 1 + (n - 1) * {BOXES} / {METERS}),
                       '2026-01-01Z'
                from generate_series(1, {METERS}) n;
            insert into usage_point (id, area, created_at)
                select id, 'area-' || key % 20, '2026-01-01Z' from meter where kind = 'meter';
            insert into fitting (usage_point_id, meter, from_at, start_wh)
                select id, key, '2026-01-01Z', 0 from meter where kind = 'meter';
            analyze meter
        """)  # noqa: S608 - numbers of our own
        for key, id_, kind in await self.sql("select key, id, kind from meter order by key"):
            if kind == "meter":
                self.meters.append(key)
                self.ids.append(id_)
            else:
                self.boxes.append((key, id_))
        await asyncio.sleep(1.5)  # until both rosters have looked

    def job(self, way: Way, slots: int, *, batch: int, window: int = 16, per_s: float = 0.0) -> Job:
        """Readings that nobody sent before."""
        starts_s = STARTS_S + self._slot * SLOT_S
        self._slot += slots
        return Job(
            way=way,
            host="127.0.0.1",
            port=self.ports[way],
            master=(self.data / "meter.key").read_text().strip(),
            meters=self.meters,
            ids=self.ids,
            boxes=self.boxes,
            starts_s=starts_s,
            slots=slots,
            batch=batch,
            window=window,
            per_s=per_s,
        )

    async def stored(self, job: Job) -> int:
        """How many of the job's readings stand in the table."""
        ((count,),) = await self.sql(
            f"select count(*) from reading where at >= to_timestamp({job.starts_s}) "  # noqa: S608
            f"and at < to_timestamp({job.starts_s + job.slots * SLOT_S})"
        )
        return int(count)

    async def at_rest(self) -> float:
        """Wait until all usage is worked out. Units: seconds it took."""
        began_s = perf_counter()
        while (await self.sql("select count(*) from arrival"))[0][0]:
            if perf_counter() - began_s > 600:
                raise TimeoutError("usage is not worked out after ten minutes")
            await asyncio.sleep(0.1)
        return perf_counter() - began_s

    async def raw(self, slots: int) -> float:
        """The yardstick, into the same table. Units: rows/s."""
        meters = np.array(self.meters, np.int32)
        batches = []
        for slot in range(self._slot, self._slot + slots):
            order = np.random.default_rng(slot).permutation(len(meters))
            for first in range(0, len(meters), FLIGHT):
                some = meters[order[first : first + FLIGHT]]
                at_us = np.full(len(some), (STARTS_S + slot * SLOT_S) * 1_000_000)
                batches.append(rows(some, at_us, energy_wh(some.astype(np.int64), slot)))
        self._slot += slots
        async with await Store.open(self.store_url, size=3) as store:
            return await merged_per_s(store, batches)


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """Every way in, in rounds with the yardstick; then datagrams at a pace, and a burst."""
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        utility = Utility(Path(folder) / "utility", free_ports(4))
        utility.data.mkdir()
        await utility.fleet.start()
        try:
            await utility.settle()
            async with await Child.start("bench.readingload") as load:
                return {
                    "Readings in": await _ways(utility, load, quick, say, broken),
                    "Datagrams at a pace": await _paced(utility, load, quick, say, broken),
                }
        finally:
            await utility.fleet.stop()


# Way, readings that travel together, packets before an answer.
_WAYS: Final[tuple[tuple[str, Way, int, int], ...]] = (
    ("TCP, frames of 500", "tcp", 500, 16),
    ("HTTP, bodies of 5,000", "http", 5_000, 1),
    ("MQTT, messages of 500", "mqtt", 500, 16),
    ("MQTT, messages of one", "mqtt", 1, 4_000),
)


async def _ways(
    utility: Utility, load: Child, quick: bool, say: Callable[[str], None], broken: list[str]
) -> list[Figure]:
    rounds = 1 if quick else 3
    slots = 20 if quick else 50
    rates: dict[str, list[float]] = {name: [] for name, *_ in _WAYS}
    worked: dict[str, list[float]] = {name: [] for name, *_ in _WAYS}
    raws: list[float] = []
    await load.ask(utility.job("tcp", 1, batch=500), Done)  # makes the month's partition
    for _ in range(rounds):
        raws.append(await utility.raw(slots))
        say(f"raw staged COPY + merge: {raws[-1]:,.0f} rows/s")
        for name, way, batch, window in _WAYS:
            job = utility.job(way, slots if batch > 1 else max(1, slots // 20), batch=batch, window=window)
            began_s = perf_counter()
            done = await load.ask(job, Done, timeout_s=300)
            await utility.at_rest()
            took_s = perf_counter() - began_s
            stored = await utility.stored(job)
            if stored != done.sent or done.settled != done.sent:
                broken.append(f"{name}: sent {done.sent}, settled {done.settled}, stored {stored}")
            rates[name].append(done.sent / done.took_s)
            worked[name].append(done.sent / took_s)
            say(f"{name}: {rates[name][-1]:,.0f}/s; with its usage worked out {worked[name][-1]:,.0f}/s")
    return [
        figure(
            name,
            rates[name],
            "readings/s",
            yardstick="raw staged COPY + merge",
            against=raws,
            note=f"usage worked out too: {sorted(worked[name])[len(raws) // 2]:,.0f}/s",
        )
        for name, *_ in _WAYS
    ]


async def _paced(
    utility: Utility, load: Child, quick: bool, say: Callable[[str], None], broken: list[str]
) -> list[Figure]:
    """Signed datagrams of one reading each, at a steady pace: the highest at which none was lost."""
    figures = []
    for per_s in (60_000,) if quick else (60_000, 80_000, 100_000, 120_000):
        job = utility.job("udp", 10 if quick else 50, batch=1, per_s=per_s)
        done = await load.ask(job, Done, timeout_s=300)
        before, stored = -1, await utility.stored(job)
        while stored < done.sent and stored != before:
            await asyncio.sleep(2.0)
            before, stored = stored, await utility.stored(job)
        lost = done.sent - stored
        say(f"UDP at {per_s:,}/s: {done.sent / done.took_s:,.0f}/s sent, {lost:,} lost of {done.sent:,}")
        figures.append(
            figure(
                f"UDP, one signed reading each, {per_s:,}/s wanted",
                [done.sent / done.took_s],
                "datagrams/s",
                note=f"{lost:,} lost of {done.sent:,}",
            )
        )
        await utility.at_rest()
    return figures
