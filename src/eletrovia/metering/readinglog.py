"""The log of one meter's readings: every value it told, how it came, and what contradicts it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from eletrovia.base.window import Window
from eletrovia.metering.reading import Source
from eletrovia.metering.readinglogstore import ReadingLogStore
from eletrovia.store.pool import Store


class Contradiction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another value for a moment that had one."""

    energy_wh: int
    source: str
    arrived_at: datetime
    sent_kwh: float | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A reading as it is kept. Shape: ``sent_kwh`` is the very number, of meters finer than a Wh."""

    at: datetime
    energy_wh: int
    source: str
    estimated: bool
    power_w: int | None = None
    sent_kwh: float | None = None
    conflicts: tuple[Contradiction, ...] = ()


class ReadingLog:
    """Reads a meter's readings back."""

    def __init__(self, store: Store) -> None:
        self._log = ReadingLogStore(store)

    async def entries(self, meter: int, windows: Sequence[Window], most: int) -> list[Entry]:
        """Up to ``most`` readings in these windows, oldest first."""
        entries: list[Entry] = []
        for window in windows:
            rows, others = await self._log.readings(
                meter, window.starts_at, window.ends_at, most - len(entries)
            )
            conflicts: dict[datetime, list[Contradiction]] = defaultdict(list)
            for at, energy_wh, sent_kwh, source, arrived_at in others:
                conflicts[at].append(
                    Contradiction(
                        energy_wh=energy_wh, sent_kwh=sent_kwh, source=_name(source), arrived_at=arrived_at
                    )
                )
            entries += [
                Entry(
                    at=at,
                    energy_wh=energy_wh,
                    sent_kwh=sent_kwh,
                    power_w=power_w,
                    source=_name(source),
                    estimated=estimated,
                    conflicts=tuple(conflicts.get(at, ())),
                )
                for at, energy_wh, sent_kwh, power_w, source, estimated in rows
            ]
            if len(entries) >= most:
                break
        return entries

    async def registers_at(self, moments: Mapping[int, datetime]) -> dict[int, Decimal]:
        """What meters showed at one moment each, in Wh; those without a reading there are left out."""
        found = await self._log.at(list(moments), list(moments.values()))
        return {meter: exact_wh(energy_wh, sent_kwh) for meter, energy_wh, sent_kwh in found}


def exact_wh(energy_wh: int, sent_kwh: float | None) -> Decimal:
    """A register as finely as it was told."""
    return Decimal(energy_wh) if sent_kwh is None else Decimal(repr(sent_kwh)) * 1000


def _name(source: int) -> str:
    return Source(source).name.lower()
