"""What partners see of our stations: their state, with the windows that are taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from eletrovia.base.clock import Clock, at_epoch_s
from eletrovia.base.errors import NotFound
from eletrovia.base.window import Window
from eletrovia.booking.board import Board, EvseRef
from eletrovia.charging.live import StationState, station_state
from eletrovia.charging.stations import Stations
from eletrovia.planning.plan import Span


@lru_cache(maxsize=1 << 16)
def _window(span: Span) -> Window:
    return Window(at_epoch_s(span[0]), at_epoch_s(span[1]))


class ShopWindow:
    """Own stations as they stand now, from memory."""

    def __init__(self, stations: Stations, board: Board, clock: Clock) -> None:
        self._stations = stations
        self._board = board
        self._clock = clock
        self._windows: dict[str, tuple[tuple[Span, ...], tuple[Window, ...]]] = {}

    def location_ids(self) -> Sequence[str]:
        return [location.id for location in self._stations.all(self._stations.operator_id)]

    def state(self, location_id: str, sequence: int) -> StationState | None:
        """The station with ``sequence`` written in; None where there is no such station any more."""
        operator_id = self._stations.operator_id
        try:
            location = self._stations.get(operator_id, location_id)
        except NotFound:
            return None
        busy = {evse.uid: self._taken(evse.uid) for evse in location.evses}
        return station_state(location, busy, sequence=sequence, at=self._clock.now())

    def _taken(self, evse_uid: str) -> tuple[Window, ...]:
        """The EVSE's windows; made anew only when they have changed, for most have not."""
        spans = self._board.own(EvseRef(self._stations.operator_id, evse_uid))
        known = self._windows.get(evse_uid)
        if known is None or known[0] is not spans:
            known = self._windows[evse_uid] = (spans, tuple(map(_window, spans)))
        return known[1]

    def location_of(self, evse_uid: str) -> str | None:
        """The location that an own EVSE belongs to."""
        try:
            return self._stations.evse(self._stations.operator_id, evse_uid)[0].id
        except NotFound:
            return None


class PartnerWindow:
    """Puts what partners tell of their stations onto the board and into the picture."""

    def __init__(self, stations: Stations, board: Board) -> None:
        self._stations = stations
        self._board = board

    def heard(self, operator_id: str, state: StationState) -> None:
        for evse in state.evses:
            windows = (Window(starts_at, ends_at) for starts_at, ends_at in evse.busy)
            self._board.tell(EvseRef(operator_id, evse.uid), windows, words=evse.busy)
        statuses = {evse.uid: evse.status for evse in state.evses}
        self._stations.hear_statuses(operator_id, state.location_id, statuses)
