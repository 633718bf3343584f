"""Objects out of a stream: however it is cut, the same ones come out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.classroom.meter_json import Objects

texts = st.text(st.sampled_from('{}"\\, aé\n\0'), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
between = st.sampled_from([b"", b"", b" ", b"\r\n", b",", b"\0"])


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(edges)]


def fed(pieces: list[bytes], most: int = 4096) -> tuple[list[bytes], int]:
    splitter = Objects(most)
    found = [one for piece in pieces for one in splitter.feed(piece)]
    return found, splitter.noise


@given(sent=st.lists(st.tuples(between, objects), max_size=6), places=st.lists(st.integers(0), max_size=8))
@settings(max_examples=300)
def test_every_object_comes_out_however_the_stream_is_cut(
    sent: list[tuple[bytes, dict[str, Any]]], places: list[int]
) -> None:
    stream = b"".join(gap + json.dumps(told, ensure_ascii=False).encode() for gap, told in sent)
    for pieces in (cut(stream, places), [stream[n : n + 1] for n in range(len(stream))]):
        found, noise = fed(pieces)
        assert [json.loads(one) for one in found] == [told for _, told in sent]
        assert noise == 0


@given(
    stream=st.lists(
        st.sampled_from([b"{", b"}", b'"', b"\\", b'{"a": 1}', b"x", b" ", b",", b"{}", b'{"b": "}{\\"'])
    ).map(b"".join),
    places=st.lists(st.integers(0), max_size=8),
    most=st.integers(2, 40),
)
@settings(max_examples=500)
def test_noise_is_cut_the_same_in_any_pieces_and_nothing_grows(
    stream: bytes, places: list[int], most: int
) -> None:
    whole = fed([stream], most)
    assert fed(cut(stream, places), most) == whole
    assert fed([stream[n : n + 1] for n in range(len(stream))], most) == whole
    assert all(one.startswith(b"{") and one.endswith(b"}") and len(one) <= most for one in whole[0])


@pytest.mark.parametrize(
    ("stream", "found", "noise"),
    [
        (b'{"id": 0}', 1, 0),
        (b'{"id": 0}{"id": 0}', 2, 0),
        (b'hello {"id": 0} there\n{"id": 0}', 2, 2),
        (b"]]}}", 0, 1),
        (b'{"a": "}"}', 1, 0),
        (b'{"a": "\\"}"}', 1, 0),
        (b'{"a": "\\\\"}', 1, 0),
        (b'{"long": "' + b"x" * 5000 + b'"}{"id": 0}', 1, 1),
        (b"{" * 5000 + b"}", 0, 1),
    ],
)
def test_what_is_an_object_and_what_is_noise(stream: bytes, found: int, noise: int) -> None:
    got, counted = fed([stream])
    assert (len(got), counted) == (found, noise)


def test_a_stream_that_never_ends_an_object_is_forgotten() -> None:
    splitter = Objects()
    for _ in range(1000):
        assert splitter.feed(b'{"a": "' + b"y" * 4000) == []
    assert len(splitter._held) <= 4096
    assert splitter.noise > 0
