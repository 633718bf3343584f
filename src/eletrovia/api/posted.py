"""Readings as they are posted: from the octets to the intake, and what became of each back into octets."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.api.body import decode_strictly
from eletrovia.base.errors import Denied, EletroviaError, Invalid, NotFound
from eletrovia.metering.gateways.report import MOST_READINGS, WHY, Columns, Report, Told
from eletrovia.metering.intake import SETTLED, Intake
from eletrovia.metering.reading import Fate, Readings, Source
from eletrovia.metering.roster import Roster

READINGS_MAX_OCTETS: Final = 8_000_000

_REPORT: Final = msgspec.json.Decoder(Report)
_ITEMS: Final = tuple(
    b'{"status":"%s"}' % why.encode()
    if fate <= SETTLED
    else b'{"status":"refused","why":"%s"}' % why.encode()
    for fate, why in zip(Fate, WHY, strict=True)
)
_KINDS: Final[dict[Fate, type[EletroviaError]]] = {
    Fate.UNKNOWN_METER: NotFound,
    Fate.NOT_ITS_METER: Denied,
}


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body itself. Raises: Invalid ``body.encoding_unknown``, ``body.malformed``, ``body.too_large``."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Invalid("body.encoding_unknown", encoding=encoding[:40])
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, READINGS_MAX_OCTETS)
    except zlib.error as problem:
        raise Invalid("body.malformed", problem=str(problem)) from None
    if unzip.unconsumed_tail:
        raise Invalid("body.readings_too_large", most=READINGS_MAX_OCTETS)
    if not unzip.eof:
        raise Invalid("body.malformed", problem="the gzip stream ends too early")
    return plain


class Posted:
    """One body: a reading, or a batch of them.

    Raises: Invalid for a body in which anything is malformed, with the place of the first such reading.
    """

    def __init__(self, body: bytes) -> None:
        report: Report = decode_strictly(_REPORT, body)
        if report.muddled:
            raise Invalid("reading.muddled")
        self.single = report.readings is None and report.rows is None
        self._items = report.items()
        if len(self._items) > MOST_READINGS:
            raise Invalid("body.too_many_items", allowed=MOST_READINGS)
        self._columns = Columns(self._items)
        if self._columns.wrong:
            place = min(self._columns.wrong)
            raise Invalid(
                f"reading.{self._columns.wrong[place]}", place=place, at=str(self._items[place].at)[:40]
            )

    async def take(
        self, intake: Intake, roster: Roster, *, sender: int | None, source: Source = Source.HTTP
    ) -> NDArray[np.int8]:
        """Commit, for the device ``sender``, or for staff with None.

        Raises: Overloaded, Unavailable, Invalid.
        """
        columns = self._columns
        keys = await self._keys(roster, sender)
        readings = Readings(
            source, keys, columns.at_us, columns.energy_wh,
            columns.power_w, columns.sent_kwh, columns.estimated,
        )  # fmt: skip
        return await intake.take(readings, sender=sender, patient=False)

    async def _keys(self, roster: Roster, sender: int | None) -> NDArray[np.int32]:
        """Whose each is; a device that names nobody speaks of itself."""
        ids = [item.meter for item in self._items]
        if None not in ids:
            return await roster.resolve(ids)  # type: ignore[arg-type]
        if sender is None:
            raise Invalid("reading.meter_missing", place=ids.index(None))
        named = [id_ for id_ in ids if id_ is not None]
        keys = np.full(len(ids), sender, np.int32)
        if named:
            keys[[id_ is not None for id_ in ids]] = await roster.resolve(named)
        return keys

    def told(self, place: int) -> Told:
        """One of its readings, as it came."""
        return self._items[place]


def answer(fates: NDArray[np.int8]) -> bytes:
    """A status for each reading, and how many there are of each."""
    counts = np.bincount(fates, minlength=len(Fate)).tolist()
    stored, duplicate, conflict = counts[: SETTLED + 1]
    items = b",".join(map(_ITEMS.__getitem__, fates.tolist()))
    return b'{"stored":%d,"duplicate":%d,"conflict":%d,"refused":%d,"items":[%s]}' % (
        stored, duplicate, conflict, sum(counts[SETTLED + 1 :]), items,
    )  # fmt: skip


def refusal(fate: Fate, told: Told) -> EletroviaError:
    """Why a reading that came alone was not taken."""
    kind = _KINDS.get(fate, Invalid)
    return kind(f"reading.{WHY[fate]}", meter_id=told.meter or "", at=str(told.at)[:40])
