"""What a person reads about tariffs, contracts and invoices: English, then Portuguese."""

from __future__ import annotations

from typing import Final

BILL: Final[dict[str, tuple[str, str]]] = {}
