"""What other parts of metering keep about a customer, as far as the customer may have it told or erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, Protocol

import msgspec

from eletrovia.store.pool import Connection

FISCAL: Final = "LGPD (Lei 13.709/2018) art. 16 I; CTN (Lei 5.172/1966) art. 173, 174, 195 parágrafo único"
"""Why billing documents stay: fiscal documents are kept until what they say of taxes can no longer be asked
for, five years from the first day of the year after, and that duty goes before the wish to be erased."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is not erased. Shape: ``what`` is a stable word, ``until`` the day it may go, ``law`` says why."""

    what: str
    count: int
    until: date | None = None
    law: str = FISCAL


class Section(Protocol):
    """One part's share in telling and erasing; register it with ``Privacy.add``."""

    name: str
    """Its member in the exported document, e.g. ``invoices``."""

    async def export(self, customer_id: str) -> Any:
        """All it keeps about a customer, as JSON values or structs."""
        ...

    async def settle(self, customer_id: str) -> None:
        """Finish what needs the customer, e.g. the last bill, before they are erased; may be called again.

        Raises: Conflict when that cannot be yet: then nobody is erased.
        """
        ...

    async def erase(self, connection: Connection, customer_id: str, now: datetime) -> Sequence[Kept]:
        """Erase inside the one transaction that erases the customer, and tell what the law makes us keep."""
        ...


def kept_until(issued_on: date) -> date:
    """The day a fiscal document of that day may go. Source: CTN art. 173 I."""
    return date(issued_on.year + 6, 1, 1)
