"""Portions of usage, and how they are shared out: by days, by window, by step. Always whole Wh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from eletrovia.metering.bill import Measured
from eletrovia.metering.calendar import window_at
from eletrovia.metering.priced import Run
from eletrovia.metering.tariff import ALL_DAY


class Portion(Struct, frozen=True, kw_only=True):
    """Usage to be billed in one window of one run.

    Units: Wh. ``extra``: not used, but billed to reach the minimum.
    """

    run: Run
    window: str
    energy_wh: int
    extra: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """The part of a portion between two limits of a ladder. Units: kWh of the whole period, and Wh."""

    above_kwh: Decimal
    up_to_kwh: Decimal | None
    energy_wh: int


def portions_of(
    runs: Sequence[Run], measured: Sequence[Measured], zone: tzinfo, phases: int
) -> list[Portion]:
    """The usage to be billed: split by days, or, where the tariff has windows, as it was measured in each."""
    used_wh = sum(stretch.energy_wh for stretch in measured)
    least_wh = _least_wh(runs[-1], used_wh, phases)
    days = [run.days for run in runs]
    if runs[0].tariff.kind != "windows":
        parts = by_days(max(used_wh, least_wh), days)
        return [
            Portion(run=run, window=ALL_DAY, energy_wh=part) for run, part in zip(runs, parts, strict=True)
        ]
    sums: dict[tuple[int, str], int] = {}
    for stretch in measured:
        index = _run_at(runs, stretch.starts_at.astimezone(zone).date())
        window = window_at(runs[index].plan, runs[index].calendar, stretch.starts_at, zone)
        sums[index, window] = sums.get((index, window), 0) + stretch.energy_wh
    lacking = by_days(max(least_wh - used_wh, 0), days)
    portions = []
    for index, run in enumerate(runs):
        names = run.plan.names if run.plan is not None else ()
        for name in names:
            if (index, name) in sums:
                portions.append(Portion(run=run, window=name, energy_wh=sums[index, name]))
        if lacking[index]:
            window = run.tariff.minimum_window or names[-1]
            portions.append(Portion(run=run, window=window, energy_wh=lacking[index], extra=True))
    return portions


def by_days(energy_wh: int, days: Sequence[int]) -> list[int]:
    """Usage split over stretches of so many days; running sums are rounded down, so it adds up to the Wh."""
    total, passed, given = sum(days), 0, 0
    parts = []
    for count in days:
        passed += count
        reached = energy_wh * passed // total
        parts.append(reached - given)
        given = reached
    return parts


def ladder(energy_wh: int, total_wh: int, limits: Iterable[Decimal]) -> list[Step]:
    """A portion of the period's ``total_wh`` split by limits on that total, in the same proportion as it.

    Running sums are rounded down, so the steps add up to the portion. Empty ones are left out, but for the
    first of an empty portion.
    """
    steps = []
    above, given = Decimal(0), 0
    rungs = (*sorted(set(limits)), None)
    if not energy_wh:
        return [Step(above_kwh=above, up_to_kwh=rungs[0], energy_wh=0)]
    for limit in rungs:
        share = Fraction(1)
        if limit is not None and limit * 1000 < total_wh:
            share = Fraction(limit) * 1000 / total_wh
        reached = int(energy_wh * share)
        if reached > given:
            steps.append(Step(above_kwh=above, up_to_kwh=limit, energy_wh=reached - given))
        if limit is None or share == 1:
            break
        above, given = limit, reached
    return steps


def _least_wh(run: Run, used_wh: int, phases: int) -> int:
    if run.minimum is None:
        return 0
    free = run.discount.no_minimum_up_to_kwh if run.discount is not None else None
    if free is not None and used_wh <= free * 1000:
        return 0
    return int(run.minimum.kwh(phases) * 1000)


def _run_at(runs: Sequence[Run], day: date) -> int:
    return next(index for index, run in enumerate(runs) if run.starts_on <= day < run.ends_on)
