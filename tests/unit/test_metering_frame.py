"""The compact frame: what is written is read again, and nothing else is taken for one."""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eletrovia.base.clock import at_epoch_s
from eletrovia.base.errors import Invalid
from eletrovia.metering import frame as wire
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.batch import Verdict, answers, packed, unpacked
from eletrovia.metering.gateways.kernel import key_states, tags
from eletrovia.metering.gateways.mailbox import ADDRESS
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.talk import cut
from eletrovia.metering.meterstore import ROW, STATES
from eletrovia.metering.reading import NO_POWER, Fate, Reading, Source

KEY = bytes(range(32))
DOCS = Path(__file__).parents[2] / "docs" / "metering-frame.md"

records = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(-(2**31), 2**31 - 1),
    ),
    max_size=80,
).map(lambda rows: np.array(rows, wire.RECORD))
sequences = st.integers(wire.MOST_BACKLOG + 1, 2**64 - 1)
senders = st.integers(0, 2**32 - 1)


def key_of(_: int) -> bytes:
    return KEY


def two() -> NDArray[Any]:
    return np.array([(17, 1772324100, 1234567, 1300), (17, 1772325000, 1234892, NO_POWER)], wire.RECORD)


def example() -> bytes:
    return wire.readings_frame(KEY, sender=17, sequence=0x700000003, backlog=1, records=two())


@given(senders, sequences, st.integers(0, wire.MOST_BACKLOG), records)
def test_readings_come_back(sender: int, sequence: int, backlog: int, some: NDArray[Any]) -> None:
    octets = wire.readings_frame(KEY, sender=sender, sequence=sequence, backlog=backlog, records=some)
    assert wire.octets_wanted(octets[: wire.HEAD_OCTETS]) == len(octets)
    read = wire.opened(octets, key_of)
    assert isinstance(read, wire.ReadingsFrame)
    assert (read.sender, read.sequence, read.backlog) == (sender, sequence, backlog)
    assert read.records.tolist() == some.tolist()


@given(senders, sequences, st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 2**32 - 1))
def test_answers_come_back(sender: int, sequence: int, refused: int, cut_off: bool, now_s: int) -> None:
    said = {"sender": sender, "sequence": sequence, "refused": refused, "cut_off": cut_off, "now_s": now_s}
    octets = wire.acknowledgement(KEY, **said)  # type: ignore[arg-type]  # each of its own type
    assert wire.answer_octets(octets[: wire.ANSWER_START_OCTETS]) == len(octets)
    assert wire.opened(octets, key_of) == wire.Acknowledgement(**said)  # type: ignore[arg-type]


@given(senders, sequences, st.lists(st.tuples(st.integers(0, 2**16 - 1), st.sampled_from(Fate)), max_size=50))
def test_refusals_come_back(sender: int, sequence: int, items: list[tuple[int, Fate]]) -> None:
    octets = wire.refusal(KEY, sender=sender, sequence=sequence, items=items)
    assert wire.answer_octets(octets[: wire.ANSWER_START_OCTETS]) == len(octets)
    read = wire.opened(octets, key_of)
    assert read == wire.Refusal(sender=sender, sequence=sequence, items=tuple(items))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: b"EV\x01\x01" + rest))
def test_anything_else_is_one_clear_error(octets: bytes) -> None:
    for read in (lambda: wire.opened(octets, key_of), lambda: wire.opened(octets, lambda _: None)):
        with pytest.raises(Invalid, match=r"^frame\."):
            read()


@given(st.integers(1, 3), st.binary(max_size=100))
def test_rightly_signed_nonsense_is_an_error_too(kind: int, rest: bytes) -> None:
    content = b"EV\x01" + bytes([kind]) + bytes(4) + rest
    octets = content + hmac.digest(KEY, content, "sha256")[:16]
    with suppress(Invalid):
        wire.opened(octets, key_of)


