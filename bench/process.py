"""What processes use: CPU time and memory, from /proc. On a system without one there is nothing to say."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Units: MB. RSS counts shared pages in every process, PSS once over all that share them."""

    rss: float
    pss: float


class Process(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    parent: int
    name: str
    cpu_s: float


def processes() -> dict[int, Process]:
    """All that run now."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except OSError:
            continue  # gone meanwhile
        name, rest = text.split("(", 1)[1].rsplit(") ", 1)
        fields = rest.split()
        # utime and stime; those of children that were waited for are not counted, they never matter here
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
        pid = int(folder.name)
        found[pid] = Process(pid=pid, parent=int(fields[1]), name=name, cpu_s=cpu_s)
    return found


def family(pid: int, known: dict[int, Process] | None = None) -> list[Process]:
    """A process with all that it started, and they."""
    known = processes() if known is None else known
    found = [known[pid]] if pid in known else []
    for one in found:
        found += [other for other in known.values() if other.parent == one.pid]
    return found


def kinds(pid: int) -> dict[str, list[Process]]:
    """One operator's processes: ``server``, ``postgres`` and ``nats``."""
    sorted_out: dict[str, list[Process]] = {"server": [], "postgres": [], "nats": []}
    for one in family(pid):
        kind = "nats" if one.name.startswith("nats") else "postgres" if "postgres" in one.name else "server"
        sorted_out[kind].append(one)
    return sorted_out


def cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds that an operator's processes have used so far, by kind."""
    return {kind: sum(one.cpu_s for one in members) for kind, members in kinds(pid).items()}


class Shared:
    """How much of the machine's CPU others took, from the making of this to ``others``.

    Ours is what we and our children used; children that have ended meanwhile count as others.
    """

    def __init__(self) -> None:
        self._began = _busy_s(), self._ours()

    def others(self) -> float:
        """0 to 1, of all CPU time there was."""
        (busy, whole), ours = _busy_s(), self._ours()
        (busy_before, whole_before), ours_before = self._began
        passed = whole - whole_before
        return max(0.0, busy - busy_before - (ours - ours_before)) / passed if passed else 0.0

    @staticmethod
    def _ours() -> float:
        return sum(one.cpu_s for one in family(os.getpid()))


def _busy_s() -> tuple[float, float]:
    """CPU time that was used, and all there was, since the machine started."""
    counted = [int(field) / _TICKS for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    whole = sum(counted)
    return whole - counted[3] - counted[4], whole  # without idle and waiting for the disk


def memory(members: list[Process]) -> Memory:
    """What the processes hold together. Raises: OSError where /proc does not say."""
    totals = {"Rss:": 0, "Pss:": 0}
    for one in members:
        for line in Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines():
            key, *value = line.split()
            if key in totals:
                totals[key] += int(value[0])
    return Memory(rss=totals["Rss:"] / 1024, pss=totals["Pss:"] / 1024)
