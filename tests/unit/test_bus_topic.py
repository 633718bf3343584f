from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.bus.topic import check_filter, check_topic, subject_of, subjects_of, topic_of

LEVEL = st.text("abcXYZ019_-", min_size=1, max_size=6)


@given(st.lists(LEVEL, min_size=1, max_size=6).map("/".join))
def test_a_topic_and_its_subject_are_two_spellings_of_one_thing(topic: str) -> None:
    assert topic_of(subject_of(topic)) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "a b",
        "a/BR*CAR",
        "a.b",
        "a/+",
        "a/#",
        "a/>",
        "$SYS/a",
        "a\n",
        "a/b\x00",
        "é",
        "_INBOX/x",
        "a" * 513,
    ],
)
def test_a_topic_that_the_broker_would_read_otherwise_is_refused(topic: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_topic(topic)
    assert refused.value.code == "topic.malformed"


@pytest.mark.parametrize(
    "topic_filter", ["#/a", "a/#/b", "a#", "a/b+", "+a", "", "a/", "a/*", "a/>", "$SYS/#", ">"]
)
def test_a_filter_with_a_wildcard_in_the_wrong_place_is_refused(topic_filter: str) -> None:
    with pytest.raises(Invalid):
        check_filter(topic_filter)


def test_a_filter_matches_in_nats_what_it_matches_in_mqtt() -> None:
    assert subjects_of("a/b") == ("a.b",)
    assert subjects_of("a/+/c") == ("a.*.c",)
    assert subjects_of("a/#") == ("a", "a.>")
    assert subjects_of("+") == ("*",)
    assert subjects_of("+/#") == ("*", "*.>")
    assert subjects_of("#") == (">",)


@pytest.mark.parametrize("subject", ["$JS.API.INFO", "_INBOX.a.b", "a..b", "a.*", "a.>", "a b", ""])
def test_a_subject_that_is_no_topic_of_ours_has_no_topic(subject: str) -> None:
    assert topic_of(subject) is None
