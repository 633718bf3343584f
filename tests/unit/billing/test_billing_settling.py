"""What becomes known after a bill: lines of later bills, credit notes, money set off."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract

AUG, SEP, OCT, NOV = (date(2026, month, 1) for month in (8, 9, 10, 11))


@pytest.fixture
async def silent_home(biller: Any, midnight: Any) -> int:
    """10 kWh a day in August and September; the readings of the last ten days of September are missing."""
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana", tariff="taxed")
    await biller.daily(meter, midnight(2026, 8), 51)
    biller.clock.is_day(2026, 10, 5)
    return int(meter)


async def issue(biller: Any, starts_on: date, ends_on: date) -> Any:
    return (await biller.invoices.issue("UC-1", starts_on, ends_on)).invoice


async def lower(biller: Any, meter: int, since: Any) -> None:
    """3 kWh a day less for ten days: 30 kWh less from then on."""
    await biller.sql(
        "update reading set energy_wh = energy_wh - 3000 * least(10, extract(day from at - %s)::int)"
        " where meter = %s and at >= %s",
        since, meter, since,
    )  # fmt: skip


async def test_late_readings_are_a_line_of_the_next_bill_at_the_old_price(
    biller: Any, silent_home: int, midnight: Any
) -> None:
    first = await issue(biller, SEP, OCT)
    assert first.bill.energy_wh == 200_000
    await biller.invoices.set_contract(
        Contract(usage_point_id="UC-1", valid_from=OCT, terms=Terms(tariff_id="plain")), by="test"
    )
    await biller.daily(silent_home, midnight(2026, 9, 21), 41, begin=510_000)
    review = await biller.invoices.review(first.id)
    assert (review.charged, review.now, review.difference, review.difference_wh) == (
        Decimal("200.00"), Decimal("300.00"), Decimal("100.00"), 100_000,
    )  # fmt: skip
    biller.clock.is_day(2026, 11, 2)
    second = await issue(biller, OCT, NOV)
    assert second.bill.energy_wh == 310_000
    (late,) = second.late
    assert (late.number, late.energy_wh, late.amount) == (first.number, 100_000, Decimal("100.00"))
    assert second.total == Decimal("155.00") + Decimal("100.00")
    assert [line.kind for line in second.lines] == ["energy", "late"]
    assert [(tax.name, tax.amount) for tax in second.taxes] == [("ICMS", Decimal("20.00"))]
    # It is settled: nothing is left to say, and the next bill has no such line.
    assert (await biller.invoices.review(first.id)).difference == 0
    assert (await biller.invoices.review(second.id)).difference == 0
    await biller.daily(silent_home, midnight(2026, 11), 30, begin=920_000)
    biller.clock.is_day(2026, 12, 2)
    third = await issue(biller, NOV, date(2026, 12, 1))
    assert third.late == ()
    assert [use.energy_wh for use in third.history][-3:] == [300_000, 310_000, 300_000]


async def test_use_older_than_three_periods_is_not_billed_any_more(
    biller: Any, silent_home: int, midnight: Any
) -> None:
    await biller.sql(
        "delete from reading where meter = %s and at > %s and at < %s",
        silent_home, midnight(2026, 8, 10), midnight(2026, 9, 1),
    )  # fmt: skip
    months = [date(2026, month, 1) for month in range(8, 13)] + [date(2027, 1, 1)]
    await biller.daily(silent_home, midnight(2026, 9), 122, begin=310_000)
    biller.clock.is_day(2027, 1, 2)
    for starts_on, ends_on in pairwise(months[:5]):
        await issue(biller, starts_on, ends_on)
    await biller.sql("delete from reading where meter = %s and at = %s", silent_home, midnight(2026, 8, 10))
    await biller.read(silent_home, [(midnight(2026, 8, 10), 95_000)])
    await biller.sql("delete from reading where meter = %s and at = %s", silent_home, midnight(2026, 8))
    assert (await biller.invoices.review((await biller.invoices.summaries(month=AUG))[0].id)).difference_wh
    assert (await issue(biller, months[4], months[5])).late == ()


async def test_readings_that_take_away_are_a_credit_note_and_pay_the_next_bill(
    biller: Any, silent_home: int, midnight: Any
) -> None:
    await biller.daily(silent_home, midnight(2026, 9, 21), 10, begin=510_000)
    first = await issue(biller, SEP, OCT)
    await biller.invoices.pay(first.id, amount=first.total, method="pix", reference="E1", by="test")
    # A person found that the register was wrong.
    await lower(biller, silent_home, midnight(2026, 9, 21))
    await biller.daily(silent_home, midnight(2026, 10, 2), 30, begin=590_000)
    biller.clock.is_day(2026, 11, 2)
    second = await issue(biller, OCT, NOV)
    (note,) = await biller.invoices.notes(first.id)
    assert (note.amount, note.energy_wh, note.reason) == (Decimal("30.00"), -30_000, "readings")
    assert [tax.amount for tax in note.taxes] == [Decimal("6.00")]
    assert (note.number, note.invoice_number) == ("C2026-000001", first.number)
    (set_off,) = second.set_offs
    assert (set_off.number, set_off.amount) == (first.number, Decimal("30.00"))
    assert second.to_pay == second.total - Decimal("30.00")
    assert (await biller.invoices.account(first.id)).open == 0
    assert (await biller.invoices.account(second.id)).open == second.to_pay
    assert "540" in second.pix
    assert (await biller.invoices.review(first.id)).difference == 0


async def test_money_is_set_off_only_as_far_as_there_is_something_to_pay(
    biller: Any, silent_home: int, midnight: Any
) -> None:
    first = await issue(biller, AUG, SEP)
    await biller.invoices.pay(first.id, amount=first.total, method="pix", reference="E1", by="test")
    await biller.invoices.credit(
        first.id, reason="goodwill", amount=Decimal("250.00"), request_id="k1", by="test"
    )
    second = await issue(biller, SEP, OCT)
    assert second.total == Decimal("200.00")
    assert (second.to_pay, second.pix) == (Decimal(0), "")
    assert (await biller.invoices.account(first.id)).open == Decimal("-50.00")
    await biller.daily(silent_home, midnight(2026, 9, 21), 41, begin=510_000)
    biller.clock.is_day(2026, 11, 2)
    third = await issue(biller, OCT, NOV)
    assert [one.amount for one in third.set_offs] == [Decimal("50.00")]
    assert (await biller.invoices.account(first.id)).open == 0


async def test_a_credit_note_is_written_once_and_never_exceeds_its_invoice(
    biller: Any, silent_home: int
) -> None:
    bill = await issue(biller, AUG, SEP)

    async def credit(amount: str, key: str) -> Any:
        return await biller.invoices.credit(
            bill.id, reason="correction", amount=Decimal(amount), request_id=key, by="ze", note="a\nb"
        )

    one = await credit("300.00", "k1")
    assert one == await credit("300.00", "k1")
    assert (one.issued_by, one.note) == ("ze", "a b")
    with pytest.raises(Conflict) as refused:
        await credit("10.01", "k2")
    assert (refused.value.code, refused.value.facts["room"]) == ("credit_note.exceeds_invoice", "10.00")
    assert (await credit("10.00", "k3")).amount == Decimal("10.00")
    for amount in ("0", "-1", "1.001"):
        with pytest.raises(Invalid, match=r"credit_note\.amount_wrong"):
            await credit(amount, "k4")
    with pytest.raises(NotFound, match=r"invoice\.unknown"):
        await biller.invoices.credit("nope", reason="goodwill", amount=Decimal(1), request_id="k", by="")


async def test_credit_notes_at_the_same_time_never_exceed_their_invoice(
    biller: Any, silent_home: int
) -> None:
    bill = await issue(biller, AUG, SEP)  # 310.00
    answers = await asyncio.gather(
        *(
            biller.invoices.credit(
                bill.id, reason="goodwill", amount=Decimal("100.00"), request_id=f"k{n}", by=""
            )
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(1 for answer in answers if not isinstance(answer, Exception)) == 3
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {
        "credit_note.exceeds_invoice"
    }
    assert (await biller.invoices.account(bill.id)).credited == Decimal("300.00")


async def test_a_correction_by_hand_is_not_given_twice(biller: Any, silent_home: int, midnight: Any) -> None:
    """Staff credits what is wrong; the readings that say so later have nothing more to give."""
    bill = await issue(biller, AUG, SEP)
    await biller.invoices.credit(
        bill.id, reason="correction", amount=Decimal("30.00"), request_id="k1", by=""
    )
    await lower(biller, silent_home, midnight(2026, 8, 20))
    review = await biller.invoices.review(bill.id)
    assert (review.charged, review.now, review.difference) == (Decimal("280.00"), Decimal("280.00"), 0)
    with pytest.raises(Conflict, match=r"credit_note\.nothing_to_give"):
        await biller.invoices.credit(bill.id, reason="readings", request_id="k2", by="")


async def test_staff_may_settle_readings_at_once(biller: Any, silent_home: int, midnight: Any) -> None:
    bill = await issue(biller, AUG, SEP)
    await lower(biller, silent_home, midnight(2026, 8, 20))
    with pytest.raises(Invalid, match=r"credit_note\.amount_from_readings"):
        await biller.invoices.credit(bill.id, reason="readings", amount=Decimal(1), request_id="k", by="")
    note = await biller.invoices.credit(bill.id, reason="readings", request_id="k", by="")
    assert (note.amount, note.energy_wh) == (Decimal("30.00"), -30_000)
    assert await biller.invoices.credit(bill.id, reason="readings", request_id="k", by="") == note
    assert (await biller.invoices.review(bill.id)).difference == 0
    assert (await issue(biller, SEP, OCT)).total == Decimal("200.00")


# -- money ----------------------------------------------------------------------------------------------


async def test_a_payment_is_recorded_once(biller: Any, silent_home: int) -> None:
    bill = await issue(biller, AUG, SEP)

    async def pay(amount: str, reference: str, method: str = "pix") -> Any:
        return await biller.invoices.pay(
            bill.id, amount=Decimal(amount), method=method, reference=reference, by="test"
        )

    first = await pay("100.00", "E1")
    assert await pay("100.00", "E1") == first
    with pytest.raises(Conflict, match=r"payment\.reference_used"):
        await pay("100.01", "E1")
    with pytest.raises(Conflict, match=r"payment\.exceeds_open"):
        await pay("210.01", "E2")
    await pay("210.00", "E2")
    assert (await biller.invoices.account(bill.id)).open == 0
    await pay("-10.00", "E3", "refund")
    with pytest.raises(Conflict, match=r"payment\.exceeds_paid"):
        await pay("-300.01", "E4", "refund")
    for amount, method in (("0", "pix"), ("-1", "pix"), ("1", "refund"), ("1", "set_off"), ("0.001", "pix")):
        with pytest.raises(Invalid, match=r"payment\.amount_wrong"):
            await pay(amount, "E5", method)
    paid = await biller.invoices.payments(bill.id)
    assert sorted(one.amount for one in paid) == [Decimal("-10.00"), Decimal("100.00"), Decimal("210.00")]


async def test_what_is_not_kept_any_more_is_neither_reviewed_nor_billed(
    biller: Any, silent_home: int, midnight: Any
) -> None:
    bill = await issue(biller, AUG, SEP)
    await biller.sql("delete from reading where at < %s", midnight(2026, 8, 20))
    await biller.sql("insert into reading_kept (from_at) values (%s)", midnight(2026, 8, 20))
    assert (await biller.invoices.review(bill.id)).difference == 0
    with pytest.raises(Conflict, match=r"invoice\.readings_dropped"):
        await biller.invoices.issue("UC-1", AUG - timedelta(days=31), AUG)


async def test_a_bill_says_how_much_of_it_is_a_guess(biller: Any, silent_home: int, midnight: Any) -> None:
    """A gap over the end of August: its part on each side is estimated, and adds up to what it was."""
    await biller.sql(
        "delete from reading where meter = %s and at > %s and at < %s",
        silent_home, midnight(2026, 8, 21), midnight(2026, 9, 10),
    )  # fmt: skip
    await biller.sql(
        "insert into mark (meter, kind, starts_at, at, noticed_at, energy_wh)"
        " values (%s, 'gap', %s, %s, now(), 200000)",
        silent_home, midnight(2026, 8, 21), midnight(2026, 9, 10),
    )  # fmt: skip
    august, september = await issue(biller, AUG, SEP), await issue(biller, SEP, OCT)
    assert (august.bill.energy_wh, august.bill.estimated_wh) == (310_000, 110_000)
    assert (september.bill.energy_wh, september.bill.estimated_wh) == (200_000, 90_000)
    assert not august.registers[0].closing_measured
    assert not september.registers[0].opening_measured
    whole = await biller.invoices.preview("UC-1", AUG, OCT)
    assert (whole.bill.energy_wh, whole.bill.estimated_wh) == (510_000, 0)


async def test_a_period_that_ends_between_two_ordinary_readings_is_read(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana")
    await biller.daily(meter, midnight(2026, 8) - timedelta(hours=10), 70)
    biller.clock.is_day(2026, 10, 5)
    bill = await issue(biller, AUG, SEP)
    assert bill.bill.energy_wh == 310_000
    assert (bill.bill.estimated_wh, bill.registers[0].closing_measured) == (0, True)
