"""Tags of many frames at once, with each sender's own key kept ready in memory."""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.frame import TAG_OCTETS
from eletrovia.metering.gateways.kernel import gathered, key_states, tags

_PLACES: Final = 1 << 20


def warm_up() -> None:
    """Load the compiled loops, or compile them, so that no datagram waits for that."""
    octets, start, length = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64)
    tags(octets, start, length, key_states(np.zeros((1, 32), np.uint8)))
    gathered(octets, start, 1)


class Seals:
    """Checks and makes tags, for any thread.

    Shape: remembers up to a million keys, 72 octets each, in memory that is taken as it is needed.
    """

    def __init__(self, keys: DeviceKeys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        warm_up()
        # A key's place is its number's last bits: whoever comes later to the same place takes it.
        self._meter = np.zeros(_PLACES, np.int32)
        self._epoch = np.zeros(_PLACES, np.int32)
        self._states = np.zeros((_PLACES, 16), np.uint32)

    def key(self, meter: int, epoch: int) -> bytes:
        """One device's key."""
        with self._lock:
            return self._keys.of(meter, epoch)

    def are_right(
        self,
        octets: NDArray[np.uint8],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        senders: NDArray[Any],
    ) -> NDArray[np.bool_]:
        """Which of these frames were signed by their senders, who are rows of the roster."""
        if not len(starts):
            return np.zeros(0, np.bool_)
        content = lengths - TAG_OCTETS
        made = tags(octets, starts, content, self._of(senders))
        shown = gathered(octets, starts + content, TAG_OCTETS)
        right: NDArray[np.bool_] = (made == shown).all(axis=1)
        return right

    def sign(self, frames: NDArray[np.uint8], senders: NDArray[Any]) -> None:
        """Write the tag at the end of each row, which is one frame."""
        count, octets = frames.shape
        if count:
            starts = np.arange(count, dtype=np.int64) * octets
            lengths = np.full(count, octets - TAG_OCTETS, np.int64)
            frames[:, -TAG_OCTETS:] = tags(frames.reshape(-1), starts, lengths, self._of(senders))

    def _of(self, senders: NDArray[Any]) -> NDArray[np.uint32]:
        """HMAC's states of these senders' keys."""
        meter, epoch = senders["key"], senders["epoch"]
        with self._lock:
            place = meter & (_PLACES - 1)
            missing = np.flatnonzero((self._meter[place] != meter) | (self._epoch[place] != epoch))
            if not len(missing):
                known: NDArray[np.uint32] = self._states[place]
                return known
            pairs = zip(meter[missing].tolist(), epoch[missing].tolist(), strict=True)
            told = bytearray().join(self._keys.of(*pair) for pair in pairs)
            fresh = key_states(np.frombuffer(told, np.uint8).reshape(len(missing), -1))
            states: NDArray[np.uint32] = self._states[place]
            states[missing] = fresh
            self._meter[place[missing]] = meter[missing]
            self._epoch[place[missing]] = epoch[missing]
            self._states[place[missing]] = fresh
            return states