@pytest.mark.parametrize("octets", [example(), wire.acknowledgement(KEY, sender=1, sequence=2, now_s=3)])
def test_every_truncation_and_every_flipped_bit_is_refused(octets: bytes) -> None:
    for end in range(len(octets)):
        with pytest.raises(Invalid):
            wire.opened(octets[:end], key_of)
    for bit in range(8 * len(octets)):
        bent = bytearray(octets)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Invalid):
            wire.opened(bytes(bent), key_of)


def test_the_documents_example() -> None:
    blocks = dict(re.findall(r"```(readings|refusal|acknowledgement)\n(.*?)```", DOCS.read_text(), re.S))
    told = {name: bytes.fromhex(block) for name, block in blocks.items()}
    number = {"sender": 17, "sequence": 0x700000003}
    assert told["readings"] == example()
    assert told["refusal"] == wire.refusal(KEY, **number, items=[(1, Fate.FROM_THE_FUTURE)])
    assert told["acknowledgement"] == wire.acknowledgement(
        KEY, **number, refused=1, cut_off=True, now_s=1772325003
    )


def test_the_documents_limits() -> None:
    text = DOCS.read_text()
    assert f"{wire.DATAGRAM_OCTETS:,} octets: {wire.DATAGRAM_READINGS} readings" in text
    assert f"at most {wire.MOST_READINGS:,};" in text
    assert f"at most {wire.MOST_BACKLOG:,} and" in text
    reasons = {int(number) for number in re.findall(r"^\| (\d) \| ", text.partition("| reason |")[2], re.M)}
    assert reasons == {fate.value for fate in Fate if fate > Fate.CONFLICT}


def test_readings_as_records() -> None:
    at = at_epoch_s(1772324100.9)
    made = wire.records_of(
        [Reading(meter=3, at=at, energy_wh=5), Reading(meter=4, at=at, energy_wh=6, power_w=-7)]
    )
    assert made.tolist() == [(3, 1772324100, 5, NO_POWER), (4, 1772324100, 6, -7)]
    for odd in (
        Reading(meter=-1, at=at, energy_wh=5),
        Reading(meter=1, at=at_epoch_s(-1), energy_wh=5),
        Reading(meter=1, at=at, energy_wh=2**64),
        Reading(meter=1, at=at, energy_wh=1, power_w=2**31),
    ):
        with pytest.raises(Invalid, match="frame.no_room"):
            wire.records_of([odd])


# -- many at once ----------------------------------------------------------------------------------------


