"""Numbers as people write them, exactly, as whole parts of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

OK: Final = 0
EMPTY: Final = 1
NO_NUMBER: Final = 2
NEGATIVE: Final = 3
TOO_MUCH: Final = 4

_NOTHING: Final = frozenset({"", "-", "--", "na", "n/a", "nan", "null", "none"})
_EXACT: Final = 1e12
"""Below this many parts, a binary fraction is so near the decimal one that rounding finds it."""
_MOST: Final = 10**17


class Point(StrEnum):
    """What stands before the decimals."""

    POINT = "."
    COMMA = ","


def point_of(sample: Sequence[str]) -> Point:
    """Which of the two is used. Whichever comes last; a comma alone is a decimal comma."""
    commas = points = 0
    for text in sample:
        comma, point = text.rfind(","), text.rfind(".")
        commas += comma > point
        points += point > comma
    return Point.COMMA if commas > points else Point.POINT


def parts_of(texts: Sequence[str], point: Point, per_unit: int) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Each number times ``per_unit``, rounded to whole parts, and which are none: OK, EMPTY, NO_NUMBER, ….

    Digits beyond the smallest part are rounded half to even: they are what binary fractions leave behind.
    """
    if point is Point.COMMA:
        texts = [text.replace(".", "").replace(",", ".") for text in texts]
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # "inf" and "1e999" are looked at below
            told = np.array(texts, np.float64) * per_unit
            parts = np.rint(told)
            simple = (np.abs(told) < _EXACT) & (np.abs(told - parts) < 1e-3) & (told >= 0)
    except ValueError:
        told = parts = np.zeros(len(texts))
        simple = np.zeros(len(texts), np.bool_)
    whole = np.where(simple, parts, 0).astype(np.int64)
    state = np.zeros(len(texts), np.int8)
    for place in np.flatnonzero(~simple).tolist():
        whole[place], state[place] = _one(texts[place], per_unit)
    return whole, state


def _one(text: str, per_unit: int) -> tuple[int, int]:
    text = text.strip().replace("\u00a0", "").replace(" ", "").replace(",", "")
    if text.lower() in _NOTHING:
        return 0, EMPTY
    try:
        number = Decimal(text)
    except InvalidOperation:
        return 0, NO_NUMBER
    if not number.is_finite():
        return 0, NO_NUMBER
    # The size first: 1e999999 is short to write and long to count out.
    if number and number.adjusted() > 17:
        return 0, TOO_MUCH
    if number < 0:
        return 0, NEGATIVE
    if number and number.adjusted() < -40:
        return 0, OK
    whole = int((number * per_unit).to_integral_value(ROUND_HALF_EVEN))
    return (whole, OK) if whole <= _MOST else (0, TOO_MUCH)
