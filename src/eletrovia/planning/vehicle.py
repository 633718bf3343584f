"""A car as the planner sees it: battery, consumption, charge curve, plugs."""

from __future__ import annotations

import itertools
import math

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.charging.location import ConnectorStandard, PowerType

LEVELS = 101
"""States of charge at which a charge may end: whole percents, 0 to 100."""


class CurvePoint(msgspec.Struct, frozen=True):
    """Between points the power is linear in the state of charge."""

    soc: float
    power_w: float


class Vehicle(msgspec.Struct, frozen=True, kw_only=True):
    """One car model.

    Units:  soc is 0…1; consumption is at 80 km/h on a level road.
    Raises: Invalid when a number cannot be a car's.
    """

    id: str
    name: str
    battery_wh: float
    consumption_wh_per_km: float
    dc_curve: tuple[CurvePoint, ...] = ()
    ac_power_w: float = 0.0
    connectors: frozenset[ConnectorStandard] = frozenset({ConnectorStandard.CCS2, ConnectorStandard.TYPE2})
    fixed_charge_s: int | None = None
    """Set where any charge takes this long and fills the battery (the classroom's cars)."""
    handling_s: int = 0
    """What every stop takes besides: plugging in, starting, paying. It counts as time of the charge."""

    def __post_init__(self) -> None:
        numbers = (self.battery_wh, self.consumption_wh_per_km, self.ac_power_w)
        if not all(map(math.isfinite, numbers)) or self.battery_wh <= 0 or self.consumption_wh_per_km <= 0:
            raise Invalid("vehicle.impossible", vehicle_id=self.id)
        if self.handling_s < 0 or (self.fixed_charge_s is not None and self.fixed_charge_s < 1):
            raise Invalid("vehicle.impossible", vehicle_id=self.id)
        socs = [point.soc for point in self.dc_curve]
        if socs != sorted(set(socs)) or any(not 0 <= soc <= 1 for soc in socs):
            raise Invalid("vehicle.curve_malformed", vehicle_id=self.id)
        if any(not point.power_w > 0 for point in self.dc_curve):
            raise Invalid("vehicle.curve_malformed", vehicle_id=self.id)

    def power_at(self, soc: float, evse_power_w: float, power_type: PowerType) -> float:
        """What the battery takes in at ``soc`` from an EVSE, in watts; 0 where they do not fit."""
        if power_type is not PowerType.DC:
            return min(self.ac_power_w, evse_power_w)
        curve = self.dc_curve
        if not curve:
            return 0.0
        if soc <= curve[0].soc:
            return min(curve[0].power_w, evse_power_w)
        for left, right in itertools.pairwise(curve):
            if soc <= right.soc:
                share = (soc - left.soc) / (right.soc - left.soc)
                return min(left.power_w + share * (right.power_w - left.power_w), evse_power_w)
        return min(curve[-1].power_w, evse_power_w)
