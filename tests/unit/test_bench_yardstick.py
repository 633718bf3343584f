"""The bench's yardstick is the product's own statement, and its windows are as free or taken as it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from bench.holdload import HoldJob, work
from bench.report import figure


async def test_raw_holds_take_free_windows_and_no_others(database_url: str) -> None:
    job = HoldJob(
        store_url=database_url,
        home="BR*MAN",
        evses=["E1", "E2", "E3"],
        price=Decimal("12.34"),
        energy_wh=20_000,
        charging_s=1_200,
        begins_at=datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
        first=0,
        count=60,
        size=20,
        lines=2,
        serial=1,
    )
    assert (await work(job)).outcomes == {"held": 60, "refused": 0}
    half_taken = msgspec.structs.replace(job, first=60, taken_from=0, serial=2)
    assert (await work(half_taken)).outcomes == {"held": 30, "refused": 30}


def test_a_figure_is_the_median_of_its_rounds_and_so_is_its_ratio() -> None:
    one = figure("holds/s", [10.0, 30.0, 20.0], "/s", yardstick="/s raw", against=[20.0, 40.0, 80.0])
    assert (one.value, one.yardstick_value, one.low, one.high) == (20.0, 40.0, 10.0, 30.0)
    assert one.ratio == pytest.approx(0.5)
