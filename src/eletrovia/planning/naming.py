"""Names as people type them: accents, case and punctuation left aside, small slips forgiven."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

_NOT_WORD = re.compile(r"[^0-9a-z]+")
LONGEST = 120
"""Characters of a typed name that are looked at; nobody's name is longer."""


def fold(text: str) -> str:
    """``"São João d'Aliança"`` as ``"sao joao d alianca"``."""
    text = text[:LONGEST]
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def slug(text: str) -> str:
    """``"Nissan Leaf 40 kWh"`` as ``"nissan-leaf-40-kwh"``."""
    return fold(text).replace(" ", "-")


def grams(folded: str) -> frozenset[str]:
    """The pairs of neighbouring letters, for a quick first look at likeness."""
    padded = f" {folded} "
    return frozenset(padded[at : at + 2] for at in range(len(padded) - 1))


def closest(folded: str, known: Mapping[str, frozenset[str]], limit: int) -> list[str]:
    """Up to ``limit`` keys of ``known`` (folded names with their grams) that look most like ``folded``."""
    wanted = grams(folded)

    def shared(pair: tuple[str, frozenset[str]]) -> float:
        return len(wanted & pair[1]) / (len(wanted | pair[1]) or 1)

    # The exact measure is slow, so only the likeliest few dozen are put to it.
    likely: Iterable[str] = (name for name, _ in sorted(known.items(), key=shared, reverse=True)[:60])
    return difflib.get_close_matches(folded, list(likely), n=limit, cutoff=0.55)
