"""Which stretch of which meter a batch of readings touched: how usage learns what to work out anew."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SPAN: Final = np.dtype([("meter", "<i4"), ("first_us", "<i8"), ("last_us", "<i8")])


def packed(meter: NDArray[np.int32], at_us: NDArray[np.int64]) -> bytes:
    """One span for each meter, of readings in order of meter, then time."""
    starts = np.flatnonzero(np.r_[True, meter[1:] != meter[:-1]]) if len(meter) else np.empty(0, np.int64)
    spans = np.empty(len(starts), SPAN)
    spans["meter"] = meter[starts]
    spans["first_us"] = at_us[starts]
    spans["last_us"] = at_us[np.r_[starts[1:], len(meter)] - 1] if len(starts) else 0
    return spans.tobytes()


def unpacked(octets: bytes) -> NDArray[Any]:
    """The spans, as an array of ``SPAN``."""
    return np.frombuffer(octets, SPAN)
