"""The search: which stops, how long at each, in which free window. Pure, exact, deterministic.

The model
    The battery is counted in millionths of its capacity (``charge.UNITS``), times in whole seconds, cost in
    billionths of the currency: all sums are exact. A leg takes ``ceil(km · consumption)`` units and
    ``ceil(drive_s)`` seconds, where a millionth over a whole number is taken as float noise and dropped.
    The car comes to every stop and to the destination with the reserve at least. A car that starts under
    its reserve has lost it already: its first leg, if it ends at a stop, may use what there is, down to 0.
    At a stop it takes one bay, waits for a start, and charges to a whole percent above what it came with,
    for ``handling_s`` and ``charge.charge_s`` seconds (``fixed_charge_s`` and to 100 % where the vehicle
    says so). The window
    ``[start - margin_before_s, end + margin_after_s)`` meets neither a taken span of the bay nor another
    window of the same way; the start is within the horizon. It may wait before a charge, never after one:
    no later departure leads to anything better. Cost of a stop: flat + energy (exact, not rounded to Wh) ·
    price + charging time · price. Prices under 0 count as 0.

    EARLIEST: earliest arrival, then fewer stops, then lower cost, then more battery left.
    CHEAPEST: lowest cost, then earliest arrival, then fewer stops.

    Two limits keep crowds quick: ties (of arrival, or of cost and arrival) are looked into for
    ``TIDY_LABELS`` only, and the lowest cost for ``CHEAPEST_LABELS`` only; then the best found counts.
    The earliest arrival is always exact.

Why it is exact
    A label is an arrival (place, time, soc) or a departure (place, time, level). Label A is dropped for B
    only when both stand at the same site, within the same percent or at the same level, and B is no later,
    no emptier, and, where these count, has no more stops and no higher cost. Whatever A does from there,
    B can copy: the same bay and level, since the same whole percents lie above both; its charge lasts no
    longer, so whenever A's window is free, B's that begins at the same moment is; it departs no later, at
    the same level, for no higher cost. Fuller labels do *not* beat emptier ones across percents: the emptier
    may charge to a level that the fuller has passed already, and go on by a leg that the fuller cannot
    take without charging more (legs need not obey the triangle inequality). Nothing is ever closed, so
    bounds need only be admissible; they are the same problem with every bay free as often as wanted, for as
    long as its longest free window, solved backwards.

    A way's own windows count only where it comes to one bay twice. That is checked on the answer; if ever
    they meet, the search runs again with labels that beat others only if they block no bay longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from eletrovia.base.errors import Overloaded
from eletrovia.charging.location import PowerType
from eletrovia.planning import charge, reach
from eletrovia.planning.field import NANO, Ask, Ends, Field, ask_of, whole_seconds
from eletrovia.planning.plan import Bay, Gap, Objective, Plan, PlannedStop, Problem, Site
from eletrovia.planning.vehicle import CurvePoint, Vehicle

if TYPE_CHECKING:
    from eletrovia.planning import kernel

    Found = tuple[kernel.Ints, int, int]
    """Stops as rows of the kernel's, arrival, cost."""

MOST_LABELS = 1_000_000
"""Where an earliest arrival is given up (some 100 MB); the worlds we know need a few thousand."""

CHEAPEST_LABELS = 30_000
"""Where the lowest cost is no longer proven: many cheap bays, all booked out for days, can lead so far."""

CHEAPEST_DELAY_S = 2 * 3600
"""Beyond ``CHEAPEST_LABELS`` the lowest cost counts only among ways this much later than the earliest."""

TIDY_LABELS = 2_000
"""How far ties are looked into; only where waiting lets many ways arrive together does this matter."""


def search(problem: Problem) -> Plan | Gap:
    """The best way by the problem's objective, or why there is none.

    Raises: Invalid for a malformed problem; Overloaded when it takes more than ``MOST_LABELS``.
    """
    return search_field(Field.of(problem), ask_of(problem))


def search_field(field: Field, ask: Ask) -> Plan | Gap:
    """``search`` over sites that were made ready before."""
    found = _Search(field, ask)
    plan = found.cheapest() if ask.objective is Objective.CHEAPEST else found.earliest()
    return reach.gap(field, ask) if plan is None else plan


def alternatives(problem: Problem, most: int = 3) -> list[Plan]:
    """Up to ``most`` good ways that differ; the first is the best by the problem's objective.

    The earliest, the cheapest and the one with fewest stops; then, by arrival, the earliest ways around
    each stop of the best.
    """
    return alternatives_field(Field.of(problem), ask_of(problem), most)


