"""Chance is handed in, as named streams of one seed, so that a run can be replayed."""

from __future__ import annotations

import hashlib
import random
import secrets


class Rng:
    """Independent, named random streams of one seed: drawing from one never shifts another."""

    def __init__(self, seed: int | str | None = None) -> None:
        self.seed: int | str = secrets.randbits(64) if seed is None else seed

    def stream(self, name: str) -> random.Random:
        """A fresh stream for ``name`` (``"meter/17"``); the same seed and name give the same draws."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 - simulation, not secrets
