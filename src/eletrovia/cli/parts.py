"""A trip cut into its parts: drive, wait, charge. What is shown adds up, because it is cut from sums."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from eletrovia.booking.trip import Itinerary, Stop


class Kind(StrEnum):
    DRIVE = "drive"
    WAIT = "wait"
    CHARGE = "charge"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a trip.

    Units: ``minutes`` and ``km`` are whole and rounded so that all parts together give the rounded total.
    """

    kind: Kind
    starts_at: datetime
    ends_at: datetime
    minutes: int
    km: int = 0
    soc_before: float
    soc_after: float
    stop: Stop | None = None
    """Where it waits or charges, or where a drive ends; None for the drive to the destination."""
    number: int = 0
    """The stop's number, from 1."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of the parts as they are shown."""

    km: int
    drive_minutes: int
    wait_minutes: int
    charge_minutes: int
    price: Decimal
    energy_wh: int

    @property
    def minutes(self) -> int:
        return self.drive_minutes + self.wait_minutes + self.charge_minutes


def parts_of(itinerary: Itinerary) -> list[Part]:
    """The parts in order; a wait of no length is left out."""
    parts: list[Part] = []
    at, soc, km = itinerary.departs_at, itinerary.soc, 0.0
    start = itinerary.departs_at

    def minute(moment: datetime) -> int:
        return round((moment - start).total_seconds() / 60)

    def add(
        kind: Kind, ends_at: datetime, after: float, drove: float, stop: Stop | None, number: int
    ) -> None:
        nonlocal at, soc, km
        parts.append(
            Part(
                kind=kind,
                starts_at=at,
                ends_at=ends_at,
                minutes=minute(ends_at) - minute(at),
                km=round(km + drove) - round(km),
                soc_before=soc,
                soc_after=after,
                stop=stop,
                number=number,
            )
        )
        at, soc, km = ends_at, after, km + drove

    for number, stop in enumerate(itinerary.stops, 1):
        add(Kind.DRIVE, stop.arrives_at, stop.arrival_soc, stop.distance_km, stop, number)
        if stop.starts_at > stop.arrives_at:
            add(Kind.WAIT, stop.starts_at, soc, 0.0, stop, number)
        add(Kind.CHARGE, stop.ends_at, stop.departure_soc, 0.0, stop, number)
    add(Kind.DRIVE, itinerary.arrives_at, itinerary.arrival_soc, itinerary.last_leg_km, None, 0)
    return parts


def totals_of(itinerary: Itinerary, parts: list[Part]) -> Totals:
    """The sums of ``parts``, and of the stops' prices."""

    def minutes(kind: Kind) -> int:
        return sum(part.minutes for part in parts if part.kind is kind)

    return Totals(
        km=sum(part.km for part in parts),
        drive_minutes=minutes(Kind.DRIVE),
        wait_minutes=minutes(Kind.WAIT),
        charge_minutes=minutes(Kind.CHARGE),
        price=sum((stop.price for stop in itinerary.stops), Decimal(0)),
        energy_wh=sum(stop.energy_wh for stop in itinerary.stops),
    )
