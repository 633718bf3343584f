"""Consumption now: every meter's last power in memory, added up by area."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.reading import NO_POWER

Rows = NDArray[Any]

CHANGE = np.dtype(
    [("meter", "<i4"), ("area", "<i4"), ("at_us", "<i8"), ("energy_wh", "<i8"), ("power_w", "<i4")]
)
"""A meter's new latest value. ``power_w`` is told, or the mean since the reading before; NO_POWER is none."""
TOTAL = np.dtype([("area", "<i4"), ("meters", "<i4"), ("at_us", "<i8"), ("power_w", "<i8")])
"""What an area draws: the sum over those of its meters that were heard lately, and when the last one was."""
EVERYWHERE: Final = 0
"""All areas together."""
LATELY_US: Final = 3_600_000_000
"""A meter that was not heard for an hour does not count as consuming now."""
_ROW = np.dtype([("at_us", "i8"), ("power_w", "i4"), ("area", "i4")])


class Board:
    """The latest values of all meters, 16 octets each. 0 in ``area`` is a meter never heard."""

    def __init__(self) -> None:
        self._rows = np.zeros(1024, _ROW)

    def clear(self) -> None:
        """Know nothing."""
        self._rows = np.zeros(1024, _ROW)

    def put(self, changes: Rows) -> None:
        """Take new values in (``CHANGE``), one a meter."""
        if not len(changes):
            return
        top = int(changes["meter"].max())
        if top >= len(self._rows):
            grown = np.zeros(max(top + 1, 2 * len(self._rows)), _ROW)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        for name in ("at_us", "power_w", "area"):
            self._rows[name][changes["meter"]] = changes[name]

    def totals(self, now_us: int) -> Rows:
        """``TOTAL`` of every area with a meter that was ever heard, ``EVERYWHERE`` first."""
        rows = self._rows
        lately = (rows["at_us"] > now_us - LATELY_US) & (rows["power_w"] != NO_POWER)
        area = rows["area"]
        areas = int(area.max()) + 1
        ever = np.bincount(area, minlength=areas) > 0
        ever[EVERYWHERE] = True
        power = np.bincount(area[lately], rows["power_w"][lately].astype(np.float64), areas)
        meters = np.bincount(area[lately], minlength=areas)
        newest = np.zeros(areas, np.int64)
        np.maximum.at(newest, area[lately], rows["at_us"][lately])
        power[EVERYWHERE], meters[EVERYWHERE] = power.sum(), meters.sum()
        newest[EVERYWHERE] = newest.max()
        made = np.empty(int(ever.sum()), TOTAL)
        made["area"] = np.flatnonzero(ever)
        made["power_w"], made["meters"], made["at_us"] = np.rint(power[ever]), meters[ever], newest[ever]
        return made
