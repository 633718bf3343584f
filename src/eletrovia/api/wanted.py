"""What drivers may ask for, over HTTP and MQTT alike: a trip ask with bounds that a stranger cannot exceed.

Anybody can open an account, so a described car is a stranger's: numbers that no car has would buy planning
time, windows or storage that nobody pays for.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from eletrovia.base.geo import Point
from eletrovia.booking.trip import TripAsk
from eletrovia.planning.vehicle import CurvePoint, Vehicle

KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
"""An idempotency key: 1 to 255 printable ASCII characters, no space at either end."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
_CarName = Annotated[str, Meta(max_length=100)]


class PointAsked(Point, frozen=True, forbid_unknown_fields=True):
    """A place by latitude and longitude in degrees."""


class CurvePointAsked(CurvePoint, frozen=True, forbid_unknown_fields=True):
    """Power in watts at a state of charge, 0…1."""

    soc: Annotated[float, Meta(ge=0, le=1)]
    power_w: Annotated[float, Meta(ge=100, le=10_000_000)]


class VehicleAsked(Vehicle, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A car described in full, instead of a catalogue's id: anything from a light motorbike to a truck."""

    id: _CarName
    name: _CarName
    battery_wh: Annotated[float, Meta(ge=500, le=2_000_000)]
    consumption_wh_per_km: Annotated[float, Meta(ge=10, le=5_000)]
    dc_curve: Annotated[tuple[CurvePointAsked, ...], Meta(max_length=101)] = ()
    ac_power_w: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    fixed_charge_s: Annotated[int, Meta(ge=60, le=86_400)] | None = None
    handling_s: Annotated[int, Meta(ge=0, le=3_600)] = 0


class TripWanted(TripAsk, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a driver asks for. Places are names or points; the vehicle is a catalogue id or a description."""

    origin: Name | PointAsked
    destination: Name | PointAsked
    vehicle: Name | VehicleAsked = "demo-compact"
    attempts: Annotated[int, Meta(ge=1, le=100)] | None = None

    def ask(self) -> TripAsk:
        return TripAsk(**msgspec.structs.asdict(self))
