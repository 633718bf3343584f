"""All meters in a gateway's memory: who is known, who may speak for whom, who is cut off."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock, at_epoch_s
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.meterstore import ROW, STATES, MeterStore
from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_IDS: Final = 1_000_000
_LOOK_S: Final = 1.0
_AT_MOST_EVERY_S: Final = 0.1
_BLOCKED: Final = STATES["blocked"]
_REMOVED: Final = STATES["removed"]
_LONG_AGO: Final[datetime] = at_epoch_s(946_684_800)


class Roster:
    """A copy of the meters' table, 13 octets a meter, at most a second old.

    A meter that is not in it is looked for once more before it is called unknown.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._meters = MeterStore(store)
        self._clock = clock
        self._rows = np.zeros(1024, ROW)  # by key; state 0 is nobody
        self._since = "0"
        self._looked_at = float("-inf")
        self._look: asyncio.Lock = asyncio.Lock()
        self._keys: OrderedDict[str, int] = OrderedDict()
        self._watchers: list[Callable[[int, int], None]] = []

    @classmethod
    async def open(cls, store: Store, clock: Clock) -> Roster:
        """The roster, filled."""
        self = cls(store, clock)
        await self.refresh()
        return self

    async def run(self) -> None:
        """Keep up with the table until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self.refresh()
            except EletroviaError as gone:
                _log.warning("roster.stale", reason=str(gone))
            except Exception:  # or keys that were revoked would be good for ever
                _log.exception("roster.stumbled")

    async def refresh(self) -> None:
        """Read what changed since the last look."""
        async with self._look:
            changed, self._since = await self._meters.changes(self._since)
            self._looked_at = self._clock.monotonic()
            if not len(changed):
                return
            top = int(changed["key"].max())
            if top >= len(self._rows):
                grown = np.zeros(max(top + 1, 2 * len(self._rows)), ROW)
                grown[: len(self._rows)] = self._rows
                self._rows = grown
            revoked = self._revoked(changed)
            self._rows[changed["key"]] = changed
            for key, epoch in revoked:
                for watcher in self._watchers:
                    watcher(key, epoch)

    def watch(self, revoked: Callable[[int, int], None]) -> None:
        """Tell ``revoked`` each meter whose secret is no longer good, and the epoch that it was of."""
        self._watchers.append(revoked)

    def _revoked(self, changed: NDArray[Any]) -> list[tuple[int, int]]:
        before = self._rows[changed["key"]]
        ended = (before["state"] > 0) & (
            (before["epoch"] != changed["epoch"])
            | (changed["state"] == _REMOVED) & (before["state"] != _REMOVED)
        )
        return [(int(row["key"]), int(row["epoch"])) for row in before[ended]]

    async def known(self, keys: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these meters there are."""
        there = self._there(keys)
        if not there.all() and self._clock.monotonic() - self._looked_at >= _AT_MOST_EVERY_S:
            await self.refresh()
            there = self._there(keys)
        return there

    def _there(self, keys: NDArray[np.int32]) -> NDArray[np.bool_]:
        inside = (keys > 0) & (keys < len(self._rows))
        mask: NDArray[np.bool_] = inside & (self._rows["state"][np.where(inside, keys, 0)] > 0)
        return mask

    def may_speak(self, sender: int | NDArray[np.int32], keys: NDArray[np.int32]) -> NDArray[np.bool_]:
        """For which of these known meters ``sender`` (or each's own) speaks: itself, and those behind it.

        Nobody knows sender 0, who speaks for none.
        """
        mask: NDArray[np.bool_] = (keys == sender) | (self._rows["via"][keys] == sender)
        # A meter behind no concentrator has 0 there, too.
        return mask & (np.asarray(sender) > 0)

    def one(self, key: int) -> Any | None:
        """One meter's row (``meterstore.ROW``), or None where there is no such meter."""
        if not 0 < key < len(self._rows) or not self._rows[key]["state"]:
            return None
        return self._rows[key]

    def rows(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """The rows of these meters, with state 0 where there is no such meter. Any thread may ask."""
        all_rows = self._rows
        rows: NDArray[Any] = all_rows[np.where((keys > 0) & (keys < len(all_rows)), keys, 0)]
        return rows

    def is_blocked(self, key: int) -> bool:
        """Whether this meter is to cut its customer off."""
        row = self.one(key)
        return row is not None and int(row["state"]) == _BLOCKED

    def blocked(self, keys: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these meters are to cut their customers off; 0 and strangers are not."""
        inside = (keys > 0) & (keys < len(self._rows))
        mask: NDArray[np.bool_] = self._rows["state"][np.where(inside, keys, 0)] == _BLOCKED
        return mask & inside

    async def resolve(self, ids: Sequence[str]) -> NDArray[np.int32]:
        """The key of each of these meters, in their order; 0 where there is no such meter."""
        keys = list(map(self._keys.get, ids, repeat(0)))
        if 0 in keys:
            missing = {id_ for id_, key in zip(ids, keys, strict=True) if not key and _ID.fullmatch(id_)}
            found = self._remembered(await self._meters.keys_of(missing)) if missing else {}
            if found:
                keys = list(map(self._keys.get, ids, repeat(0)))
                if not self._there(np.array(list(found.values()), np.int32)).all():
                    await self.refresh()  # just registered
        return np.array(keys, np.int32)

    async def keys_of(self, ids: Collection[str]) -> dict[str, int]:
        """The keys of these meters by their ids; those that are not there are left out."""
        found = {id_: self._keys[id_] for id_ in ids if id_ in self._keys}
        missing = {id_ for id_ in ids if id_ not in found}
        if missing:
            found |= self._remembered(await self._meters.keys_of(missing))
        return found

    async def keys_taking_in(self, ids: Collection[str]) -> dict[str, int]:
        """The keys of all these meters; those that are not there are taken in, without a customer."""
        found = await self.keys_of(ids)
        missing = {id_ for id_ in ids if id_ not in found}
        if missing:
            found |= self._remembered(await self._meters.take_in(missing, self._clock.now(), since=_LONG_AGO))
            await self.refresh()
        return found

    def _remembered(self, keys: dict[str, int]) -> dict[str, int]:
        self._keys |= keys
        while len(self._keys) > _MOST_IDS:
            self._keys.popitem(last=False)
        return keys
