from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.metering.alert import AlertKind, Preferences
from eletrovia.metering.quiet import QuietHours

FORTALEZA = ZoneInfo("America/Fortaleza")
NEW_YORK = ZoneInfo("America/New_York")  # puts its clock on at 2:00 on 8 March 2026, back on 1 November
SAO_PAULO = ZoneInfo("America/Sao_Paulo")  # until 2019 its clock skipped midnight in spring


def at(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def test_a_night_over_midnight() -> None:
    night = QuietHours(since="22:00", until="07:00")
    assert not night.is_quiet(at("2026-03-01T21:59:59", FORTALEZA), FORTALEZA)
    assert night.over(at("2026-03-01T22:00", FORTALEZA), FORTALEZA) == at("2026-03-02T07:00", FORTALEZA)
    assert night.over(at("2026-03-02T06:59", FORTALEZA), FORTALEZA) == at("2026-03-02T07:00", FORTALEZA)
    assert night.over(at("2026-03-02T07:00", FORTALEZA), FORTALEZA) == at("2026-03-02T07:00", FORTALEZA)


def test_equal_ends_are_never_quiet() -> None:
    moment = at("2026-03-01T08:00", FORTALEZA)
    assert QuietHours(since="08:00", until="08:00").over(moment, FORTALEZA) == moment


def test_the_clock_is_put_on_in_the_quiet_hours() -> None:
    """Half past two is skipped: quiet ends when the clock jumps over it."""
    night = QuietHours(since="22:00", until="02:30")
    asleep = at("2026-03-08T01:00", NEW_YORK)
    assert night.over(asleep, NEW_YORK) == datetime(2026, 3, 8, 7, tzinfo=UTC)  # 2:00, which is 3:00


def test_the_clock_is_put_back_after_the_quiet_hours() -> None:
    """Half past one comes twice, and from one to half past one it is quiet twice."""
    night = QuietHours(since="22:00", until="01:30")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert night.over(datetime(2026, 11, 1, 4, tzinfo=UTC), NEW_YORK) == first
    assert night.is_quiet(first + timedelta(minutes=40), NEW_YORK)
    assert night.over(first + timedelta(minutes=40), NEW_YORK) == first + timedelta(hours=1)


def test_midnight_itself_is_skipped() -> None:
    evening = QuietHours(since="20:00", until="00:00")
    assert evening.over(at("2018-11-03T23:00", SAO_PAULO), SAO_PAULO) == datetime(
        2018, 11, 4, 3, tzinfo=UTC
    )  # 0:00, which is 1:00


MINUTES = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


@given(
    MINUTES,
    MINUTES,
    st.sampled_from([FORTALEZA, NEW_YORK, SAO_PAULO, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]),
    st.sampled_from([datetime(2018, 11, 3, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC),
                     datetime(2026, 10, 31, tzinfo=UTC), datetime(2026, 4, 3, tzinfo=UTC)]),
    st.integers(0, 3 * 24 * 60),
)  # fmt: skip
def test_quiet_ends_at_the_first_minute_that_is_not(
    since: str, until: str, zone: ZoneInfo, day: datetime, minute: int
) -> None:
    """Beside looking at every minute, as a slow oracle does."""
    quiet = QuietHours(since=since, until=until)
    moment = day + timedelta(minutes=minute)

    def is_quiet(at: datetime) -> bool:
        local = at.astimezone(zone)
        wall, a, b = time(local.hour, local.minute), time.fromisoformat(since), time.fromisoformat(until)
        return a <= wall < b if a <= b else not b <= wall < a

    expected = moment
    while is_quiet(expected):
        expected += timedelta(minutes=1)
    assert quiet.over(moment, zone) == expected


def test_urgent_kinds_and_another_zone() -> None:
    wanted = Preferences(
        quiet_hours=QuietHours(since="22:00", until="07:00", zone="America/Manaus"),
        urgent=(AlertKind.BLOCKED,),
    )
    moment = at("2026-03-01T23:30", FORTALEZA)  # 22:30 in Manaus
    assert wanted.due_at(AlertKind.BLOCKED, moment, FORTALEZA) == moment
    assert wanted.due_at(AlertKind.EXCESS, moment, FORTALEZA) == at(
        "2026-03-02T07:00", ZoneInfo("America/Manaus")
    )
    assert wanted.due_at(AlertKind.EXCESS, moment - timedelta(hours=1), FORTALEZA) == moment - timedelta(
        hours=1
    )


@pytest.mark.parametrize("zone", ["Nowhere/Near", "../../etc/passwd", "a\0b"])
def test_a_zone_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match="alert.zone_unknown"):
        Preferences(quiet_hours=QuietHours(since="22:00", until="07:00", zone=zone)).check()
