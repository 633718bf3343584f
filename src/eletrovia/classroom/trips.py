"""Trips over MQTT as the course's clients ask for them: every request is answered, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError, Invalid, Unavailable
from eletrovia.booking.desk import Desk
from eletrovia.booking.outbox import Outbox
from eletrovia.booking.trip import Setback, Trip, TripAsk, TripState
from eletrovia.bus.bus import Bus
from eletrovia.bus.durable import Durable
from eletrovia.bus.layout import Guests
from eletrovia.bus.topic import subjects_of
from eletrovia.classroom.plane import ask_of, driver_id
from eletrovia.classroom.sentences import why_not
from eletrovia.classroom.wire import (
    REPLY_TOPIC,
    REQUEST_TOPIC,
    TripRequest,
    client_id_in,
    failure,
    read,
    success,
)

_log = structlog.get_logger(__name__)

GUESTS: Final = Guests(publish=subjects_of(REQUEST_TOPIC), subscribe=subjects_of(REPLY_TOPIC))
"""What a client may do: the course's clients bring no credentials."""

STREAM: Final = "CLASSROOM"
ANSWER_AFTER_S: Final = 0.25
"""These clients subscribe after they have asked: an earlier answer finds nobody who listens. The course needs
0.15 s; the rest is for machines on which thirty of them start at once."""
PATIENCE_S: Final = 25.0
"""So long a request that fails while a central is away waits for it to come back."""
_AT_ONCE: Final = 64
_WAIT_S: Final = 5.0
_TOLD_S: Final = 1.0
_LOOK_S: Final = 0.1


class TripsOnMqtt:
    """Answers ``Solicitar/Reserva`` on ``Resposta/Reserva``.

    Requests wait in a stream while we are down. One that comes twice, because we died before it was
    answered, has the same key, and so the same trip.
    """

    def __init__(
        self, bus: Bus, desk: Desk, outbox: Outbox, clock: Clock, everybody_here: Callable[[], bool]
    ) -> None:
        self._bus = bus
        self._desk = desk
        self._outbox = outbox
        self._clock = clock
        self._everybody_here = everybody_here
        self._durable: asyncio.Future[Durable] = asyncio.get_running_loop().create_future()

    async def start(self) -> TripsOnMqtt:
        """Begins with what came while nobody was here. Raises: as ``Bus.durable``."""
        self._durable.set_result(
            await self._bus.durable(
                STREAM, [REQUEST_TOPIC], "central", self._asked, concurrency=_AT_ONCE, max_age_s=3600
            )
        )
        return self

    async def close(self) -> None:
        if self._durable.done():
            await self._durable.result().close()

    async def _asked(self, topic: str, payload: bytes, sequence: int) -> None:
        came_s = self._clock.monotonic()
        stream = await self._durable
        try:
            reply = await self._answer(payload, f"{stream.made_at}/{sequence}", came_s)
        except Unavailable:
            raise
        except Exception:
            _log.exception("classroom.request_failed", sequence=sequence)
            reply = failure(client_id_in(payload), why_not("central.failed", {}), self._clock.now())
        await asyncio.sleep(came_s + ANSWER_AFTER_S - self._clock.monotonic())
        await self._bus.publish(REPLY_TOPIC, reply)

    async def _answer(self, payload: bytes, key: str, came_s: float) -> bytes:
        try:
            request = read(payload, TripRequest)
            ask = ask_of(request)
        except Invalid as error:
            return failure(client_id_in(payload), why_not(error.code, error.facts), self._clock.now())
        for turn in count():
            try:
                trip = await self._booked(ask, request.client_id, f"{key}/{turn}")
                if trip.state is TripState.CONFIRMED and trip.itinerary is not None:
                    # Whoever looks at the stations next is to find it there.
                    await self._outbox.told(trip.id, wait_s=_TOLD_S)
                    return success(request.client_id, trip.itinerary, self._clock.now())
                setback = trip.setback or Setback(code=f"trip.{trip.state}")
            except Unavailable:
                raise  # the store is away: the same request comes again
            except EletroviaError as error:
                setback = Setback(code=error.code, facts=error.facts)
            said = why_not(setback.code, setback.facts)
            missing = not self._everybody_here() or bool(setback.facts.get("unreachable_operators"))
            if not missing or not await self._wait_for_all(came_s + PATIENCE_S):
                return failure(request.client_id, said, self._clock.now())
        raise AssertionError("counting does not end")

    async def _booked(self, ask: TripAsk, client_id: str, key: str) -> Trip:
        """The trip at its end, however long that takes; the desk's deadline bounds it."""
        while True:
            trip = await self._desk.book(
                ask, driver_id=driver_id(client_id), idempotency_key=key, wait_s=_WAIT_S
            )
            if trip.state is not TripState.PENDING:
                return trip
            await asyncio.sleep(_LOOK_S)

    async def _wait_for_all(self, until_s: float) -> bool:
        """Whether every central is here before our patience ends."""
        while self._clock.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
            if self._everybody_here():
                return True
        return False
