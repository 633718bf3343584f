"""What an auditor looks for: use that is billed twice or never, and numbers that do not belong together."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from eletrovia.base.errors import Conflict
from eletrovia.metering import invoicestore, markstore
from eletrovia.metering.contract import Days
from eletrovia.metering.fittingstore import FittingStore
from eletrovia.metering.hours import hours_of
from eletrovia.metering.meter import Changes
from eletrovia.metering.press import one_piece
from eletrovia.metering.retention import Retention
from eletrovia.metering.tally import Tally

AUG, SEP, OCT, NOV, DEC = (date(2026, month, 1) for month in (8, 9, 10, 11, 12))


async def issue(biller: Any, starts_on: date, ends_on: date) -> Any:
    return (await biller.invoices.issue("UC-1", starts_on, ends_on)).invoice


@pytest.fixture
async def home(biller: Any) -> int:
    await biller.customer("ana")
    return int(await biller.home("UC-1", customer="ana"))


async def test_a_number_belongs_to_the_year_that_counted_it(
    biller: Any, home: int, midnight: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number of another year's counter would stand in the way of that year's own, for good."""
    await biller.daily(home, midnight(2026, 11), 30)
    press = biller.invoices._press
    new_year = datetime(2027, 1, 1, 3, tzinfo=UTC)
    biller.clock.at = new_year - timedelta(milliseconds=1)
    standing = await press.standing("UC-1", NOV)
    draft = await press.draft(standing, one_piece(standing, Days(NOV, DEC)), NOV)
    moments = iter([biller.clock.at])
    monkeypatch.setattr(biller.clock, "now", lambda: next(moments, new_year))
    ((written,), _) = await press.write({"UC-1": standing}, {"UC-1": draft}, NOV)
    ((year,),) = await biller.sql("select year from invoice_counter")
    assert written.invoice.number == f"{year}-000001"


async def test_a_corrected_price_list_stands_in_no_bills_way(biller: Any, home: int, midnight: Any) -> None:
    """It asks for an edge inside a billed period, which nobody asked for when that was billed."""
    await biller.daily(home, midnight(2026, 9), 20)
    biller.clock.is_day(2026, 10, 5)
    await issue(biller, SEP, OCT)
    await biller.daily(home, midnight(2026, 9, 21), 41, begin=200_000)
    plain = biller.book.tariffs["plain"]
    old, half = plain.prices[0], date(2026, 9, 16)
    prices = (replace(old, ends_on=half), replace(old, starts_on=half, kwh=Decimal("0.6")))
    biller.book = replace(biller.book, tariffs=biller.book.tariffs | {"plain": replace(plain, prices=prices)})
    biller.clock.is_day(2026, 11, 5)
    second = await issue(biller, OCT, NOV)
    # By hand: 300 kWh, by days 150 at 0.50 and 150 at 0.60, are 165.00; 200 kWh at 0.50 were charged.
    assert [(one.energy_wh, one.amount) for one in second.late] == [(100_000, Decimal("65.00"))]


async def test_use_that_began_in_dropped_readings_is_not_given_back(
    biller: Any, home: int, midnight: Any
) -> None:
    """September began in a silence; with August's readings gone, nobody knows its first register any more."""
    await biller.read(home, [(midnight(2026, 8, 1), 0), (midnight(2026, 8, 22), 210_000)])
    await biller.daily(home, midnight(2026, 9, 11), 20, begin=410_000)
    biller.clock.is_day(2026, 10, 5)
    await issue(biller, AUG, SEP)
    first = await issue(biller, SEP, OCT)
    assert first.bill.energy_wh == 300_000
    await biller.daily(home, midnight(2026, 10, 2), 60, begin=620_000)
    await biller.sql("drop table reading_2026_08")
    await biller.sql("insert into reading_kept (from_at) values ('2026-09-01')")
    biller.clock.is_day(2026, 11, 5)
    second = await issue(biller, OCT, NOV)
    assert (second.late, second.set_offs, await biller.invoices.notes(first.id)) == ((), (), [])
    assert second.bill.energy_wh == 310_000


async def test_a_period_that_begins_in_dropped_readings_waits(biller: Any, home: int, midnight: Any) -> None:
    await biller.read(home, [(midnight(2026, 8, 1), 0), (midnight(2026, 8, 22), 210_000)])
    await biller.daily(home, midnight(2026, 9, 11), 20, begin=410_000)
    await biller.sql("drop table reading_2026_08")
    await biller.sql("insert into reading_kept (from_at) values ('2026-09-01')")
    biller.clock.is_day(2026, 10, 5)
    with pytest.raises(Conflict, match="invoice.readings_dropped"):
        await issue(biller, SEP, OCT)


async def test_a_slip_after_a_long_silence_is_no_roll_over(biller: Any, home: int, midnight: Any) -> None:
    """In sixty days a fuse lets a whole turn of five digits through: 100 MWh for a slip of 10 Wh."""
    await biller.sql("update meter set rolls_over_at_wh = 100000000 where key = %s", home)
    await biller.read(home, [(midnight(2026, 8, 2), 50_000_000), (midnight(2026, 10, 1), 49_999_990)])
    await Tally(biller.store, biller.clock, hours_of(biller.prices.zone)).catch_up()
    biller.clock.is_day(2026, 10, 5)
    with pytest.raises(Conflict, match="invoice.needs_a_look"):
        await issue(biller, SEP, OCT)
    ((kind, energy_wh),) = await biller.sql("select kind, energy_wh from mark where kind <> 'gap'")
    assert (kind, energy_wh) == ("backwards", -10)


