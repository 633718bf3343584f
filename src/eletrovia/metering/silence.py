"""Silence: one meter that says nothing, or a whole neighbourhood's at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from eletrovia.base.clock import at_epoch_s
from eletrovia.metering.alert import AlertKind, Finding, Level

_FEWEST: Final = 5
"""Fewer meters together are no outage, however few there are."""
_SHARE: Final = 0.4
"""This much of an area, fallen silent within an hour, is."""
_STEP_S: Final = 300
_TOGETHER: Final = 12  # steps
EVERYWHERE: Final = "all"


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that should have been heard. Units: ``interval_s`` is how often it should."""

    meter: int
    meter_id: str
    usage_point_id: str
    area: str
    customer_id: str | None
    last_at: datetime
    interval_s: int


class Tally:
    """Counts a round over all meters, a piece at a time, and says in the end who is silent.

    Of what fell silent only ``most`` are kept one by one; the rest is only counted.
    Shape: a meter is silent ``intervals`` of its own after it was last heard, and told of by itself one
           later: by then it shows whether its neighbours are silent too.
    """

    def __init__(self, now: datetime, *, intervals: float, most: int = 100_000) -> None:
        self._now = now
        self._alone = intervals + 1
        self._most = most
        self._silent: list[Silent] = []
        self._meters: Counter[str] = Counter()
        self._last: dict[str, Counter[int]] = {}

    def count(self, area: str, meters: int) -> None:
        """So many meters of an area, silent or not, ought to be heard."""
        self._meters[area] += meters

    def add(self, silent: Iterable[Silent]) -> None:
        """These are."""
        for one in silent:
            self._last.setdefault(one.area, Counter())[int(one.last_at.timestamp()) // _STEP_S] += 1
            if len(self._silent) < self._most:
                self._silent.append(one)

    def findings(self) -> list[Finding]:
        """One for each outage, and one for each silent meter that is in none."""
        everywhere = sum(self._last.values(), Counter[int]())
        if (whole := _outage("", everywhere, self._meters.total())) is not None:
            return [whole]
        outages = {
            area: outage
            for area, last in self._last.items()
            if area and (outage := _outage(area, last, self._meters[area])) is not None
        }
        found = list(outages.values())
        for one in self._silent:
            # Who was silent before the others is not part of what befell them.
            outage = outages.get(one.area)
            together = outage is not None and one.last_at >= datetime.fromisoformat(outage.facts["since"])
            waited_s = (self._now - one.last_at).total_seconds()
            if not together and waited_s > self._alone * one.interval_s:
                found.append(_finding(one))
        return found


def _outage(area: str, last: Counter[int], meters: int) -> Finding | None:
    """The hour in which most of them were heard for the last time, when that is enough of them."""
    needed = max(_FEWEST, _SHARE * meters)
    if last.total() < needed:
        return None
    together, since = max(
        (sum(last[step + later] for later in range(_TOGETHER)), -step) for step in sorted(last)
    )
    if together < needed:
        return None
    start = at_epoch_s(-since * _STEP_S)
    return Finding(
        kind=AlertKind.OUTAGE,
        subject=f"area:{area}" if area else EVERYWHERE,
        period=start.isoformat(),
        level=Level.URGENT,
        facts={"area": area, "since": start.isoformat(), "silent": together, "meters": meters},
        for_staff=True,
    )


def _finding(one: Silent) -> Finding:
    return Finding(
        kind=AlertKind.SILENT,
        subject=f"meter:{one.meter}",
        period=one.last_at.isoformat(),
        level=Level.WARNING,
        facts={"meter_id": one.meter_id, "last_at": one.last_at.isoformat(), "interval_s": one.interval_s},
        customer_id=one.customer_id,
        for_staff=True,
        usage_point_id=one.usage_point_id or None,
        meter=one.meter,
    )
