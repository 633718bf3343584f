"""How long planning takes on Brazil's highways, for places never asked for and for those asked before."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.child import Child
from bench.planload import PlanJob, Planned
from bench.report import Figure, figure, share_at


async def measure(*, quick: bool, say: Callable[[str], None], broken: list[str]) -> dict[str, list[Figure]]:
    """The section of the report; what did not hold goes to ``broken``."""
    figures: list[Figure] = []
    nodes = 0
    async with await Child.start("bench.planload") as load:
        for stations in (0, 500) if quick else (0, 500, 2000):
            job = PlanJob(stations=stations, trips=15 if quick or stations > 1000 else 40, seed=7)
            done = await load.ask(job, Planned, timeout_s=300)
            nodes = done.nodes
            name = f"{done.stations} stations" if stations else f"the demo's {done.stations} stations"
            say(f"plans: {name}, ready in {done.ready / 1000:.1f} s, p50 {median(done.new):.1f} ms")
            row = median(done.row)
            if done.no_way > 0.5 * job.trips:
                broken.append(f"plans: no way for {done.no_way} of {job.trips} trips over {name}")
            figures.append(figure(f"first question to {name}", [done.ready], "ms"))
            for kind, values in (
                ("way and alternatives, new places", done.new),
                ("way and alternatives, again", done.again),
                ("only the best way, again", done.best),
            ):
                figures += [
                    figure(
                        f"{label}, {kind}, {name}",
                        [share_at(values, share)],
                        "ms",
                        yardstick="ms one Dijkstra over the graph",
                        against=[row],
                        note=f"{done.no_way} of {job.trips} have no way" if label == "p50" else "",
                    )
                    for label, share in (("p50", 0.5), ("p99", 0.99))
                ]
    return {f"plans on Brazil's highways ({nodes:,} nodes)": figures}
