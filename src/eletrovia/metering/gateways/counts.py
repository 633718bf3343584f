"""What a gateway counts beside the readings themselves."""

from __future__ import annotations

import threading
from typing import Final

import msgspec

_LOCK: Final = threading.Lock()


class Counts(msgspec.Struct, kw_only=True):
    """Since the gateway began; any thread adds, any reads."""

    datagrams: int = 0
    kernel_dropped: int = 0
    """Datagrams that found no room in the socket's buffer; Linux tells."""
    other_datagrams: int = 0
    """In another language that is spoken here."""
    frames: int = 0
    """Readings' frames with a right tag."""
    malformed: int = 0
    wrong_tag: int = 0
    unknown_sender: int = 0
    answered: int = 0
    """Acknowledgements sent."""
    answers_lost: int = 0
    """Acknowledgements that the network would not take; their senders repeat."""
    connections: int = 0
    turned_away: int = 0
    """Connections refused because there were too many."""
    stuck: int = 0
    """Connections cut because their peer did not read, or did not finish what it began."""

    def add(self, **more: int) -> None:
        """Count so many more of each."""
        with _LOCK:
            for name, many in more.items():
                setattr(self, name, getattr(self, name) + many)

    def told(self) -> dict[str, int]:
        """All by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}
