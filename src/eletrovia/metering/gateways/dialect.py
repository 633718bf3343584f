"""What other languages must offer to be spoken on the same ports, told apart by their first octet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from eletrovia.metering.intake import Intake


class Dialect(Protocol):
    """Another language of datagrams."""

    def decode(self, datagrams: Sequence[bytes]) -> tuple[Any, int]:
        """What these say, all together, and how many of them say nothing that makes sense.

        Called in the thread that drains the socket, so it waits for nothing; it never raises.
        """
        ...

    async def take(self, said: Any, intake: Intake) -> None:
        """Commit what ``decode`` understood; called in the loop. Who cannot repeat is taken surely."""
        ...


class Conversation(Protocol):
    """Another language of streams."""

    async def __call__(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Speak with one peer to the end; ``first`` is what it said already.

        The gateway closes the writer afterwards, and cancels this when it stops.
        """
        ...
