"""Readings: the values of cumulative registers, many at a time, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid

NO_POWER: Final = -(2**31)
"""A power that was not told."""

MOST_ENERGY_WH: Final = 10**14
"""No register shows more: 100 TWh."""

FIRST_AT_US: Final = 946_684_800_000_000
"""2000-01-01: no meter of ours is older. Units: microseconds since 1970."""


class Source(IntEnum):
    """The way a reading came."""

    UDP = 1
    TCP = 2
    MQTT = 3
    HTTP = 4
    FILE = 5
    CLASSROOM_UDP = 6
    CLASSROOM_TCP = 7
    STAFF = 8
    """Written down by a person: at a swap, or after a look at the meter."""


class Fate(IntEnum):
    """What became of one reading. Those up to ``CONFLICT`` are settled: they need not be sent again."""

    STORED = 0
    DUPLICATE = 1
    """The same value for the same moment is there already: the same reading."""
    CONFLICT = 2
    """Another value for that moment is there already. Kept, shown, and never counted by itself."""
    UNKNOWN_METER = 3
    NOT_ITS_METER = 4
    """The sender may not speak for that meter."""
    FROM_THE_FUTURE = 5
    TOO_OLD = 6
    """Before 2000, or before what is still kept."""
    IMPOSSIBLE = 7
    """Negative, or more than any register shows."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one meter's import register.

    Units:  energy_wh is the cumulative register, never a difference; power_w the power at that moment.
    Source: OBIS 1-0:1.8.0 (IEC 62056-6-1).
    """

    meter: int
    at: datetime
    energy_wh: int
    power_w: int | None = None
    sent_kwh: float | None = None
    estimated: bool = False


COLUMNS: Final[dict[str, Any]] = {
    "meter": np.int32,
    "at_us": np.int64,
    "energy_wh": np.int64,
    "power_w": np.int32,
    "sent_kwh": np.float64,
    "estimated": np.bool_,
}


class Readings:
    """Many readings from one source, column by column.

    Shape:  arrays of one length; ``meter`` int32, ``at_us`` and ``energy_wh`` int64, ``power_w`` int32 with
            NO_POWER for none, ``sent_kwh`` float64 with NaN for none, ``estimated`` bool.
    Units:  ``at_us`` is microseconds since 1970.
    Raises: ValueError for arrays of different lengths.
    """

    __slots__ = (*COLUMNS, "source")

    def __init__(
        self,
        source: Source,
        meter: NDArray[np.int32],
        at_us: NDArray[np.int64],
        energy_wh: NDArray[np.int64],
        power_w: NDArray[np.int32] | None = None,
        sent_kwh: NDArray[np.float64] | None = None,
        estimated: NDArray[np.bool_] | None = None,
    ) -> None:
        count = len(meter)
        self.source = source
        self.meter = meter
        self.at_us = at_us
        self.energy_wh = energy_wh
        self.power_w = np.full(count, NO_POWER, np.int32) if power_w is None else power_w
        self.sent_kwh = np.full(count, np.nan) if sent_kwh is None else sent_kwh
        self.estimated = np.zeros(count, np.bool_) if estimated is None else estimated
        if any(len(getattr(self, name)) != count for name in COLUMNS):
            raise ValueError("columns of different lengths")

    def __len__(self) -> int:
        return len(self.meter)

    @classmethod
    def of(cls, source: Source, readings: Sequence[Reading]) -> Readings:
        """Columns of single readings."""
        return cls(
            source,
            np.array([reading.meter for reading in readings], np.int32),
            np.array([epoch_us(reading.at) for reading in readings], np.int64),
            np.array([reading.energy_wh for reading in readings], np.int64),
            np.array([NO_POWER if r.power_w is None else r.power_w for r in readings], np.int32),
            np.array([np.nan if r.sent_kwh is None else r.sent_kwh for r in readings], np.float64),
            np.array([reading.estimated for reading in readings], np.bool_),
        )

    def pick(self, which: NDArray[Any]) -> Readings:
        """Some of them: a mask, or places."""
        return Readings(
            self.source,
            self.meter[which],
            self.at_us[which],
            self.energy_wh[which],
            self.power_w[which],
            self.sent_kwh[which],
            self.estimated[which],
        )


def epoch_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment, exactly.

    Raises: Invalid for a moment that names no time zone.
    """
    if moment.tzinfo is None:
        raise Invalid("reading.time_zone_missing", at=moment.isoformat())
    # In whole numbers: as a float, a moment of today keeps its microseconds only just.
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
