"""What the routes need of the rooms below, in the rooms' own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from eletrovia.base.geo import Point
from eletrovia.booking.board import EvseRef
from eletrovia.booking.trip import Itinerary, Place, Trip, TripAsk
from eletrovia.charging.location import ConnectorStandard, Location
from eletrovia.charging.tariff import Tariff
from eletrovia.planning.plan import Span
from eletrovia.planning.vehicle import Vehicle


class OperatorCard(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers here."""

    operator_id: str
    name: str
    url: str


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a partner answers now, and since when that is so."""

    up: bool
    since: datetime


class TripDesk(Protocol):
    """Plans and books. Raises: the errors of booking."""

    async def plan(self, ask: TripAsk) -> list[Itinerary]: ...

    async def book(self, ask: TripAsk, *, driver_id: str, idempotency_key: str, wait_s: float) -> Trip: ...

    async def trip(self, trip_id: str) -> Trip: ...

    async def trips(self, driver_id: str, *, limit: int, before: str | None) -> list[Trip]: ...

    async def cancel(self, trip_id: str, *, preview: bool = False) -> Trip:
        """Calls off; with ``preview`` only says what it would cost, as the trip's ``cancellation_fee``."""
        ...

    async def arrive(self, trip_id: str, stop: int) -> None: ...

    def listen(self, heard: Callable[[Trip], None]) -> Callable[[], None]:
        """Hears of every trip that changes; the answer stops it."""
        ...


class Stations(Protocol):
    """The operator's own locations and those it learned from partners."""

    async def search(
        self,
        *,
        near: Point | None,
        radius_km: float,
        connector: ConnectorStandard | None,
        min_power_w: int,
        operator_id: str | None,
        text: str,
        limit: int,
    ) -> Sequence[tuple[Location, float | None]]:
        """Locations with their distance in km where ``near`` is given, nearest first."""
        ...

    async def location(self, operator_id: str, location_id: str) -> Location:
        """Raises: NotFound."""
        ...

    async def tariffs(self, operator_id: str) -> Mapping[str, Tariff]: ...

    async def put_location(self, location: Location) -> None: ...

    async def put_tariff(self, tariff: Tariff) -> None: ...


class Gazetteer(Protocol):
    """Names of places."""

    def find(self, text: str, *, limit: int) -> Sequence[Place]:
        """The best matches first; none is an empty answer."""
        ...


class Catalogue(Protocol):
    """Known car models."""

    def find(self, text: str, *, limit: int) -> Sequence[Vehicle]: ...

    def vehicle(self, vehicle_id: str) -> Vehicle:
        """Raises: NotFound."""
        ...


class PartnerLike(Protocol):
    """What is shown of an operator in the directory."""

    @property
    def operator_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def since(self) -> datetime: ...


class Directory(Protocol):
    """The operators of the federation."""

    def cards(self) -> Sequence[PartnerLike]: ...

    async def invite(self, valid_s: float, operator_id: str | None = None) -> str: ...

    async def join(self, url: str, registration_token: str) -> PartnerLike: ...

    async def revoke(self, operator_id: str) -> None: ...


Taken = Callable[[EvseRef], tuple[Span, ...]]
"""What is known to be taken on an EVSE."""

PartCheck = Callable[[], Awaitable[None]]
"""Returns when the part works, raises when it does not."""
