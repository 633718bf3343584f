"""Errors carry a stable code and facts, and know no transport.

The API maps each kind to an HTTP status, the command line to an exit code; a person's sentence
for a code is chosen there, in the person's language.
"""

from __future__ import annotations

from typing import Any, ClassVar


class EletroviaError(Exception):
    """Something a caller can act on. ``code`` is stable (``"hold.taken"``); ``facts`` are JSON values."""

    kind: ClassVar[str] = "internal"

    def __init__(self, code: str, **facts: Any) -> None:
        self.code = code
        self.facts = facts
        super().__init__(self.__str__())

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.code} ({told})" if told else self.code


class Invalid(EletroviaError):
    """What was sent cannot be right, whoever sends it."""

    kind = "invalid"


class Denied(EletroviaError):
    """Whoever asks may not: no credentials, wrong ones, or not theirs."""

    kind = "denied"


class NotFound(EletroviaError):
    """There is no such thing, or none that the asker may know of."""

    kind = "not_found"


class Conflict(EletroviaError):
    """Right in itself, but something that stands already forbids it."""

    kind = "conflict"


class Overloaded(EletroviaError):
    """Too much at once; the same request later may pass."""

    kind = "overloaded"


class Unavailable(EletroviaError):
    """A part that is needed does not answer now."""

    kind = "unavailable"
