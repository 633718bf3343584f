"""The search against an exhaustive one that knows no dominance, no bounds and no heap.

The oracle tries every sequence of sites, bays and levels up to ``DEPTH`` stops, in plain Python; it shares
with the search only the table of charging times. What the search returns is checked by a third reading of
the model, on the plan's own figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.charging.location import PowerType
from eletrovia.planning import charge
from eletrovia.planning.plan import Bay, Gap, Legs, Objective, Plan, Problem, Site, Span
from eletrovia.planning.search import alternatives, search
from eletrovia.planning.vehicle import CurvePoint, Vehicle

NOW = 1_760_000_000
DEPTH = 3
UNITS = charge.UNITS

CAR = Vehicle(
    id="car",
    name="car",
    battery_wh=40_000,
    consumption_wh_per_km=150,
    dc_curve=(CurvePoint(0.1, 80_000), CurvePoint(0.955, 45_000), CurvePoint(1.0, 5_000)),
    ac_power_w=7_000,
)
SLOW_HANDS = msgspec.structs.replace(CAR, id="slow-hands", handling_s=240)
FILLS_UP = msgspec.structs.replace(CAR, id="fills-up", fixed_charge_s=600)


def whole(value: float) -> int | None:
    return math.ceil(value - 1e-6) if math.isfinite(value) else None


class Oracle:
    """Every way of up to ``DEPTH`` stops; the best by any key."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        car = problem.vehicle
        per_km = car.consumption_wh_per_km * UNITS / car.battery_wh
        size = len(problem.sites) + 2
        self.units = [
            [whole(problem.legs.distance_km[i, j] * per_km) for j in range(size)] for i in range(size)
        ]
        self.seconds = [[whole(problem.legs.drive_s[i, j]) for j in range(size)] for i in range(size)]
        self.reserve = math.ceil(problem.reserve_soc * UNITS - 1e-6)
        self.last = size - 1

    def ways(self) -> Iterator[tuple[int, int, int, int]]:
        """(arrival, stops, cost, units left) of every way."""
        soc = math.floor(self.problem.soc * UNITS + 1e-6)
        yield from self.onward(0, self.problem.departs_at, soc, 0, ())

    def onward(
        self, place: int, t: int, soc: int, cost: int, used: tuple[tuple[int, int, Span], ...]
    ) -> Iterator[tuple[int, int, int, int]]:
        for to in range(1, self.last + 1):
            units, seconds = self.units[place][to], self.seconds[place][to]
            if to == place or units is None or seconds is None:
                continue
            left = soc - units
            lost_already = place == 0 and soc < self.reserve and to != self.last
            if left < (0 if lost_already else self.reserve):
                continue
            if to == self.last:
                yield t + seconds, len(used), cost, left
            elif len(used) < DEPTH:
                yield from self.charged(to, t + seconds, left, cost, used)

    def charged(
        self, place: int, t: int, soc: int, cost: int, used: tuple[tuple[int, int, Span], ...]
    ) -> Iterator[tuple[int, int, int, int]]:
        problem = self.problem
        car = problem.vehicle
        for b, bay in enumerate(problem.sites[place - 1].bays):
            taken = sorted([*bay.busy, *(span for site, row, span in used if (site, row) == (place, b))])
            table = charge.table(car, bay.power_w, bay.power_type)
            if table is None and car.fixed_charge_s is None:
                continue
            levels = range(101) if car.fixed_charge_s is None else [100]
            for level in levels:
                to_units = level * UNITS // 100
                if to_units <= soc or to_units < self.reserve:
                    continue
                if car.fixed_charge_s is not None:
                    lasts = max(1, car.handling_s + car.fixed_charge_s)
                else:
                    assert table is not None
                    lasts = car.handling_s + charge.charge_s(table, soc, level)
                # Start on coming, or when a taken span lets the bay go: nothing else can be best.
                starts = [t, *(to + problem.margin_before_s for _, to in taken)]
                for start in sorted(start for start in starts if start >= t):
                    window = (start - problem.margin_before_s, start + lasts + problem.margin_after_s)
                    if all(window[1] <= begin or end <= window[0] for begin, end in taken):
                        break
                else:
                    raise AssertionError("after the last span every bay is free")
                if start > problem.departs_at + problem.horizon_s:
                    continue
                price = (
                    round(bay.price_flat * 10**9)
                    + (to_units - soc) * round(bay.price_per_kwh * car.battery_wh / 1000 / UNITS * 10**9)
                    + lasts * round(bay.price_per_hour / 3600 * 10**9)
                )
                yield from self.onward(
                    place, start + lasts, to_units, cost + price, (*used, (place, b, window))
                )


