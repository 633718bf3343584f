"""What a tariff asks on one day: its windows, prices with taxes, the flag; and all tariffs by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from typing import Final

from msgspec import Struct

from eletrovia.metering.bill import Terms
from eletrovia.metering.calendar import DAY, is_working_day
from eletrovia.metering.priced import Levy, Run, runs_of
from eletrovia.metering.tariff import ALL_DAY, Off, Rate, TariffBook
from eletrovia.metering.taxing import with_taxes

USUAL_KWH: Final = Decimal(150)
"""The usage a month at which taxes by usage are shown, where nobody says another."""
_SHOWN: Final = Decimal("0.00001")


class PriceShown(Struct, frozen=True, kw_only=True):
    """Units: currency/kWh, with taxes rounded for reading; kWh of a period."""

    above_kwh: Decimal = Decimal(0)
    up_to_kwh: Decimal | None = None
    before_taxes: Decimal
    with_taxes: Decimal


class WindowShown(Struct, frozen=True, kw_only=True):
    """A part of the day, in local time; ``ends_at`` 00:00 is the day's end."""

    name: str
    starts_at: time
    ends_at: time
    prices: tuple[PriceShown, ...]


class TaxShown(Struct, frozen=True, kw_only=True):
    """A tax inside the prices, as a share of its own base."""

    name: str
    share: Decimal


class FlagShown(Struct, frozen=True, kw_only=True):
    """What the flag of the day adds. Units: currency/kWh."""

    colour: str
    before_taxes: Decimal
    with_taxes: Decimal


class TariffDay(Struct, frozen=True, kw_only=True):
    """A tariff on one day, for somebody who uses ``use_kwh`` in a period.

    Shape: ``working_day`` is None where that makes no difference.
    """

    tariff_id: str
    name: str
    distributor: str
    fictional: bool
    currency: str
    on: date
    working_day: bool | None
    use_kwh: Decimal
    windows: tuple[WindowShown, ...]
    taxes: tuple[TaxShown, ...]
    flag: FlagShown | None
    minimum_kwh: tuple[Decimal, ...]
    discount: tuple[Off, ...]
    sources: tuple[str, ...]


class HomeTariff(Struct, frozen=True, kw_only=True):
    """A tariff by name. ``fictional``: of a distributor invented for demonstrations."""

    id: str
    name: str
    distributor: str
    kind: str
    currency: str
    fictional: bool
    low_income: str | None
    source: str


class Place(Struct, frozen=True, kw_only=True):
    """A municipality whose public lighting is known."""

    id: str
    name: str


class HomeTariffs(Struct, frozen=True, kw_only=True):
    """All tariffs, and the municipalities that terms may name."""

    tariffs: list[HomeTariff]
    municipalities: list[Place]


def home_tariffs_of(book: TariffBook) -> HomeTariffs:
    """The book by name."""
    return HomeTariffs(
        tariffs=[
            HomeTariff(
                id=tariff.id,
                name=tariff.name,
                distributor=book.distributors[tariff.distributor].name,
                kind=tariff.kind,
                currency=tariff.currency,
                fictional=book.distributors[tariff.distributor].fictional,
                low_income=tariff.low_income,
                source=tariff.source,
            )
            for tariff in book.tariffs.values()
        ],
        municipalities=[Place(id=one.id, name=one.name) for one in book.lighting.values()],
    )


def tariff_day(book: TariffBook, tariff_id: str, on: date, *, use_kwh: Decimal = USUAL_KWH) -> TariffDay:
    """What the tariff asks on that day. Raises: NotFound for an unknown one, or a day without a price."""
    tariff = book.tariff(tariff_id)
    run = runs_of(Terms(tariff_id=tariff_id), book, on, on + DAY)[0]
    levies = run.levies(use_kwh)
    distributor = book.distributors[tariff.distributor]
    return TariffDay(
        tariff_id=tariff.id,
        name=tariff.name,
        distributor=distributor.name,
        fictional=distributor.fictional,
        currency=tariff.currency,
        on=on,
        working_day=None if run.calendar is None else is_working_day(run.calendar, on),
        use_kwh=use_kwh,
        windows=tuple(_windows(run, levies)),
        taxes=tuple(TaxShown(name=levy.name, share=levy.share) for levy in levies),
        flag=None
        if run.flag is None
        else FlagShown(
            colour=run.flag.colour,
            before_taxes=run.flag.kwh,
            with_taxes=_readable(with_taxes(Fraction(run.flag.kwh), levies)),
        ),
        minimum_kwh=() if run.minimum is None else tuple(run.minimum.kwh(phases) for phases in (1, 2, 3)),
        discount=run.discount.steps if run.discount is not None else (),
        sources=tuple(dict.fromkeys(run.sources)),
    )


def _windows(run: Run, levies: tuple[Levy, ...]) -> Iterator[WindowShown]:
    midnight = time()
    if run.plan is None or run.calendar is None:
        yield WindowShown(
            name=ALL_DAY, starts_at=midnight, ends_at=midnight, prices=_prices(run, None, levies)
        )
        return
    clocks = {midnight, *(clock for span in run.plan.windows for clock in (span.starts_at, span.ends_at))}
    works = is_working_day(run.calendar, run.starts_on)
    starts = [(clock, run.plan.name_at(clock) if works else run.plan.rest) for clock in sorted(clocks)]
    changes = [starts[n] for n in range(len(starts)) if n == 0 or starts[n][1] != starts[n - 1][1]]
    for (starts_at, name), (ends_at, _) in zip(changes, [*changes[1:], (midnight, "")], strict=True):
        rate = run.price.windows[name]
        yield WindowShown(name=name, starts_at=starts_at, ends_at=ends_at, prices=_prices(run, rate, levies))


def _prices(run: Run, rate: Rate | None, levies: tuple[Levy, ...]) -> tuple[PriceShown, ...]:
    tiers = [(tier.up_to_kwh, tier.per_kwh) for tier in run.price.tiers] if rate is None else []
    steps = tiers or [(None, (rate or run.price).per_kwh)]
    shown, above = [], Decimal(0)
    for up_to, price in steps:
        exact = with_taxes(Fraction(price), levies)
        shown.append(
            PriceShown(above_kwh=above, up_to_kwh=up_to, before_taxes=price, with_taxes=_readable(exact))
        )
        above = up_to if up_to is not None else above
    return tuple(shown)


def _readable(exact: Fraction) -> Decimal:
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_SHOWN)
