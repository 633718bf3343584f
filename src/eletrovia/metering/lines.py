"""The lines of a bill: usage times price with taxes inside, each rounded once, each with its facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

from eletrovia.base.money import cents_of
from eletrovia.metering.bill import BillLine
from eletrovia.metering.portion import Portion, Step, ladder
from eletrovia.metering.priced import Levy, Run
from eletrovia.metering.tariff import ALL_DAY, DiscountRule, Lighting, Price, Tariff, band_of, holding
from eletrovia.metering.taxing import Taxed, with_taxes

UNIT_PLACES: Final = 18
"""How finely a unit price is told, rounded up: so finely that quantity × unit price rounds to the line."""


def energy_lines(portions: Sequence[Portion], used_wh: int) -> list[Taxed]:
    """One line for each stretch of days with one price, in each window and tier."""
    billed_wh = sum(portion.energy_wh for portion in portions)
    lines = []
    for group in _stretches(portions, lambda run: (run.price, run.discount, run.taxes)):
        run = group[0].run
        limits = (*_tier_limits(run.price, run.tariff), *_discount_limits(run.discount))
        for (window, extra), energy_wh in _sums(group).items():
            for step in ladder(energy_wh, billed_wh, limits):
                off = _taken_off(run.discount, step)
                facts = _days(group) | _step_facts(step, off, stepped=bool(limits))
                kind, label = "energy", _energy_label(run, window, stepped=bool(limits), off=off)
                if window != ALL_DAY:
                    facts["window"] = window
                if extra or (billed_wh > used_wh and window == ALL_DAY):
                    kind, label = "minimum", "minimum.extra" if extra else "minimum"
                    facts |= {"used_kwh": str(kwh(used_wh)), "least_kwh": str(kwh(billed_wh))}
                price = _price(run, window, step, billed_wh)
                lines.append(_line(kind, label, facts, step.energy_wh, price, off, run.levies(kwh(used_wh))))
    return lines


def flag_lines(portions: Sequence[Portion], used_wh: int) -> list[Taxed]:
    """One line for each stretch of days under one flag that adds something."""
    billed_wh = sum(portion.energy_wh for portion in portions)
    lines = []
    for group in _stretches(portions, lambda run: (run.flag, _flag_discount(run), run.taxes)):
        run = group[0].run
        if run.flag is None or not run.flag.kwh:
            continue
        discount = _flag_discount(run)
        limits = _discount_limits(discount)
        for step in ladder(sum(portion.energy_wh for portion in group), billed_wh, limits):
            if not step.energy_wh:
                continue
            off = _taken_off(discount, step)
            facts = _days(group) | _step_facts(step, off, stepped=bool(limits)) | {"flag": run.flag.colour}
            label = "flag.discount" if off else "flag"
            levies = run.levies(kwh(used_wh))
            lines.append(_line("flag", label, facts, step.energy_wh, run.flag.kwh, off, levies))
    return lines


def lighting_line(lighting: Lighting, day: date, used_wh: int, energy: Decimal) -> tuple[BillLine, str]:
    """The contribution to public lighting by the rate that holds on ``day``, and that rate's source.

    Raises: NotFound ``tariff.no_price``.
    """
    rate = holding(lighting.rates, day, what="lighting", name=lighting.id)
    band = band_of(rate.bands, kwh(used_wh)) if rate.bands else rate
    facts: dict[str, Any] = {"municipality": lighting.name, "used_kwh": str(kwh(used_wh))}
    if band.amount is not None:
        amount = cents_of(Fraction(band.amount))
        return BillLine(kind="lighting", label="lighting", facts=facts, amount=amount), rate.source
    share = band.share or Decimal(0)
    of = rate.of if rate.of is not None else energy
    facts |= {"share": str(share), "of": str(of)}
    amount = cents_of(Fraction(share) * Fraction(of))
    return BillLine(kind="lighting", label="lighting.share", facts=facts, amount=amount), rate.source


def kwh(energy_wh: int) -> Decimal:
    """Wh as kWh, exactly."""
    return Decimal(energy_wh).scaleb(-3)


def _stretches(portions: Sequence[Portion], key: Callable[[Run], tuple[Any, ...]]) -> list[list[Portion]]:
    """Portions in groups of neighbouring runs that have the very same records under ``key``."""
    same = groupby(portions, key=lambda portion: tuple(map(_identity, key(portion.run))))
    return [list(group) for _, group in same]


def _identity(record: Any) -> Any:
    """Records are told apart as objects of the book: two that look alike still have their own days."""
    if isinstance(record, tuple):
        return tuple(map(_identity, record))
    return id(record)


def _sums(group: Sequence[Portion]) -> dict[tuple[str, bool], int]:
    sums: dict[tuple[str, bool], int] = {}
    for portion in sorted(group, key=lambda portion: portion.extra):
        of = (portion.window, portion.extra)
        sums[of] = sums.get(of, 0) + portion.energy_wh
    return sums


def _tier_limits(price: Price, tariff: Tariff) -> tuple[Decimal, ...]:
    if tariff.tiers == "whole":
        return ()
    return tuple(tier.up_to_kwh for tier in price.tiers if tier.up_to_kwh is not None)


def _discount_limits(discount: DiscountRule | None) -> tuple[Decimal, ...]:
    steps = discount.steps if discount is not None else ()
    return tuple(step.up_to_kwh for step in steps if step.up_to_kwh is not None)


def _flag_discount(run: Run) -> DiscountRule | None:
    return run.discount if run.discount is not None and run.discount.flags else None


def _reach(step: Step) -> Decimal:
    """An amount of usage inside a step, its upper bound if it has one."""
    return step.up_to_kwh if step.up_to_kwh is not None else step.above_kwh + 1


def _taken_off(discount: DiscountRule | None, step: Step) -> Decimal:
    return band_of(discount.steps, _reach(step)).share if discount is not None else Decimal(0)


def _price(run: Run, window: str, step: Step, billed_wh: int) -> Decimal:
    price = run.price
    if window != ALL_DAY:
        return price.windows[window].per_kwh
    if not price.tiers:
        return price.per_kwh
    at = kwh(billed_wh) if run.tariff.tiers == "whole" else _reach(step)
    return band_of(price.tiers, at).per_kwh


def _energy_label(run: Run, window: str, *, stepped: bool, off: Decimal) -> str:
    if window != ALL_DAY:
        return "energy.window"
    if off:
        return "energy.discount"
    return "energy.step" if stepped else "energy"


def _days(group: Sequence[Portion]) -> dict[str, Any]:
    starts_on, ends_on = group[0].run.starts_on, group[-1].run.ends_on
    return {
        "starts_on": starts_on.isoformat(),
        "ends_on": ends_on.isoformat(),
        "days": (ends_on - starts_on).days,
    }


def _step_facts(step: Step, off: Decimal, *, stepped: bool) -> dict[str, Any]:
    if not stepped:
        return {}
    facts: dict[str, Any] = {"above_kwh": str(step.above_kwh)}
    if step.up_to_kwh is not None:
        facts["up_to_kwh"] = str(step.up_to_kwh)
    return facts | ({"discount": str(off)} if off else {})


def _line(
    kind: str,
    label: str,
    facts: dict[str, Any],
    energy_wh: int,
    price: Decimal,
    off: Decimal,
    levies: tuple[Levy, ...],
) -> Taxed:
    unit = with_taxes(Fraction(price) * (1 - Fraction(off)), levies)
    line = BillLine(
        kind=kind,
        label=label,
        facts=facts | {"before_taxes": str(price)},
        quantity_kwh=kwh(energy_wh),
        unit_price=_told(unit),
        amount=cents_of(unit * Fraction(energy_wh, 1000)),
    )
    return Taxed(line=line, levies=levies)


def _told(unit: Fraction) -> Decimal:
    """The unit price as a decimal: exact where it ends within ``UNIT_PLACES``, else rounded up there."""
    scaled = unit * 10**UNIT_PLACES
    whole = -(-scaled.numerator // scaled.denominator)
    digits = str(whole).rjust(UNIT_PLACES + 1, "0")
    told = f"{digits[:-UNIT_PLACES]}.{digits[-UNIT_PLACES:]}".rstrip("0").rstrip(".")
    return Decimal(told)
