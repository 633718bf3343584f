"""Moments as devices and files write them, many at a time, in microseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.metering.reading import epoch_us

_PATTERN: Final = np.frombuffer(b"0000-00-00T00:00:00Z", np.uint8)
_SEPARATORS: Final = np.flatnonzero(ord("0") != _PATTERN)
_DIGITS: Final = np.flatnonzero(ord("0") == _PATTERN)
_FURTHEST_S: Final = 10**12

MALFORMED: Final = "at_malformed"
NO_ZONE: Final = "time_zone_missing"


def at_us_of(moments: Sequence[int | str | None]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Each moment in microseconds, and the places of those that are none, with why.

    Shape: whole seconds since 1970, or ISO 8601 with an offset. ``2026-03-01T08:00:00Z`` throughout is by far
           the fastest way to write them.
    """
    kinds = set(map(type, moments))
    if kinds == {int}:
        try:
            seconds = np.array(moments, np.int64)
        except OverflowError:
            return _one_by_one(moments)
        if len(seconds) and int(np.abs(seconds).max()) <= _FURTHEST_S:
            return seconds * 1_000_000, {}
    elif kinds == {str} and set(map(len, moments)) == {len(_PATTERN)}:  # type: ignore[arg-type]
        text = "".join(moments)  # type: ignore[arg-type]
        if text.isascii():
            at_us, good = _of_fixed_width(np.frombuffer(text.encode(), np.uint8).reshape(-1, len(_PATTERN)))
            if good:
                return at_us, {}
    return _one_by_one(moments)


def _of_fixed_width(letters: NDArray[np.uint8]) -> tuple[NDArray[np.int64], bool]:
    """All of them in ``_PATTERN``, or nothing: whether every one was."""
    digits = letters[:, _DIGITS].astype(np.int64) - ord("0")
    if (
        not (letters[:, _SEPARATORS] == _PATTERN[_SEPARATORS]).all()
        or digits.min() < 0
        or int(digits.max()) > 9
    ):
        return np.empty(0, np.int64), False
    pairs = digits[:, 0::2] * 10 + digits[:, 1::2]
    year, month, day = pairs[:, 0] * 100 + pairs[:, 1], pairs[:, 2], pairs[:, 3]
    hour, minute, second = pairs[:, 4], pairs[:, 5], pairs[:, 6]
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    good = (
        (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
        & (hour < 24) & (minute < 60) & (second < 60) & (year >= 1)
    )  # fmt: skip
    if not good.all():
        return np.empty(0, np.int64), False
    return (((first + day - 1) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000, True


def _one_by_one(moments: Sequence[int | str | None]) -> tuple[NDArray[np.int64], dict[int, str]]:
    at_us = np.zeros(len(moments), np.int64)
    wrong: dict[int, str] = {}
    for place, moment in enumerate(moments):
        try:
            if isinstance(moment, str):
                at_us[place] = epoch_us(datetime.fromisoformat(moment))
            elif moment is not None and abs(moment) <= _FURTHEST_S:
                at_us[place] = moment * 1_000_000
            else:
                wrong[place] = MALFORMED
        except ValueError:
            wrong[place] = MALFORMED
        except OverflowError:
            wrong[place] = MALFORMED
        except Invalid:
            wrong[place] = NO_ZONE
    return at_us, wrong
