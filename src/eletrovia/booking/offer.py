"""What a stop costs at an EVSE: one answer for the planner's quote and for the owner's check."""

from __future__ import annotations

from decimal import Decimal

from eletrovia.base.errors import NotFound
from eletrovia.charging.location import BOOKABLE, Evse
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import Tariff


def tariff_of(stations: Stations, operator_id: str, evse: Evse) -> Tariff | None:
    """The tariff of a booking on this EVSE: that of its first connector that has one."""
    for connector in evse.connectors:
        tariff = stations.tariff(operator_id, connector)
        if tariff is not None:
            return tariff
    return None


class StationOffer:
    """This operator's EVSEs at their tariffs."""

    def __init__(self, stations: Stations, operator_id: str) -> None:
        self._stations = stations
        self._operator_id = operator_id

    def price(self, evse_uid: str, energy_wh: int, charging_s: int) -> Decimal | None:
        """What a stop costs here now, or None where no such EVSE can be booked."""
        try:
            _, evse = self._stations.evse(self._operator_id, evse_uid)
        except NotFound:
            return None
        tariff = tariff_of(self._stations, self._operator_id, evse)
        if tariff is None or evse.status not in BOOKABLE:
            return None
        return tariff.quote(energy_wh, charging_s)
