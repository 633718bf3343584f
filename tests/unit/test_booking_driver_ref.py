"""What an owner is told of whose hold it keeps: what the home chooses to tell, by default nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Invalid
from eletrovia.base.window import Window
from eletrovia.booking.hold import HoldKey, HoldRequest, Ticket
from eletrovia.booking.holdstore import HoldStore
from eletrovia.store.pool import Store

_NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def wanted(stop: int, driver_ref: str = "") -> HoldRequest:
    starts_at = _NOON + timedelta(hours=stop)
    return HoldRequest(
        key=HoldKey("t1", 1, stop),
        home="BR*AAA",
        evse_uid="E1",
        window=Window(starts_at, starts_at + timedelta(minutes=5)),
        ticket=Ticket(_NOON, "t1"),
        ttl_s=5.0,
        energy_wh=1,
        charging_s=300,
        price=Decimal("0.00"),
        driver_ref=driver_ref,
    )


async def test_the_name_is_kept_with_the_hold(store: Store) -> None:
    holds = HoldStore(store, SystemClock())
    await holds.take(wanted(0, "cliente_1"), _NOON)
    await holds.take(wanted(1), _NOON)
    kept = {hold.request.key.stop: hold.request.driver_ref for hold in await holds.standing(_NOON)}
    assert kept == {0: "cliente_1", 1: ""}
    await holds.close()


@pytest.mark.parametrize("driver_ref", ["x" * 201, "a\nb", "a\0b"])
def test_a_name_that_no_screen_could_show_is_refused(driver_ref: str) -> None:
    with pytest.raises(Invalid, match=r"hold\.driver_ref_malformed"):
        wanted(0, driver_ref)
