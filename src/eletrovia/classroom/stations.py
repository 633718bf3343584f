"""One central's stations as the course's REST shows them, on the rooms' own books."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, Invalid, NotFound, Unavailable
from eletrovia.base.ids import Ids
from eletrovia.booking.desk import Desk
from eletrovia.booking.hold import HoldState
from eletrovia.booking.ledger import Hold
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.trip import Trip, TripState
from eletrovia.charging.location import Location
from eletrovia.charging.stations import Stations
from eletrovia.classroom.plane import (
    Central,
    driver_id,
    fresh_name,
    moment_of,
    one_stop,
    station,
    window_at,
)
from eletrovia.classroom.wire import Spot, StationRequest, written
from eletrovia.planning.plane import plane_xy

_WAIT_S = 20.0
_TOLD_S = 2.0
_PAGE = 100

CancelAt = Callable[[str, StationRequest], Awaitable[None]]


class Holds(Protocol):
    """Who keeps the holds on our EVSEs."""

    async def standing(self, ending_after: datetime) -> Sequence[Hold]: ...


class CentralStations:
    """What a client can ask of one central by HTTP.

    ``cancel_at`` passes a cancellation on to the central where the trip was asked for: only a trip's home
    can call it off.
    """

    def __init__(
        self,
        central: Central,
        *,
        stations: Stations,
        desk: Desk,
        outbox: Outbox,
        holds: Holds,
        added: Callable[[str], None],
        cancel_at: CancelAt,
        clock: Clock,
        ids: Ids,
        chance: random.Random,
    ) -> None:
        self.central = central
        self._stations = stations
        self._desk = desk
        self._outbox = outbox
        self._holds = holds
        self._added = added
        self._cancel_at = cancel_at
        self._clock = clock
        self._ids = ids
        self._chance = chance

    async def listing(self) -> dict[str, dict[str, Any]]:
        """Every own station by name, with its bookings in the order of their moments."""
        bookings: dict[str, list[Hold]] = {}
        for hold in await self._standing():
            bookings.setdefault(hold.request.evse_uid, []).append(hold)
        return {
            location.name: _shown(location, bookings.get(location.evses[0].uid, []))
            for location in self._stations.all(self.central.operator_id)
        }

    async def reserve(self, request: StationRequest) -> None:
        """Books one station for one moment.

        Raises: NotFound; Conflict when it is taken; Invalid for a moment gone by; Unavailable when nobody
        knows yet.
        """
        location = self._own(request)
        if window_at(request.at).ends_at <= self._clock.now():
            raise Invalid("station.past", horario=request.moment)
        trip = await self._desk.reserve(
            one_stop(location, request.at),
            driver_id=driver_id(request.client_id),
            idempotency_key=self._ids.new("reserva"),
            wait_s=_WAIT_S,
        )
        if trip.state is TripState.PENDING:
            raise Unavailable("central.silent")
        if trip.state is not TripState.CONFIRMED:
            raise Conflict("station.taken", nome=request.station, horario=request.moment)
        await self._outbox.told(trip.id, wait_s=_TOLD_S)

    async def cancel(self, request: StationRequest) -> None:
        """Calls off the trip that booked this station for this client and moment, with all its stops.

        Raises: NotFound; Unavailable when the trip's home does not answer.
        """
        trip = await self._trip_of(request)
        if trip is not None:
            try:
                await self._desk.cancel(trip.id)
            except Conflict:
                raise _no_such_booking(request) from None
            await self._outbox.told(trip.id, wait_s=_TOLD_S)
            return
        location = self._own(request)
        for hold in await self._standing():
            asked = hold.request
            same = (asked.evse_uid, asked.driver_ref) == (location.evses[0].uid, request.client_id)
            if same and moment_of(asked.window) == request.at and asked.home != self.central.operator_id:
                await self._cancel_at(asked.home, request)
                return
        raise _no_such_booking(request)

    async def add(self, spot: Spot) -> dict[str, Any]:
        """A new station of this central. Raises: Invalid off the plane."""
        now = self._clock.now()
        taken = {location.name for location in self._stations.all(self.central.operator_id)}
        location = station(self.central, fresh_name(self.central, now, self._chance, taken), spot, now)
        await self._stations.put_location(location)
        self._added(location.id)
        return {"nome": location.name, **_shown(location, [])}

    async def _standing(self) -> list[Hold]:
        holds = await self._holds.standing(self._clock.now())
        return sorted(
            (hold for hold in holds if hold.state is HoldState.CONFIRMED),
            key=lambda hold: hold.request.window,
        )

    async def _trip_of(self, request: StationRequest) -> Trip | None:
        """The confirmed trip of this home that booked it."""
        before: str | None = None
        while True:
            page = await self._desk.trips(driver_id(request.client_id), limit=_PAGE, before=before)
            for trip in page:
                if trip.state is not TripState.CONFIRMED or trip.itinerary is None:
                    continue
                for stop in trip.itinerary.stops:
                    if stop.location_name == request.station and stop.starts_at == request.at:
                        return trip
            if len(page) < _PAGE:
                return None
            before = page[-1].id

    def _own(self, request: StationRequest) -> Location:
        try:
            return self._stations.get(self.central.operator_id, request.station)
        except NotFound:
            raise NotFound("station.unknown", nome=request.station) from None


def _shown(location: Location, bookings: Sequence[Hold]) -> dict[str, Any]:
    """As the course shows a station: occupied, and by whom, from its first booking on."""
    x, y = plane_xy(location.coordinates)
    booked = [
        {
            "cliente_id": hold.request.driver_ref or hold.request.key.trip_id,
            "horario": written(moment_of(hold.request.window)),
        }
        for hold in bookings
    ]
    return {
        "x": x,
        "y": y,
        "ocupado": bool(booked),
        "id": booked[0]["cliente_id"] if booked else None,
        "reservas": booked,
    }


def _no_such_booking(request: StationRequest) -> NotFound:
    return NotFound(
        "station.no_such_booking",
        nome=request.station,
        cliente_id=request.client_id,
        horario=request.moment,
    )
