"""Who may see which meter, and of which time: only what it counted while they lived there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from eletrovia.base.errors import NotFound
from eletrovia.base.window import Window
from eletrovia.metering.customerstore import CustomerStore
from eletrovia.store.pool import Store

ALWAYS: Final = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
"""All of time, as far as readings go."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may see of one meter.

    Shape: ``windows`` in order, never empty; ``now`` while they live with it.
    """

    meter: int
    meter_id: str
    usage_point_id: str
    windows: tuple[Window, ...]
    now: bool

    def within(self, during: Window) -> list[Window]:
        """The parts of ``during`` that may be seen, oldest first; none is a plain answer."""
        return overlaps(self.windows, during)

    def covers(self, slot: Window) -> bool:
        """Whether the whole of it is theirs to see: a month that began with somebody else is not."""
        return any(one.starts_at <= slot.starts_at and slot.ends_at <= one.ends_at for one in self.windows)


class Access:
    """Answers who may see what. What is somebody else's is not found, in the words for what is not there."""

    def __init__(self, store: Store) -> None:
        self._customers = CustomerStore(store)

    async def may_see(self, account_id: str, meter_id: str, *, is_staff: bool) -> int:
        """The key of a meter that they may follow now: staff any, a customer those where they live.

        For anything with a date ask ``sight``: what was counted before they came is not theirs to see.
        Raises: NotFound.
        """
        sight = await self.sight(account_id, meter_id, is_staff=is_staff)
        if not sight.now:
            raise unknown(meter_id)
        return sight.meter

    async def sight(self, account_id: str, meter_id: str, *, is_staff: bool) -> Sight:
        """The meter and the windows of it they may see, those of homes that they have left too.

        Raises: NotFound.
        """
        if is_staff:
            found = await self._customers.place_of(meter_id)
            if found is None:
                raise unknown(meter_id)
            key, usage_point_id = found
            return Sight(
                meter=key, meter_id=meter_id, usage_point_id=usage_point_id, windows=(ALWAYS,), now=True
            )
        sights = _sights(await self._customers.stays(account_id, meter_id))
        if not sights:
            raise unknown(meter_id)
        return sights[0]

    async def sights(self, account_id: str) -> list[Sight]:
        """Every meter that this account has lived with, in order of their ids."""
        return _sights(await self._customers.stays(account_id, None))

    async def usage_point(
        self, account_id: str, usage_point_id: str, *, is_staff: bool
    ) -> tuple[Window, ...]:
        """When of a usage point they may see anything at all: bills, usage over all its meters.

        Raises: NotFound.
        """
        if is_staff:
            if await self._customers.is_usage_point(usage_point_id):
                return (ALWAYS,)
        elif windows := await self._customers.stays_at(account_id, usage_point_id):
            return tuple(_window(from_at, until_at) for from_at, until_at in windows)
        raise NotFound("usage_point.unknown", usage_point_id=usage_point_id)

    async def customer_id(self, account_id: str) -> str:
        """The customer whose account this is. Raises: NotFound."""
        found = await self._customers.customer_id_of(account_id)
        if found is None:
            raise NotFound("customer.none_yet")
        return found


def overlaps(windows: tuple[Window, ...], during: Window) -> list[Window]:
    """The parts of ``during`` inside ``windows``."""
    return [
        Window(max(one.starts_at, during.starts_at), min(one.ends_at, during.ends_at))
        for one in windows
        if one.overlaps(during)
    ]


def unknown(meter_id: str) -> NotFound:
    """What is said of a meter that is not there, and of one that is somebody else's."""
    return NotFound("meter.unknown", meter_id=meter_id)


def _window(from_at: datetime, until_at: datetime | None) -> Window:
    return Window(from_at, until_at or ALWAYS.ends_at)


def _sights(stays: list[tuple[int, str, str, datetime, datetime | None]]) -> list[Sight]:
    """One for each meter; ``stays`` come in order of meter and time."""
    by_meter: dict[int, list[tuple[int, str, str, datetime, datetime | None]]] = {}
    for stay in stays:
        by_meter.setdefault(stay[0], []).append(stay)
    return [
        Sight(
            meter=key,
            meter_id=those[-1][1],
            usage_point_id=those[-1][2],
            windows=tuple(_window(from_at, until_at) for *_, from_at, until_at in those),
            now=those[-1][4] is None,
        )
        for key, those in by_meter.items()
    ]
