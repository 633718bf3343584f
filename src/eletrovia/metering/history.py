"""What a meter said, as it said it: for those who must give back exactly what they were given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from eletrovia.metering.historystore import HistoryStore
from eletrovia.metering.reading import Reading
from eletrovia.store.pool import Store

_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_PAGE: Final = 5_000


class History:
    """Readings read back one by one, second values for one moment too. For usage ask ``UsageBook``."""

    def __init__(self, store: Store) -> None:
        self._rows = HistoryStore(store)

    async def latest(self, meter: int, count: int = 1) -> list[Reading]:
        """The meter's last readings, at most ``count``, oldest first."""
        return await self._rows.latest(meter, count)

    def pages(
        self, meter: int, *, first: datetime | None = None, last: datetime | None = None
    ) -> AsyncIterator[list[Reading]]:
        """All of a meter's readings from ``first`` to ``last``, both included, oldest first, in pieces."""
        return self._rows.pages(meter, first or _FIRST, last or _LAST, _PAGE)
