"""``python -m tests.fuzz``: millions of bent inputs through every decoder; none may crash, none may grow."""

from __future__ import annotations

import argparse
import sys
import traceback
from time import perf_counter

from tests.fuzz.decoders import DECODERS, SLOW
from tests.fuzz.run import Crash, fuzz


def main() -> int:
    """1 when an input crashed a decoder, or memory grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--inputs", type=int, default=10_000_000, help="over all targets; 10 million unless told"
    )
    parser.add_argument("--target", action="append", choices=DECODERS, help="one decoder; may be said again")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = asked.target or list(DECODERS)
    began_s = perf_counter()
    weight = sum(1 / SLOW.get(name, 1) for name in names)
    shares = {name: int(asked.inputs / weight / SLOW.get(name, 1)) + 1 for name in names}
    total = 0
    for name in names:
        try:
            told = fuzz(DECODERS[name](), shares[name], seed=asked.seed)
        except Crash as crash:
            traceback.print_exception(crash.__cause__)
            print(f"{name}: CRASH with seed {asked.seed} at input {crash.number}: {crash.data!r}")
            return 1
        total += told.inputs
        print(
            f"{name:24} {told.inputs:>11,} inputs  {told.taken:>11,} taken  {told.per_s:>9,.0f}/s  "
            f"grew {told.grew_mb:+.1f} MB",
            flush=True,
        )
        if told.grew_mb > 32:
            print(f"{name}: memory grew")
            return 1
    print(f"{total:,} inputs in {perf_counter() - began_s:.0f} s: no crash, no growth")
    return 0


if __name__ == "__main__":
    sys.exit(main())
