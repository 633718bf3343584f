"""Whole trips over three operators through the real HTTP path: how many a second, and how long one takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from statistics import mean, median

from bench import ledgers
from bench.child import Child
from bench.city import OPERATORS, Measured, running_city
from bench.ledgerload import Replay, Replayed
from bench.process import Shared, cpu_s
from bench.report import Figure, figure, share_at
from bench.tripload import Drive, Driven, Home

ROOM = 6
GOOD_P99_MS = 500.0
WANTED_RATE = 50.0


class _Run:
    """One city under load, with what it cost."""

    def __init__(self, city: Measured, load: Child, homes: list[Home]) -> None:
        self.city = city
        self.load = load
        self.homes = homes
        self.seed = 0
        self.cpu_ms: dict[str, float] = {}
        self.others = 0.0
        self._stores: dict[str, str] = {}
        self._written = 0

    async def ledger_rate(self, at_once: int) -> float:
        """Trips a second when only their ledger entries are written, as many at once."""
        if not self._stores:
            self._stores = {one: await self.city.scratch(one) for one in OPERATORS}
        count = 60 if at_once == 1 else 600
        job = Replay(stores=self._stores, first=self._written, count=count, at_once=at_once)
        self._written += count
        done = await self.load.ask(job, Replayed)
        if done.held != done.asked:
            raise RuntimeError(f"the yardstick's trips are in each other's way: {done}")
        return count / done.took_s

    async def drive(self, *, duration_s: float, drivers: int = 0, rate: float = 0.0) -> Driven:
        self.seed += 1
        before = [cpu_s(self.city.pid(one)) for one in OPERATORS]
        job = Drive(homes=self.homes, seed=self.seed, duration_s=duration_s, drivers=drivers, rate=rate)
        shared = Shared()
        done = await self.load.ask(job, Driven)
        self.others = shared.others()
        after = [cpu_s(self.city.pid(one)) for one in OPERATORS]
        trips = max(1, done.answers.get("confirmed", 0))
        self.cpu_ms = {
            kind: sum(late[kind] - early[kind] for late, early in zip(after, before, strict=True))
            * 1000
            / trips
            for kind in after[0]
        }
        return done

    def told(self, done: Driven) -> str:
        """What else a run found, in a few words."""
        confirmed = done.answers.get("confirmed", 0)
        words = [f"{100 * confirmed / max(1, done.asked):.1f} % confirmed"]
        if done.attempts:
            words.append(f"{mean(done.attempts):.2f} attempts")
            three = sum(count == 3 for count in done.operators)
            words.append(f"{100 * three / len(done.operators):.0f} % over 3 operators")
        words += [f"{count} × {what}" for what, count in done.answers.items() if what != "confirmed"]
        words.append(
            "CPU ms a trip: " + ", ".join(f"{kind} {used:.1f}" for kind, used in self.cpu_ms.items())
        )
        words.append(f"others took {100 * self.others:.0f} % of the machine")
        if done.late_ms > 50:
            words.append(f"load late by {done.late_ms:.0f} ms at worst")
        return "; ".join(words)


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """The section of the report; what did not hold goes to ``broken``."""
    rounds, closed_s, open_s = (1, 3.0, 4.0) if quick else (3, 4.0, 8.0)
    figures: list[Figure] = []
    async with running_city(room=ROOM) as city, await Child.start("bench.tripload") as load:
        run = _Run(city, load, [Home(city.url(one), await city.driver_token(one)) for one in OPERATORS])
        await run.drive(
            duration_s=2.0, drivers=3
        )  # compiled, connected, prepared; fills the yardstick's book
        for drivers in (1, 10, 50):
            figures += await _closed(run, drivers, rounds, closed_s, say)
        figures += await _open(run, open_s, say)
        await asyncio.sleep(1.0)
        found, trips, holds = await ledgers.check(city)
        broken += [f"trips: {one}" for one in found]
        say(f"trips: {trips} trips and {holds} holds in three ledgers, {len(found)} broken")
    title = f"whole trips through three servers ({trips} trips, {holds} holds checked: {len(found)} broken)"
    return {title: figures}


async def _closed(
    run: _Run, drivers: int, rounds: int, duration_s: float, say: Callable[[str], None]
) -> list[Figure]:
    """Drivers who ask again at once, beside the same ledger entries alone, as many at once."""
    rates, alone, answered_ms, notes = [], [], [], []
    for _ in range(rounds):
        done = await run.drive(duration_s=duration_s, drivers=drivers)
        rates.append(done.answers.get("confirmed", 0) / done.took_s)
        answered_ms += done.answered_ms
        notes.append(run.told(done))
        await asyncio.sleep(0.5)  # the last decisions are on their way still
        alone.append(await run.ledger_rate(drivers))
    say(f"trips: {drivers} drivers, {median(rates):.1f}/s")
    name = f"{drivers} driver{'s' * (drivers > 1)}, each after the other"
    return [
        figure(
            f"trips/s, {name}",
            rates,
            "/s",
            yardstick="/s ledger entries alone",
            against=alone,
            note=notes[-1],
        ),
        *_latency(name, answered_ms),
    ]


def _latency(name: str, answered_ms: list[float]) -> list[Figure]:
    return [
        figure(f"{label}, {name}", [share_at(answered_ms, share)], "ms")
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _open(run: _Run, duration_s: float, say: Callable[[str], None]) -> list[Figure]:
    """50 trips a second, whether answered or not; then the highest rate that is answered well."""
    figures: list[Figure] = []
    rate, best, worst, notes = WANTED_RATE, 0.0, 0.0, Counter[str]()
    for _ in range(5):
        done = await run.drive(duration_s=duration_s, rate=rate)
        p50, p99 = (share_at(done.answered_ms, share) for share in (0.5, 0.99))
        confirmed = done.answers.get("confirmed", 0)
        good = p99 < GOOD_P99_MS and confirmed >= 0.98 * done.asked
        say(f"trips: {rate:.0f}/s open, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {confirmed} of {done.asked}")
        if rate == WANTED_RATE:
            name = f"{rate:.0f} trips/s come"
            kept = figure(f"confirmed/s, {name}", [confirmed / done.took_s], "/s", note=run.told(done))
            figures += [kept, *_latency(name, done.answered_ms)]
        notes[f"{rate:.0f}/s p99 {p99:.0f} ms"] += 1
        best, worst = (rate, worst) if good else (best, rate)
        following = (best + worst) / 2 if best and worst else best * 1.4 if best else rate / 2
        if worst and best and worst / best < 1.15:
            break
        rate = float(round(following))
        await asyncio.sleep(1.0)
        if not good:
            await ledgers.check(run.city, settle_s=15)  # what piled up is not the next rate's doing
    figures.append(
        figure(
            f"highest rate with p99 < {GOOD_P99_MS:.0f} ms",
            [best],
            "/s",
            yardstick="/s wanted",
            against=[WANTED_RATE],
            note=", ".join(notes),
        )
    )
    return figures
