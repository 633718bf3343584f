"""The bill before it is one: what a period is going to cost, beside the same a month and a year ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from eletrovia.metering.alert import Level
from eletrovia.metering.contract import Days as Period
from eletrovia.metering.excess import Floats

EARLIEST: Final = 1 / 3
"""Nothing is told before this share of the period is over."""
_MUCH: Final = 2.5
"""So many times the chosen share is urgent."""


class HourlyUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use on consecutive days of the utility's zone, hour by hour. Shape: days by 24. Units: Wh."""

    first: date
    days_wh: Floats


class HomeBills(Protocol):
    """One home's billing, as far as a forecast needs it."""

    @property
    def period(self) -> Period:
        """The billing period that goes on."""
        ...

    async def month_ago(self) -> Decimal | None:
        """What the period before cost the same customer; None where that is not known whole."""
        ...

    async def year_ago(self) -> Decimal | None:
        """What the same period a year ago cost them; None likewise."""
        ...

    def will_be(self, use: HourlyUse) -> tuple[Decimal, str]:
        """What the whole period will cost, and in which currency. Raises: NotFound for a missing price."""
        ...


class BillsAhead(Protocol):
    """Pricing; ``pricedahead.PricedAhead`` is it."""

    async def of(self, usage_point_ids: Sequence[str], today: date) -> Mapping[str, HomeBills]:
        """The billing of those that have a contract."""
        ...


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """What a period is going to cost; earlier ones are None where nobody knows them."""

    period: Period
    today: date
    expected: Decimal
    low: Decimal
    high: Decimal
    currency: str
    month_ago: Decimal | None
    year_ago: Decimal | None


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that is surely going to be another. Shape: ``against`` "month", "year" or "both"."""

    up: bool
    against: str
    share: float
    level: Level


def is_early(period: Period, today: date) -> bool:
    """Whether it is too early to tell anything of the period."""
    return (today - period.starts_on).days < EARLIEST * period.count


def variation(ahead: Ahead, share: float) -> Variation | None:
    """More than ``share`` above or below an earlier bill, even where the forecast errs against it.

    A bill that is above one and below the other goes with the last month: so people compare.
    """
    for up in (True, False):
        against = {
            name: (float(ahead.expected) - float(was)) / float(was)
            for name, was in (("month", ahead.month_ago), ("year", ahead.year_ago))
            if was is not None and was > 0 and _surely(ahead, was, share, up=up)
        }
        if against and (up or "month" in against or ahead.month_ago is None):
            greatest = max(against.values(), key=abs)
            level = Level.NOTICE if not up else Level.URGENT if greatest >= _MUCH * share else Level.WARNING
            name = "both" if len(against) == 2 else next(iter(against))
            return Variation(up=up, against=name, share=against.get("month", greatest), level=level)
    return None


def is_over(ahead: Ahead, share: float) -> bool:
    """Whether nothing is left to warn of: the expected bill is well within the share again."""
    return all(
        abs(float(ahead.expected) - float(was)) <= share / 2 * float(was)
        for was in (ahead.month_ago, ahead.year_ago)
        if was is not None and was > 0
    )


def _surely(ahead: Ahead, was: Decimal, share: float, *, up: bool) -> bool:
    if up:
        return float(ahead.low) > float(was) * (1 + share)
    return float(ahead.high) < float(was) * (1 - share)


def as_facts(ahead: Ahead, found: Variation) -> dict[str, Any]:
    """For an alert's facts."""
    return {
        "up": found.up,
        "against": found.against,
        "share": round(found.share, 3),
        "expected": str(ahead.expected),
        "low": str(ahead.low),
        "high": str(ahead.high),
        "month_ago": None if ahead.month_ago is None else str(ahead.month_ago),
        "year_ago": None if ahead.year_ago is None else str(ahead.year_ago),
        "currency": ahead.currency,
        "starts_on": ahead.period.starts_on.isoformat(),
        "ends_on": ahead.period.ends_on.isoformat(),
        "days_left": (ahead.period.ends_on - ahead.today).days,
    }
