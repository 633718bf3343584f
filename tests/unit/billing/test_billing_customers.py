"""What bills tell of a customer, and what stays of them when the customer is erased."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from eletrovia.base.errors import Conflict


@pytest.fixture
async def home(biller: Any, midnight: Any) -> int:
    """Ana's home, billed for August; it is noon of 18 October."""
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana", since=date(2026, 8, 1))
    await biller.daily(meter, midnight(2026, 8), 78)
    biller.clock.is_day(2026, 10, 18)
    await biller.invoices.issue_month(date(2026, 8, 1))
    return int(meter)


async def test_all_bills_are_told_with_what_belongs_to_them(biller: Any, home: int) -> None:
    (bill,) = await biller.invoices.summaries(customer_id="ana")
    await biller.invoices.pay(bill.id, amount=Decimal("5.00"), method="pix", reference="E1", by="")
    await biller.invoices.credit(bill.id, reason="goodwill", amount=Decimal("1.00"), request_id="k", by="")
    (told,) = await biller.invoices.section.export("ana")
    assert told.invoice.id == bill.id
    assert (len(told.credit_notes), len(told.payments)) == (1, 1)
    assert await biller.invoices.section.export("bia") == []


async def test_the_last_bills_are_issued_before_somebody_is_erased(
    biller: Any, home: int, midnight: Any
) -> None:
    await biller.invoices.section.settle("ana")
    bills = await biller.invoices.summaries(customer_id="ana")
    assert [(one.starts_on, one.ends_on, one.energy_wh) for one in bills] == [
        (date(2026, 10, 1), date(2026, 10, 18), 170_000),
        (date(2026, 9, 1), date(2026, 10, 1), 300_000),
        (date(2026, 8, 1), date(2026, 9, 1), 310_000),
    ]
    await biller.invoices.section.settle("ana")
    assert len(await biller.invoices.summaries(customer_id="ana")) == 3
    async with biller.store.transaction() as connection:
        (kept,) = await biller.invoices.section.erase(connection, "ana", biller.clock.now())
    assert (kept.what, kept.count, kept.until) == ("invoices", 3, date(2032, 1, 1))


async def test_whoever_lives_there_now_is_not_billed_along(biller: Any, home: int, midnight: Any) -> None:
    moved = midnight(2026, 10, 5)
    await biller.sql("update occupancy set until_at = %s where usage_point_id = 'UC-1'", moved)
    await biller.customer("bia")
    await biller.live("UC-1", "bia", moved)
    await biller.invoices.section.settle("ana")
    bills = await biller.invoices.summaries(usage_point_id="UC-1")
    assert [(one.customer_id, one.ends_on) for one in bills][:2] == [
        ("ana", date(2026, 10, 5)),
        ("ana", date(2026, 10, 1)),
    ]
    assert {one.customer_id for one in bills} == {"ana"}


async def test_nobody_is_erased_while_a_bill_has_to_wait(biller: Any, home: int, midnight: Any) -> None:
    await biller.sql("delete from reading where at >= %s", midnight(2026, 10, 10))
    with pytest.raises(Conflict, match=r"invoice\.not_read_yet"):
        await biller.invoices.section.settle("ana")


async def test_somebody_who_was_erased_gets_no_more_lines(biller: Any, home: int, midnight: Any) -> None:
    """Their readings are thinned out: what they come to by now is no reason to bill."""
    (bill,) = await biller.invoices.summaries(customer_id="ana")
    await biller.sql("delete from reading where at > %s", midnight(2026, 8, 10))
    assert (await biller.invoices.review(bill.id)).difference < 0
    await biller.sql(
        "update customer set name = '—', tax_id = null, address = '', erased_at = now() where id = 'ana'"
    )
    assert (await biller.invoices.review(bill.id)).difference == 0
