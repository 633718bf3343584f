"""What was wrong in a file: counted by kind, the first few with their lines."""

from __future__ import annotations

from typing import Final

import msgspec

_SHOWN: Final = 5
_CHARS: Final = 80


class Example(msgspec.Struct, frozen=True):
    line: int
    text: str


class Trouble(msgspec.Struct):
    """One kind of trouble. ``taken`` where the row was used all the same."""

    count: int = 0
    examples: list[Example] = []


class Troubles:
    """All that was wrong; nothing is left out without being counted here."""

    def __init__(self) -> None:
        self.by_code: dict[str, Trouble] = {}

    def note(self, code: str, line: int, text: str, count: int = 1) -> None:
        """One more, at this line."""
        trouble = self.by_code.setdefault(code, Trouble(examples=[]))
        trouble.count += count
        if len(trouble.examples) < _SHOWN:
            trouble.examples.append(Example(line, text[:_CHARS]))

    def __getitem__(self, code: str) -> int:
        return self.by_code[code].count if code in self.by_code else 0
