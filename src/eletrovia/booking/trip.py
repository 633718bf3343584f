"""A trip: what a driver asks, the way that was found, and how its booking stands."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.planning.plan import Objective
from eletrovia.planning.vehicle import Vehicle


class TripAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver asks for. A place is a name or a point; a vehicle is a catalogue id or a description.

    ``departs_at`` left out means now. ``attempts`` bounds how often another way is tried when a slot is lost;
    1 is this way or none.
    Raises: Invalid for a state of charge or a reserve that no battery has.
    """

    origin: str | Point
    destination: str | Point
    vehicle: str | Vehicle = "demo-compact"
    soc: float
    reserve_soc: float = 0.2
    departs_at: datetime | None = None
    objective: Objective = Objective.EARLIEST
    attempts: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.soc <= 1:
            raise Invalid("trip.soc_out_of_range", soc=self.soc, allowed="0 to 1")
        if not 0 <= self.reserve_soc < 1:
            raise Invalid("trip.reserve_out_of_range", reserve_soc=self.reserve_soc, allowed="0 to 1")
        if self.attempts is not None and self.attempts < 1:
            raise Invalid("trip.attempts_out_of_range", attempts=self.attempts)
        if self.departs_at is not None and self.departs_at.tzinfo is None:
            raise Invalid("trip.departure_without_zone", departs_at=self.departs_at.isoformat())


class Place(msgspec.Struct, frozen=True):
    """A point with the name that people give it."""

    name: str
    point: Point


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One charge on the way. The window is what is booked; the charge itself lies inside it.

    Units: distance_km and drive_s count from the place before.
    """

    operator_id: str
    location_id: str
    location_name: str
    city: str
    coordinates: Point
    evse_uid: str
    evse_id: str
    power_w: int
    arrives_at: datetime
    starts_at: datetime
    ends_at: datetime
    window: Window
    arrival_soc: float
    departure_soc: float
    energy_wh: int
    distance_km: float
    drive_s: int
    price: Decimal
    simulated: bool = False


class Itinerary(msgspec.Struct, frozen=True, kw_only=True):
    """A way from origin to destination with every charge on it; times and levels add up."""

    origin: Place
    destination: Place
    vehicle_id: str
    vehicle_name: str
    departs_at: datetime
    arrives_at: datetime
    soc: float
    arrival_soc: float
    reserve_soc: float
    distance_km: float
    drive_s: int
    wait_s: int
    charge_s: int
    last_leg_km: float
    last_leg_s: int
    price: Decimal
    currency: str
    stops: tuple[Stop, ...]


class TripState(StrEnum):
    """PENDING is "I don't know yet"; the others are for good, but a confirmed trip can be cancelled."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Setback(msgspec.Struct, frozen=True, kw_only=True):
    """Why a trip failed: a stable code and its facts, like an error's."""

    code: str
    facts: dict[str, Any] = {}


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """How a trip stands now. ``itinerary`` is what is booked, or what the running attempt asks for.

    ``alternatives`` are ways that were found but could not be held; nothing is booked of them.
    """

    id: str
    driver_id: str
    home: str
    state: TripState
    attempt: int
    asked_at: datetime
    itinerary: Itinerary | None = None
    setback: Setback | None = None
    alternatives: tuple[Itinerary, ...] = ()
    cancellation_fee: Decimal | None = None
