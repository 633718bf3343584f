"""The 2025 course's world: a plane, three centrals with 500 stations each, one kind of car."""

from __future__ import annotations

import random
import string
from collections.abc import Container
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from eletrovia.base.clock import epoch_s
from eletrovia.base.window import Window
from eletrovia.booking.planner import Margins
from eletrovia.booking.trip import Itinerary, Place, Stop, TripAsk
from eletrovia.charging.location import (
    Connector,
    ConnectorStandard,
    Evse,
    Location,
    PowerType,
    split_operator_id,
)
from eletrovia.charging.tariff import Tariff
from eletrovia.classroom.wire import Spot, TripRequest
from eletrovia.planning.plane import plane_point
from eletrovia.planning.vehicle import Vehicle

CHARGE_S: Final = 300
RESERVE_SOC: Final = 0.2
MARGINS: Final = Margins(before_s=300, after_s=1, handling_s=0)
"""Windows ``[t - 300, t + 301)`` overlap exactly when their moments are at most 600 s apart: the course's
ten minutes either side, inclusive."""

CAR: Final = Vehicle(
    id="classroom-car",
    name="Carro da disciplina",
    battery_wh=1000.0,  # a Wh a unit: ten units to the percent
    consumption_wh_per_km=1.0,
    fixed_charge_s=CHARGE_S,
)
FREE: Final = Tariff(id="GRATIS", components=())

_COLUMNS, _ROWS = 25, 20
_JITTER: Final = 0.4  # of a cell, either way: neighbours never meet
_SIGNS: Final = string.ascii_letters + string.digits
_DRIVER: Final = "classroom/"


class Central(msgspec.Struct, frozen=True, kw_only=True):
    """One company of the three, and the square its stations stand in."""

    number: int
    operator_id: str
    low: float
    high: float

    @property
    def name(self) -> str:
        return f"Central {self.number}"


CENTRALS: Final = {
    number: Central(number=number, operator_id=f"BR*CE{number}", low=low, high=low + 2000)
    for number, low in ((1, -3000.0), (2, -1000.0), (3, 1000.0))
}


def driver_id(client_id: str) -> str:
    """Under whose name a client's trips are kept: never one of the accounts' own."""
    return _DRIVER + client_id


def client_id_of(driver: str) -> str:
    """The client whose ``driver_id`` this is; anybody else stays unnamed."""
    return driver.removeprefix(_DRIVER) if driver.startswith(_DRIVER) else ""


def new_name(central: Central, at: datetime, chance: random.Random) -> str:
    """``Posto_Central1_1760000000_a1B2c3``."""
    return f"Posto_Central{central.number}_{epoch_s(at)}_{''.join(chance.choices(_SIGNS, k=6))}"


def station(central: Central, name: str, spot: Spot, at: datetime) -> Location:
    """A station of one connector. Raises: Invalid off the plane."""
    country_code, party_id = split_operator_id(central.operator_id)
    connector = Connector(
        id="1",
        standard=ConnectorStandard.CCS2,
        power_type=PowerType.DC,
        max_electric_power_w=50_000,
        tariff_ids=(FREE.id,),
    )
    evse_id = f"{central.operator_id}*E{name.replace('_', '*')}"
    return Location(
        country_code=country_code,
        party_id=party_id,
        id=name,
        name=name,
        city=central.name,
        coordinates=plane_point(spot.x, spot.y),
        evses=(Evse(uid=name, evse_id=evse_id, connectors=(connector,)),),
        simulated=True,
        last_updated=at,
    )


def stations(central: Central, at: datetime, chance: random.Random) -> list[Location]:
    """The central's 500 stations on a jittered grid over its square."""
    width, height = (central.high - central.low) / _COLUMNS, (central.high - central.low) / _ROWS
    made: dict[str, Location] = {}
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            spot = Spot(
                x=round(central.low + width * (column + 0.5 + chance.uniform(-_JITTER, _JITTER)), 2),
                y=round(central.low + height * (row + 0.5 + chance.uniform(-_JITTER, _JITTER)), 2),
            )
            name = fresh_name(central, at, chance, made)
            made[name] = station(central, name, spot, at)
    return list(made.values())


def fresh_name(central: Central, at: datetime, chance: random.Random, taken: Container[str]) -> str:
    """A name that is not taken."""
    while (name := new_name(central, at, chance)) in taken:
        pass
    return name


def ask_of(request: TripRequest) -> TripAsk:
    """The trip that a client asks for. Raises: Invalid off the plane."""
    return TripAsk(
        origin=plane_point(request.origin.x, request.origin.y),
        destination=plane_point(request.destination.x, request.destination.y),
        vehicle=CAR,
        soc=request.battery_percent / 100,
        reserve_soc=RESERVE_SOC,
    )


def window_at(moment: datetime) -> Window:
    """What is booked for a charge that starts at ``moment``."""
    return Window(
        moment - timedelta(seconds=MARGINS.before_s),
        moment + timedelta(seconds=CHARGE_S + MARGINS.after_s),
    )


def moment_of(window: Window) -> datetime:
    """When the charge starts for which the window is booked."""
    return window.starts_at + timedelta(seconds=MARGINS.before_s)


def one_stop(location: Location, moment: datetime) -> Itinerary:
    """A way that is nothing but one charge, for a client that chose its station itself."""
    evse = location.evses[0]
    ends_at = moment + timedelta(seconds=CHARGE_S)
    nothing = Decimal("0.00")
    stop = Stop(
        operator_id=location.operator_id,
        location_id=location.id,
        location_name=location.name,
        city=location.city,
        coordinates=location.coordinates,
        evse_uid=evse.uid,
        evse_id=evse.evse_id,
        power_w=evse.connectors[0].max_electric_power_w,
        arrives_at=moment,
        starts_at=moment,
        ends_at=ends_at,
        window=window_at(moment),
        arrival_soc=RESERVE_SOC,
        departure_soc=1.0,
        energy_wh=0,
        distance_km=0.0,
        drive_s=0,
        price=nothing,
        simulated=location.simulated,
    )
    here = Place(location.name, location.coordinates)
    return Itinerary(
        origin=here,
        destination=here,
        vehicle_id=CAR.id,
        vehicle_name=CAR.name,
        departs_at=moment,
        arrives_at=ends_at,
        soc=RESERVE_SOC,
        arrival_soc=1.0,
        reserve_soc=RESERVE_SOC,
        distance_km=0.0,
        drive_s=0,
        wait_s=0,
        charge_s=CHARGE_S,
        last_leg_km=0.0,
        last_leg_s=0,
        price=nothing,
        currency=FREE.currency,
        stops=(stop,),
    )
