"""What a change of the question must do to the answer, on roads too big to try everything."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eletrovia.charging.location import PowerType
from eletrovia.planning.plan import Bay, Gap, Legs, Objective, Plan, Problem, Site, Span
from eletrovia.planning.search import search
from eletrovia.planning.vehicle import CurvePoint, Vehicle

NOW = 1_760_000_000
NEVER = 2**60
CAR = Vehicle(
    id="car",
    name="car",
    battery_wh=45_000,
    consumption_wh_per_km=160,
    dc_curve=(
        CurvePoint(0.0, 60_000),
        CurvePoint(0.3, 85_000),
        CurvePoint(0.8, 40_000),
        CurvePoint(1.0, 7_000),
    ),
    ac_power_w=7_000,
)


@st.composite
def roads(draw: st.DrawFn) -> Problem:
    """A road of 350 to 700 km with up to eight sites and a few taken spans."""
    length = draw(st.integers(350, 700))
    kms = sorted(draw(st.lists(st.integers(1, length), min_size=2, max_size=8, unique=True)))
    at = np.array([0, *kms, length], dtype=float)
    km = np.abs(at[:, None] - at)
    sites = []
    for i in range(len(kms)):
        spans: list[Span] = []
        end = NOW
        for _ in range(draw(st.integers(0, 4))):
            begin = end + draw(st.integers(0, 7200))
            end = begin + draw(st.integers(60, 3600))
            spans.append((begin, end))
        bay = Bay(
            evse_uid=str(i),
            power_w=draw(st.sampled_from([22_000.0, 50_000.0, 150_000.0])),
            power_type=PowerType.DC,
            busy=tuple(spans),
            price_per_kwh=draw(st.sampled_from([1.5, 2.0, 2.5])),
            price_per_hour=draw(st.sampled_from([0.0, 0.0, 3.0])),
        )
        sites.append(Site(operator_id="BR*CAR", location_id=str(i), bays=(bay,)))
    return Problem(
        vehicle=CAR,
        departs_at=NOW,
        soc=draw(st.integers(30, 100)) / 100,
        legs=Legs(distance_km=km, drive_s=km * 45),
        sites=tuple(sites),
    )


def arrival(problem: Problem) -> int:
    found = search(problem)
    return found.arrives_at if isinstance(found, Plan) else NEVER


def with_bays(problem: Problem, site: int, *bays: Bay) -> Problem:
    sites = list(problem.sites)
    sites[site] = msgspec.structs.replace(sites[site], bays=bays)
    return msgspec.structs.replace(problem, sites=tuple(sites))


@settings(max_examples=60, deadline=None)
@given(roads(), st.data())
def test_a_taken_span_more_is_never_earlier(problem: Problem, data: st.DataObject) -> None:
    found = search(problem)
    assume(isinstance(found, Plan) and found.stops)
    assert isinstance(found, Plan)
    stop = found.stops[data.draw(st.integers(0, len(found.stops) - 1))]
    bay = problem.sites[stop.site].bays[0]
    taken = msgspec.structs.replace(bay, busy=tuple(sorted([*bay.busy, stop.window])))
    worse = with_bays(problem, stop.site, taken)
    assert arrival(worse) >= found.arrives_at
    again = search(worse)
    if isinstance(again, Plan):
        assert all(
            (one.site, one.bay) != (stop.site, 0)
            or one.window[1] <= stop.window[0]
            or stop.window[1] <= one.window[0]
            for one in again.stops
        )


@settings(max_examples=60, deadline=None)
@given(roads(), st.integers(1, 30))
def test_more_battery_is_never_later_and_an_earlier_departure_neither(problem: Problem, more: int) -> None:
    fuller = msgspec.structs.replace(problem, soc=min(1.0, problem.soc + more / 100))
    assert arrival(fuller) <= arrival(problem)
    later = msgspec.structs.replace(problem, departs_at=NOW + 60 * more)
    assert arrival(problem) <= arrival(later)


@settings(max_examples=60, deadline=None)
@given(roads(), st.integers(0, 7))
def test_a_second_bay_is_never_later_nor_dearer(problem: Problem, site: int) -> None:
    site %= len(problem.sites)
    bay = problem.sites[site].bays[0]
    wider = with_bays(problem, site, bay, msgspec.structs.replace(bay, evse_uid="new", busy=()))
    assert arrival(wider) <= arrival(problem)
    cheap, cheap_wider = (
        search(msgspec.structs.replace(one, objective=Objective.CHEAPEST)) for one in (problem, wider)
    )
    if isinstance(cheap, Plan):
        assert isinstance(cheap_wider, Plan)
        assert cheap_wider.cost <= cheap.cost


@settings(max_examples=60, deadline=None)
@given(roads())
def test_each_objective_wins_at_its_own_game(problem: Problem) -> None:
    earliest = search(problem)
    cheapest = search(msgspec.structs.replace(problem, objective=Objective.CHEAPEST))
    assert isinstance(earliest, Gap) == isinstance(cheapest, Gap)
    if isinstance(earliest, Plan) and isinstance(cheapest, Plan):
        assert earliest.arrives_at <= cheapest.arrives_at
        assert cheapest.cost <= earliest.cost
    else:
        assert earliest == cheapest


@settings(max_examples=40, deadline=None)
@given(roads())
def test_the_same_question_gets_the_same_answer(problem: Problem) -> None:
    assert search(problem) == search(problem)


@settings(max_examples=60, deadline=None)
@given(roads())
def test_the_km_that_lack_are_the_km_that_help(problem: Problem) -> None:
    """With consumption so much lower that the named leg shrinks by what it lacks, the battery suffices."""
    gap = search(problem)
    assume(isinstance(gap, Gap) and gap.reason == "battery")
    assert isinstance(gap, Gap)
    km = problem.legs.distance_km[gap.after, gap.before]
    has = km - gap.short_km
    assume(has > 1)
    thrifty = msgspec.structs.replace(CAR, consumption_wh_per_km=160 * has / km * 0.9999)
    better = search(msgspec.structs.replace(problem, vehicle=thrifty))
    assert not (isinstance(better, Gap) and better.reason == "battery" and gap.after == better.after)
