"""Invoices: issued once, from registers at the edges, never changed."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from eletrovia.base.errors import Conflict, Invalid, NotFound
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract
from eletrovia.metering.pix import parse

SEP, OCT, NOV = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture
async def home(biller: Any, midnight: Any) -> int:
    """One home with 10 kWh a day from January to October 2026."""
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana")
    await biller.daily(meter, midnight(2026, 1), 304)
    return int(meter)


async def test_a_period_costs_what_the_registers_say(biller: Any, home: int) -> None:
    issued = await biller.invoices.issue("UC-1", SEP, OCT)
    invoice = issued.invoice
    assert issued.created
    assert invoice.bill.energy_wh == 300_000
    assert invoice.total == invoice.to_pay == Decimal("150.00")
    assert invoice.number == "2026-000001"
    assert (invoice.starts_on, invoice.ends_on, invoice.month) == (SEP, OCT, SEP)
    assert invoice.due_on == date(2026, 10, 11)
    (row,) = invoice.registers
    assert (row.opening_wh, row.closing_wh) == (2_430_000, 2_730_000)
    assert row.opening_measured
    assert row.closing_measured
    pix = parse(invoice.pix)
    assert (pix.amount, pix.txid, pix.city) == (Decimal("150.00"), "CAR2026000001", "JOAO PESSOA")


async def test_issuing_twice_issues_once(biller: Any, home: int) -> None:
    first = await biller.invoices.issue("UC-1", SEP, OCT)
    again = await biller.invoices.issue("UC-1", SEP, OCT)
    assert not again.created
    assert (again.invoice, again.sha256) == (first.invoice, first.sha256)
    assert await biller.sql("select count(*) from invoice") == [(1,)]


async def test_what_was_issued_is_kept_to_the_octet(biller: Any, home: int) -> None:
    issued = await biller.invoices.issue("UC-1", SEP, OCT)
    document, digest = await biller.invoices.document(issued.invoice.number)
    assert hashlib.sha256(document).digest() == digest == issued.sha256


@pytest.mark.parametrize("table", ["invoice", "credit_note", "settlement", "payment"])
@pytest.mark.parametrize("change", ["update {} set id = id", "delete from {}", "truncate {} cascade"])
async def test_nothing_that_was_issued_is_ever_changed(
    biller: Any, home: int, table: str, change: str
) -> None:
    await biller.invoices.issue("UC-1", SEP, OCT)
    statement = change.format(table).replace("set id = id", "set invoice_id = invoice_id")
    if table == "invoice":
        statement = change.format(table)
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        await biller.sql(statement)
    assert refused.value.diag.constraint_name.endswith("issued_for_good")


async def test_a_document_that_is_not_what_was_signed_is_refused(biller: Any, home: int) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="invoice_is_what_was_signed"):
        await biller.sql(
            "insert into invoice values ('x', 'x', 'UC-1', 'ana', '2020-01-01', '2020-02-01', '2020-01-01',"
            " '2020-02-10', now(), 1, 1, 'BRL', 'a', sha256('b'), '')"
        )


async def test_days_are_billed_once(biller: Any, home: int) -> None:
    await biller.invoices.issue("UC-1", SEP, OCT)
    for starts_on, ends_on in [
        (SEP, OCT - timedelta(days=1)),
        (SEP - timedelta(days=1), OCT),
        (OCT - timedelta(days=1), OCT),
        (date(2026, 8, 1), date(2026, 10, 1)),
    ]:
        with pytest.raises(Conflict) as refused:
            await biller.invoices.issue("UC-1", starts_on, ends_on)
        assert refused.value.code == "invoice.period_billed"
        assert refused.value.facts["number"] == "2026-000001"
    assert (await biller.invoices.issue("UC-1", date(2026, 8, 1), SEP)).created


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "code"),
    [
        (OCT, OCT, "invoice.period_empty"),
        (OCT, SEP, "invoice.period_empty"),
        (OCT, date(2026, 10, 2), "invoice.period_not_over"),
        (date(2025, 12, 1), date(2026, 1, 1), "contract.none"),
        (date(2025, 12, 1), date(2026, 2, 1), "contract.none"),
    ],
)
async def test_wrong_periods_are_refused(
    biller: Any, home: int, starts_on: date, ends_on: date, code: str
) -> None:
    with pytest.raises((Invalid, NotFound)) as refused:
        await biller.invoices.issue("UC-1", starts_on, ends_on)
    assert refused.value.code == code
    assert await biller.sql("select count(*) from invoice") == [(0,)]


async def test_nobody_is_billed_for_an_empty_home(biller: Any, midnight: Any) -> None:
    meter = await biller.home("UC-2")
    await biller.daily(meter, midnight(2026, 9), 40)
    with pytest.raises(NotFound, match=r"invoice\.nobody_to_bill"):
        await biller.invoices.issue("UC-2", SEP, OCT)
    report = await biller.invoices.issue_month(SEP)
    assert (report.issued, report.held) == (0, ())


async def test_a_swap_inside_the_period_adds_both_meters_up(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    old = await biller.home("UC-1", customer="ana")
    await biller.daily(old, midnight(2026, 8), 44, begin=5_000)  # until 14 September
    swapped = midnight(2026, 9, 14)
    await biller.sql("update fitting set until_at = %s, end_wh = 445000 where meter = %s", swapped, old)
    new = await biller.fit("UC-1", "m-new", swapped)
    await biller.daily(new, swapped, 30, wh=7_000)
    invoice = (await biller.invoices.issue("UC-1", SEP, OCT)).invoice
    assert invoice.bill.energy_wh == 13 * 10_000 + 17 * 7_000
    assert [(row.meter_id, row.energy_wh) for row in invoice.registers] == [
        ("m-UC-1", 130_000),
        ("m-new", 119_000),
    ]


async def test_a_tariff_with_taxes_shows_them_and_one_without_has_none(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    taxed = await biller.home("UC-1", customer="ana", tariff="taxed")
    plain = await biller.home("UC-2", customer="ana")
    for meter in (taxed, plain):
        await biller.daily(meter, midnight(2026, 9), 31)
    invoice = (await biller.invoices.issue("UC-1", SEP, OCT)).invoice
    assert invoice.total == Decimal("300.00")  # 0.80 / (1 - 0.20) is 1.00 a kWh
    assert [(tax.name, tax.amount) for tax in invoice.taxes] == [("ICMS", Decimal("60.00"))]
    assert (await biller.invoices.issue("UC-2", SEP, OCT)).invoice.taxes == ()


# -- what has to wait ---------------------------------------------------------------------------------------


async def test_a_reading_that_is_not_there_yet_is_waited_for_and_then_done_without(
    biller: Any, midnight: Any
) -> None:
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana")
    await biller.daily(meter, midnight(2026, 9), 25)
    with pytest.raises(Conflict, match=r"invoice\.not_read_yet"):
        await biller.invoices.issue("UC-1", SEP, OCT)
    biller.clock.is_day(2026, 10, 4)
    invoice = (await biller.invoices.issue("UC-1", SEP, OCT)).invoice
    assert invoice.bill.energy_wh == 250_000
    assert invoice.unread_since == midnight(2026, 9, 26)
    assert not invoice.registers[0].closing_measured


async def test_a_silent_meter_is_billed_only_on_a_persons_word(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana")
    await biller.daily(meter, midnight(2026, 8), 20)
    biller.clock.is_day(2026, 10, 9)
    with pytest.raises(Conflict, match=r"invoice\.nothing_measured"):
        await biller.invoices.issue("UC-1", SEP, OCT)
    invoice = (await biller.invoices.issue("UC-1", SEP, OCT, despite=" away for\n a month ")).invoice
    assert (invoice.bill.energy_wh, invoice.note) == (0, "away for a month")
    assert invoice.pix == ""


async def test_doubtful_readings_wait_for_a_person(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana")
    await biller.daily(meter, midnight(2026, 9), 31)
    await biller.sql(
        "insert into mark (meter, kind, starts_at, at, noticed_at, energy_wh)"
        " values (%s, 'jump', %s, %s, now(), 5)",
        meter, midnight(2026, 9, 3), midnight(2026, 9, 4),
    )  # fmt: skip
    with pytest.raises(Conflict) as held:
        await biller.invoices.issue("UC-1", SEP, OCT)
    assert held.value.code == "invoice.needs_a_look"
    assert held.value.facts["marks"][0]["kind"] == "jump"
    preview = await biller.invoices.preview("UC-1", SEP, OCT)
    assert preview.held == "invoice.needs_a_look"
    assert preview.held_facts["usage_point_id"] == "UC-1"
    report = await biller.invoices.issue_month(SEP)
    assert [(one.usage_point_id, one.code) for one in report.held] == [("UC-1", "invoice.needs_a_look")]
    invoice = (await biller.invoices.issue("UC-1", SEP, OCT, despite="seen by Zé")).invoice
    assert invoice.note == "seen by Zé"
    assert invoice.doubts[0]["kind"] == "jump"


# -- contracts ----------------------------------------------------------------------------------------------


async def test_a_contract_begins_on_days_that_are_not_billed(biller: Any, home: int) -> None:
    await biller.invoices.issue("UC-1", SEP, OCT)
    taxed = Contract(usage_point_id="UC-1", valid_from=OCT, terms=Terms(tariff_id="taxed", phases=3))
    for day in (SEP, OCT - timedelta(days=1)):
        with pytest.raises(Conflict) as refused:
            await biller.invoices.set_contract(
                Contract(usage_point_id="UC-1", valid_from=day, terms=taxed.terms), by="test"
            )
        assert refused.value.code == "contract.days_billed"
        assert refused.value.facts["first_free"] == "2026-10-01"
    await biller.invoices.set_contract(taxed, by="test")
    assert await biller.invoices.contracts("UC-1") == [
        Contract(usage_point_id="UC-1", valid_from=date(2026, 1, 1), terms=Terms(tariff_id="plain")),
        taxed,
    ]


async def test_contracts_name_things_that_are_there(biller: Any, home: int) -> None:
    for point, terms, code in [
        ("UC-1", Terms(tariff_id="nope"), "tariff.unknown"),
        ("UC-1", Terms(tariff_id="plain", municipality="atlantis"), "lighting.unknown"),
        ("UC-9", Terms(tariff_id="plain"), "usage_point.unknown"),
    ]:
        with pytest.raises(NotFound) as refused:
            await biller.invoices.set_contract(
                Contract(usage_point_id=point, valid_from=NOV, terms=terms), by="test"
            )
        assert refused.value.code == code


async def test_a_period_in_which_the_contract_changes_is_two_bills(biller: Any, home: int) -> None:
    await biller.invoices.set_contract(
        Contract(usage_point_id="UC-1", valid_from=date(2026, 9, 11), terms=Terms(tariff_id="taxed")),
        by="test",
    )
    with pytest.raises(Conflict) as refused:
        await biller.invoices.issue("UC-1", SEP, OCT)
    assert (refused.value.code, refused.value.facts["on"]) == ("invoice.changes_inside", "2026-09-11")
    report = await biller.invoices.issue_month(SEP)
    assert (report.issued, report.held) == (2, ())
    bills = await biller.invoices.summaries(usage_point_id="UC-1")
    assert [(one.starts_on.day, one.total, one.month) for one in bills] == [
        (11, Decimal("200.00"), SEP),
        (1, Decimal("50.00"), SEP),
    ]


# -- a month ------------------------------------------------------------------------------------------------


async def test_a_month_is_issued_for_all_and_again_for_none(biller: Any, home: int, midnight: Any) -> None:
    biller.invoices._batch = 3
    for n in range(7):
        await biller.customer(f"c{n}")
        meter = await biller.home(f"UP-{n}", customer=f"c{n}")
        await biller.daily(meter, midnight(2026, 9), 30, wh=1000 * n)
    told: list[tuple[int, int]] = []
    report = await biller.invoices.issue_month(SEP, progress=lambda done, all_: told.append((done, all_)))
    assert (report.looked_at, report.issued, report.standing, report.held) == (8, 8, 0, ())
    assert told == [(3, 8), (6, 8), (8, 8)]
    assert report.next is None
    again = await biller.invoices.issue_month(SEP)
    assert (again.looked_at, again.issued, again.standing) == (8, 0, 8)
    numbers = await biller.sql("select number from invoice order by number")
    assert len({number for (number,) in numbers}) == 8


async def test_a_month_goes_on_where_it_stopped(biller: Any, home: int, midnight: Any) -> None:
    for n in range(4):
        await biller.customer(f"c{n}")
        await biller.daily(await biller.home(f"UP-{n}", customer=f"c{n}"), midnight(2026, 9), 30)
    first = await biller.invoices.issue_month(SEP, limit=2)
    assert (first.issued, first.next) == (2, "UP-0")
    rest = await biller.invoices.issue_month(SEP, after=first.next)
    assert (rest.issued, rest.next) == (3, None)
    only = await biller.invoices.issue_month(SEP, points=["UP-2", "UP-3"])
    assert (only.looked_at, only.standing) == (2, 2)


async def test_who_moves_in_pays_from_that_day_and_sees_nothing_of_before(
    biller: Any, home: int, midnight: Any
) -> None:
    moved = midnight(2026, 9, 11) + timedelta(hours=14)
    await biller.sql("update occupancy set until_at = %s where usage_point_id = 'UC-1'", moved)
    await biller.customer("bia")
    await biller.live("UC-1", "bia", moved)
    assert (await biller.invoices.issue_month(date(2026, 8, 1))).issued == 1
    report = await biller.invoices.issue_month(SEP)
    assert report.issued == 2
    new, old, _ = await biller.invoices.summaries(usage_point_id="UC-1")
    assert (old.customer_id, old.energy_wh, new.customer_id, new.energy_wh) == (
        "ana", 100_000, "bia", 200_000,
    )  # fmt: skip
    bill = await biller.invoices.invoice(new.id)
    assert [(use.month, use.energy_wh) for use in bill.history] == [(SEP, 200_000)]
    assert [use.month for use in (await biller.invoices.invoice(old.id)).history][-2:] == [
        date(2026, 8, 1),
        SEP,
    ]


async def test_periods_follow_the_reading_day(biller: Any, midnight: Any) -> None:
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana", since=date(2026, 7, 1), reading_day=20)
    await biller.daily(meter, midnight(2026, 7), 100)
    assert (await biller.invoices.issue_month(SEP)).issued == 1
    (bill,) = await biller.invoices.summaries(usage_point_id="UC-1")
    assert (bill.starts_on, bill.ends_on, bill.month) == (date(2026, 8, 20), date(2026, 9, 20), SEP)


async def test_a_month_that_is_not_over_is_said_to_be(biller: Any, home: int) -> None:
    report = await biller.invoices.issue_month(OCT)
    assert [one.code for one in report.held] == ["invoice.period_not_over"]


async def test_a_preview_issues_nothing_and_may_look_ahead(biller: Any, home: int) -> None:
    preview = await biller.invoices.preview("UC-1", SEP, date(2026, 12, 1))
    assert preview.bill.energy_wh == 610_000  # as far as readings go: 1 November
    assert await biller.sql("select count(*) from invoice") == [(0,)]
    with pytest.raises(NotFound, match=r"contract\.none"):
        await biller.invoices.preview("UC-9", SEP, OCT)
