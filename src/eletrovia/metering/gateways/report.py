"""What a device reports in JSON, over HTTP or MQTT: one reading, or many."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.moment import at_us_of
from eletrovia.metering.reading import MOST_ENERGY_WH, NO_POWER, Fate

MOST_READINGS: Final = 10_000
"""In one report."""

METER_ID: Final = r"^[A-Za-z0-9_-]{1,64}$"
_MOST_W: Final = 2**31 - 1

WHY: Final = tuple(fate.name.lower() for fate in Fate)
"""A fate as it is told: ``unknown_meter``."""

MeterId = Annotated[str, msgspec.Meta(pattern=METER_ID)]


class Item(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One register value.

    Shape: ``at`` is ISO 8601 with an offset, or whole seconds since 1970; ``energy_wh`` or ``energy_kwh``,
           the latter's parts of a Wh cut off: a register displays, and cutting never adds up.
    """

    at: int | str
    meter: MeterId | None = None
    energy_wh: int | None = None
    energy_kwh: Decimal | None = None
    power_w: int | float | None = None
    estimated: bool = False


class Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The same, shorter: ``["M1", 1767225600, 123456]``, with power and ``estimated`` where there are any."""

    meter: MeterId
    at: int | str
    energy_wh: int
    power_w: int | float | None = None
    estimated: bool = False

    @property
    def energy_kwh(self) -> None:
        return None


class Report(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One reading, or ``readings``, or the same as short ``rows``. ``seq`` comes back in the answer."""

    at: int | str | None = None
    meter: MeterId | None = None
    energy_wh: int | None = None
    energy_kwh: Decimal | None = None
    power_w: int | float | None = None
    estimated: bool = False
    readings: list[Item] | None = None
    rows: list[Row] | None = None
    seq: int | Annotated[str, msgspec.Meta(max_length=64)] | None = None

    def items(self) -> Sequence[Told]:
        """Its readings, however they were written."""
        if self.readings is not None:
            return self.readings
        return (self,) if self.rows is None else self.rows

    @property
    def alone(self) -> bool:
        """Whether it is a single reading of whoever sent it."""
        return self.readings is None and self.rows is None and self.meter is None

    @property
    def muddled(self) -> bool:
        """Whether it is more than one of the three shapes at once."""
        single = self.at is not None or self.energy_wh is not None or self.energy_kwh is not None
        return single + (self.readings is not None) + (self.rows is not None) > 1


Told = Item | Row | Report


class Columns:
    """Readings in columns, still by their meters' ids; ``wrong`` says which cannot be, and why."""

    __slots__ = ("at_us", "energy_wh", "estimated", "power_w", "sent_kwh", "wrong")

    def __init__(self, items: Sequence[Told]) -> None:
        self.at_us, self.wrong = at_us_of([item.at for item in items])
        self.energy_wh, self.sent_kwh = self._energy(items)
        self.power_w = self._power([item.power_w for item in items])
        estimated = [item.estimated for item in items]
        self.estimated: NDArray[np.bool_] | None = np.array(estimated) if True in estimated else None

    def _energy(self, items: Sequence[Told]) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
        told = [item.energy_wh for item in items]
        if None not in told:
            try:
                energy_wh = np.array(told, np.int64)
            except OverflowError:
                pass
            else:
                if all(item.energy_kwh is None for item in items):
                    return energy_wh, None
        energy_wh = np.zeros(len(items), np.int64)
        sent_kwh = np.full(len(items), np.nan)
        for place, item in enumerate(items):
            if (item.energy_wh is None) == (item.energy_kwh is None):
                self.wrong.setdefault(place, "energy_missing" if item.energy_wh is None else "energy_twice")
            elif item.energy_kwh is not None:
                energy_wh[place], sent_kwh[place] = of_kwh(item.energy_kwh)
            elif item.energy_wh is not None:
                energy_wh[place] = bounded(item.energy_wh)
        return energy_wh, sent_kwh

    @staticmethod
    def _power(told: list[int | float | None]) -> NDArray[np.int32] | None:
        if told.count(None) == len(told):
            return None
        return np.array([power_w_of(power_w) for power_w in told], np.int32)


def power_w_of(power_w: int | float | None) -> int:
    """A power as a column holds it; one that no wire carries is as good as none told."""
    if power_w is None or not -_MOST_W <= power_w <= _MOST_W:
        return NO_POWER
    return round(power_w)


def bounded(energy_wh: int) -> int:
    """What fits a column: past what any register shows, one more than that is impossible enough."""
    return max(-1, min(energy_wh, MOST_ENERGY_WH + 1))


def of_kwh(kwh: Decimal) -> tuple[int, float]:
    """Whole Wh, the rest cut off, and the number itself where Wh do not tell it, else NaN."""
    # The size first: 1e999999 is short to write and long to count out.
    if not kwh.is_finite() or kwh < 0:
        return -1, float("nan")
    if kwh and kwh.adjusted() > 12:
        return MOST_ENERGY_WH + 1, float("nan")
    wh = kwh.scaleb(3)
    whole = int(wh)
    return whole, float("nan") if wh == whole else float(kwh)
