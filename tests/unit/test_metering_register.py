"""Registers, hours and latest values, as people would work a few of them out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from eletrovia.metering.hours import HOUR_US, hours_of, moment_of
from eletrovia.metering.latest import CHANGE, EVERYWHERE, LATELY_US, Board
from eletrovia.metering.reading import NO_POWER, epoch_us
from eletrovia.metering.register import (
    BACKWARDS,
    ESTIMATED,
    GAP,
    JUMP,
    LONG,
    ROLL_OVER,
    Unrolled,
    on_the_line,
    unroll,
)
from eletrovia.metering.rollup import PIECE_S, pieces

MINUTE_US = 60_000_000


def unrolled(
    *values: tuple[float, int],
    rolls_over_at_wh: int = 0,
    max_power_w: int = 10_000,
    estimated: set[int] = frozenset(),  # type: ignore[assignment]
    accepted: set[int] = frozenset(),  # type: ignore[assignment]
) -> Unrolled:
    """One meter that is expected every 15 minutes; values by minute."""
    places = range(len(values))
    return unroll(
        np.array([0, len(values)]),
        np.array([int(minute * MINUTE_US) for minute, _ in values]),
        np.array([energy_wh for _, energy_wh in values]),
        np.array([place in estimated for place in places]),
        np.array([place in accepted for place in places]),
        np.array([rolls_over_at_wh]),
        np.array([max_power_w]),
        np.array([900]),
    )


def test_what_counts_and_what_is_marked() -> None:
    plain = unrolled((0, 500), (15, 600), (30, 600))
    assert plain.register_wh.tolist() == [0, 100, 100]
    assert not plain.flags.any()
    slip = unrolled((0, 500), (15, 20), (30, 120))
    assert slip.register_wh.tolist() == [0, 0, 100]
    assert slip.flags.tolist() == [0, BACKWARDS, 0]
    assert slip.difference_wh.tolist() == [0, -480, 100]


def test_a_register_that_ends_begins_again_where_it_can() -> None:
    rolled = unrolled((0, 99_990), (15, 40), rolls_over_at_wh=100_000)
    assert rolled.register_wh.tolist() == [0, 50]
    assert rolled.flags.tolist() == [0, ROLL_OVER]
    # From the middle it would take more than the fuse lets through: so it was something else.
    slip = unrolled((0, 50_000), (15, 40), rolls_over_at_wh=100_000)
    assert slip.register_wh.tolist() == [0, 0]
    assert slip.flags.tolist() == [0, BACKWARDS]


def test_more_than_the_fuse_lets_through_counts_once_accepted() -> None:
    # 10 kW for a quarter of an hour are 2,500 Wh; five in a hundred and a whole kWh are borne with.
    most = 2_500 * 21 // 20 + 1_000
    assert unrolled((0, 0), (15, most)).register_wh.tolist() == [0, most]
    jump = unrolled((0, 0), (15, most + 1), (30, most + 11))
    assert jump.register_wh.tolist() == [0, 0, 10]
    assert jump.flags.tolist() == [0, JUMP, 0]
    assert unrolled((0, 0), (15, most + 1), accepted={1}).register_wh.tolist() == [0, most + 1]
    # No meter on earth counts two gigawatts: nobody can accept that.
    absurd = unrolled((0, 0), (15, 10**12), accepted={1})
    assert absurd.register_wh.tolist() == [0, 0]
    assert unrolled((0, 0), (15, 10**9), max_power_w=2**31 - 1).flags.tolist() == [0, JUMP]


def test_gaps_and_estimates_are_estimated() -> None:
    gap = unrolled((0, 0), (30, 100), (60.1, 200))
    assert gap.flags.tolist() == [0, 0, GAP | ESTIMATED]
    assert gap.estimated_wh.tolist() == [0, 0, 100]
    both_sides = unrolled((0, 0), (15, 10), (30, 20), (45, 30), estimated={1})
    assert both_sides.flags.tolist() == [0, ESTIMATED, ESTIMATED, 0]
    assert unrolled((0, 0), (46 * 1440, 10)).flags.tolist() == [0, GAP | ESTIMATED | LONG]


def test_the_line_is_exact_however_wide_the_numbers() -> None:
    took = 20 * 365 * 86_400_000_000 + 1
    at_us = np.array([0, took])
    line = Unrolled(
        np.array([0, 10**13 + 7]), np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.uint8)
    )
    asked = np.array([-5, 0, 1, took // 3, took - 1, took, took + 5])
    register, exact = on_the_line(line, at_us, asked)
    assert register.tolist() == [
        0, 0, *((10**13 + 7) * at // took for at in (1, took // 3, took - 1)), 10**13 + 7, 10**13 + 7
    ]  # fmt: skip
    assert exact.tolist() == [False, True, False, False, False, True, False]


def span(meter: int, first_s: float, last_s: float) -> tuple[int, int, int]:
    return meter, int(first_s * 1e6), int(last_s * 1e6)


def test_spans_come_together_by_meter_and_are_cut_where_they_are_long() -> None:
    spans = np.array(
        [
            span(7, 100_000, 100_000),
            span(3, 5_000.5, 5_000.5),
            span(3, 0, 900),
            span(7, 0, 0),
            span(3, 900, 2_000),
            span(9, 0, 2.5 * PIECE_S),
        ],
        np.dtype([("meter", "<i4"), ("first_us", "<i8"), ("last_us", "<i8")]),
    )
    found = pieces(spans)
    assert found[["meter", "first_s", "last_s"]].tolist() == [
        (3, 0, 5_001),
        (7, 0, 0),
        (7, 100_000, 100_000),
        (9, 0, PIECE_S),
        (9, PIECE_S, 2 * PIECE_S),
        (9, 2 * PIECE_S, int(2.5 * PIECE_S)),
    ]
    assert found["known_first_s"].tolist() == [0] * 6
    assert found["known_last_s"].tolist() == [5_001, 100_000, 100_000, *[int(2.5 * PIECE_S)] * 3]
    assert len(pieces(spans[:0])) == 0


@pytest.mark.parametrize(
    ("zone", "day", "count"),
    [
        ("America/Fortaleza", date(2026, 3, 1), 24),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # its first hour there never was
        ("America/Sao_Paulo", date(2018, 2, 17), 25),  # its last hour came twice
        ("Asia/Kolkata", date(2026, 3, 1), 24),
        ("Australia/Lord_Howe", date(2025, 4, 6), 25),  # the last one of half an hour
        ("Australia/Lord_Howe", date(2025, 10, 5), 24),  # likewise
    ],
)
def test_days_have_the_hours_that_clocks_give_them(zone: str, day: date, count: int) -> None:
    hours = hours_of(ZoneInfo(zone))
    number = hours.day_number(day)
    first, end = hours.first_hour[number], hours.first_hour[number + 1]
    assert end - first == count
    edges = [moment_of(int(at)).astimezone(hours.zone) for at in hours.edges_us[first : end + 1]]
    assert edges[0].date() == day
    assert edges[-1].date() == day + timedelta(days=1)
    assert [hours.date_of(int(one)) for one in hours.day_of(np.arange(first, end))] == [day] * count
    spans = np.diff(hours.edges_us[first : end + 1])
    assert (spans[:-1] == HOUR_US).all()
    assert 0 < spans[-1] <= HOUR_US
    inside = hours.edges_us[first:end] + 1
    assert hours.of(inside).tolist() == list(range(first, end))
    assert hours.until(inside).tolist() == list(range(first + 1, end + 1))


def test_the_board_adds_up_who_was_heard_lately() -> None:
    now_us = epoch_us(datetime(2026, 3, 1, tzinfo=UTC))
    board = Board()
    assert board.totals(now_us).tolist() == [(EVERYWHERE, 0, 0, 0)]
    board.put(
        np.array(
            [
                (5000, 2, now_us - 5, 0, 700),
                (2, 2, now_us - 9, 0, 300),
                (3, 4, now_us - LATELY_US, 0, 100),
                (4, 4, now_us, 0, NO_POWER),
            ],
            CHANGE,
        )
    )
    assert board.totals(now_us).tolist() == [
        (EVERYWHERE, 2, now_us - 5, 1000),
        (2, 2, now_us - 5, 1000),
        (4, 0, 0, 0),
    ]
    board.put(np.array([(2, 4, now_us, 0, 50)], CHANGE))
    assert board.totals(now_us)["power_w"].tolist() == [750, 700, 50]
