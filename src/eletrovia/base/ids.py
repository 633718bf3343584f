"""Ids and secrets are handed in like time and chance."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from eletrovia.base.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def _base32(value: int, digits: int) -> str:
    return "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(digits)))


class Ids:
    """Ids that sort by when they were made: 9 digits of milliseconds, 11 of chance, base 32.

    They are safe in a URL, an MQTT topic and a NATS subject.
    """

    def __init__(self, clock: Clock, draw: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock
        self._draw = draw

    @classmethod
    def seeded(cls, clock: Clock, stream: random.Random) -> Ids:
        """Ids that replay with ``stream``."""
        return cls(clock, stream.getrandbits)

    def new(self, prefix: str) -> str:
        """A new id, e.g. ``trip_06f1r3v0x8c2m4q9t7n5``."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        return f"{prefix}_{_base32(milliseconds, 9)}{_base32(self._draw(55), 11)}"


def new_secret(octets: int = 32) -> str:
    """A secret for a token or a password, URL safe, from the machine's own chance."""
    return secrets.token_urlsafe(octets)
