"""Where a file's readings go: over HTTP to a server, or straight into its database."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.files.table import Piece
from eletrovia.metering.reading import Fate


class Birth(msgspec.Struct, frozen=True):
    """When a meter first shows in a file, and what it showed then."""

    at_us: int
    energy_wh: int


class Destination(Protocol):
    """Takes readings in. Each call returns when it is done, and may come from any thread."""

    def put(self, piece: Piece) -> NDArray[np.int8]:
        """What became of each reading."""
        ...

    def registers_at(self, moments: Mapping[str, int]) -> Mapping[str, Decimal]:
        """What stands in the database for each meter at its moment, in Wh; nothing where nothing does."""
        ...

    def register(self, births: Mapping[str, Birth]) -> int:
        """Register those of these meters that there are not; how many that were."""
        ...


class Tally:
    """What became of readings, by meter. Shape: a list for each meter, counted by ``Fate``."""

    def __init__(self) -> None:
        self.by_meter: dict[str, list[int]] = {}

    def add(self, piece: Piece, fates: NDArray[np.int8]) -> None:
        counts = np.bincount(piece.meter * len(Fate) + fates, minlength=len(piece.meters) * len(Fate))
        for name, row in zip(piece.meters, counts.reshape(-1, len(Fate)).tolist(), strict=True):
            known = self.by_meter.get(name)
            self.by_meter[name] = row if known is None else [a + b for a, b in zip(known, row, strict=True)]

    def total(self) -> list[int]:
        """Over all meters, by ``Fate``."""
        rows = list(self.by_meter.values())
        return [sum(column) for column in zip(*rows, strict=True)] if rows else [0] * len(Fate)


def births(piece: Piece) -> dict[str, Birth]:
    """When each meter of a piece first shows."""
    order = np.lexsort((piece.at_us, piece.meter))
    whose = piece.meter[order]
    first = order[np.r_[True, whose[1:] != whose[:-1]]]
    return {
        piece.meters[int(piece.meter[place])]: Birth(int(piece.at_us[place]), int(piece.energy_wh[place]))
        for place in first.tolist()
    }
