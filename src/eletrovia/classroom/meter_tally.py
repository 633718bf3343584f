"""How many messages came through a classroom door, and what became of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.metering.reading import Fate

_log = structlog.get_logger(__name__)

_SAMPLE: Final = 80
_WHAT: Final = ("stored", "again", "rivals", "refused", "malformed")


class Tally:
    """Counts of one door, since it was opened.

    Shape: ``rivals`` are second values for one moment, kept; ``refused`` could be read but not be true.
    """

    def __init__(self, door: str) -> None:
        self.door = door
        self.heard = 0
        self.stored = 0
        self.again = 0
        self.rivals = 0
        self.refused = 0
        self.malformed = 0
        self._sample = b""
        self._told: tuple[int, ...] = (0, 0)

    def settled(self, fates: NDArray[np.int8]) -> None:
        """These readings were dealt with."""
        stored, again, rivals, *refused = np.bincount(fates, minlength=len(Fate)).tolist()
        self.stored += stored
        self.again += again
        self.rivals += rivals
        self.refused += sum(refused)

    def unreadable(self, octets: bytes, count: int = 1) -> None:
        """So many messages made no sense; ``octets`` is one of them."""
        self.malformed += count
        self._sample = octets[:_SAMPLE]

    def tell(self) -> None:
        """One line in the log when something bad came since the last one."""
        bad = (self.malformed, self.refused)
        if bad != self._told:
            self._told = bad
            _log.warning("classroom.bad_messages", door=self.door, **self.shown())

    def shown(self) -> dict[str, Any]:
        """For people who ask."""
        sample = self._sample.decode("utf-8", "replace")
        return {
            "heard": self.heard,
            **{name: getattr(self, name) for name in _WHAT},
            "last_malformed": sample,
        }
