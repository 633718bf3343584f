"""How long a charge takes: one table per car and power, the same for search, quote and test.

The battery is counted in millionths of its capacity (``UNITS``), so that levels are whole numbers for every
battery and sums are exact. Between two whole percents the power is taken as constant, at its true mean.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import numpy.typing as npt

from eletrovia.charging.location import PowerType
from eletrovia.planning.vehicle import LEVELS, Vehicle

UNITS = 1_000_000
"""A full battery; a unit of a 60 kWh battery drives a car about 40 cm."""

PERCENT = UNITS // (LEVELS - 1)

Table = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=4096)
def table(vehicle: Vehicle, power_w: float, power_type: PowerType) -> Table | None:
    """Seconds from empty to each whole percent, or None where car and EVSE do not fit.

    The integral of energy over power is exact: power is linear between the curve's points and where the
    EVSE clips it, so each piece has a logarithm for its time.
    """
    cuts = {level / (LEVELS - 1) for level in range(LEVELS)}
    if power_type is PowerType.DC:
        cuts.update(point.soc for point in vehicle.dc_curve)
        for left, right in itertools.pairwise(vehicle.dc_curve):
            if (left.power_w - power_w) * (right.power_w - power_w) < 0:
                share = (power_w - left.power_w) / (right.power_w - left.power_w)
                cuts.add(left.soc + share * (right.soc - left.soc))
    socs = sorted(cuts)
    powers = [vehicle.power_at(soc, power_w, power_type) for soc in socs]
    if min(powers) <= 0:
        return None
    seconds = [0.0]
    passed = 0.0
    for (soc0, soc1), (power0, power1) in zip(
        itertools.pairwise(socs), itertools.pairwise(powers), strict=True
    ):
        if abs(power1 - power0) <= 1e-9 * power0:
            per_watt = 1 / power0
        else:
            per_watt = math.log(power1 / power0) / (power1 - power0)
        passed += (soc1 - soc0) * vehicle.battery_wh * 3600 * per_watt
        if len(seconds) < LEVELS and soc1 == len(seconds) / (LEVELS - 1):
            seconds.append(passed)
    made = np.array(seconds)
    made.setflags(write=False)
    return made


def charge_s(seconds: Table, arrival_units: int, level: int) -> int:
    """Whole seconds, at least one, from ``arrival_units`` up to ``level`` percent."""
    below, rest = divmod(arrival_units, PERCENT)
    if below >= LEVELS - 1:
        begun = float(seconds[LEVELS - 1])
    else:
        begun = float(seconds[below]) + (float(seconds[below + 1]) - float(seconds[below])) * (rest / PERCENT)
    return max(1, math.ceil(float(seconds[level]) - begun))


def charge_wh(vehicle: Vehicle, units: int) -> int:
    """The energy of ``units`` of this battery, rounded up to whole Wh."""
    return math.ceil(units * vehicle.battery_wh / UNITS - 1e-6)
