"""Whether a missed message is noticed, whatever order things come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eletrovia.federation.continuity import Continuity


def test_nothing_is_whole_before_the_first_picture() -> None:
    followed = Continuity()
    assert followed.broken
    assert followed.heard(7, "a")
    assert followed.pulled(6) == {"a"}
    assert not followed.broken
    assert followed.sequence == 7


def test_a_gap_is_seen_and_a_picture_closes_it() -> None:
    followed = Continuity()
    followed.pulled(10)
    assert followed.heard(11, "a")
    assert not followed.broken
    assert followed.heard(13, "b")
    assert followed.broken
    assert followed.pulled(13) == frozenset()
    assert not followed.broken


def test_a_repeat_brings_nothing_new() -> None:
    followed = Continuity()
    followed.pulled(10)
    assert not followed.heard(10, "a")
    assert followed.heard(11, "a")
    assert not followed.heard(11, "a")


def test_what_is_younger_than_the_picture_is_not_painted_over() -> None:
    followed = Continuity()
    followed.pulled(10)
    followed.heard(12, "b")
    followed.heard(13, "c")
    assert followed.pulled(12) == {"c"}
    assert followed.sequence == 13


def test_a_partner_that_counts_anew_is_believed() -> None:
    followed = Continuity()
    followed.pulled(1000)
    followed.heard(1005, "a")
    assert followed.pulled(3) == frozenset()
    assert followed.heard(4, "a")
    assert not followed.broken


def test_after_a_broken_line_only_a_picture_makes_it_whole() -> None:
    followed = Continuity()
    followed.pulled(10)
    followed.forget()
    assert followed.heard(11, "a")
    assert followed.broken


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_what_is_shown_in_the_end_is_the_truth(arrives, chance) -> None:
    """Some messages are lost, pictures come later than they were taken: the last pull puts it right."""
    truth: dict[str, int] = {}
    shown: dict[str, int] = {}
    followed = Continuity()
    under_way: tuple[int, dict[str, int]] | None = None
    for number, comes in enumerate(arrives, start=1):
        if under_way is None and chance.random() < 0.3:
            under_way = (number - 1, dict(truth))
        station = chance.choice("abc")
        truth[station] = number
        if comes and followed.heard(number, station):
            shown[station] = number
        if under_way is not None and chance.random() < 0.5:
            younger = followed.pulled(under_way[0])
            shown.update({key: value for key, value in under_way[1].items() if key not in younger})
            under_way = None
        assert followed.broken or all(
            shown.get(key, 0) == value for key, value in truth.items() if value <= followed.sequence
        )
    younger = followed.pulled(len(arrives))
    shown.update({key: value for key, value in truth.items() if key not in younger})
    assert shown == truth
    assert not followed.broken
