"""Tariffs for homes as dated data: prices, windows of the day, flags, taxes, minimum, public lighting.

Nothing here knows a number of any law. Each value stands in a file, with the days it holds and its source
(``data/*.toml``, read by ``tariffbook.py``); docs/tariffs.md tells how to write one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from eletrovia.base.errors import NotFound

Word = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""An id: small letters, digits, ``-`` and ``_``."""
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Kind = Literal["flat", "tiers", "windows"]

ALL_DAY: Final = "all"
"""The window of a tariff that has none."""


class Dated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that holds on the days ``[starts_on, ends_on)``, for good without an end.

    Shape: ``from`` and ``until`` in a file; ``source`` names the act or page it is from.
    """

    starts_on: date = msgspec.field(name="from")
    ends_on: date | None = msgspec.field(default=None, name="until")
    source: Text

    def holds_on(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


class Noted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record of a tariff file that has a name."""

    id: Word
    source: Text


class Rate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price before taxes. Units: currency/kWh: either ``kwh``, or ``te`` (energy) + ``tusd`` (grid)."""

    kwh: Decimal | None = None
    te: Decimal | None = None
    tusd: Decimal | None = None

    @property
    def per_kwh(self) -> Decimal:
        return self.kwh if self.kwh is not None else (self.te or Decimal(0)) + (self.tusd or Decimal(0))


class Tier(Rate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price for the usage of a period up to ``up_to_kwh``; the last tier has no end."""

    up_to_kwh: Decimal | None = None


