"""What a partner says of its errors goes on to drivers: bounded, and never as one of our own."""

from __future__ import annotations

import pytest

from eletrovia.base.errors import Denied, Overloaded, Unavailable
from eletrovia.federation.handshake import Handshake
from eletrovia.federation.wire import Problem, error_of


def test_a_partners_error_stays_what_it_was() -> None:
    error = error_of(Problem(title="x", status=429, code="hold.busy", facts={"a": 1, "code": "x", "self": 2}))
    assert isinstance(error, Overloaded)
    assert (error.code, error.facts) == ("hold.busy", {"a": 1})


@pytest.mark.parametrize(
    "code", ["token.expired", "login.wrong", "store.down", "a\r\nb", "", "x" * 100, "A.B"]
)
def test_a_partner_cannot_speak_as_one_of_our_doors(code: str) -> None:
    error = error_of(Problem(title="x", status=403, code=code, facts={"a": 1}))
    assert isinstance(error, Denied)
    assert (error.code, error.facts) == ("operator.refused", {})


def test_a_partners_facts_are_bounded() -> None:
    assert error_of(Problem(title="x", status=409, code="a.b", facts={"a": "x" * 20_000})).facts == {}


@pytest.mark.parametrize(
    ("url", "token"),
    [("http://a..b", "t"), ("http://" + "a" * 300, "t"), ("http://127.0.0.1:1", "t\r\nX: y")],
)
async def test_what_cannot_be_sent_is_no_fault_of_ours(url: str, token: str) -> None:
    with pytest.raises(Unavailable):
        await Handshake(timeout_s=2).greet(url, token)
