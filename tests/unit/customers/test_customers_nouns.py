"""Numbers, codes and names, without a database."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.metering.customer import tidy_address, tidy_email, tidy_name, tidy_tax_id
from eletrovia.metering.meter import NewMeter, claim_code_sha256, new_claim_code
from eletrovia.metering.section import kept_until


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("529.982.247-25", "52998224725"),
        (" 52998224725 ", "52998224725"),
        ("11.222.333/0001-81", "11222333000181"),
        ("00.000.000/0001-91", "00000000000191"),  # Banco do Brasil
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),  # the example that the Receita Federal publishes
        ("12abc34501de35", "12ABC34501DE35"),
        ("", None),
    ],
)
def test_tax_numbers(written: str, kept: str | None) -> None:
    assert tidy_tax_id(written) == kept


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("529.982.247-24", "wrong"),
        ("529.982.247-15", "wrong"),
        ("111.111.111-11", "wrong"),
        ("00000000000000", "wrong"),
        ("12.ABC.345/01DE-36", "wrong"),
        ("12ABC34501DEA5", "malformed"),
        ("1234", "malformed"),
        ("5299822472５", "malformed"),
    ],
)
def test_wrong_tax_numbers(written: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        tidy_tax_id(written)
    assert refused.value.code == f"customer.tax_id_{code}"


@given(st.text("0123456789", min_size=9, max_size=9), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_always_seen(body: str, place: int, more: int) -> None:
    def digit(digits: list[int], first: int) -> int:  # as the law words it, from the left
        rest = sum(value * (first - place) for place, value in enumerate(digits)) % 11
        return 0 if rest < 2 else 11 - rest

    digits = [int(one) for one in body]
    digits.append(digit(digits, 10))
    digits.append(digit(digits, 11))
    number = "".join(map(str, digits))
    if len(set(number)) == 1:
        return
    assert tidy_tax_id(number) == number
    digits[place] = (digits[place] + more) % 10
    changed = "".join(map(str, digits))
    # 0 stands for two remainders, so modulo 11 misses a few changes: those the second digit must see,
    # except where both happen to be 0 before and after.
    try:
        tidy_tax_id(changed)
    except Invalid:
        return
    assert "0" in number[9:]


def test_codes_are_read_as_people_write_them() -> None:
    assert claim_code_sha256("7K3M-0QXW-N8T1") == claim_code_sha256(" 7k3m oqxw n8tl ")
    assert claim_code_sha256("7K3M-0QXW-N8T1") != claim_code_sha256("7K3M-0QXW-N8T2")
    draw = random.Random(5)
    codes = {new_claim_code(draw.getrandbits) for _ in range(1000)}
    assert len(codes) == 1000
    assert all(len(code) == 14 and not set(code) & set("ILOU") for code in codes)


def test_names_addresses_mail() -> None:
    assert tidy_name("  Maria   do Ó ") == "Maria do Ó"
    assert tidy_address(" Rua  A 1 \n\n João Pessoa ") == "Rua A 1\nJoão Pessoa"
    assert tidy_email(" Ana@Example.ORG") == "ana@example.org"
    assert tidy_email("  ") is None


@pytest.mark.parametrize(
    ("tidy", "written"),
    [(tidy_name, " "), (tidy_name, "—"), (tidy_name, "a\u202eb"), (tidy_address, "x" * 301),
     (tidy_email, "a@b"), (tidy_email, "a b@c.de")],
)  # fmt: skip
def test_what_nobody_is_called(tidy: Callable[[str], object], written: str) -> None:
    with pytest.raises(Invalid):
        tidy(written)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"id": "a b"}, "meter.id_malformed"),
        ({"id": "a/b"}, "meter.id_malformed"),
        ({"id": ""}, "meter.id_malformed"),
        ({"usage_point_id": "x.y"}, "meter.id_malformed"),
        ({"max_power_w": 0}, "meter.number"),
        ({"max_power_w": 2**31}, "meter.number"),
        ({"interval_s": -1}, "meter.number"),
        ({"digits": 2}, "meter.number"),
        ({"digits": 6, "rolls_over_at_wh": 10**9}, "meter.rolls_over_twice"),
        ({"start_wh": -1}, "meter.number"),
        ({"area": "x" * 101}, "meter.area_malformed"),
        ({"from_at": datetime(2026, 3, 1)}, "moment.zone_missing"),  # noqa: DTZ001 - that is the mistake
        ({"from_at": datetime(2027, 3, 1, tzinfo=UTC)}, "moment.to_come"),
        ({"from_at": datetime(1999, 3, 1, tzinfo=UTC)}, "moment.too_old"),
    ],
)
def test_meters_that_cannot_be(fields: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        NewMeter(**{"id": "m", **fields}).check(datetime(2026, 6, 1, tzinfo=UTC))  # type: ignore[arg-type]
    assert refused.value.code == code


def test_digits_are_of_kilowatt_hours() -> None:
    assert NewMeter(id="m", digits=5).end_of_register_wh == 100_000_000
    assert NewMeter(id="m").end_of_register_wh is None


def test_fiscal_documents_stay_five_years_from_the_next_one() -> None:
    assert kept_until(datetime(2026, 1, 1, tzinfo=UTC).date()).isoformat() == "2032-01-01"
    assert kept_until(datetime(2026, 12, 31, tzinfo=UTC).date()).isoformat() == "2032-01-01"
