"""Many readings' frames out of one stretch of memory: checked, and their readings side by side."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.frame import ACKNOWLEDGEMENT as KIND
from eletrovia.metering.frame import (
    ANSWER,
    ANSWER_OCTETS,
    CUT_OFF,
    DATAGRAM_OCTETS,
    HEAD,
    HEAD_OCTETS,
    LEAST_OCTETS,
    MAGIC,
    MOST_BACKLOG,
    MOST_READINGS,
    READINGS,
    RECORD,
    RECORD_OCTETS,
    VERSION,
    columns_of,
)
from eletrovia.metering.gateways.kernel import gathered
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.intake import SETTLED
from eletrovia.metering.meterstore import STATES
from eletrovia.metering.reading import Readings, Source
from eletrovia.metering.roster import Roster


class Verdict(IntEnum):
    """What was found of one frame."""

    GOOD = 0
    MALFORMED = 1
    STRANGER = 2
    """There is no such sender, or no more."""
    WRONG_TAG = 3


class Batch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Frames that their senders signed.

    Shape: ``rows`` (of the roster), ``sequence`` and ``backlog`` by frame; ``place`` is where each stood in
           what was given; ``frame`` says for each reading in which frame, ``order`` which one of it.
    """

    rows: NDArray[Any]
    sequence: NDArray[np.uint64]
    backlog: NDArray[np.uint32]
    place: NDArray[np.int64]
    readings: Readings
    frame: NDArray[np.int64]
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def senders(self) -> NDArray[np.int32]:
        """For each reading who vouches for it."""
        keys: NDArray[np.int32] = self.rows["key"][self.frame]
        return keys

    def before(self, place: int) -> Batch:
        """Those that stood before ``place``."""
        count = int(np.searchsorted(self.place, place))
        kept = self.frame < count
        return Batch(
            rows=self.rows[:count],
            sequence=self.sequence[:count],
            backlog=self.backlog[:count],
            place=self.place[:count],
            readings=self.readings.pick(kept),
            frame=self.frame[kept],
            order=self.order[kept],
        )

    def refused(self, fates: NDArray[np.int8]) -> NDArray[np.int64]:
        """For each frame how many of its readings were refused."""
        return np.bincount(self.frame[fates > SETTLED], minlength=len(self))


def unpacked(
    octets: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    source: Source,
    roster: Roster,
    seals: Seals,
) -> tuple[Batch, NDArray[np.int8]]:
    """The good ones among these frames, and a ``Verdict`` for each."""
    verdicts = np.full(len(starts), Verdict.MALFORMED, np.int8)
    place = np.flatnonzero(lengths >= LEAST_OCTETS)
    heads = _gathered(octets, starts[place], HEAD)
    fits = (
        (heads["magic"] == MAGIC)
        & (heads["version"] == VERSION)
        & (heads["kind"] == READINGS)
        & (heads["reserved"] == 0)
        & (heads["count"] <= MOST_READINGS)
        & (heads["backlog"] <= MOST_BACKLOG)
        & (heads["backlog"] < heads["sequence"])
        & (lengths[place] == LEAST_OCTETS + heads["count"].astype(np.int64) * RECORD_OCTETS)
    )
    if not fits.all():
        place, heads = place[fits], heads[fits]
    rows = roster.rows(heads["sender"].astype(np.int64))
    known = (rows["state"] > 0) & (rows["state"] != _REMOVED)  # a removed one's key is worthless
    verdicts[place] = Verdict.STRANGER
    if not known.all():
        place, heads, rows = place[known], heads[known], rows[known]
    right = seals.are_right(octets, starts[place], lengths[place], rows)
    verdicts[place] = np.where(right, Verdict.GOOD, Verdict.WRONG_TAG)
    if not right.all():
        place, heads, rows = place[right], heads[right], rows[right]
    count = heads["count"].astype(np.int64)
    frame = np.repeat(np.arange(len(place)), count)
    order = np.arange(len(frame)) - np.repeat(np.cumsum(count) - count, count)
    records = _gathered(octets, starts[place][frame] + HEAD_OCTETS + order * RECORD_OCTETS, RECORD)
    batch = Batch(
        rows=rows,
        sequence=heads["sequence"].astype(np.uint64),
        backlog=heads["backlog"].astype(np.uint32),
        place=place,
        readings=columns_of(records, source),
        frame=frame,
        order=order,
    )
    return batch, verdicts


def senders_of(octets: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Who claims to have sent these frames."""
    senders: NDArray[np.int32] = _gathered(octets, starts, HEAD)["sender"].astype(np.int32)
    return senders


def answers(rows: NDArray[Any], sequence: NDArray[np.uint64], refused: NDArray[Any], now_s: int) -> Any:
    """Acknowledgements as rows of octets, not signed yet."""
    made = np.zeros((len(rows), ANSWER_OCTETS), np.uint8)
    head = np.empty(len(rows), ANSWER)
    head["magic"], head["version"], head["kind"] = MAGIC, VERSION, KIND
    head["sender"] = rows["key"]
    head["sequence"] = sequence
    head["refused"] = refused
    head["flags"] = np.where(rows["state"] == _BLOCKED, CUT_OFF, 0)
    head["reserved"] = 0
    head["now"] = now_s
    made[:, : ANSWER.itemsize] = head.view(np.uint8).reshape(len(rows), -1)
    return made


def packed(
    frames: NDArray[np.uint8], addresses: NDArray[Any]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """Acknowledgements as datagrams, those for one address together; each time all of one length.

    A concentrator speaks for many meters from one address, and so does a simulation: one datagram instead
    of 33.
    """
    if addresses.dtype == object or len(frames) == 1:
        yield frames, addresses
        return
    words = addresses.view(np.uint64).reshape(len(frames), -1)
    # Equal addresses next to each other; two that only look alike to the sum are told apart afterwards.
    order = np.argsort((words * _ODD[: words.shape[1]]).sum(axis=1), kind="stable")
    words = words[order]
    begins = np.flatnonzero(np.r_[True, (words[1:] != words[:-1]).any(axis=1)])
    many = np.diff(np.r_[begins, len(frames)])
    # Each address's frames in datagrams of 33, and one with the rest.
    pieces = -(-many // _TOGETHER)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(begins, pieces) + piece * _TOGETHER
    sizes = np.minimum(np.repeat(many, pieces) - piece * _TOGETHER, _TOGETHER)
    for size in np.unique(sizes).tolist():
        rows = order[starts[sizes == size][:, None] + np.arange(size)]
        yield frames[rows].reshape(len(rows), -1), addresses[rows[:, 0]]


_ODD: Final = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64
)
_TOGETHER: Final = DATAGRAM_OCTETS // ANSWER_OCTETS
_REMOVED: Final = STATES["removed"]
_BLOCKED: Final = STATES["blocked"]


def _gathered(octets: NDArray[np.uint8], starts: NDArray[np.int64], kind: np.dtype[Any]) -> NDArray[Any]:
    """What lies at each of these places, copied side by side."""
    return gathered(octets, starts, kind.itemsize).view(kind).reshape(len(starts))
