"""What a person reads about usage, series and anomalies: English, then Portuguese."""

from __future__ import annotations

from typing import Final

USAGE: Final[dict[str, tuple[str, str]]] = {}
