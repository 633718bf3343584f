"""Readings of files to a running server, over its HTTP API."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import NotFound, Overloaded, Unavailable
from eletrovia.cli.server import Answer, Server, pause, segment
from eletrovia.metering.files.destination import Birth
from eletrovia.metering.files.table import Piece
from eletrovia.metering.gateways.report import MOST_READINGS, WHY
from eletrovia.metering.reading import Fate
from eletrovia.metering.readinglog import exact_wh

_TRIES: Final = 6
_METERS_AT_ONCE: Final = 500
_BY_WORD: Final = {why: fate for fate, why in zip(Fate, WHY, strict=True)}


class _Item(msgspec.Struct, frozen=True):
    status: str
    why: str = ""


class _Answer(msgspec.Struct, frozen=True):
    stored: int
    items: msgspec.Raw


class _Registered(msgspec.Struct, frozen=True):
    kept: int


_ITEMS: Final = msgspec.json.Decoder(list[_Item])


class ReadingsOverHttp:
    """A ``files.destination.Destination``: a server, spoken to as staff."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # Two log-ins at once would use one refresh token twice, which ends both.
        self._one_at_a_time = threading.Lock()
        self._registered: set[str] = set()

    def put(self, piece: Piece) -> NDArray[np.int8]:
        parts = [
            self._send(piece, np.arange(start, min(start + MOST_READINGS, len(piece))))
            for start in range(0, len(piece), MOST_READINGS)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int8)

    def registers_at(self, moments: Mapping[str, int]) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for name, at_us in moments.items():
            at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
            query = {"from": at.isoformat(), "until": (at + timedelta(seconds=1)).isoformat(), "limit": 1}
            try:
                told = self._ask("GET", f"/meters/{segment(name)}/readings", query=query)
            except NotFound:
                continue
            for entry in told.read(dict[str, Any])["readings"]:
                if datetime.fromisoformat(entry["at"]) == at:
                    found[name] = exact_wh(entry["energy_wh"], entry["sent_kwh"])
        return found

    def register(self, births: Mapping[str, Birth]) -> int:
        new = {name: birth for name, birth in births.items() if name not in self._registered}
        names, kept = list(new), 0
        for start in range(0, len(names), _METERS_AT_ONCE):
            meters = [
                {
                    "id": name,
                    "from_at": datetime.fromtimestamp(new[name].at_us / 1e6, UTC).isoformat(),
                    "start_wh": new[name].energy_wh,
                }
                for name in names[start : start + _METERS_AT_ONCE]
            ]
            kept += self._ask("POST", "/meters", body={"meters": meters}).read(_Registered).kept
        self._registered |= set(names)
        return kept

    def _send(self, piece: Piece, places: NDArray[np.int64]) -> NDArray[np.int8]:
        told = self._ask("POST", "/readings", body=msgspec.Raw(_body(piece, places))).read(_Answer)
        if told.stored == len(places):
            return np.zeros(len(places), np.int8)
        items = _ITEMS.decode(told.items)
        return np.array([_BY_WORD.get(item.why or item.status, Fate.IMPOSSIBLE) for item in items], np.int8)

    def _ask(self, method: str, path: str, **more: Any) -> Answer:
        """Asking again changes nothing, so a busy or silent server is asked again."""
        for repeat in range(_TRIES):
            try:
                with self._one_at_a_time:
                    return self._server.ask(method, path, timeout_s=60.0, **more)
            except (Overloaded, Unavailable):
                if repeat == _TRIES - 1:
                    raise
            pause(0.5 * 2**repeat)
        raise AssertionError("the last repeat returns or raises")


def _body(piece: Piece, places: NDArray[np.int64]) -> bytes:
    names = [piece.meters[one] for one in piece.meter[places].tolist()]
    at_us, energy_wh = piece.at_us[places], piece.energy_wh[places].tolist()
    sent_kwh, estimated = piece.sent_kwh[places], piece.estimated[places].tolist()
    whole = not (at_us % 1_000_000).any()
    at: list[Any] = (at_us // 1_000_000).tolist()
    if not whole:
        at = [str(moment) + "Z" for moment in at_us.astype("datetime64[us]")]
    if np.isnan(sent_kwh).all():
        rows = zip(names, at, energy_wh, [None] * len(names), estimated, strict=True)
        return msgspec.json.encode({"rows": list(rows)})
    items = [
        {"meter": name, "at": moment, "estimated": guess}
        | ({"energy_wh": wh} if kwh != kwh else {"energy_kwh": repr(kwh)})
        for name, moment, wh, kwh, guess in zip(
            names, at, energy_wh, sent_kwh.tolist(), estimated, strict=True
        )
    ]
    return msgspec.json.encode({"readings": items})
