"""Our compact format, version 1: readings, acknowledgements and refusals, each with a keyed tag.

Plain functions from values to octets and back; ``docs/metering-frame.md`` has the tables, and the rules
for senders.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.metering.reading import NO_POWER, Fate, Reading, Readings, Source, epoch_us

MAGIC: Final = b"EV"
VERSION: Final = 1
READINGS, ACKNOWLEDGEMENT, REFUSAL = 1, 2, 3

MOST_READINGS: Final = 5_000
"""In one frame; of a frame in one datagram fewer: ``DATAGRAM_READINGS``."""
MOST_BACKLOG: Final = 1_023
TAG_OCTETS: Final = 16
CUT_OFF: Final = 1
"""Flag of an acknowledgement: the meter is blocked, its customer is to be cut off."""

HEAD: Final = np.dtype(
    [
        ("magic", "S2"),
        ("version", "u1"),
        ("kind", "u1"),
        ("sender", ">u4"),
        ("sequence", ">u8"),
        ("backlog", ">u4"),
        ("count", ">u2"),
        ("reserved", ">u2"),
    ]
)
RECORD: Final = np.dtype([("meter", ">u4"), ("at", ">u4"), ("energy_wh", ">u8"), ("power_w", ">i4")])
ANSWER: Final = np.dtype(
    [
        ("magic", "S2"),
        ("version", "u1"),
        ("kind", "u1"),
        ("sender", ">u4"),
        ("sequence", ">u8"),
        ("refused", ">u4"),
        ("flags", ">u2"),
        ("reserved", ">u2"),
        ("now", ">u4"),
    ]
)
HEAD_OCTETS: Final = HEAD.itemsize
RECORD_OCTETS: Final = RECORD.itemsize
ANSWER_OCTETS: Final = ANSWER.itemsize + TAG_OCTETS
LEAST_OCTETS: Final = HEAD_OCTETS + TAG_OCTETS
MOST_OCTETS: Final = LEAST_OCTETS + MOST_READINGS * RECORD_OCTETS
DATAGRAM_OCTETS: Final = 1_472
"""What fits one Ethernet frame over IPv4: a longer datagram is lost with any of its pieces."""
DATAGRAM_READINGS: Final = (DATAGRAM_OCTETS - LEAST_OCTETS) // RECORD_OCTETS

_PREFIX: Final = struct.Struct(">2sBBIQ")
_READINGS: Final = struct.Struct(">IHH")
_ANSWER: Final = struct.Struct(">IHHI")
_REFUSAL: Final = struct.Struct(">HH")
_REFUSED: Final = struct.Struct(">HBB")
ANSWER_START_OCTETS: Final = _PREFIX.size + _REFUSAL.size
DATAGRAM_REFUSED: Final = (DATAGRAM_OCTETS - ANSWER_START_OCTETS - TAG_OCTETS) // _REFUSED.size

KeyOf = Callable[[int], bytes | None]


class ReadingsFrame(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Readings under one number.

    Shape: ``records`` is an array of ``RECORD``; ``sequence - backlog`` is the oldest frame still held.
    """

    sender: int
    sequence: int
    backlog: int
    records: NDArray[Any]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to and including ``sequence`` is settled: committed, or refused for good.

    Units: ``now_s`` is the gateway's clock in seconds since 1970; ``refused`` readings since the last one.
    """

    sender: int
    sequence: int
    refused: int
    cut_off: bool
    now_s: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Which readings of one frame were refused, by their place in it, and why."""

    sender: int
    sequence: int
    items: tuple[tuple[int, Fate], ...]


Frame = ReadingsFrame | Acknowledgement | Refusal


# -- writing ---------------------------------------------------------------------------------------------


def readings_frame(key: bytes, *, sender: int, sequence: int, backlog: int, records: NDArray[Any]) -> bytes:
    """Readings as a frame. Raises: ValueError for more than a frame holds."""
    if len(records) > MOST_READINGS or not 0 <= backlog <= MOST_BACKLOG or sequence <= backlog:
        raise ValueError("no frame of ours")
    head = _PREFIX.pack(MAGIC, VERSION, READINGS, sender, sequence)
    head += _READINGS.pack(backlog, len(records), 0)
    return _signed(key, head + records.astype(RECORD, copy=False).tobytes())


def acknowledgement(
    key: bytes, *, sender: int, sequence: int, refused: int = 0, cut_off: bool = False, now_s: int
) -> bytes:
    """The answer to frames, as a frame."""
    head = _PREFIX.pack(MAGIC, VERSION, ACKNOWLEDGEMENT, sender, sequence)
    return _signed(key, head + _ANSWER.pack(min(refused, 2**32 - 1), CUT_OFF if cut_off else 0, 0, now_s))


def refusal(key: bytes, *, sender: int, sequence: int, items: Sequence[tuple[int, int]]) -> bytes:
    """What of one frame was refused, as a frame: ``items`` are (place, fate)."""
    head = _PREFIX.pack(MAGIC, VERSION, REFUSAL, sender, sequence) + _REFUSAL.pack(len(items), 0)
    return _signed(key, head + b"".join(_REFUSED.pack(place, fate, 0) for place, fate in items))


