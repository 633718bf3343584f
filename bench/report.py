"""Figures, each beside its yardstick, as a table or as JSON."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measured value, the median over ``rounds``, and what it is measured against in the same run.

    ``ratio`` is the median of the rounds' own ratios; ``low`` and ``high`` are the extreme rounds.
    """

    name: str
    value: float
    unit: str
    yardstick: str = ""
    yardstick_value: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    note: str = ""


def figure(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    yardstick: str = "",
    against: Sequence[float] = (),
    note: str = "",
) -> Figure:
    """The figure of several rounds; ``against`` is the yardstick round by round, or one value for all."""
    pairs = zip(values, against if len(against) > 1 else [*against] * len(values), strict=bool(against))
    ratios = [value / other for value, other in pairs if other] if against else []
    return Figure(
        name=name,
        value=median(values),
        unit=unit,
        yardstick=yardstick,
        yardstick_value=median(against) if against else None,
        ratio=median(ratios) if ratios else None,
        low=min(values),
        high=max(values),
        rounds=len(values),
        note=note,
    )


def share_at(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when it was measured; the load is that of the minute before."""

    at: str
    cpus: int
    cpu: str
    python: str
    load_before: float
    fsync_ms: float


def machine(fsync_ms: float) -> Machine:
    """This machine, now."""
    cpu = platform.processor() or platform.machine()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        cpus=os.cpu_count() or 1,
        cpu=cpu,
        python=platform.python_version(),
        load_before=round(os.getloadavg()[0], 2),
        fsync_ms=round(fsync_ms, 3),
    )


class Report(msgspec.Struct, kw_only=True):
    """All that a run found. ``broken`` is every check that did not hold; a good run has none."""

    machine: Machine
    sections: dict[str, list[Figure]] = {}
    broken: list[str] = []
    took_s: float = 0.0

    def json(self) -> str:
        """The whole report for other programs."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def show(self) -> None:
        """The report for people, on standard output."""
        console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
        one = self.machine
        console.print(
            f"{one.at} · {one.cpus} × {one.cpu} · Python {one.python} · "
            f"load before {one.load_before} · fdatasync {one.fsync_ms} ms"
        )
        for title, figures in self.sections.items():
            console.print(_table(title, figures))
        for line in self.broken:
            console.print(f"[red]BROKEN[/] {line}")
        console.print(f"took {self.took_s:.0f} s")


def _table(title: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("figure")
    table.add_column("median", justify="right")
    table.add_column("rounds", justify="right")
    table.add_column("yardstick in the same run")
    table.add_column("ratio", justify="right")
    table.add_column("note")
    for one in figures:
        spread = f"{_short(one.low)}–{_short(one.high)}" if one.rounds > 1 else ""
        beside = "" if one.yardstick_value is None else f"{_short(one.yardstick_value)} {one.yardstick}"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        table.add_row(one.name, f"{_short(one.value)} {one.unit}", spread, beside, ratio, one.note)
    return table


def _short(value: Any) -> str:
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
