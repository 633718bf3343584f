"""What a person reads about alerts and how they are delivered: English, then Portuguese."""

from __future__ import annotations

from typing import Final

ALERT: Final[dict[str, tuple[str, str]]] = {}
