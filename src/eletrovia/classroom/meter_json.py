"""JSON objects out of a stream that frames nothing: in pieces, glued together, with noise between."""

from __future__ import annotations

import re
from typing import Final

MOST_OCTETS: Final = 4096
"""The longest object that is taken."""

_BETWEEN: Final = re.compile(rb"[\s,\x00]*")
_OUTSIDE_TEXT: Final = re.compile(rb'["{}]')
_INSIDE_TEXT: Final = re.compile(rb'["\\]')


class Objects:
    """Cuts a stream into top-level objects; where the stream is cut in pieces makes no difference.

    Shape: what stands between objects is skipped, and each run of it counted in ``noise`` unless it is white
           space, commas or zeros. An object too long is noise too. At most ``most`` octets are remembered.
    """

    def __init__(self, most: int = MOST_OCTETS) -> None:
        self.noise = 0
        self.last_noise = b""
        self._most = most
        self._held = bytearray()
        self._seen = 0  # of what is held, this much was looked at
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._in_noise = False

    def feed(self, octets: bytes) -> list[bytes]:
        """The objects that are complete now, in their order, not yet known to be JSON inside."""
        self._held += octets
        found: list[bytes] = []
        while self._seen < len(self._held):
            if self._depth == 0:
                self._to_next_object()
            elif self._object_ends():
                found.append(bytes(self._held[: self._seen]))
                self._drop()
        return found

    def _to_next_object(self) -> None:
        start = self._held.find(b"{")
        end = len(self._held) if start < 0 else start
        between = _BETWEEN.match(self._held)
        if between is not None and between.end() < end and not self._in_noise:
            self._note(bytes(self._held[between.end() : end]))
            self._in_noise = True
        del self._held[:end]
        self._seen = 0
        if start >= 0:
            self._depth, self._seen, self._in_noise = 1, 1, False

    def _object_ends(self) -> bool:
        """Look on until the object is complete, or nothing is left to look at."""
        held, limit = self._held, min(len(self._held), self._most)
        at = self._seen
        while at < limit:
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            special = (_INSIDE_TEXT if self._in_text else _OUTSIDE_TEXT).search(held, at, limit)
            if special is None:
                at = limit
                break
            at = special.end()
            match held[at - 1]:
                case 0x22:  # "
                    self._in_text = not self._in_text
                case 0x5C:  # \
                    self._escaped = True
                case 0x7B:  # {
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        self._seen = at
                        return True
        self._seen = at
        if at >= self._most:
            self._note(bytes(held[: self._seen]))
            self._drop()
            self._in_noise = True  # and so is its rest
        return False

    def _drop(self) -> None:
        del self._held[: self._seen]
        self._seen = self._depth = 0
        self._in_text = self._escaped = False

    def _note(self, octets: bytes) -> None:
        self.noise += 1
        self.last_noise = octets[:80]
