"""Working days as Brazil's regulator counts them, and a day's windows when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from eletrovia.metering.calendar import DAY, boundaries, day_starts, holidays_of, is_working_day, window_at
from eletrovia.metering.tariff import Calendar, DayPlan, Span
from eletrovia.metering.tariffbook import carried_book
from tests.property.billoracle import day_off

ANEEL = carried_book().calendars["aneel"]
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 2, 16), True),  # Carnival Monday is a working day for meters
        (date(2026, 2, 17), False),  # Carnival Tuesday is not
        (date(2026, 2, 18), True),  # Ash Wednesday is
        (date(2026, 4, 3), False),  # Good Friday
        (date(2026, 6, 4), False),  # Corpus Christi
        (date(2026, 6, 5), True),
        (date(2023, 11, 20), True),  # national since 2024 (Lei 14.759/2023)
        (date(2024, 11, 20), False),
        (date(2026, 11, 20), False),
        (date(2026, 10, 28), True),  # public servants only
        (date(2026, 12, 24), True),
        (date(2026, 12, 25), False),
        (date(2026, 11, 21), False),  # a Saturday
        (date(2025, 3, 4), False),  # Carnival Tuesday
        (date(2025, 6, 19), False),  # Corpus Christi
    ],
)
def test_known_days(day: date, works: bool) -> None:
    assert is_working_day(ANEEL, day) is works


def test_every_day_from_2010_to_2040_is_what_the_computus_says() -> None:
    day = date(2010, 1, 1)
    while day < date(2041, 1, 1):
        assert is_working_day(ANEEL, day) is not day_off(day), day
        day += DAY


def test_a_utilitys_own_days_off() -> None:
    calendar = Calendar(id="x", source="-", country="BR", rest_days=(6,), dates=(date(2026, 8, 5),), also=())
    assert date(2026, 8, 5) in holidays_of(calendar, 2026)
    assert not is_working_day(calendar, date(2026, 8, 5))
    assert is_working_day(calendar, date(2026, 11, 21))  # Saturdays are worked here
    assert is_working_day(calendar, date(2026, 2, 17))  # and on Carnival Tuesday


PLAN = DayPlan(
    starts_on=date(2000, 1, 1),
    source="-",
    rest="rest",
    windows=(
        Span(name="early", starts_at=time(0, 15), ends_at=time(0, 45)),
        Span(name="deep", starts_at=time(1, 40), ends_at=time(2, 20)),
        Span(name="late", starts_at=time(23, 0), ends_at=time(0)),
    ),
)
EVERY_DAY = Calendar(id="x", source="-", country="BR", rest_days=())


@pytest.mark.parametrize(
    ("zone_name", "day"),
    [
        ("America/Fortaleza", date(2026, 3, 10)),
        ("America/Sao_Paulo", date(2018, 11, 4)),  # its midnight does not exist
        ("America/Sao_Paulo", date(2018, 2, 17)),  # its last hour comes twice
        ("Africa/Cairo", date(2024, 4, 26)),
        ("Africa/Cairo", date(2024, 10, 31)),
        ("Asia/Tehran", date(2022, 3, 22)),
        ("Europe/Lisbon", date(2026, 10, 25)),
        ("America/New_York", date(2026, 3, 8)),  # 02:00 to 03:00 is left out
        ("America/New_York", date(2026, 11, 1)),  # 01:00 to 02:00 comes twice
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
    ],
)
def test_edges_are_wherever_the_window_changes_minute_by_minute(zone_name: str, day: date) -> None:
    zone = ZoneInfo(zone_name)
    first, last = day_starts(day - DAY, zone), day_starts(day + 2 * DAY, zone)
    minutes = [first + n * MINUTE for n in range(int((last - first) / MINUTE))]
    names = [window_at(PLAN, EVERY_DAY, minute, zone) for minute in minutes]
    changes = {
        at for (_, before), (at, after) in pairwise(zip(minutes, names, strict=True)) if before != after
    }
    days = [day - DAY, day, day + DAY]
    asked = {at for one in days for at in boundaries(PLAN, EVERY_DAY, one, zone)}
    assert changes <= asked
    assert all(first <= at <= last for at in asked)


def test_a_day_begins_where_the_clock_says_so() -> None:
    assert day_starts(date(2026, 1, 1), ZoneInfo("America/Fortaleza")) == datetime(2026, 1, 1, 3, tzinfo=UTC)
