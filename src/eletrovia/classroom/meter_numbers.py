"""Running numbers for the classroom's meters, each given once."""

from __future__ import annotations

from typing import Final

from eletrovia.store.pool import Store

_NEXT: Final = "select nextval('classroom_meter_number')"


class MeterNumbers:
    """The next number, from a sequence of the classroom's own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def next(self) -> int:
        """A number that nobody was given before; a crash may leave some out."""
        async with self._store.connection() as connection:
            rows = await connection.execute(_NEXT)
            [(number,)] = await rows.fetchall()
            return int(number)
