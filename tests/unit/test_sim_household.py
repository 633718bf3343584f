"""Simulated households: the same for ever from one seed, and something like real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.sim.household import Households

START = datetime(2026, 3, 2, 3, tzinfo=UTC)  # a Monday's midnight in Brazil
moments = st.integers(0, 400 * 86_400).map(lambda second: START + timedelta(seconds=second))


def test_a_seed_decides_every_wh() -> None:
    """Written down once: whoever changes the model changes every simulated register."""
    shown = Households(7, 4).registers_wh(START).tolist()
    assert shown == Households(7, 4).registers_wh(START).tolist()
    assert Households(8, 4).registers_wh(START).tolist() != shown
    assert Households(7, 2, first=2).registers_wh(START).tolist() == shown[2:]


@given(st.lists(moments, min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_a_register_knows_only_the_moment_it_is_asked_for(asked: list[datetime]) -> None:
    one = Households(3, 5)
    shown = [one.registers_wh(at) for at in asked]
    for at, registers in zip(asked, shown, strict=True):
        assert (Households(3, 5).registers_wh(at) == registers).all()
    for (earlier, low), (later, high) in zip(
        sorted(zip(asked, shown, strict=True), key=lambda pair: pair[0])[:-1],
        sorted(zip(asked, shown, strict=True), key=lambda pair: pair[0])[1:],
        strict=True,
    ):
        assert earlier <= later
        assert (low <= high).all()


def test_registers_never_go_back_not_even_at_midnight() -> None:
    many = Households(1, 200)
    before = many.registers_wh(START - timedelta(minutes=1))
    for second in range(0, 2 * 86_400 + 1, 60):
        shown = many.registers_wh(START + timedelta(seconds=second))
        assert (shown >= before).all(), second
        before = shown
    midnight = START + timedelta(days=1)
    last = many.registers_wh(midnight - timedelta(microseconds=1))
    assert (many.registers_wh(midnight) - last <= 1).all()


def test_power_is_how_fast_the_register_goes() -> None:
    many = Households(5, 50)
    for minute in range(0, 1440, 15):
        at = START + timedelta(minutes=minute)
        used = many.registers_wh(at + timedelta(minutes=15) - timedelta(microseconds=1)) - many.registers_wh(
            at
        )
        assert (np.abs(many.power_w(at) / 4 - used) <= 2).all()


def test_a_neighbourhood_lives_like_one() -> None:
    many = Households(1, 1000)

    def kwh(at: datetime, hours: float) -> float:
        return float((many.registers_wh(at + timedelta(hours=hours)) - many.registers_wh(at)).sum()) / 1000

    day = START
    night, morning, evening = (kwh(day + timedelta(hours=hour), 2) for hour in (2, 7, 19))
    assert night < 0.6 * morning < 0.6 * evening
    weekday, sunday = kwh(day, 24), kwh(day + timedelta(days=6), 24)
    assert 1.05 < sunday / weekday < 1.2
    january, july = datetime(2026, 1, 5, 3, tzinfo=UTC), datetime(2026, 7, 6, 3, tzinfo=UTC)
    assert 1.2 < kwh(january, 28 * 24) / kwh(july, 28 * 24) < 1.5
    month = kwh(day, 30 * 24) / 1000
    assert 140 < month < 190, "kWh of a household in a month"
    each = many.registers_wh(day + timedelta(days=30)) - many.registers_wh(day)
    assert float(np.percentile(each, 95)) > 3 * float(np.percentile(each, 5)), "they differ"
    assert int(many.power_w(day + timedelta(hours=4)).min()) > 0, "a fridge never sleeps"
    assert max(int(many.power_w(day + timedelta(hours=hour)).max()) for hour in range(24)) < 15_000


@pytest.mark.parametrize("at", [datetime(2023, 12, 31, tzinfo=UTC), datetime(2100, 1, 2, tzinfo=UTC)])
def test_there_are_no_households_before_and_after(at: datetime) -> None:
    with pytest.raises(Invalid):
        Households(1, 1).registers_wh(at)
