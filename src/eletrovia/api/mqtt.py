"""Trips over MQTT: a request on ``trips/request``, its answer on ``trips/reply/{account id}``."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from eletrovia.api.body import decode_strictly
from eletrovia.api.desks import TripDesk
from eletrovia.api.wanted import KEY, TripWanted
from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.booking.trip import Trip
from eletrovia.bus.bus import Bus
from eletrovia.bus.durable import Durable
from eletrovia.people.people import People

_log = structlog.get_logger(__name__)

STREAM = "TRIPS"
_WAIT_S = 30.0
_ENCODER = msgspec.json.Encoder(enc_hook=str)  # facts may hold what JSON has no word for
_WANTED = msgspec.json.Decoder(TripWanted)


class TripRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a car sends. ``token`` is the driver's access token; ``reference`` comes back in the reply.

    ``ask`` is a ``TripWanted``, read only after the token, so that what is wrong in it can be answered.
    ``idempotency_key`` left out: every message is a request of its own, even the same one again.
    """

    token: str
    ask: msgspec.Raw
    book: bool = True
    reference: str = ""
    idempotency_key: str = ""


class TripReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it went: the trip as it stands, or the problem's code and facts."""

    reference: str = ""
    trip: Trip | None = None
    itineraries: tuple[object, ...] = ()
    code: str = ""
    facts: dict[str, object] = {}


class TripsOverMqtt:
    """Answers trip requests that come over the broker; none is lost while this server restarts."""

    def __init__(self, bus: Bus, desk: TripDesk, people: People) -> None:
        self._bus = bus
        self._desk = desk
        self._people = people
        self._durable: asyncio.Future[Durable] = asyncio.get_running_loop().create_future()

    async def start(self) -> TripsOverMqtt:
        durable = await self._bus.durable(
            STREAM, ["trips/request"], "desk", self._asked, concurrency=64, ack_wait_s=_WAIT_S + 10
        )
        self._durable.set_result(durable)  # messages may come before we are back here
        return self

    async def close(self) -> None:
        if self._durable.done():
            await self._durable.result().close()

    async def _asked(self, topic: str, payload: bytes, sequence: int) -> None:
        try:
            request = msgspec.json.decode(payload, type=TripRequest)
            who = self._people.authenticate(request.token)
        except (msgspec.MsgspecError, ValueError, RecursionError, EletroviaError) as error:
            # Whatever a payload does to its reader: raised, it would come again for ever.
            # Nobody to tell: without a good token there is no topic that is surely the asker's.
            _log.info("mqtt.request_refused", error=str(error)[:200])
            return
        made_at = (await self._durable).made_at
        reply = await self._answer(request, who.account_id, f"mqtt-{made_at}-{sequence}")
        await self._bus.publish(f"trips/reply/{who.account_id}", _ENCODER.encode(reply))

    async def _answer(self, request: TripRequest, account_id: str, own_key: str) -> TripReply:
        reference = request.reference[:200]
        key = request.idempotency_key or own_key
        try:
            if not KEY.fullmatch(key):
                raise Invalid("trip.idempotency_key_malformed")
            wanted: TripWanted = decode_strictly(_WANTED, request.ask)
            if not request.book:
                ways = await self._desk.plan(wanted.ask())
                return TripReply(reference=reference, itineraries=tuple(ways))
            trip = await self._desk.book(
                wanted.ask(), driver_id=account_id, idempotency_key=key, wait_s=_WAIT_S
            )
            return TripReply(reference=reference, trip=trip)
        except EletroviaError as error:
            return TripReply(reference=reference, code=error.code, facts=error.facts)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("mqtt.request_failed")
            return TripReply(reference=reference, code="internal")
