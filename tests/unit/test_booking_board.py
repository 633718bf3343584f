"""The board keeps what it merged, and must still say what merging all anew would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.base.window import Window
from eletrovia.booking.board import Board, EvseRef, joined, merged
from eletrovia.booking.hold import AttemptKey, HoldKey

EVSE = EvseRef("BR*CAR", "E1")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
BEGIN_S = int(BEGIN.timestamp())

spans = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
keys = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.sampled_from(["hold", "ask"]), keys, spans),
    st.tuples(st.sampled_from(["free", "unask"]), keys),
    st.tuples(st.sampled_from(["tell", "learn"]), st.lists(spans, max_size=4)),
)


def window(span: tuple[int, int]) -> Window:
    return Window(BEGIN + timedelta(seconds=span[0]), BEGIN + timedelta(seconds=span[1]))


@given(st.lists(steps, max_size=30), spans)
@settings(max_examples=300, deadline=None)
def test_it_says_what_a_fresh_look_would(steps: list[tuple[object, ...]], part: tuple[int, int]) -> None:
    board = Board()
    own: dict[int, tuple[int, int]] = {}
    asked: dict[int, tuple[int, int]] = {}
    told: list[tuple[int, int]] = []
    for step in steps:
        match step:
            case ("hold", int(key), span):
                board.hold(EVSE, HoldKey("t", 1, key), window(span))
                own[key] = span
            case ("ask", int(key), span):
                board.ask(EVSE, AttemptKey("t", key + 1), window(span))
                asked[key] = span
            case ("free", int(key)):
                board.free(EVSE, HoldKey("t", 1, key))
                own.pop(key, None)
            case ("unask", int(key)):
                board.unask(EVSE, AttemptKey("t", key + 1))
                asked.pop(key, None)
            case ("tell", list(said)):
                board.tell(EVSE, (window(span) for span in said), words=tuple(said))
                told = list(said)
            case ("learn", list(said)):
                board.learn(EVSE, [window(span) for span in said])
                told += said
        expected = merged([*own.values(), *told, *asked.values()])
        assert [(a - BEGIN_S, b - BEGIN_S) for a, b in board.busy(EVSE)] == list(expected)
        assert [(a - BEGIN_S, b - BEGIN_S) for a, b in board.own(EVSE)] == list(merged(own.values()))
        some = board.between(EVSE, BEGIN_S + part[0], BEGIN_S + part[1])
        meeting = [one for one in expected if one[0] < part[1] and part[0] < one[1]]
        assert [(a - BEGIN_S, b - BEGIN_S) for a, b in some] == meeting


@given(st.lists(spans, max_size=8), spans)
def test_one_more_span_among_those_that_are_known(known: list[tuple[int, int]], new: tuple[int, int]) -> None:
    before = merged(known)
    assert joined(before, new) in (None, merged([*before, new]))


def test_own_windows_are_the_same_object_until_they_change() -> None:
    board = Board()
    board.hold(EVSE, HoldKey("t", 1, 0), window((0, 5)))
    before = board.own(EVSE)
    board.tell(EVSE, [window((20, 25))])
    assert board.own(EVSE) is before
    board.hold(EVSE, HoldKey("t", 1, 1), window((10, 15)))
    assert board.own(EVSE) is not before


def test_the_same_words_after_something_was_learned_count_again() -> None:
    board = Board()
    board.tell(EVSE, [], words=())
    board.learn(EVSE, [window((0, 5))])
    assert board.busy(EVSE)
    board.tell(EVSE, [], words=())
    assert not board.busy(EVSE)
