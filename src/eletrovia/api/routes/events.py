"""/api/v1/events: what happens to one's own trips, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from litestar import Router, get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from eletrovia.api.auth import Asked, signed_in
from eletrovia.api.desks import TripDesk
from eletrovia.api.documented import SIGNED_IN, problems
from eletrovia.base.errors import Overloaded
from eletrovia.booking.trip import Trip
from eletrovia.people.people import People

STREAMS_MAX: Final = 1000
STREAMS_EACH_MAX: Final = 8
WAITING_MAX: Final = 100
"""Changes kept for a reader that is slow; beyond that the oldest is dropped, for the newest counts."""
BEAT_S: Final = 15.0
"""A comment goes out this often, so that proxies keep the line and a gone reader is noticed."""


def events(desk: TripDesk, people: People) -> Router:
    """Server-sent events."""
    open_streams: dict[str, int] = {}

    async def changes(driver_id: str) -> AsyncIterator[ServerSentEventMessage]:
        heard: asyncio.Queue[Trip] = asyncio.Queue(WAITING_MAX)

        def hear(trip: Trip) -> None:
            if trip.driver_id == driver_id:
                if heard.full():
                    heard.get_nowait()
                heard.put_nowait(trip)

        stop = desk.listen(hear)
        open_streams[driver_id] = open_streams.get(driver_id, 0) + 1
        try:
            yield ServerSentEventMessage(comment="hello", retry=2000)
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        trip = await heard.get()
                except TimeoutError:
                    yield ServerSentEventMessage(comment="beat")
                    continue
                yield ServerSentEventMessage(
                    event="trip", id=trip.id, data=msgspec.json.encode(trip).decode()
                )
        finally:
            stop()
            open_streams[driver_id] -= 1
            if open_streams[driver_id] == 0:
                del open_streams[driver_id]

    @get(
        "/",
        guards=[signed_in(people)],
        security=SIGNED_IN,
        responses=problems(429, signed_in=True),
        summary="Events",
        tags=["trips"],
    )
    async def follow(request: Asked) -> ServerSentEvent:
        """An event `trip` with the whole trip whenever one of the driver's own changes for good."""
        driver_id = request.user.account_id
        mine = open_streams.get(driver_id, 0)
        if mine >= STREAMS_EACH_MAX or sum(open_streams.values()) >= STREAMS_MAX:
            raise Overloaded("trip.too_many_streams", retry_after_s=int(BEAT_S))
        return ServerSentEvent(
            changes(driver_id), headers={"cache-control": "no-store", "x-accel-buffering": "no"}
        )

    return Router("/events", route_handlers=[follow])
