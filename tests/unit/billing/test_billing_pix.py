"""Pix: the published example, and codes that give back what they were made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.metering.pix import CITY_MAX, NAME_MAX, PixCode, parse, plain

# Source: Manual do BR Code, Banco Central do Brasil, the static example.
PUBLISHED = (
    "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000"
    "5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D"
)
EXAMPLE = PixCode(key="123e4567-e12b-12d1-a456-426655440000", name="Fulano de Tal", city="BRASILIA")

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
TEXT = st.text(PRINTABLE, min_size=1).filter(lambda text: text.strip() != "")
KEYS = st.one_of(
    st.from_regex(r"\A[0-9]{11}\Z"),
    st.from_regex(r"\A[0-9]{14}\Z"),
    st.from_regex(r"\A\+55[0-9]{11}\Z"),
    st.uuids().map(str),
    st.from_regex(r"\A[a-z0-9.]{1,20}@[a-z]{1,20}\.br\Z"),
)
CODES = st.builds(
    PixCode,
    key=KEYS,
    name=TEXT.map(lambda text: text[:NAME_MAX]).filter(str.strip),
    city=TEXT.map(lambda text: text[:CITY_MAX]).filter(str.strip),
    amount=st.none() | st.decimals("0.01", "9999999999.99", places=2),
    txid=st.just("***") | st.from_regex(r"\A[A-Za-z0-9]{1,25}\Z"),
    note=st.text(PRINTABLE, max_size=20),
)


def crc(body: str) -> int:
    """CRC-16/CCITT-FALSE, bit by bit as it is defined."""
    value = 0xFFFF
    for octet in body.encode():
        value ^= octet << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
            value &= 0xFFFF
    return value


def test_the_published_example() -> None:
    assert EXAMPLE.encode() == PUBLISHED
    assert parse(PUBLISHED) == EXAMPLE


@given(CODES)
def test_what_is_written_is_read_back_and_its_checksum_holds(code: PixCode) -> None:
    text = code.encode()
    assert parse(text) == code
    assert int(text[-4:], 16) == crc(text[:-4])


@given(CODES, st.data())
def test_one_wrong_sign_is_always_noticed(code: PixCode, data: Any) -> None:
    text = code.encode()
    at = data.draw(st.integers(0, len(text) - 5))
    other = data.draw(PRINTABLE.filter(lambda sign: sign != text[at]))
    with pytest.raises(Invalid, match=r"pix\.code_malformed"):
        parse(text[:at] + other + text[at + 1 :])


@given(st.text())
def test_nothing_else_gets_through(text: str) -> None:
    with pytest.raises(Invalid, match=r"pix\."):
        parse(text)


@given(st.text(), st.integers(1, 25))
def test_plain_letters(text: str, most: int) -> None:
    said = plain(text, most)
    assert said.isascii()
    assert len(said) <= most
    assert said == said.strip()


def test_accents_are_removed() -> None:
    assert plain("São João d'Água — Ltda.", NAME_MAX) == "Sao Joao d'Agua Ltda."


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": ""}, "pix.key_malformed"),
        ({"key": "Ana@example.org"}, "pix.key_malformed"),
        ({"key": "a" * 70 + "@b.example"}, "pix.key_malformed"),
        ({"name": "x" * 26}, "pix.text_malformed"),
        ({"name": " "}, "pix.text_malformed"),
        ({"city": "São Paulo"}, "pix.text_malformed"),
        ({"city": "x" * 16}, "pix.text_malformed"),
        ({"note": "x" * 73}, "pix.text_malformed"),
        ({"txid": "a-b"}, "pix.txid_malformed"),
        ({"txid": "x" * 26}, "pix.txid_malformed"),
        ({"amount": Decimal("0.00")}, "pix.amount_out_of_range"),
        ({"amount": Decimal("-1.00")}, "pix.amount_out_of_range"),
        ({"amount": Decimal("0.001")}, "pix.amount_out_of_range"),
        ({"amount": Decimal("1e10")}, "pix.amount_out_of_range"),
    ],
)
def test_what_no_bank_takes_is_refused(wrong: dict[str, Any], code: str) -> None:
    fields: dict[str, Any] = {"key": EXAMPLE.key, "name": EXAMPLE.name, "city": EXAMPLE.city} | wrong
    with pytest.raises(Invalid) as refused:
        PixCode(**fields)
    assert refused.value.code == code