def integral_s(car: Vehicle, bay: Bay, soc: float, to_soc: float) -> float:
    """Seconds of charging by plain numerical integration of 1 / power."""
    edges = np.linspace(soc, to_soc, 401)
    powers = [car.power_at(at, bay.power_w, bay.power_type) for at in (edges[1:] + edges[:-1]) / 2]
    return sum(car.battery_wh * 3600 * (to_soc - soc) / len(powers) / power for power in powers)


def check(problem: Problem, plan: Plan) -> None:
    """Times add up, battery adds up, windows are free, the reserve is kept, distances are the legs'."""
    car = problem.vehicle
    t, soc, place, cost = problem.departs_at, problem.soc, 0, 0.0
    floor = problem.reserve_soc if soc >= problem.reserve_soc else 0.0
    used: list[tuple[int, int, Span]] = []
    for stop in plan.stops:
        to = stop.site + 1
        assert to != place
        bay = problem.sites[stop.site].bays[stop.bay]
        km = problem.legs.distance_km[place, to]
        assert stop.distance_km == km
        assert stop.arrives_at == t + math.ceil(problem.legs.drive_s[place, to] - 1e-6)
        assert stop.arrival_soc == pytest.approx(
            soc - km * car.consumption_wh_per_km / car.battery_wh, abs=3e-6
        )
        assert stop.arrival_soc >= floor - 1e-6
        assert stop.arrives_at <= stop.starts_at <= problem.departs_at + problem.horizon_s
        assert stop.departure_soc > stop.arrival_soc
        assert stop.departure_soc * 100 == pytest.approx(round(stop.departure_soc * 100), abs=1e-9)
        gained = stop.departure_soc - stop.arrival_soc
        assert stop.energy_wh == pytest.approx(gained * car.battery_wh, abs=1.001)
        lasts = stop.ends_at - stop.starts_at - car.handling_s
        if car.fixed_charge_s is not None:
            assert (lasts, stop.departure_soc) == (car.fixed_charge_s, 1.0)
        else:
            # Within a percent the table is linear, so the truth lies between whole percents.
            least = integral_s(car, bay, math.ceil(stop.arrival_soc * 100 - 1e-6) / 100, stop.departure_soc)
            most = integral_s(car, bay, math.floor(stop.arrival_soc * 100 + 1e-6) / 100, stop.departure_soc)
            assert least * 0.999 - 1e-6 <= lasts <= most * 1.001 + 1
        assert stop.window == (
            stop.starts_at - problem.margin_before_s,
            stop.ends_at + problem.margin_after_s,
        )
        others = [*bay.busy, *(span for site, row, span in used if (site, row) == (stop.site, stop.bay))]
        assert all(stop.window[1] <= begin or end <= stop.window[0] for begin, end in others)
        used.append((stop.site, stop.bay, stop.window))
        cost += bay.price_flat + gained * car.battery_wh / 1000 * bay.price_per_kwh
        cost += (lasts + car.handling_s) / 3600 * bay.price_per_hour
        t, soc, place, floor = stop.ends_at, stop.departure_soc, to, problem.reserve_soc
    last = len(problem.sites) + 1
    km = problem.legs.distance_km[place, last]
    assert plan.last_leg_km == km
    assert plan.arrives_at == t + math.ceil(problem.legs.drive_s[place, last] - 1e-6)
    assert plan.arrival_soc == pytest.approx(soc - km * car.consumption_wh_per_km / car.battery_wh, abs=3e-6)
    assert plan.arrival_soc >= problem.reserve_soc - 1e-6
    assert plan.distance_km == pytest.approx(sum(stop.distance_km for stop in plan.stops) + km)
    assert plan.cost == pytest.approx(cost, abs=1e-4)


