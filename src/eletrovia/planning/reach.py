"""Why there is no way: no road, too small a battery, or no free bay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eletrovia.planning.charge import UNITS
from eletrovia.planning.field import Ask, Field
from eletrovia.planning.plan import Gap


def gap(field: Field, ask: Ask) -> Gap:
    """Of all ways over bays that fit the car, the one whose worst leg lacks least, and what it lacks.

    A car that charges in full at every site takes it. Called only when the search found nothing, so when
    nothing is lacking it is the free windows that are.
    """
    lacks = _lacks(field, ask)
    last = len(lacks) - 1
    worst, before = _least_worst(lacks)
    if not np.isfinite(worst[last]):
        return Gap(reason="unreachable", after=0, before=last)
    if worst[last] <= 0:
        return Gap(reason="occupied")
    place = last
    while lacks[before[place], place] != worst[last]:
        place = int(before[place])
    return Gap(
        reason="battery",
        after=int(before[place]),
        before=place,
        short_km=float(worst[last] / field.units_per_km),
    )


def _lacks(field: Field, ask: Ask) -> npt.NDArray[np.float64]:
    """Units of battery that each leg wants beyond what the car can have for it; 0 where it can be driven."""
    n = len(field.sites)
    ends = ask.ends
    units = np.full((n + 2, n + 2), np.inf)
    units[1 : n + 1, 1 : n + 1] = field.distance_km
    units[0, 1 : n + 1] = np.where(np.isfinite(ends.start_s), ends.start_km, np.inf)
    units[1 : n + 1, n + 1] = np.where(np.isfinite(ends.end_s), ends.end_km, np.inf)
    units[0, n + 1] = ends.direct_km if np.isfinite(ends.direct_s) else np.inf
    finite = np.isfinite(units)
    units[finite] = np.ceil(units[finite] * field.units_per_km - 1e-6)
    units[:, 1 : n + 1][:, ~field.usable] = np.inf
    units[1 : n + 1, :][~field.usable, :] = np.inf
    np.fill_diagonal(units, np.inf)
    soc = soc_units(ask.soc)
    units[1:, :] -= UNITS - field.reserve
    units[0, :] -= soc - field.reserve
    if soc < field.reserve:
        units[0, 1 : n + 1] -= field.reserve
    lacks: npt.NDArray[np.float64] = np.maximum(units, 0.0)
    return lacks


def soc_units(soc: float) -> int:
    """A state of charge in units, rounded down; a hair under a whole unit is float noise."""
    return int(np.floor(soc * UNITS + 1e-6))


def _least_worst(lacks: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """For each place the smallest possible worst leg from place 0, and the place before on that way."""
    places = len(lacks)
    worst = np.full(places, np.inf)
    worst[0] = 0.0
    before = np.zeros(places, np.int64)
    open_ = np.ones(places, bool)
    for _ in range(places):
        here = int(np.argmin(np.where(open_, worst, np.inf)))
        if not open_[here] or not np.isfinite(worst[here]):
            break
        open_[here] = False
        onward = np.maximum(worst[here], lacks[here])
        nearer = open_ & (onward < worst)
        worst[nearer] = onward[nearer]
        before[nearer] = here
    return worst, before
