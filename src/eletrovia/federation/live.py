"""What we show our partners of our stations, as it changes: on our broker, and whole over REST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.bus.callout import Grant
from eletrovia.bus.topic import subjects_of
from eletrovia.charging.live import StationState, encode_state, station_topic
from eletrovia.charging.location import plain
from eletrovia.federation.doors import Doors

_log = structlog.get_logger(__name__)

_SHARE = 0.1  # of our time, at most, goes into telling partners; holds and trips come first
_PAUSE_LONGEST_S = 1.0


class OwnStates(Protocol):
    """Our stations as they stand now, from memory."""

    def location_ids(self) -> Sequence[str]: ...

    def state(self, location_id: str, sequence: int) -> StationState | None:
        """The station with ``sequence`` written in; None where there is no such station any more."""
        ...


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """All stations of an operator at once, with everything that was published up to ``sequence``."""

    operator_id: str
    sequence: int
    states: list[StationState]


class LivePublisher:
    """Publishes the stations that changed, each at most once in ``every_s``, with one running number.

    When much changes at once it is told less often: a station's news may then be up to a second old.

    Numbers go on by one with each message, so whoever hears them knows when one is missing. They begin at the
    microsecond of the start: after a restart they are higher than any before, and the step is seen as a gap.
    """

    def __init__(
        self,
        operator_id: str,
        states: OwnStates,
        publish: Callable[[str, bytes], Awaitable[None]],
        clock: Clock,
        *,
        every_s: float = 0.1,
    ) -> None:
        self.operator_id = operator_id
        self.sequence = int(clock.now().timestamp() * 1_000_000)
        self._states = states
        self._publish = publish
        self._clock = clock
        self._every_s = every_s
        self._changed: dict[str, None] = {}
        self._some = asyncio.Event()

    def touch(self, location_id: str) -> None:
        """Something about this station is not as it was."""
        self._changed[location_id] = None
        self._some.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._some.wait()
            spent_s = await self._flush()
            await asyncio.sleep(max(self._every_s, min(_PAUSE_LONGEST_S, spent_s / _SHARE)))

    async def _flush(self) -> float:
        """Seconds that it took; others have their turn after each station."""
        self._some.clear()
        changed, self._changed = self._changed, {}
        spent_s = 0.0
        for location_id in changed:
            began_s = self._clock.monotonic()
            state = self._states.state(location_id, self.sequence + 1)
            if state is None:
                continue
            # Counted before it is sent: if sending fails, partners see a gap and pull.
            self.sequence += 1
            try:
                await self._publish(station_topic(self.operator_id, location_id), encode_state(state))
            except EletroviaError as error:
                _log.warning("live.not_published", location_id=location_id, error=str(error))
            spent_s += self._clock.monotonic() - began_s
            await asyncio.sleep(0)
        return spent_s

    def is_at(self, sequence: int) -> bool:
        """Whether nothing has changed since ``sequence``."""
        return sequence == self.sequence and not self._changed

    def availability(self) -> Availability:
        """Every station as it stands now."""
        sequence = self.sequence
        states = (self._states.state(location_id, sequence) for location_id in self._states.location_ids())
        return Availability(
            operator_id=self.operator_id,
            sequence=sequence,
            states=[state for state in states if state is not None],
        )


def partner_grant(doors: Doors, own_operator_id: str, username: str, password: str) -> Grant | None:
    """What a partner may do at our broker: hear our stations, say nothing. None for anybody else."""
    if not doors.mqtt_password_ok(username, password):
        return None
    return Grant(name=username, subscribe=subjects_of(f"operators/{plain(own_operator_id)}/stations/+"))
