"""Holds a second through one server process, beside the same statement sent raw to the same PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import msgspec

from bench.child import Child
from bench.city import Measured, bench_location, running_city
from bench.holdload import HoldJob, HoldsDone
from bench.process import Shared, cpu_s
from bench.report import Figure, figure
from eletrovia.charging.demo import demo_network

OWNER_ID, HOME_ID = "BR*CAR", "BR*MAN"
LOCATIONS, EVSES = 32, 8
ENERGY_WH, CHARGING_S = 20_000, 1_200


class _Kind:
    """One way to send holds, and what its rounds gave."""

    def __init__(
        self, name: str, *, count: int, size: int, http_lines: int, raw_lines: int, half_taken: bool = False
    ) -> None:
        self.name = name
        self.count = count
        self.size = size
        self.lines = {True: http_lines, False: raw_lines}
        self.half_taken = half_taken
        self.windows = count // 2 if half_taken else count
        self.through: list[float] = []
        self.raw: list[float] = []
        self.cpu_ms: dict[str, list[float]] = {"server": [], "postgres": []}
        self.others: list[float] = []

    def figure(self) -> Figure:
        used = ", ".join(f"{part} {median(values):.2f}" for part, values in self.cpu_ms.items())
        return figure(
            f"holds/s, {self.name}",
            self.through,
            "/s",
            yardstick=f"/s raw, {self.size} in a statement, {self.lines[False]} connections",
            against=self.raw,
            note=f"CPU ms a hold: {used}; others took {100 * median(self.others):.0f} % of the machine",
        )


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """The section of the report; what did not hold goes to ``broken``."""
    rounds, bulk, single = (2, 3_000, 600) if quick else (5, 6_000, 1_500)
    kinds = [
        _Kind("100 in a POST", count=bulk, size=100, http_lines=4, raw_lines=2),
        _Kind("100 in a POST, half taken", count=bulk, size=100, http_lines=4, raw_lines=2, half_taken=True),
        _Kind("1 in a POST, 16 connections", count=single, size=1, http_lines=16, raw_lines=8),
    ]
    async with running_city() as city, await Child.start("bench.holdload") as load:
        durable = await city.durable()
        if "off" in durable:
            broken.append(f"holds: a PostgreSQL with {durable} measures nothing")
        job = await _first_job(city)
        for number in range(-1, rounds):  # the first round warms up and is not counted
            job = await _round(city, load, kinds, job, number)
            say(f"holds: round {number + 1} of {rounds}, {durable}")
    return {"holds through one server process": [kind.figure() for kind in kinds]}


async def _round(city: Measured, load: Child, kinds: list[_Kind], job: HoldJob, number: int) -> HoldJob:
    """Every kind once through the server and once raw, on the same windows; the job to go on from."""
    begin = job.first
    for kind in kinds:
        for http in (True, False) if number % 2 else (False, True):
            job = msgspec.structs.replace(
                job,
                base_url=city.url(OWNER_ID) if http else "",
                count=kind.count,
                size=kind.size,
                lines=kind.lines[http],
                taken_from=begin if kind.half_taken else None,
                serial=job.serial + 1,
            )
            shared, before = Shared(), cpu_s(city.pid(OWNER_ID))
            done = await load.ask(job, HoldsDone)
            if done.outcomes.get("held") != kind.windows:
                raise RuntimeError(f"{kind.name}: {done.outcomes}, but {kind.windows} windows were free")
            if number < 0:
                continue
            (kind.through if http else kind.raw).append(kind.count / done.took_s)
            if http:
                kind.others.append(shared.others())
                used = cpu_s(city.pid(OWNER_ID))
                for part, values in kind.cpu_ms.items():
                    values.append((used[part] - before[part]) * 1000 / kind.count)
        job = msgspec.structs.replace(job, first=job.first + kind.windows)
    return job


async def _first_job(city: Measured) -> HoldJob:
    locations, tariffs = demo_network(OWNER_ID)
    like = locations[0]
    tariff = next(one for one in tariffs if one.id == like.evses[0].connectors[0].tariff_ids[0])
    made = [bench_location(OWNER_ID, number, EVSES, like) for number in range(LOCATIONS)]
    await city.put_stations(OWNER_ID, made)
    # What the partner itself presents since the two exchanged credentials.
    ((token,),) = await city.sql(
        HOME_ID, "select outbound_token from federation_operators where operator_id = %s", OWNER_ID
    )
    return HoldJob(
        token=token,
        store_url=city.store_url(OWNER_ID),
        home=HOME_ID,
        evses=[evse.uid for location in made for evse in location.evses],
        price=tariff.quote(ENERGY_WH, CHARGING_S),
        energy_wh=ENERGY_WH,
        charging_s=CHARGING_S,
        begins_at=datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
        first=0,
        count=0,
        size=1,
        lines=1,
        serial=0,
    )