@st.composite
def bays(draw: st.DrawFn) -> Bay:
    spans: list[Span] = []
    end = NOW - 600
    for _ in range(draw(st.integers(0, 3))):
        begin = end + draw(st.integers(0, 1500))
        end = begin + draw(st.integers(1, 1800))
        spans.append((begin, end))
    power_w, power_type = draw(
        st.sampled_from(
            [(50_000.0, PowerType.DC), (150_000.0, PowerType.DC), (7_000.0, PowerType.AC_1_PHASE)]
        )
    )
    return Bay(
        evse_uid="bay",
        power_w=power_w,
        power_type=power_type,
        busy=tuple(spans),
        price_per_kwh=draw(st.sampled_from([0.0, 1.5, 2.0])),
        price_per_hour=draw(st.sampled_from([0.0, 0.0, 6.0])),
        price_flat=draw(st.sampled_from([0.0, 0.0, 1.0])),
    )


@st.composite
def problems(draw: st.DrawFn, vehicle: Vehicle = CAR) -> Problem:
    """Up to three sites, a reserve so high that few levels remain, and legs that obey no triangle."""
    n = draw(st.integers(1, 3))
    reserve = draw(st.sampled_from([0.95, 0.96])) if vehicle.fixed_charge_s is None else 0.2
    full_km = (1 - reserve) * vehicle.battery_wh / vehicle.consumption_wh_per_km
    tenths = st.integers(1, 11).map(lambda tenth: tenth * full_km / 10)
    size = n + 2
    km = np.array([[draw(tenths) for _ in range(size)] for _ in range(size)])
    pace = st.sampled_from([40.0, 45.0, 60.5, 200.0])
    drive_s = km * np.array([[draw(pace) for _ in range(size)] for _ in range(size)])
    km[0, -1] = full_km * draw(st.sampled_from([0.7, 1.3, 3.0]))
    for i in range(size):
        if draw(st.integers(0, 19)) == 0:
            km[i, draw(st.integers(0, size - 1))] = np.inf
    np.fill_diagonal(km, 0.0)
    start = draw(st.integers(0, 40))
    return Problem(
        vehicle=vehicle,
        departs_at=NOW,
        soc=1 - start * (1 - reserve) / 38,
        reserve_soc=reserve,
        legs=Legs(distance_km=km, drive_s=np.where(np.isfinite(km), drive_s, np.inf)),
        sites=tuple(
            Site(
                operator_id="BR*CAR",
                location_id=str(i),
                bays=tuple(draw(st.lists(bays(), min_size=1, max_size=2))),
            )
            for i in range(n)
        ),
        objective=draw(st.sampled_from(Objective)),
        margin_before_s=draw(st.sampled_from([0, 120])),
        margin_after_s=draw(st.sampled_from([0, 300])),
        horizon_s=draw(st.sampled_from([1800, 48 * 3600])),
    )


def agrees_with_the_oracle(problem: Problem) -> None:
    found = search(problem)
    cheapest = problem.objective is Objective.CHEAPEST

    def key(way: tuple[int, int, int, int]) -> tuple[int, ...]:
        arrival, stops, cost, left = way
        return (cost, arrival, stops) if cheapest else (arrival, stops, cost, -left)

    best = min(map(key, Oracle(problem).ways()), default=None)
    if isinstance(found, Gap):
        assert best is None
        return
    check(problem, found)
    mine = key(
        (found.arrives_at, len(found.stops), round(found.cost * 10**9), round(found.arrival_soc * UNITS))
    )
    if len(found.stops) <= DEPTH:
        assert mine == best
    else:  # more stops than the oracle tries
        assert best is None or mine < best


@settings(max_examples=150, deadline=None)
@given(problems())
def test_the_search_agrees_with_trying_everything(problem: Problem) -> None:
    agrees_with_the_oracle(problem)


@settings(max_examples=100, deadline=None)
@given(problems(vehicle=FILLS_UP))
def test_the_search_agrees_where_a_charge_always_fills_up(problem: Problem) -> None:
    agrees_with_the_oracle(problem)


@settings(max_examples=100, deadline=None)
@given(problems(vehicle=SLOW_HANDS))
def test_the_search_agrees_where_every_stop_takes_a_while(problem: Problem) -> None:
    agrees_with_the_oracle(problem)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_alternatives_are_good_and_differ(problem: Problem) -> None:
    plans = alternatives(problem, most=4)
    best = search(problem)
    if isinstance(best, Gap):
        assert plans == []
        return
    assert plans[0] == best
    assert len(plans) <= 4
    ways = [tuple((stop.site, stop.bay, stop.window) for stop in plan.stops) for plan in plans]
    assert len(set(ways)) == len(ways)
    for plan in plans:
        check(problem, plan)
