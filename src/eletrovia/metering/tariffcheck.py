"""What must be right about a tariff file before a bill may rest on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import time
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Any, Final

from msgspec import Struct

from eletrovia.base.errors import Invalid
from eletrovia.metering.calendar import known_observances
from eletrovia.metering.tariff import (
    ALL_DAY,
    Calendar,
    Dated,
    DayPlan,
    Discount,
    FlagValue,
    Hours,
    Lighting,
    Noted,
    Price,
    Rate,
    Tariff,
    TariffBook,
    Tax,
)

_MOST: Final = Decimal(10) ** 9
_A_YEAR: Final = 2024
"""Any year in which a country's observances are looked up by name."""


class Record(Struct, frozen=True):
    """A record with where it stands, which is what an error about it names."""

    file: str
    section: str
    body: Noted

    @property
    def name(self) -> str:
        return f'{self.section} "{self.body.id}"'

    def wrong(self, field: str, reason: str) -> Invalid:
        return Invalid("tariff.file_wrong", file=self.file, record=self.name, field=field, reason=reason)


def check_records(records: Sequence[Record]) -> None:
    """Each record of one file by itself. Raises: Invalid ``tariff.file_wrong``, ``tariff.overlap``."""
    seen: set[tuple[str, str]] = set()
    for record in records:
        key = (record.section, record.body.id)
        if key in seen:
            raise record.wrong("id", "there are two of them in this file")
        seen.add(key)
        _numbers(record, record.body, "")
        _dates(record)
        match record.body:
            case Tariff() as tariff:
                _tariff(record, tariff)
            case Hours() as hours:
                for n, plan in enumerate(hours.plans):
                    _plan(record, plan, f"days[{n}]")
            case Calendar() as calendar:
                _calendar(record, calendar)
            case Tax() as tax:
                for n, rate in enumerate(tax.rates):
                    _one_of(record, f"rate[{n}]", share=rate.share, bands=rate.bands)
                    _ladder(record, rate.bands, f"rate[{n}].bands")
            case Discount() as discount:
                for n, rule in enumerate(discount.rules):
                    _ladder(record, rule.steps, f"rule[{n}].step", needed=True)
            case Lighting() as lighting:
                _lighting(record, lighting)
            case _:
                pass


def check_book(book: TariffBook, records: Iterable[Record]) -> None:
    """What records say of each other. Raises: Invalid ``tariff.file_wrong``."""
    for record in records:
        match record.body:
            case Hours() as hours:
                _known(record, "calendar", hours.calendar, book.calendars)
            case Tariff() as tariff:
                _known(record, "distributor", tariff.distributor, book.distributors)
                _known(record, "hours", tariff.hours, book.hours)
                _known(record, "flags", tariff.flags, book.flags)
                _known(record, "minimum", tariff.minimum, book.minimums)
                _known(record, "discount", tariff.discount, book.discounts)
                _known(record, "low_income", tariff.low_income, book.tariffs)
                for name in tariff.taxes:
                    _known(record, "taxes", name, book.taxes)
                _taxes_leave_something(record, [book.taxes[name] for name in tariff.taxes])
                if tariff.hours is not None:
                    _windows_priced(record, tariff, book.hours[tariff.hours])
            case _:
                pass


def overlapping(a: Dated, b: Dated) -> bool:
    """Whether both hold on some day and speak of the same thing: the values of two flags do not."""
    if isinstance(a, FlagValue) and isinstance(b, FlagValue) and a.colour != b.colour:
        return False
    return (b.ends_on is None or a.starts_on < b.ends_on) and (a.ends_on is None or b.starts_on < a.ends_on)


def _parts(body: Struct) -> Iterator[tuple[str, Any]]:
    """Fields by the names they have in a file."""
    for field, encoded in zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True):
        yield encoded, getattr(body, field)


