"""A request's digest tells a replay from another request, also after a restart."""

from __future__ import annotations

import os
import subprocess
import sys

_DIGEST = """
from eletrovia.base.geo import Point
from eletrovia.booking.desk import _digest
from eletrovia.booking.trip import TripAsk
from eletrovia.charging.location import ConnectorStandard
from eletrovia.planning.vehicle import Vehicle

every = frozenset(ConnectorStandard)
car = Vehicle(id="a", name="a", battery_wh=1.0, consumption_wh_per_km=1.0, connectors=every)
print(_digest(TripAsk(origin=Point(0, 0), destination=Point(1, 1), vehicle=car, soc=0.5)))
"""


def test_every_process_digests_a_request_alike() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
