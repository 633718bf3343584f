from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eletrovia.metering.alert import AlertKind
from eletrovia.metering.silence import Silent, Tally

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def silent(meter: int, area: str, minutes_ago: float) -> Silent:
    return Silent(
        meter=meter,
        meter_id=f"M{meter}",
        usage_point_id=f"P{meter}",
        area=area,
        customer_id=None,
        last_at=NOW - timedelta(minutes=minutes_ago),
        interval_s=900,
    )


def tallied(meters: dict[str, int], those: list[Silent], most: int = 1000) -> dict[str, AlertKind]:
    tally = Tally(NOW, intervals=4, most=most)
    for area, count in meters.items():
        tally.count(area, count)
    tally.add(those)
    return {finding.subject: finding.kind for finding in tally.findings()}


def test_one_meter_is_told_of_by_itself_one_interval_later() -> None:
    assert tallied({"Centro": 100}, [silent(1, "Centro", 70)]) == {}
    assert tallied({"Centro": 100}, [silent(1, "Centro", 76)]) == {"meter:1": AlertKind.SILENT}


def test_a_neighbourhood_is_one_alert() -> None:
    those = [silent(meter, "Centro", 61 + meter % 30) for meter in range(60)]
    those.append(silent(99, "Centro", 2 * 24 * 60))
    those.append(silent(100, "Bessa", 90))
    assert tallied({"Centro": 100, "Bessa": 100}, those) == {
        "area:Centro": AlertKind.OUTAGE,
        "meter:99": AlertKind.SILENT,  # long before the others
        "meter:100": AlertKind.SILENT,
    }


def test_meters_that_fell_silent_one_after_the_other_over_days_are_no_outage() -> None:
    those = [silent(meter, "Centro", 120 * (meter + 1)) for meter in range(60)]
    assert set(tallied({"Centro": 100, "Bessa": 1000}, those).values()) == {AlertKind.SILENT}


def test_everything_silent_is_one_alert_however_many_are_kept() -> None:
    those = [silent(meter, f"area{meter % 50}", 90) for meter in range(5000)]
    assert tallied({f"area{n}": 100 for n in range(50)}, those, most=10) == {"all": AlertKind.OUTAGE}


def test_a_handful_of_meters_in_all_is_no_outage() -> None:
    those = [silent(meter, "Centro", 90) for meter in range(4)]
    assert set(tallied({"Centro": 4}, those)) == {f"meter:{n}" for n in range(4)}


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(61, 3000)), max_size=60),
    st.integers(0, 200),
)
def test_every_silent_meter_is_in_an_alert_or_waits_for_its_neighbours(
    told: list[tuple[str, int]], others: int
) -> None:
    those = [silent(meter, area, minutes) for meter, (area, minutes) in enumerate(told)]
    meters = {area: sum(one.area == area for one in those) + others for area in ("", "a", "b")}
    found = tallied(meters, those)
    for one in those:
        alone = f"meter:{one.meter}" in found
        waiting = NOW - one.last_at <= timedelta(minutes=75)
        together = "all" in found or f"area:{one.area}" in found
        assert alone or waiting or together
        assert not (alone and waiting)