async def test_readings_that_are_not_billed_stay(
    biller: Any, home: int, midnight: Callable[..., datetime]
) -> None:
    await biller.daily(home, midnight(2026, 1), 330)
    await biller.sql("delete from arrival")
    retention = Retention(biller.store, biller.clock, 2, still_needed=biller.invoices.need_readings)
    biller.clock.is_day(2026, 6, 5)

    async def left() -> str:
        done = await retention.prune()
        return done.stay[0].name if done.stay else ""

    assert await left() == "reading_2026_01"
    await issue(biller, date(2026, 1, 1), date(2026, 2, 1))
    assert await left() == "reading_2026_01"  # what February's bill begins from may stand there
    await issue(biller, date(2026, 3, 1), date(2026, 4, 1))
    assert await left() == "reading_2026_01"
    await issue(biller, date(2026, 2, 1), date(2026, 3, 1))
    assert await left() == "reading_2026_03"
    # What nobody has agreed to pay for is nobody's to wait for.
    await biller.sql("delete from contract")
    assert await left() == ""


async def test_what_a_meter_is_said_to_be_later_holds_for_all_it_counted(
    biller: Any, home: int, midnight: Any
) -> None:
    """Bills read registers by what the meter is now: hours and marks must not say otherwise."""
    await biller.daily(home, midnight(2026, 9), 30)
    tally = Tally(biller.store, biller.clock, hours_of(biller.prices.zone))
    await tally.catch_up()
    biller.clock.is_day(2026, 10, 5)
    await FittingStore(biller.store).change("m-UC-1", Changes(max_power_w=300), biller.clock.now())
    await tally.catch_up()
    assert await biller.sql("select kind, count(*) from mark group by 1") == [("jump", 30)]
    assert await biller.sql("select count(*) from usage_day where 0 < any (hour_wh)") == [(0,)]
    with pytest.raises(Conflict, match="invoice.needs_a_look"):
        await issue(biller, SEP, OCT)
    await FittingStore(biller.store).change("m-UC-1", Changes(max_power_w=3000), biller.clock.now())
    await tally.catch_up()
    assert (await issue(biller, SEP, OCT)).bill.energy_wh == 300_000


@pytest.mark.parametrize("seed", [7, 11])
async def test_every_wh_is_on_one_bill(biller: Any, midnight: Any, seed: int) -> None:
    """Half a year with a swap, readings beside the edges, some that never come, many come months late."""
    draw = random.Random(seed)
    await biller.customer("ana")
    first = await biller.home("UC-1", customer="ana", interval_s=10_800)
    start, count, swapped = midnight(2026, 1), 8 * 181, draw.randrange(300, 1100)
    use = [draw.randrange(3000) for _ in range(count)]
    apart = timedelta(minutes=draw.choice([0, 37]))

    def moment(n: int) -> datetime:
        return (
            datetime.fromtimestamp(start.timestamp(), UTC) + n * timedelta(hours=3) + apart * (0 < n < count)
        )

    end_wh = 1000 + sum(use[:swapped])
    await biller.sql(
        "update fitting set start_wh = 1000, until_at = %s, end_wh = %s", moment(swapped), end_wh
    )
    second = await biller.fit("UC-1", "m-2", moment(swapped), interval_s=10_800)
    told = [(first, n, 1000 + sum(use[:n])) for n in range(swapped + 1)]
    told += [(second, n, 77 + sum(use[swapped:n])) for n in range(swapped, count + 1)]
    silent: set[int] = set()
    for since in (draw.randrange(5, count - 200) for _ in range(4)):
        silent.update(range(since, since + draw.randrange(1, 150)))
    come: dict[int, list[tuple[int, datetime, int]]] = {month: [] for month in range(1, 10)}
    for meter, n, wh in told:
        anchor, late = n in (0, swapped, count), draw.choice([0, 0, 1, 2]) if n in silent else 0
        if anchor or n in silent or draw.random() > 0.05:
            counted_in = moment(max(n - 1, 0)).astimezone(biller.prices.zone).month
            come[counted_in + late].append((meter, moment(n), wh))
    tally = Tally(biller.store, biller.clock, hours_of(biller.prices.zone))
    for month, readings in come.items():
        draw.shuffle(readings)
        for meter in (first, second):
            await biller.read(meter, [(at, wh) for of, at, wh in readings if of == meter])
        await tally.catch_up()
        biller.clock.is_day(2026, month + 1, 6)
        for over in range(1, min(month, 6) + 1):
            await biller.invoices.issue_month(date(2026, over, 1))
    bills = [await biller.invoices.invoice(one.id) for one in await biller.invoices.summaries()]
    notes = [note for bill in bills for note in await biller.invoices.notes(bill.id)]
    billed_wh = sum(bill.bill.energy_wh + sum(late.energy_wh for late in bill.late) for bill in bills)
    open_wh = sum([(await biller.invoices.review(bill.id)).difference_wh for bill in bills])
    assert len(bills) == 6
    assert any(bill.late for bill in bills)
    assert billed_wh + sum(note.energy_wh for note in notes) + open_wh == sum(use)


async def test_pages_over_all_bills_and_marks_are_read_from_an_index(biller: Any) -> None:
    page = {"account": None, "customer": None, "point": None, "month": None, "before": None, "limit": 20}
    async with biller.store.transaction() as connection:
        await connection.execute("set local enable_seqscan = off; set local enable_sort = off")
        for query, values, index in (
            (invoicestore._SUMMARIES, page, "invoice_newest_idx"),
            (markstore._NOTICED, (20,), "mark_newest_idx"),
        ):
            plan = await (await connection.execute("explain " + query, values)).fetchall()
            assert any(f"Backward using {index}" in row[0] for row in plan), plan