def alternatives_field(field: Field, ask: Ask, most: int = 3) -> list[Plan]:
    """``alternatives`` over sites that were made ready before."""
    found = _Search(field, ask)
    first, second = found.earliest(), found.cheapest()
    if ask.objective is Objective.CHEAPEST:
        first, second = second, first
    plans = _distinct([first, second, found.fewest()])
    if plans and len(plans) < most:
        around = [_Search(field, ask, without=stop.site).earliest() for stop in plans[0].stops]
        later = sorted((plan for plan in around if plan is not None), key=lambda plan: plan.arrives_at)
        plans = _distinct([*plans, *later])
    return plans[:most]


def warm_up() -> None:
    """Load the compiled search, or compile it, so that the first driver does not wait for it."""
    square = np.full((1, 1), np.inf)
    one = np.ones(1)
    bay = Bay(evse_uid="warm", power_w=50_000.0, power_type=PowerType.DC)
    vehicle = Vehicle(
        id="warm",
        name="warm",
        battery_wh=50_000.0,
        consumption_wh_per_km=150.0,
        dc_curve=(CurvePoint(0.0, 50_000.0),),
    )
    field = Field(vehicle, [Site(operator_id="warm", location_id="warm", bays=(bay,))], square, square)
    ends = Ends(start_km=one, start_s=one, end_km=one, end_s=one, direct_km=np.inf, direct_s=np.inf)
    alternatives_field(field, Ask(departs_at=0, soc=0.5, ends=ends))


def _distinct(plans: Iterable[Plan | None]) -> list[Plan]:
    kept: dict[object, Plan] = {}
    for plan in plans:
        if plan is not None:
            kept.setdefault(tuple((stop.site, stop.bay, stop.window) for stop in plan.stops), plan)
    return list(kept.values())


def _meets_itself(plan: Plan) -> bool:
    """Whether two windows of one way overlap on one bay: no operator would give it both."""
    stops = plan.stops
    return any(
        (a.site, a.bay) == (b.site, b.bay) and b.window[0] < a.window[1]
        for i, a in enumerate(stops)
        for b in stops[i + 1 :]
    )


