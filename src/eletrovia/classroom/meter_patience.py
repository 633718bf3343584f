"""Waiting out a database that is away: the course's meters cannot be told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from eletrovia.base.errors import EletroviaError, Overloaded, Unavailable
from eletrovia.metering.intake import PASSES

_log = structlog.get_logger(__name__)

Done = TypeVar("Done")

_FINAL: Final = ("intake.closed", "store.closed")
_LONGEST_REST_S: Final = 1.0


async def patiently(work: Callable[[], Awaitable[Done]]) -> Done:
    """What ``work`` answers, tried again for as long as the database is away; it must be harmless twice.

    Raises: Unavailable once we are closing down.
    """
    rest_s = 0.05
    while True:
        try:
            return await work()
        except (Unavailable, Overloaded, *PASSES) as gone:
            if isinstance(gone, EletroviaError) and gone.code in _FINAL:
                raise
            _log.warning("classroom.waits", reason=str(gone))
        await asyncio.sleep(rest_s)
        rest_s = min(2 * rest_s, _LONGEST_REST_S)
