"""What the planner is asked, and what it answers.

A problem is complete in itself: distances, cars, bays and their taken windows. So the search is a
plain function, and a world can be real roads, a classroom's plane, or three points in a test.

Places are numbered: 0 is the origin, 1 … n are the sites, n + 1 is the destination.
Times are whole seconds since 1970; spans are half-open.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from eletrovia.charging.location import PowerType
from eletrovia.planning.vehicle import Vehicle

Span = tuple[int, int]


class Objective(StrEnum):
    EARLIEST = "earliest"
    CHEAPEST = "cheapest"


class Bay(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE at a site, with what the search needs of it.

    ``busy`` is sorted and disjoint. Prices are tax included, in the currency's units; they steer the
    search only, the exact quote is the tariff's.
    """

    evse_uid: str
    power_w: float
    power_type: PowerType
    busy: tuple[Span, ...] = ()
    price_per_kwh: float = 0.0
    price_per_hour: float = 0.0
    price_flat: float = 0.0


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A location with the bays that fit the car. The keys are handed back in the plan."""

    operator_id: str
    location_id: str
    bays: tuple[Bay, ...]


class Legs(msgspec.Struct, frozen=True, kw_only=True):
    """Driving between places.

    Shape: both (n + 2, n + 2); ``[i, j]`` is from i to j; ``inf`` where there is no way.
    Units: distance_km in km, drive_s in seconds.
    """

    distance_km: npt.NDArray[np.float64]
    drive_s: npt.NDArray[np.float64]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One question to the planner.

    The margins are booked around the charge itself: the hold's window is
    ``[start - margin_before_s, end + margin_after_s)`` and must be free as a whole.
    """

    vehicle: Vehicle
    departs_at: int
    soc: float
    reserve_soc: float = 0.2
    legs: Legs
    sites: tuple[Site, ...]
    objective: Objective = Objective.EARLIEST
    margin_before_s: int = 0
    margin_after_s: int = 300
    horizon_s: int = 48 * 3600
    """No charge starts later than this after departure."""


class PlannedStop(msgspec.Struct, frozen=True, kw_only=True):
    """One charge: where, which window, how far the battery goes."""

    site: int
    """Index into ``Problem.sites``."""
    bay: int
    """Index into the site's ``bays``."""
    arrives_at: int
    starts_at: int
    ends_at: int
    window: Span
    arrival_soc: float
    departure_soc: float
    energy_wh: int
    distance_km: float
    """Driven since the place before."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A way that works: stops in order, then the arrival."""

    departs_at: int
    stops: tuple[PlannedStop, ...]
    last_leg_km: float
    arrives_at: int
    arrival_soc: float
    distance_km: float
    cost: float
    """By the bays' steering prices, before the exact quote."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no way.

    ``reason``: ``unreachable`` (no road at all), ``battery`` (of all ways the one that lacks least still has
    a leg that is ``short_km`` too long; ``after`` and ``before`` number the places on both sides),
    ``occupied`` (a way exists, but no bay on it is free long enough within the horizon).
    """

    reason: str
    after: int = 0
    before: int = 0
    short_km: float = 0.0
