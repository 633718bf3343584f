"""What a running city leaves in its data folder for the command line. Light to import: every verb does."""

from __future__ import annotations

from typing import Final

import msgspec

CITY_FILE: Final = "city.json"
"""All servers of a city, its demo driver, and its staff."""
STAFF_FILE: Final = "staff.json"
"""What a single server leaves for its own staff."""


class CityServer(msgspec.Struct, frozen=True):
    """One operator's server."""

    operator_id: str
    name: str
    url: str


class GatewayPorts(msgspec.Struct, frozen=True):
    """Where the city's meters send their readings."""

    udp: int
    tcp: int


class Login(msgspec.Struct, frozen=True):
    """One account. Never printed."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.email!r}, ***)"
