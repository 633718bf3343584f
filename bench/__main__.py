"""``python -m bench``: the figures, each beside its yardstick in the same run."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

import structlog

from bench import day, holds, kills, plans, readings, startup, trips
from bench.report import Figure, Report, machine, share_at


class Measure(Protocol):
    """One part of the bench."""

    def __call__(
        self, *, quick: bool, say: Callable[[str], None], broken: list[str]
    ) -> Coroutine[Any, Any, dict[str, list[Figure]]]: ...


PARTS: Final[dict[str, Measure]] = {
    "startup": startup.measure,
    "holds": holds.measure,
    "trips": trips.measure,
    "plans": plans.measure,
    "readings": readings.measure,
    "day": day.measure,
    "kills": kills.measure,
}


def main() -> int:
    """Measure what is asked for; 1 when a check did not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be said again")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a minute, and rough figures")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
    asked = parser.parse_args()
    # Servers that come and go are what we do here, not news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # Ended from outside, behind a shell's & too, we still take our servers and their data away.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    report = Report(machine=machine(_fsync_ms()))
    began_s = perf_counter()
    for name in asked.only or PARTS:
        _say(f"{name} …")
        report.sections |= asyncio.run(PARTS[name](quick=asked.quick, say=_say, broken=report.broken))
    report.took_s = perf_counter() - began_s
    if asked.json:
        print(report.json())
    else:
        report.show()
    return 1 if report.broken else 0


def _say(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


def _fsync_ms() -> float:
    """What the disk under the temporary folder takes for 8 kB, the median: it sets what a commit costs."""
    took = []
    with tempfile.TemporaryDirectory(prefix="eletrovia-bench-") as folder:
        file = os.open(Path(folder) / "octets", os.O_CREAT | os.O_WRONLY, 0o600)
        for number in range(50):
            began_s = perf_counter()
            os.pwrite(file, bytes(8192), number * 8192)
            os.fsync(file)
            took.append((perf_counter() - began_s) * 1000)
        os.close(file)
    return share_at(took, 0.5)


if __name__ == "__main__":
    sys.exit(main())