class Known:
    """A roster of meters 1 to 50; 49 is removed."""

    def rows(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.zeros(len(keys), ROW)
        rows["key"], rows["state"], rows["epoch"] = keys, 1, 7
        rows["state"][keys == 49] = STATES["removed"]
        rows[(keys < 1) | (keys > 50)] = 0
        return rows


KEYS = DeviceKeys(b"a secret of this test, long enough for all of it")


@given(st.lists(st.binary(max_size=300), max_size=30), st.binary(min_size=1, max_size=64))
def test_tags_of_many_are_tags_of_each(messages: list[bytes], key: bytes) -> None:
    octets = np.frombuffer(bytearray(b"".join(messages) + b"x"), np.uint8)
    lengths = np.array([len(one) for one in messages], np.int64)
    states = key_states(np.frombuffer(bytearray(key), np.uint8).reshape(1, -1))
    made = tags(octets, np.cumsum(lengths) - lengths, lengths, np.repeat(states, len(messages), axis=0))
    assert [one.tobytes() for one in made] == [hmac.digest(key, one, "sha256")[:16] for one in messages]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_many_at_once_are_read_as_each_alone(data: st.DataObject) -> None:
    seals = _SEALS
    pieces: list[bytes] = []
    for _ in range(data.draw(st.integers(0, 12))):
        sender, epoch = (
            data.draw(st.sampled_from([1, 2, 49, 50, 51, 0])),
            data.draw(st.sampled_from([7, 7, 7, 6])),
        )
        octets = bytearray(
            wire.readings_frame(
                KEYS.of(sender, epoch),
                sender=sender,
                sequence=data.draw(sequences),
                backlog=data.draw(st.integers(0, wire.MOST_BACKLOG)),
                records=data.draw(records)[:5],
            )
        )
        match data.draw(st.integers(0, 5)):
            case 0:
                octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            case 1:
                del octets[data.draw(st.integers(0, len(octets) - 1)) :]
            case 2:
                octets += data.draw(st.binary(max_size=30))
        pieces.append(bytes(octets))
    lengths = np.array([len(one) for one in pieces], np.int64)
    memory = np.frombuffer(bytearray(b"".join(pieces) + b"x"), np.uint8)
    batch, verdicts = unpacked(
        memory,
        np.cumsum(lengths) - lengths,
        lengths,
        source=Source.UDP,
        roster=Known(),  # type: ignore[arg-type]  # all that is asked of one
        seals=seals,
    )

    def key_of(sender: int) -> bytes | None:
        return KEYS.of(sender, 7) if 0 < sender <= 50 and sender != 49 else None

    expected: list[wire.ReadingsFrame] = []
    for piece, verdict in zip(pieces, verdicts.tolist(), strict=True):
        try:
            frame = wire.opened(piece, key_of)
        except Invalid:
            assert verdict != Verdict.GOOD
            continue
        assert verdict == Verdict.GOOD
        assert isinstance(frame, wire.ReadingsFrame)
        expected.append(frame)
    assert batch.rows["key"].tolist() == [frame.sender for frame in expected]
    assert batch.sequence.tolist() == [frame.sequence for frame in expected]
    assert batch.backlog.tolist() == [frame.backlog for frame in expected]
    together = np.concatenate([frame.records for frame in expected] or [np.empty(0, wire.RECORD)])
    assert batch.readings.at_us.tolist() == (together["at"].astype(np.int64) * 1_000_000).tolist()
    assert batch.readings.energy_wh.tolist() == together["energy_wh"].astype(np.int64).tolist()
    assert batch.senders.tolist() == [frame.sender for frame in expected for _ in frame.records]


_SEALS = Seals(KEYS)


@given(st.lists(st.integers(1, 3), max_size=120))
def test_answers_to_one_address_go_together(hosts: list[int]) -> None:
    if not hosts:
        return
    rows = Known().rows(np.arange(len(hosts)) % 48 + 1)
    frames = answers(rows, np.arange(1, len(hosts) + 1, dtype=np.uint64), np.zeros(len(hosts), int), 9)
    _SEALS.sign(frames, rows)
    addresses = np.zeros(len(hosts), ADDRESS)
    addresses["octets"] = hosts
    arrived: list[tuple[int, int]] = []
    for many, where in packed(frames, addresses):
        assert many.shape[1] <= wire.DATAGRAM_OCTETS
        for datagram, address in zip(many, where, strict=True):
            for start in range(0, len(datagram), wire.ANSWER_OCTETS):
                octets = datagram[start : start + wire.ANSWER_OCTETS].tobytes()
                frame = wire.opened(octets, lambda sender: KEYS.of(sender, 7))
                arrived.append((int(address["octets"]), frame.sequence))
    assert sorted(arrived) == sorted(zip(hosts, range(1, len(hosts) + 1), strict=True))


@given(st.lists(st.integers(0, 3), max_size=6), st.binary(max_size=50))
def test_a_stream_is_cut_where_frames_end(counts: list[int], rest: bytes) -> None:
    frames = [
        wire.readings_frame(KEY, sender=1, sequence=number + 1, backlog=0, records=two()[:1].repeat(count))
        for number, count in enumerate(counts)
    ]
    ends, wrong = cut(bytearray(b"".join(frames) + rest))
    assert ends[: len(frames)] == np.cumsum([len(one) for one in frames]).tolist()
    assert wrong is None or wrong.code.startswith("frame.")
