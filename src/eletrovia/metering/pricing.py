"""What usage costs: pure functions from terms, a tariff book and what was measured to a bill.

The rules are written down in docs/decisions/0010-rounding-and-taxes.md. In short: sums are exact fractions;
a line is rounded once, to the cent, half up; a tariff without windows splits usage by days where a price,
flag or tax changes inside the period, one with windows uses what was measured in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from itertools import pairwise

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.metering.bill import Bill, BillLine, Measured, Terms
from eletrovia.metering.calendar import DAY, boundaries, day_starts
from eletrovia.metering.lines import energy_lines, flag_lines, lighting_line
from eletrovia.metering.portion import portions_of
from eletrovia.metering.priced import Run, runs_of
from eletrovia.metering.tariff import TariffBook
from eletrovia.metering.taxing import tax_shares


def edges(terms: Terms, book: TariffBook, starts_on: date, ends_on: date, zone: tzinfo) -> list[datetime]:
    """The moments at which the register must be known to price ``[starts_on, ends_on)``, in UTC, in order.

    Shape:  both ends, every day on which a price, a flag or a tax changes, and, where the tariff has windows,
            the bounds of each on working days.
    Raises: NotFound for an unknown tariff, and ``tariff.no_price`` for a day without a price.
    """
    return _edges(runs_of(terms, book, starts_on, ends_on), zone)


def bill(
    terms: Terms,
    book: TariffBook,
    zone: tzinfo,
    starts_on: date,
    ends_on: date,
    measured: Sequence[Measured],
    *,
    credits: Sequence[BillLine] = (),
) -> Bill:
    """What ``[starts_on, ends_on)`` costs.

    ``measured`` covers the period without a gap, cut at least at ``edges``; ``credits`` are lines without
    taxes that are added as they are.
    Raises: NotFound as ``edges``; Invalid ``bill.measured_wrong`` when ``measured`` is not that.
    """
    runs = runs_of(terms, book, starts_on, ends_on)
    _check(measured, _edges(runs, zone))
    used_wh = sum(stretch.energy_wh for stretch in measured)
    portions = portions_of(runs, measured, zone, terms.phases)
    taxed = [*energy_lines(portions, used_wh), *flag_lines(portions, used_wh)]
    lines = [one.line for one in taxed]
    sources = [source for run in runs for source in run.sources]
    if terms.municipality:
        lighting = book.lighting.get(terms.municipality)
        if lighting is None:
            facts = {"what": "lighting", "reason": "lighting", "name": terms.municipality}
            raise NotFound("tariff.no_price", **facts, day=(ends_on - DAY).isoformat())
        line, source = lighting_line(lighting, ends_on - DAY, used_wh, _sum(lines))
        lines.append(line)
        sources.append(source)
    lines += credits
    return Bill(
        starts_on=starts_on,
        ends_on=ends_on,
        currency=runs[0].tariff.currency,
        energy_wh=used_wh,
        estimated_wh=sum(stretch.estimated_wh for stretch in measured),
        lines=tuple(lines),
        taxes=tax_shares(taxed),
        total=_sum(lines),
        sources=tuple(dict.fromkeys(sources)),
    )


def _edges(runs: Sequence[Run], zone: tzinfo) -> list[datetime]:
    moments = {day_starts(run.starts_on, zone) for run in runs} | {day_starts(runs[-1].ends_on, zone)}
    for run in runs:
        if run.plan is not None and run.calendar is not None:
            for day in run.each_day():
                moments.update(boundaries(run.plan, run.calendar, day, zone))
    return sorted(moments)


def _check(measured: Sequence[Measured], wanted: Sequence[datetime]) -> None:
    bounds = [stretch.starts_at for stretch in measured] + [stretch.ends_at for stretch in measured[-1:]]
    together = all(before.ends_at == after.starts_at for before, after in pairwise(measured))
    forward = all(before < after for before, after in pairwise(bounds))
    if not measured or not together or not forward or any(one.energy_wh < 0 for one in measured):
        raise Invalid("bill.measured_wrong", reason="gap")
    if (bounds[0], bounds[-1]) != (wanted[0], wanted[-1]):
        raise Invalid("bill.measured_wrong", reason="period")
    missing = set(wanted) - set(bounds)
    if missing:
        raise Invalid("bill.measured_wrong", reason="edge", at=min(missing).isoformat())


def _sum(lines: Sequence[BillLine]) -> Decimal:
    return sum((line.amount for line in lines), Decimal("0.00"))
