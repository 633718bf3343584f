"""Single cases of the search: what it says when there is no way, its edges, its second doors."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from eletrovia.base.errors import Invalid
from eletrovia.charging.location import PowerType
from eletrovia.planning import charge
from eletrovia.planning.field import Ask, Field, ask_of
from eletrovia.planning.plan import Bay, Gap, Legs, Objective, Plan, Problem, Site, Span
from eletrovia.planning.search import _meets_itself, _Search, alternatives, search, search_field, warm_up
from eletrovia.planning.vehicle import CurvePoint, Vehicle

NOW = 1_760_000_000
CAR = Vehicle(
    id="car",
    name="car",
    battery_wh=40_000,
    consumption_wh_per_km=160,  # a full battery drives 250 km, 200 km down to 20 %
    dc_curve=(CurvePoint(0.0, 60_000), CurvePoint(0.5, 60_000), CurvePoint(1.0, 10_000)),
    ac_power_w=7_000,
)


def bay(*busy: Span, power_w: float = 50_000.0, price: float = 0.0, dc: bool = True) -> Bay:
    power_type = PowerType.DC if dc else PowerType.AC_1_PHASE
    return Bay(evse_uid="bay", power_w=power_w, power_type=power_type, busy=busy, price_per_kwh=price)


def line(kms: list[float], *bays_by_site: tuple[Bay, ...], soc: float = 1.0, **changes: object) -> Problem:
    """Places on a straight road at 80 km/h: origin, sites, destination."""
    at = np.array(kms, dtype=float)
    km = np.abs(at[:, None] - at)
    problem = Problem(
        vehicle=CAR,
        departs_at=NOW,
        soc=soc,
        legs=Legs(distance_km=km, drive_s=km * 45),
        sites=tuple(
            Site(operator_id="BR*CAR", location_id=str(i), bays=bays) for i, bays in enumerate(bays_by_site)
        ),
    )
    return msgspec.structs.replace(problem, **changes)


def found(problem: Problem) -> Plan:
    plan = search(problem)
    assert isinstance(plan, Plan)
    return plan


def test_a_direct_drive_needs_no_stop() -> None:
    plan = found(line([0, 100, 200], (bay(),)))
    assert plan.stops == ()
    assert (plan.arrives_at, plan.arrival_soc, plan.cost) == (NOW + 9000, pytest.approx(0.2), 0.0)


def test_one_stop_charges_what_the_rest_needs() -> None:
    plan = found(line([0, 150, 300], (bay(),)))
    (stop,) = plan.stops
    assert (stop.arrives_at, stop.arrival_soc) == (NOW + 6750, pytest.approx(0.4))
    assert stop.departure_soc == pytest.approx(0.8)  # 150 km take 60 %, 20 % stay
    assert stop.ends_at - stop.starts_at == charge.charge_s(
        charge.table(CAR, 50_000.0, PowerType.DC), 400_000, 80
    )
    assert stop.energy_wh == 16_000


def test_a_busy_bay_is_waited_for_when_that_is_quicker_than_a_slow_one() -> None:
    taken = (NOW, NOW + 6750 + 1200)
    plan = found(line([0, 150, 300], (bay(taken), bay(dc=False))))
    (stop,) = plan.stops
    assert (stop.bay, stop.starts_at) == (0, taken[1])
    taken = (NOW, NOW + 6750 + 48 * 3600)
    (stop,) = found(line([0, 150, 300], (bay(taken), bay(dc=False)))).stops
    assert stop.bay == 1


def test_the_window_with_its_margins_fits_between_taken_spans() -> None:
    problem = line([0, 150, 300], (bay(),), margin_before_s=120, margin_after_s=300)
    (free,) = found(problem).stops
    assert free.window == (free.starts_at - 120, free.ends_at + 300)
    before, after = (NOW, free.window[0]), (free.window[1], free.window[1] + 3600)
    touching = line([0, 150, 300], (bay(before, after),), margin_before_s=120, margin_after_s=300)
    assert found(touching) == found(problem)
    overlapping = (after[0] - 1, after[1])
    late = line([0, 150, 300], (bay(before, overlapping),), margin_before_s=120, margin_after_s=300)
    assert found(late).stops[0].starts_at == overlapping[1] + 120


def test_cheapest_goes_where_it_costs_less() -> None:
    problem = line([0, 120, 150, 300], (bay(price=3.0),), (bay(price=1.0, dc=False),))
    assert found(problem).stops[0].site == 0
    cheap = found(msgspec.structs.replace(problem, objective=Objective.CHEAPEST))
    assert [stop.site for stop in cheap.stops] == [1]
    assert cheap.cost == pytest.approx(16.0)


def test_no_road_is_unreachable() -> None:
    problem = line([0, 100, 500], (bay(),))
    problem.legs.distance_km[:, 2] = np.inf
    assert search(problem) == Gap(reason="unreachable", after=0, before=2)


def test_a_gap_names_the_leg_that_lacks_least() -> None:
    # Site 1 is in reach; 250 km of desert to site 2 are 50 km too many, and the way on from there is short.
    gap = search(line([0, 150, 400, 500], (bay(),), (bay(),)))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.after, gap.before) == ("battery", 1, 2)
    assert gap.short_km == pytest.approx(50, abs=0.01)


def test_a_gap_is_not_measured_on_the_way_back() -> None:
    # A site 3 km out of reach behind the car is nearer than the one ahead, but leads nowhere.
    gap = search(line([0, -203, 240, 420], (bay(),), (bay(),)))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.after, gap.before) == ("battery", 0, 2)
    assert gap.short_km == pytest.approx(40, abs=0.01)


def test_bays_that_do_not_fit_are_no_help() -> None:
    gap = search(msgspec.structs.replace(line([0, 150, 300], (bay(),)), vehicle=ac_only()))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.after, gap.before) == ("battery", 0, 2)
    assert gap.short_km == pytest.approx(100, abs=0.01)


def ac_only() -> Vehicle:
    return msgspec.structs.replace(CAR, id="ac", dc_curve=())


def test_occupied_when_only_windows_are_missing() -> None:
    problem = line([0, 150, 300], (bay((NOW, NOW + 50 * 3600)),))
    assert search(problem) == Gap(reason="occupied")
    assert isinstance(search(msgspec.structs.replace(problem, horizon_s=51 * 3600)), Plan)
    assert alternatives(problem) == []


def test_a_car_under_its_reserve_may_drive_to_its_first_stop() -> None:
    plan = found(line([0, 30, 200], (bay(),), soc=0.15))
    assert plan.stops[0].arrival_soc == pytest.approx(0.03)
    gap = search(line([0, 40, 200], (bay(),), soc=0.15))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.after, gap.before) == ("battery", 0, 1)
    assert gap.short_km == pytest.approx(2.5, abs=0.01)
    direct = search(line([0, 10], soc=0.19))
    assert isinstance(direct, Gap)
    assert direct.reason == "battery"


def test_a_way_never_books_one_bay_twice_at_once() -> None:
    # Coming back to a bay early would be two seconds quicker here, but the way's own first window is in
    # the way of its second.
    problem = busy_road(15)
    one = _Search(Field.of(problem), ask_of(problem))
    heedless = one._walk(one.kernel.QUICK, careful=False)
    assert heedless is not None
    assert _meets_itself(one._plan(*heedless))
    plan = found(problem)
    assert not _meets_itself(plan)
    assert heedless[1] < plan.arrives_at < heedless[1] + 60


def test_the_sprint_is_as_early_as_the_walk() -> None:
    """Two kernels with different dominance answer the same question on busy roads of ten sites."""
    waited = 0
    for seed in range(60):
        problem = busy_road(seed)
        one = _Search(Field.of(problem), ask_of(problem))
        k = one.kernel
        sprinted = one._answer(k.QUICK, k.sprint(10**6, *one._question(), one._bound(k.TIME), one.room))
        walked, careful = one._walk(k.QUICK), one._walk(k.QUICK, careful=True)
        plan = search(problem)
        if sprinted is None:
            assert walked is None
            assert isinstance(plan, Gap)
            continue
        assert walked is not None
        assert careful is not None
        assert isinstance(plan, Plan)
        assert sprinted[1] == walked[1]
        assert careful[1] == plan.arrives_at
        waited += any(stop.starts_at > stop.arrives_at for stop in plan.stops)
    assert waited > 20


def busy_road(seed: int) -> Problem:
    draw = np.random.default_rng(seed)
    n = 10
    at = np.concatenate([[0], np.sort(draw.uniform(20, 480, n)), [500]])
    km = np.abs(at[:, None] - at) * draw.uniform(1, 1.05, (n + 2, n + 2))
    sites = []
    for i in range(n):
        bays = []
        for _ in range(int(draw.integers(1, 3))):
            ends = NOW + np.cumsum(draw.integers(900, 4500, 12))
            starts = ends - draw.integers(300, 899, 12)
            spans = tuple((int(a), int(b)) for a, b in zip(starts, ends, strict=True))
            bays.append(bay(*spans, power_w=float(draw.choice([22_000.0, 50_000.0, 100_000.0]))))
        sites.append(Site(operator_id="BR*CAR", location_id=str(i), bays=tuple(bays)))
    return Problem(
        vehicle=CAR,
        departs_at=NOW,
        soc=float(draw.uniform(0.3, 1.0)),
        legs=Legs(distance_km=km, drive_s=km * 45),
        sites=tuple(sites),
    )


def test_a_field_asked_again_answers_like_a_whole_problem() -> None:
    problem = busy_road(15)
    bare = tuple(
        msgspec.structs.replace(site, bays=tuple(msgspec.structs.replace(one, busy=()) for one in site.bays))
        for site in problem.sites
    )
    field = Field(
        CAR, bare, problem.legs.distance_km[1:-1, 1:-1].copy(), problem.legs.drive_s[1:-1, 1:-1].copy()
    )
    whole = ask_of(problem)
    busy = {(s, b): one.busy for s, site in enumerate(problem.sites) for b, one in enumerate(site.bays)}
    ask = Ask(departs_at=NOW, soc=whole.soc, ends=whole.ends, busy=busy)
    assert search_field(field, ask) == search(problem)
    free = search_field(field, msgspec.structs.replace(ask, busy={}))
    assert isinstance(free, Plan)
    assert free.arrives_at < found(problem).arrives_at


def test_alternatives_differ_and_begin_with_the_best() -> None:
    problem = line([0, 120, 150, 300], (bay(price=3.0),), (bay(price=1.0, dc=False),))
    plans = alternatives(problem)
    assert plans[0] == found(problem)
    assert found(msgspec.structs.replace(problem, objective=Objective.CHEAPEST)) in plans
    assert len({plan.stops for plan in plans}) == len(plans) <= 3
    assert alternatives(problem, most=1) == plans[:1]


def test_malformed_problems_are_told() -> None:
    good = line([0, 100, 200], (bay(),))
    bad: list[dict[str, object]] = [{"soc": 1.2}, {"reserve_soc": 1.0}, {"sites": ()}, {"margin_after_s": -1}]
    for change in bad:
        with pytest.raises(Invalid):
            search(msgspec.structs.replace(good, **change))


def test_charging_times_are_the_integral_of_the_curve() -> None:
    slow = charge.table(CAR, 10_000.0, PowerType.DC)
    assert slow is not None
    np.testing.assert_allclose(slow, np.arange(101) / 100 * 40_000 * 3600 / 10_000)  # clipped flat
    fast = charge.table(CAR, 1e6, PowerType.DC)
    assert fast is not None
    assert fast[50] == pytest.approx(0.5 * 40_000 * 3600 / 60_000)
    assert fast[100] - fast[50] == pytest.approx(20_000 * 3600 * np.log(6) / 50_000)
    clipped = charge.table(CAR, 35_000.0, PowerType.DC)  # the curve falls below 35 kW at 75 %
    assert clipped is not None
    assert clipped[75] == pytest.approx(0.75 * 40_000 * 3600 / 35_000)
    assert clipped[100] - clipped[75] == pytest.approx(fast[100] - fast[75])
    assert charge.table(ac_only(), 50_000.0, PowerType.DC) is None


def test_importing_the_search_does_not_load_numba() -> None:
    code = "import sys, eletrovia.planning.search; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_warm_up_leaves_nothing_to_compile() -> None:
    warm_up()
    from eletrovia.planning import kernel

    before = [
        len(function.signatures) for function in (kernel.to_go, kernel.walk, kernel.sprint, kernel.rooms)
    ]
    assert before == [1, 1, 1, 1]
    search(busy_road(1))
    alternatives(line([0, 150, 300], (bay(),)))
    after = [
        len(function.signatures) for function in (kernel.to_go, kernel.walk, kernel.sprint, kernel.rooms)
    ]
    assert after == before