def records_of(readings: Sequence[Reading]) -> NDArray[Any]:
    """Readings as an array of ``RECORD``: whole seconds, and no more than the format can tell.

    Raises: Invalid for a moment, register or power that it has no room for.
    """
    records = np.empty(len(readings), RECORD)
    for place, one in enumerate(readings):
        power_w = NO_POWER if one.power_w is None else one.power_w
        try:
            records[place] = (one.meter, epoch_us(one.at) // 1_000_000, one.energy_wh, power_w)
        except OverflowError:
            raise Invalid("frame.no_room", meter=one.meter, place=place) from None
    return records


def columns_of(records: NDArray[Any], source: Source) -> Readings:
    """Records as the intake takes them; what no register or key can be comes out negative."""
    return Readings(
        source,
        records["meter"].astype(np.int32),
        records["at"].astype(np.int64) * 1_000_000,
        records["energy_wh"].astype(np.int64),
        records["power_w"].astype(np.int32),
    )


def _signed(key: bytes, content: bytes) -> bytes:
    return content + hmac.digest(key, content, "sha256")[:TAG_OCTETS]


# -- reading ---------------------------------------------------------------------------------------------


def octets_wanted(start: bytes | bytearray | memoryview) -> int | None:
    """How long the readings' frame is that begins like this; None until its head is there.

    Raises: Invalid when no such frame begins like this, as early as that shows.
    """
    if start[:2] != MAGIC[: len(start)]:
        raise Invalid("frame.not_ours")
    if len(start) > 2 and start[2] != VERSION:
        raise Invalid("frame.version_unknown", version=start[2])
    if len(start) > 3 and start[3] != READINGS:
        raise Invalid("frame.kind_unknown", kind=start[3])
    if len(start) < HEAD_OCTETS:
        return None
    (sequence,) = struct.unpack_from(">Q", start, 8)
    backlog, count, reserved = _READINGS.unpack_from(start, _PREFIX.size)
    if reserved or count > MOST_READINGS or backlog > MOST_BACKLOG or sequence <= backlog:
        raise Invalid("frame.malformed", sequence=sequence, backlog=backlog, count=count)
    return LEAST_OCTETS + int(count) * RECORD_OCTETS


def answer_octets(start: bytes) -> int:
    """How long the answer is that begins with these ``ANSWER_START_OCTETS`` octets.

    Raises: Invalid when no answer of ours begins like this.
    """
    magic, version, kind, *_ = _PREFIX.unpack_from(start)
    if magic == MAGIC and version == VERSION and kind == ACKNOWLEDGEMENT:
        return ANSWER_OCTETS
    if magic == MAGIC and version == VERSION and kind == REFUSAL:
        count, _ = _REFUSAL.unpack_from(start, _PREFIX.size)
        return ANSWER_START_OCTETS + int(count) * _REFUSED.size + TAG_OCTETS
    raise Invalid("frame.not_ours")


def opened(octets: bytes, key_of: KeyOf) -> Frame:
    """The frame that these octets are, its tag checked with its sender's key.

    Raises: Invalid("frame.…"), and nothing else, whatever the octets.
    """
    if len(octets) < _PREFIX.size + TAG_OCTETS:
        raise Invalid("frame.length_wrong", octets=len(octets))
    magic, version, kind, sender, sequence = _PREFIX.unpack_from(octets)
    if magic != MAGIC:
        raise Invalid("frame.not_ours")
    if version != VERSION:
        raise Invalid("frame.version_unknown", version=version)
    reader = _READERS.get(kind)
    if reader is None:
        raise Invalid("frame.kind_unknown", kind=kind)
    key = key_of(sender)
    if key is None:
        raise Invalid("frame.sender_unknown", sender=sender)
    content = octets[:-TAG_OCTETS]
    tag = hmac.digest(key, content, "sha256")[:TAG_OCTETS]
    if not hmac.compare_digest(tag, octets[-TAG_OCTETS:]):
        raise Invalid("frame.tag_wrong", sender=sender)
    try:
        return reader(sender, sequence, content[_PREFIX.size :])
    except (struct.error, ValueError):  # rightly signed, and wrong all the same
        raise Invalid("frame.length_wrong", octets=len(octets)) from None


def _readings(sender: int, sequence: int, rest: bytes) -> ReadingsFrame:
    backlog, count, reserved = _READINGS.unpack_from(rest)
    if reserved or count > MOST_READINGS or backlog > MOST_BACKLOG or sequence <= backlog:
        raise Invalid("frame.malformed", sequence=sequence, backlog=backlog, count=count)
    records = np.frombuffer(rest, RECORD, offset=_READINGS.size)
    if len(records) != count:
        raise ValueError("another number of records")
    return ReadingsFrame(sender=sender, sequence=sequence, backlog=backlog, records=records)


def _acknowledgement(sender: int, sequence: int, rest: bytes) -> Acknowledgement:
    refused, flags, _, now_s = _ANSWER.unpack(rest)
    return Acknowledgement(
        sender=sender, sequence=sequence, refused=refused, cut_off=bool(flags & CUT_OFF), now_s=now_s
    )


def _refusal(sender: int, sequence: int, rest: bytes) -> Refusal:
    count, _ = _REFUSAL.unpack_from(rest)
    items = tuple((place, Fate(fate)) for place, fate, _ in _REFUSED.iter_unpack(rest[_REFUSAL.size :]))
    if len(items) != count:
        raise ValueError("another number of items")
    return Refusal(sender=sender, sequence=sequence, items=items)


_READERS: Final[dict[int, Callable[[int, int, bytes], Frame]]] = {
    READINGS: _readings,
    ACKNOWLEDGEMENT: _acknowledgement,
    REFUSAL: _refusal,
}