class _Search:
    """One question on its way through the compiled walk; bounds are made when first needed."""

    def __init__(self, field: Field, ask: Ask, without: int | None = None) -> None:
        from eletrovia.planning import kernel  # numba takes its time: only when somebody searches

        self.kernel = kernel
        self.field = field
        self.ask = ask
        ends = ask.ends
        start_e, start_s = field.units(ends.start_km), whole_seconds(ends.start_s)
        end_e, end_s = field.units(ends.end_km), whole_seconds(ends.end_s)
        start_e[(start_s < 0) | ~field.usable] = -1
        end_e[end_s < 0] = -1
        out = (field.out_ptr, field.out_to, field.out_s, field.out_e)
        if without is not None:
            start_e[without] = -1
            kept = field.out_to != without
            out = (np.concatenate(([0], np.cumsum(kept)))[field.out_ptr], *(rows[kept] for rows in out[1:]))
        direct_s, direct_e = -1, -1
        if np.isfinite(ends.direct_s) and np.isfinite(ends.direct_km):
            direct_s = int(whole_seconds(np.array([ends.direct_s]))[0])
            direct_e = int(field.units(np.array([ends.direct_km]))[0])
        self.soc = reach.soc_units(ask.soc)
        self.start = (
            ask.departs_at,
            self.soc,
            field.reserve if self.soc >= field.reserve else 0,
            start_s,
            start_e,
            direct_s,
            direct_e,
        )
        self.legs = (*out, end_s, end_e)
        self.bays = (field.bay_ptr, field.bay_table, field.bay_flat, field.bay_per_unit, field.bay_per_s)
        self.calendar = field.calendar(ask.busy)
        self.scale = (field.tables, field.base_s, field.step, field.lowest, field.reserve)
        self.windows = (ask.margin_before_s, ask.margin_after_s, ask.departs_at + ask.horizon_s)
        self.room = kernel.rooms(ask.departs_at, *self.calendar, *self.windows)
        self.order = np.argsort(np.where(end_s < 0, np.iinfo(np.int64).max, end_s), kind="stable")
        self.bounds: dict[int, tuple[Any, Any, Any]] = {}
        self.labels = 0
        self.gave_up = False

    def earliest(self) -> Plan | None:
        """Ties: exact within ``TIDY_LABELS``, beyond that the best found till then."""
        k = self.kernel
        quick = self._answer(
            k.QUICK, k.sprint(MOST_LABELS, *self._question(), self._bound(k.TIME), self.room)
        )
        plan = self._tidy(quick, careful=False)
        if plan is not None and _meets_itself(plan):
            plan = self._tidy(self._walk(k.QUICK, careful=True), careful=True)
        return plan

    def cheapest(self) -> Plan | None:
        """Fewer stops among equals: within ``TIDY_LABELS``, beyond that the best found till then."""
        for careful in (False, True):
            k = self.kernel
            found = self._walk(k.CHEAPEST, careful)
            if self.gave_up:
                return self._cheap_and_soon(found)
            if found is None:
                return None
            way, arrives_at, cost = found
            guess = (cost, arrives_at * 256 + len(way))
            tidy = self._walk(k.CHEAPEST_TIDY, careful, arrives_at, guess) if len(way) else None
            plan = self._plan(*(tidy or found))
            if not _meets_itself(plan):
                return plan
        return None

    def _cheap_and_soon(self, found: Found | None) -> Plan | None:
        earliest = self.earliest()
        if earliest is None:
            return None
        soon = self._walk(self.kernel.CHEAPEST, False, earliest.arrives_at + CHEAPEST_DELAY_S)
        plans = [earliest, *(self._plan(*way) for way in (found, soon) if way is not None)]
        return min((plan for plan in plans if not _meets_itself(plan)), key=lambda plan: plan.cost)

    def fewest(self) -> Plan | None:
        """Few stops, then an early arrival: the best found within ``TIDY_LABELS``; never a self-conflict."""
        found = self._walk(self.kernel.FEWEST, careful=True)
        return self._plan(*found) if found else None

    def _tidy(self, quick: Found | None, careful: bool) -> Plan | None:
        """Of all ways as early as ``quick``, the one with fewest stops, lowest cost, fullest battery."""
        if quick is None:
            return None
        way, arrives_at, cost = quick
        tidy = self._walk(self.kernel.TIDY, careful, arrives_at, (len(way), cost)) if len(way) else None
        return self._plan(*(tidy or quick))

    def _bound(self, counts: int) -> tuple[Any, Any, Any]:
        if counts not in self.bounds:
            self.bounds[counts] = self.kernel.to_go(
                counts, self.order, *self.legs, *self.bays, *self.scale, self.room
            )
        return self.bounds[counts]

    def _question(self) -> tuple[Any, ...]:
        return (*self.start, *self.legs, *self.bays, *self.calendar, *self.scale, *self.windows)

    def _walk(
        self, mode: int, careful: bool = False, limit: int | None = None, guess: tuple[int, int] | None = None
    ) -> Found | None:
        k = self.kernel
        none = np.zeros((0, 0))
        unbound = (none, none, none)
        result = k.walk(
            mode,
            careful,
            k.FAR if limit is None else limit,
            (MOST_LABELS, CHEAPEST_LABELS, TIDY_LABELS, TIDY_LABELS, TIDY_LABELS)[mode],
            *self._question(),
            self._bound(k.TIME),
            self._bound(k.COST) if mode in (k.CHEAPEST, k.CHEAPEST_TIDY) else unbound,
            self._bound(k.STOPS) if mode == k.FEWEST else unbound,
            (k.FAR, k.FAR) if guess is None else guess,
        )
        return self._answer(mode, result)

    def _answer(self, mode: int, result: tuple[int, kernel.Ints, int, int, int]) -> Found | None:
        k = self.kernel
        status, way, arrives_at, cost, labels = result
        self.labels += labels
        self.gave_up = status == k.TOO_MANY
        if self.gave_up and mode == k.QUICK:
            raise Overloaded("plan.too_many_ways", labels=labels)
        return None if arrives_at == 0 else (way, arrives_at, cost)

    def _plan(self, way: kernel.Ints, arrives_at: int, cost: int) -> Plan:
        field, ask, ends = self.field, self.ask, self.ask.ends
        stops: list[PlannedStop] = []
        before, soc, driven = -1, self.soc, 0.0
        for site, row, arrival, start, end, soc_in, soc_out in way.tolist():
            leg_km = float(ends.start_km[site] if before < 0 else field.distance_km[before, site])
            driven += leg_km
            stops.append(
                PlannedStop(
                    site=site,
                    bay=field.bay_keys[row][1],
                    arrives_at=arrival,
                    starts_at=start,
                    ends_at=end,
                    window=(start - ask.margin_before_s, end + ask.margin_after_s),
                    arrival_soc=soc_in / charge.UNITS,
                    departure_soc=soc_out / charge.UNITS,
                    energy_wh=charge.charge_wh(field.vehicle, soc_out - soc_in),
                    distance_km=leg_km,
                )
            )
            before, soc = site, soc_out
        last_km = float(ends.direct_km if before < 0 else ends.end_km[before])
        last_units = int(field.units(np.array([last_km]))[0])
        return Plan(
            departs_at=ask.departs_at,
            stops=tuple(stops),
            last_leg_km=last_km,
            arrives_at=arrives_at,
            arrival_soc=(soc - last_units) / charge.UNITS,
            distance_km=driven + last_km,
            cost=cost / NANO,
        )