def _numbers(record: Record, value: Any, path: str) -> None:
    if isinstance(value, Decimal):
        if not value.is_finite() or not 0 <= value < _MOST or value.as_tuple().exponent < -18:  # type: ignore[operator]
            raise record.wrong(path, f"{value} is no number from 0 with at most 18 places")
        if path.rpartition(".")[2] == "share" and value > 1:
            raise record.wrong(path, f"{value} is no share from 0 to 1")
    elif isinstance(value, Struct):
        for name, part in _parts(value):
            _numbers(record, part, f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for n, part in enumerate(value):
            _numbers(record, part, f"{path}[{n}]")
    elif isinstance(value, dict):
        for name, part in value.items():
            _numbers(record, part, f"{path}.{name}")


def _dates(record: Record) -> None:
    for name, entries in _parts(record.body):
        if not isinstance(entries, tuple):
            continue
        dated = [(n, entry) for n, entry in enumerate(entries) if isinstance(entry, Dated)]
        for n, entry in dated:
            if entry.ends_on is not None and entry.ends_on <= entry.starts_on:
                raise record.wrong(f"{name}[{n}].until", "it lies not after from")
        for (n, one), (m, other) in combinations(dated, 2):
            if overlapping(one, other):
                raise Invalid(
                    "tariff.overlap",
                    file=record.file,
                    record=record.name,
                    field=f"{name}[{m}]",
                    other=f"{name}[{n}]",
                    day=max(one.starts_on, other.starts_on).isoformat(),
                )


def _ladder(record: Record, steps: Sequence[Any], path: str, *, needed: bool = False) -> None:
    """Limits that rise, and a last step without one, so that every usage has its step."""
    if not steps:
        if needed:
            raise record.wrong(path, "there is none")
        return
    limits = [step.up_to_kwh for step in steps]
    if limits[-1] is not None:
        raise record.wrong(
            f"{path}[{len(steps) - 1}].up_to_kwh", "the last one must reach as far as it likes"
        )
    for n, (below, above) in enumerate(pairwise(limits), 1):
        if below is None or (above is not None and above <= below):
            raise record.wrong(f"{path}[{n}].up_to_kwh", "limits must rise")


def _one_of(record: Record, path: str, **given: Any) -> None:
    if sum(value is not None and value != () for value in given.values()) != 1:
        raise record.wrong(path, "it takes exactly one of " + ", ".join(given))


def _rate(record: Record, rate: Rate | Price, path: str) -> None:
    parts = (rate.te is not None, rate.tusd is not None)
    if (rate.kwh is None) == (not any(parts)) or parts[0] != parts[1]:
        raise record.wrong(path, "a price is either kwh, or te and tusd")


def _tariff(record: Record, tariff: Tariff) -> None:
    if (tariff.kind == "windows") != (tariff.hours is not None):
        raise record.wrong("hours", "a tariff of kind windows has hours, and no other has")
    for n, price in enumerate(tariff.prices):
        path = f"price[{n}]"
        if tariff.kind == "flat":
            _rate(record, price, path)
        elif price.kwh is not None or price.te is not None or price.tusd is not None:
            raise record.wrong(path, f"a price of kind {tariff.kind} stands in its {tariff.kind}")
        if bool(price.tiers) != (tariff.kind == "tiers") or bool(price.windows) != (tariff.kind == "windows"):
            raise record.wrong(path, f"it does not have what a tariff of kind {tariff.kind} has")
        for name, rate in (*enumerate(price.tiers), *price.windows.items()):
            _rate(record, rate, f"{path}.{tariff.kind}[{name}]")
        _ladder(record, price.tiers, f"{path}.tiers")


def _plan(record: Record, plan: DayPlan, path: str) -> None:
    for n, span in enumerate(plan.windows):
        if span.ends_at != time() and span.ends_at <= span.starts_at:
            raise record.wrong(f"{path}.window[{n}].until", "it lies not after from; 00:00 is the day's end")
        if any(clock.second or clock.microsecond or clock.tzinfo for clock in (span.starts_at, span.ends_at)):
            raise record.wrong(f"{path}.window[{n}]", "windows begin and end at whole minutes, local time")
    spans = sorted(plan.windows, key=lambda span: span.starts_at)
    for before, after in pairwise(spans):
        if before.ends_at == time() or after.starts_at < before.ends_at:
            raise record.wrong(
                f"{path}.window", f"{before.name} and {after.name} overlap at {after.starts_at}"
            )
    if ALL_DAY in plan.names:
        raise record.wrong(path, f'no window may be called "{ALL_DAY}"')


def _calendar(record: Record, calendar: Calendar) -> None:
    try:
        known = known_observances(calendar.country, _A_YEAR)
    except NotImplementedError:
        raise record.wrong("country", f"no holidays are known of {calendar.country}") from None
    for n, wanted in enumerate(calendar.also):
        if wanted.name not in known:
            raise record.wrong(f"also[{n}].name", "known are " + ", ".join(sorted(known)))


def _lighting(record: Record, lighting: Lighting) -> None:
    for n, rate in enumerate(lighting.rates):
        path = f"rate[{n}]"
        _one_of(record, path, amount=rate.amount, share=rate.share, bands=rate.bands)
        _ladder(record, rate.bands, f"{path}.bands")
        for m, band in enumerate(rate.bands):
            _one_of(record, f"{path}.bands[{m}]", amount=band.amount, share=band.share)


def _known(record: Record, field: str, name: str | None, there: Any) -> None:
    if name is not None and name not in there:
        raise record.wrong(field, f'there is no "{name}"')


def _taxes_leave_something(record: Record, taxes: Sequence[Tax]) -> None:
    if len({tax.id for tax in taxes}) != len(taxes):
        raise record.wrong("taxes", "one of them is there twice")
    for base in ("price", "net"):
        most = Decimal(0)
        for tax in taxes:
            shares = [share for rate in tax.rates for share in _shares(rate)]
            most += max(shares, default=Decimal(0)) if tax.base == base else 0
        if most >= 1:
            raise record.wrong("taxes", "together they can take the whole price")


def _shares(rate: Any) -> list[Decimal]:
    return [rate.share] if rate.share is not None else [band.share for band in rate.bands]


def _windows_priced(record: Record, tariff: Tariff, hours: Hours) -> None:
    for n, price in enumerate(tariff.prices):
        for plan in (plan for plan in hours.plans if overlapping(plan, price)):
            lacking = [name for name in plan.names if name not in price.windows]
            if lacking:
                raise record.wrong(f"price[{n}].windows", "no price for " + ", ".join(lacking))
            extra = tariff.minimum_window
            if extra is not None and extra not in plan.names:
                raise record.wrong("minimum_window", f'there is no window "{extra}"')
