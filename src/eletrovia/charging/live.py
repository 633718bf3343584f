"""What an operator publishes of a station over MQTT: how each EVSE stands now, and when it is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.charging.location import EvseStatus, Location, plain

MAX_PAYLOAD = 1_000_000


class EvseState(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE now. ``busy`` is sorted: pairs ``[starts_at, ends_at)`` that are held or confirmed."""

    uid: str
    status: EvseStatus
    busy: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(Window(starts_at, ends_at) for starts_at, ends_at in self.busy)


class StationState(msgspec.Struct, frozen=True, kw_only=True):
    """One station now, complete in itself: a later ``sequence`` replaces an earlier one whole."""

    operator_id: str
    location_id: str
    sequence: int
    at: datetime
    evses: tuple[EvseState, ...]


_DECODER = msgspec.json.Decoder(StationState)


def station_topic(operator_id: str, location_id: str) -> str:
    """``operators/BR-CAR/stations/joao-pessoa``. Raises: Invalid when an id cannot stand in a topic."""
    return f"operators/{plain(operator_id)}/stations/{plain(location_id)}"


def station_state(
    location: Location, busy: Mapping[str, Iterable[Window]], *, sequence: int, at: datetime
) -> StationState:
    """The state of a station from its location and the taken windows by EVSE uid."""
    return StationState(
        operator_id=location.operator_id,
        location_id=location.id,
        sequence=sequence,
        at=at,
        evses=tuple(
            EvseState(
                uid=evse.uid,
                status=evse.status,
                busy=tuple((window.starts_at, window.ends_at) for window in sorted(busy.get(evse.uid, ()))),
            )
            for evse in location.evses
        ),
    )


def encode_state(state: StationState) -> bytes:
    """The MQTT payload."""
    return msgspec.json.encode(state)


def decode_state(payload: bytes, topic: str | None = None) -> StationState:
    """A station's state from its payload, checked against the topic it came on.

    Raises: Invalid when it is malformed, names no time zone, or speaks for another station than its topic.
    """
    if len(payload) > MAX_PAYLOAD:
        raise Invalid("live.too_long", octets=len(payload), allowed=MAX_PAYLOAD)
    try:
        state = _DECODER.decode(payload)
    except ValueError as error:
        raise Invalid("live.malformed", detail=str(error)[:200]) from None
    if state.at.tzinfo is None or state.sequence < 0:
        raise Invalid("live.malformed", detail="`at` without a time zone, or a negative sequence")
    for evse in state.evses:
        for starts_at, ends_at in evse.busy:
            if starts_at.tzinfo is None or ends_at.tzinfo is None or ends_at <= starts_at:
                Window(starts_at, ends_at)  # says what is wrong with it
    if topic is not None and topic != station_topic(state.operator_id, state.location_id):
        raise Invalid("live.of_another_station", topic=topic, location_id=state.location_id)
    return state