class Price(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kWh costs in these days.

    Shape: a flat tariff has a rate; one of ``tiers`` those; one of ``windows`` a rate for each window's name.
    """

    kwh: Decimal | None = None
    te: Decimal | None = None
    tusd: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    windows: dict[str, Rate] = {}

    @property
    def per_kwh(self) -> Decimal:
        return Rate(kwh=self.kwh, te=self.te, tusd=self.tusd).per_kwh


class Tariff(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a home may agree on. The words of the other fields are ids of the same book.

    Shape:  ``tiers`` marginal: each tier's price for the usage inside it; whole: the price of the tier that
            the whole usage falls into. ``low_income`` is the tariff in its place under ``Terms.low_income``.
            ``minimum_window`` prices what is billed beyond the usage, where there are windows.
    """

    name: Text
    distributor: Word
    kind: Kind
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "BRL"
    tiers: Literal["marginal", "whole"] = "marginal"
    hours: Word | None = None
    taxes: tuple[Word, ...] = ()
    flags: Word | None = None
    minimum: Word | None = None
    minimum_window: Word | None = None
    discount: Word | None = None
    low_income: Word | None = None
    prices: Annotated[tuple[Price, ...], Meta(min_length=1)] = msgspec.field(name="price")


class Distributor(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sells and delivers. ``fictional``: invented for demonstrations."""

    name: Text
    region: str = ""
    fictional: bool = False


class Observance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day that is no public holiday but counts as one; ``weekday`` (0 is Monday) tells namesakes apart."""

    name: Text
    weekday: Annotated[int, Meta(ge=0, le=6)] | None = None


class Calendar(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days are working days.

    Shape: all but ``rest_days`` (0 is Monday), the country's public holidays, those of ``also`` among its
           other observances, and ``dates``.
    """

    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
    rest_days: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = (5, 6)
    also: tuple[Observance, ...] = ()
    dates: tuple[date, ...] = ()


class Span(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named part ``[starts_at, ends_at)`` of a working day; ``ends_at`` 00:00 is the day's end."""

    name: Word
    starts_at: time = msgspec.field(name="from")
    ends_at: time = msgspec.field(name="until")


class DayPlan(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The windows of a working day; ``rest`` is the name of all the other hours, and of other days."""

    windows: tuple[Span, ...] = msgspec.field(name="window")
    rest: Word

    def name_at(self, clock: time) -> str:
        """The window's name at that time of a working day."""
        for span in self.windows:
            if span.starts_at <= clock and (clock < span.ends_at or span.ends_at == time()):
                return span.name
        return self.rest

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(span.name for span in self.windows), self.rest]))


class Hours(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A distributor's windows of the day."""

    calendar: Word
    plans: Annotated[tuple[DayPlan, ...], Meta(min_length=1)] = msgspec.field(name="days")


class FlagValue(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a flag adds. Units: currency/kWh, before taxes."""

    colour: Word
    kwh: Decimal


class FlagHeld(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which flag held in these days."""

    colour: Word


class Flags(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system of flags (bandeiras tarifárias): what each adds, and which one held when."""

    values: tuple[FlagValue, ...] = msgspec.field(default=(), name="value")
    held: tuple[FlagHeld, ...] = ()


class TaxBand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share for a period with usage up to ``up_to_kwh``, on all of it; the last band has no end."""

    share: Decimal
    up_to_kwh: Decimal | None = None


class TaxRate(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax's share: one, or one by usage."""

    share: Decimal | None = None
    bands: tuple[TaxBand, ...] = ()


class Tax(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax inside the price.

    Shape: ``base`` price: a share of the price with all taxes (ICMS); net: of the price without the taxes
           of the first kind (PIS, COFINS).
    """

    name: Text
    base: Literal["price", "net"]
    rates: tuple[TaxRate, ...] = msgspec.field(name="rate")


class MinimumUse(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least usage billed, by the number of phases. Units: kWh a billing period."""

    one: Decimal
    two: Decimal
    three: Decimal

    def kwh(self, phases: int) -> Decimal:
        return {1: self.one, 2: self.two}.get(phases, self.three)


class Minimum(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A minimum bill (custo de disponibilidade)."""

    kwh: tuple[MinimumUse, ...]


class Off(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share taken off the usage up to ``up_to_kwh``; the last one has no end."""

    share: Decimal
    up_to_kwh: Decimal | None = None


class DiscountRule(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares by usage, marginal; ``flags``: off the flag's addition too.

    Units: whoever uses up to ``no_minimum_up_to_kwh`` in a period is billed no minimum.
    """

    steps: tuple[Off, ...] = msgspec.field(name="step")
    flags: bool = True
    no_minimum_up_to_kwh: Decimal | None = None


class Discount(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A discount by usage, such as the social tariff's."""

    rules: tuple[DiscountRule, ...] = msgspec.field(name="rule")


class LightingBand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contribution for a period with usage up to ``up_to_kwh``; the last band has no end."""

    amount: Decimal | None = None
    share: Decimal | None = None
    up_to_kwh: Decimal | None = None


class LightingRate(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bill adds for public lighting: an ``amount``, a ``share``, or one of them by usage.

    Units: ``share`` is of ``of`` when that is given (money: a reference value), else of the energy's lines.
    """

    amount: Decimal | None = None
    share: Decimal | None = None
    of: Decimal | None = None
    bands: tuple[LightingBand, ...] = ()


class Lighting(Noted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A municipality's contribution to public lighting (CIP, COSIP). Its id is ``Terms.municipality``."""

    name: Text
    rates: tuple[LightingRate, ...] = msgspec.field(name="rate")


DatedRecord = TypeVar("DatedRecord", bound=Dated)


class TariffBook(Struct, frozen=True, kw_only=True):
    """Every record by its id. Made by ``tariffbook.read_book``, which has checked it."""

    distributors: Mapping[str, Distributor] = {}
    calendars: Mapping[str, Calendar] = {}
    hours: Mapping[str, Hours] = {}
    flags: Mapping[str, Flags] = {}
    taxes: Mapping[str, Tax] = {}
    minimums: Mapping[str, Minimum] = {}
    discounts: Mapping[str, Discount] = {}
    lighting: Mapping[str, Lighting] = {}
    tariffs: Mapping[str, Tariff] = {}

    def tariff(self, tariff_id: str) -> Tariff:
        """Raises: NotFound ``tariff.unknown``."""
        found = self.tariffs.get(tariff_id)
        if found is None:
            raise NotFound("tariff.unknown", tariff_id=tariff_id)
        return found

    def tariff_for(self, tariff_id: str, *, low_income: bool) -> Tariff:
        """The tariff itself, or the one in its place for low incomes. Raises: NotFound."""
        found = self.tariff(tariff_id)
        if not low_income:
            return found
        if found.low_income is None:
            raise NotFound("tariff.no_low_income", tariff_id=tariff_id)
        return self.tariff(found.low_income)


def holding(records: Iterable[DatedRecord], day: date, *, what: str, name: str) -> DatedRecord:
    """The record that holds on ``day``. Raises: NotFound ``tariff.no_price``, which says what lacks when."""
    for record in records:
        if record.holds_on(day):
            return record
    raise NotFound("tariff.no_price", what=what, reason=what, name=name, day=day.isoformat())


Banded = TypeVar("Banded", TaxBand, LightingBand, Tier, Off)


def band_of(bands: Sequence[Banded], kwh: Decimal) -> Banded:
    """The first band that reaches up to ``kwh``, that amount included; the last one has no end."""
    return next(band for band in bands if band.up_to_kwh is None or kwh <= band.up_to_kwh)
