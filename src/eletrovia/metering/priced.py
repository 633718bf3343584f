"""A period cut into runs of days on which nothing changes: the same price, flag and taxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from eletrovia.base.errors import Invalid
from eletrovia.metering.bill import Terms
from eletrovia.metering.tariff import (
    Calendar,
    Dated,
    DayPlan,
    DiscountRule,
    FlagValue,
    MinimumUse,
    Price,
    Tariff,
    TariffBook,
    Tax,
    TaxRate,
    band_of,
    holding,
)


class Levy(Struct, frozen=True, kw_only=True):
    """One tax at one share, as it lies on a line. ``outer``: a share of the price with all taxes."""

    name: str
    share: Decimal
    outer: bool


class Run(Struct, frozen=True, kw_only=True):
    """The days ``[starts_on, ends_on)`` with the records that hold on all of them."""

    starts_on: date
    ends_on: date
    tariff: Tariff
    price: Price
    flag: FlagValue | None
    taxes: tuple[tuple[Tax, TaxRate], ...]
    discount: DiscountRule | None
    minimum: MinimumUse | None
    plan: DayPlan | None
    calendar: Calendar | None
    sources: tuple[str, ...]

    @property
    def days(self) -> int:
        return (self.ends_on - self.starts_on).days

    def each_day(self) -> Iterator[date]:
        return (self.starts_on + timedelta(days=n) for n in range(self.days))

    def levies(self, used_kwh: Decimal) -> tuple[Levy, ...]:
        """The taxes' shares for a period in which so much was used."""
        return tuple(
            Levy(name=tax.name, share=share_of(rate, used_kwh), outer=tax.base == "price")
            for tax, rate in self.taxes
        )


def share_of(rate: TaxRate, used_kwh: Decimal) -> Decimal:
    """A tax's share for a period with so much usage."""
    return rate.share if rate.share is not None else band_of(rate.bands, used_kwh).share


def runs_of(terms: Terms, book: TariffBook, starts_on: date, ends_on: date) -> list[Run]:
    """``[starts_on, ends_on)`` as runs, in order.

    Raises: NotFound for an unknown tariff, and ``tariff.no_price`` for a day on which something lacks;
            Invalid for a period without a day.
    """
    if ends_on <= starts_on:
        raise Invalid("bill.period_empty", starts_on=str(starts_on), ends_on=str(ends_on))
    tariff = book.tariff_for(terms.tariff_id, low_income=terms.low_income)
    runs: list[Run] = []
    for first, after in pairwise((*_changes(tariff, book, starts_on, ends_on), ends_on)):
        run = _from(tariff, book, first, after)
        last = runs[-1] if runs else None
        if last is not None and _same(last, run):
            runs[-1] = replace(last, ends_on=run.ends_on)
        else:
            runs.append(run)
    return runs


def _changes(tariff: Tariff, book: TariffBook, starts_on: date, ends_on: date) -> list[date]:
    """The first day, and each later one on which an entry begins or ends: nothing changes in between."""
    entries: list[Dated] = [
        *tariff.prices,
        *(rate for name in tariff.taxes for rate in book.taxes[name].rates),
    ]
    if tariff.flags is not None:
        entries += (*book.flags[tariff.flags].held, *book.flags[tariff.flags].values)
    if tariff.discount is not None:
        entries += book.discounts[tariff.discount].rules
    if tariff.minimum is not None:
        entries += book.minimums[tariff.minimum].kwh
    if tariff.hours is not None:
        entries += book.hours[tariff.hours].plans
    days = {entry.starts_on for entry in entries} | {entry.ends_on for entry in entries if entry.ends_on}
    return [starts_on, *sorted(day for day in days if starts_on < day < ends_on)]


def _from(tariff: Tariff, book: TariffBook, day: date, after: date) -> Run:
    """The records that hold on ``day``, and until ``after``."""
    price = holding(tariff.prices, day, what="tariff", name=tariff.id)
    sources = [price.source]
    flag = None
    if tariff.flags is not None:
        flags = book.flags[tariff.flags]
        held = holding(flags.held, day, what="flag", name=flags.id)
        of_colour = [value for value in flags.values if value.colour == held.colour]
        flag = holding(of_colour, day, what="flag_value", name=held.colour)
        sources += [held.source, flag.source]
    taxes = []
    for tax in (book.taxes[name] for name in tariff.taxes):
        rate = holding(tax.rates, day, what="tax", name=tax.id)
        taxes.append((tax, rate))
        sources.append(rate.source)
    discount = minimum = plan = calendar = None
    if tariff.discount is not None:
        discount = holding(book.discounts[tariff.discount].rules, day, what="discount", name=tariff.discount)
        sources.append(discount.source)
    if tariff.minimum is not None:
        minimum = holding(book.minimums[tariff.minimum].kwh, day, what="minimum", name=tariff.minimum)
        sources.append(minimum.source)
    if tariff.hours is not None:
        hours = book.hours[tariff.hours]
        plan = holding(hours.plans, day, what="hours", name=hours.id)
        calendar = book.calendars[hours.calendar]
        sources += [plan.source, calendar.source]
    return Run(
        starts_on=day,
        ends_on=after,
        tariff=tariff,
        price=price,
        flag=flag,
        taxes=tuple(taxes),
        discount=discount,
        minimum=minimum,
        plan=plan,
        calendar=calendar,
        sources=tuple(sources),
    )


def _same(a: Run, b: Run) -> bool:
    return (
        a.price is b.price
        and a.flag is b.flag
        and a.discount is b.discount
        and a.minimum is b.minimum
        and a.plan is b.plan
        and all(one[1] is other[1] for one, other in zip(a.taxes, b.taxes, strict=True))
    )
