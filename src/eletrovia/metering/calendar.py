"""Working days, and the moments at which a day's windows begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

import holidays

from eletrovia.metering.tariff import ALL_DAY, Calendar, DayPlan

DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def day_starts(day: date, zone: tzinfo) -> datetime:
    """The first moment of ``day`` there, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def is_working_day(calendar: Calendar, day: date) -> bool:
    """Whether windows hold on ``day``; on every other one it is ``rest`` all day."""
    return day.weekday() not in calendar.rest_days and day not in holidays_of(calendar, day.year)


@lru_cache(maxsize=1024)
def holidays_of(calendar: Calendar, year: int) -> frozenset[date]:
    """The year's days that count as holidays, whatever their weekday."""
    public, others = _observed(calendar.country, year)
    also = {
        day
        for day, names in others.items()
        for wanted in calendar.also
        if wanted.name in names and wanted.weekday in (None, day.weekday())
    }
    return public | also | {day for day in calendar.dates if day.year == year}


def known_observances(country: str, year: int) -> frozenset[str]:
    """Names of days that ``Calendar.also`` may ask for."""
    return frozenset(name for names in _observed(country, year)[1].values() for name in names)


@lru_cache(maxsize=1024)
def _observed(country: str, year: int) -> tuple[frozenset[date], dict[date, tuple[str, ...]]]:
    public = holidays.country_holidays(country, years=year, language="en_US")
    if "optional" not in public.supported_categories:
        return frozenset(public), {}
    others = holidays.country_holidays(country, years=year, categories=("optional",), language="en_US")
    return frozenset(public), {day: tuple(names.split("; ")) for day, names in others.items()}


def window_at(plan: DayPlan | None, calendar: Calendar | None, moment: datetime, zone: tzinfo) -> str:
    """The window's name at ``moment``; ``ALL_DAY`` where there are none."""
    if plan is None or calendar is None:
        return ALL_DAY
    there = moment.astimezone(zone)
    return plan.name_at(there.time()) if is_working_day(calendar, there.date()) else plan.rest


def boundaries(plan: DayPlan, calendar: Calendar, day: date, zone: tzinfo) -> list[datetime]:
    """The moments of ``day`` at which another window may begin, in UTC and in order."""
    first, last = day_starts(day, zone), day_starts(day + DAY, zone)
    clocks = {clock for span in plan.windows for clock in (span.starts_at, span.ends_at)}
    at_midnight = [first] if time() in clocks else []
    if not is_working_day(calendar, day):
        return at_midnight
    if last - first != DAY:  # a day with a clock change is walked: no hour of it can be trusted
        minutes = [first + _MINUTE * n for n in range(1, int((last - first) / _MINUTE))]
        return at_midnight + [at for at in minutes if _changes(plan, at, zone)]
    moments = [datetime.combine(day, clock, zone).astimezone(UTC) for clock in sorted(clocks - {time()})]
    return at_midnight + moments


def _changes(plan: DayPlan, at: datetime, zone: tzinfo) -> bool:
    before, after = ((at - _MINUTE).astimezone(zone), at.astimezone(zone))
    return plan.name_at(before.time()) != plan.name_at(after.time())
