"""Points on the Earth."""

from __future__ import annotations

import math

import msgspec

from eletrovia.base.errors import Invalid

EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius


class Point(msgspec.Struct, frozen=True):
    """A place by latitude and longitude in degrees, WGS 84.

    Raises: Invalid outside the globe.
    """

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if not (-90 <= self.lat <= 90 and -180 <= self.lon <= 180):
            raise Invalid("point.off_globe", lat=self.lat, lon=self.lon)

    def km_to(self, other: Point) -> float:
        """Great-circle distance in km."""
        lat1, lat2 = math.radians(self.lat), math.radians(other.lat)
        half_lat = math.sin((lat2 - lat1) / 2)
        half_lon = math.sin(math.radians(other.lon - self.lon) / 2)
        chord = half_lat * half_lat + math.cos(lat1) * math.cos(lat2) * half_lon * half_lon
        return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))
