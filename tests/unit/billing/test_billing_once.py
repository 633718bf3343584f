"""Each Wh is billed once: whatever comes late, and whoever is killed in the middle."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eletrovia.store.pool import Store

MONTHS = [date(2026, month, 1) for month in range(8, 13)] + [date(2027, 1, 1)]
DAYS = (MONTHS[-1] - MONTHS[0]).days

# -- late readings ------------------------------------------------------------------------------------------

lateness = st.dictionaries(st.integers(0, DAYS - 1), st.integers(1, 70), max_size=60)
LOST = 1000


@example(late=dict.fromkeys(range(10, 51), 65), seed=1)  # settled two bills later
@example(late={day: 69 - day for day in range(1, 60)}, seed=2)  # all at once
@given(late=lateness, seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bills_add_up_to_the_registers_whatever_comes_late(
    new_database: Any, biller_on: Any, midnight: Any, late: dict[int, int], seed: int
) -> None:
    async def check() -> None:
        async with await Store.open(new_database(), size=2) as store:
            await _late(biller_on(store), midnight, late, seed)

    asyncio.run(check())


async def _late(biller: Any, midnight: Any, late: dict[int, int], seed: int) -> None:
    chance = random.Random(seed)
    await biller.customer("ana")
    meter = await biller.home("UC-1", customer="ana", since=MONTHS[0])
    start = midnight(2026, 8)
    values = [1_000_000]
    for _ in range(DAYS):
        values.append(values[-1] + chance.randrange(20_000))
    waiting = {day: day + late.get(day, 0) for day in range(DAYS + 1)}
    for starts_on, ends_on in pairwise(MONTHS):
        done = (ends_on - MONTHS[0]).days + 4
        if ends_on == MONTHS[-1]:
            done = LOST
        come = [day for day, arrives in waiting.items() if arrives <= done]
        for day in come:
            del waiting[day]
        if come:
            await biller.read(meter, [(start + timedelta(days=day), values[day]) for day in come])
        biller.clock.at = start + timedelta(days=min(done, DAYS + 4))
        await biller.invoices.issue("UC-1", starts_on, ends_on, despite="a test")
    billed = 0
    for summary in await biller.invoices.summaries(usage_point_id="UC-1"):
        invoice = await biller.invoices.invoice(summary.id)
        billed += invoice.bill.energy_wh + sum(one.energy_wh for one in invoice.late)
        billed += sum(note.energy_wh for note in await biller.invoices.notes(invoice.id))
        assert invoice.total == sum(line.amount for line in invoice.lines)
        if invoice.starts_on >= MONTHS[1]:  # the last bill has settled the three before it
            review = await biller.invoices.review(invoice.id)
            assert (review.difference, review.difference_wh) == (0, 0)
    # What came later than three periods back is not billed any more: here nothing does.
    assert billed == values[-1] - values[0]


# -- killed in the middle -----------------------------------------------------------------------------------

HOMES = 36
CHILD = """
import asyncio, importlib.util, sys
from datetime import date
from eletrovia.store.pool import Store

spec = importlib.util.spec_from_file_location("billing_conftest", sys.argv[1])
conftest = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = conftest
spec.loader.exec_module(conftest)

async def main():
    async with await Store.open(sys.argv[2], size=4) as store:
        biller = conftest.Biller(store, batch=3)
        await biller.invoices.issue_month(
            date(2026, 9, 1), progress=lambda done, of: print(done, of, flush=True)
        )

asyncio.run(main())
"""


async def test_killed_while_issuing_a_month_and_begun_again_each_is_there_once(
    biller: Any, midnight: Any, database_url: str
) -> None:
    for n in range(HOMES):
        await biller.customer(f"c{n}")
        meter = await biller.home(f"UC-{n:02}", customer=f"c{n}", since=date(2026, 9, 1))
        await biller.daily(meter, midnight(2026, 9), 30, wh=1000 + n)
    killed = 0
    for batches in (1, 4):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(Path(__file__).with_name("conftest.py")), database_url,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        for _ in range(batches):
            await child.stdout.readline()
        child.kill()
        await child.wait()
        ((stand,),) = await biller.sql("select count(*)::int from invoice")
        assert stand % 3 == 0, "a batch is written whole or not at all"
        killed += stand < HOMES
    assert killed, "at least once it was in the middle"
    report = await biller.invoices.issue_month(date(2026, 9, 1))
    assert (report.held, report.issued + report.standing) == ((), HOMES)
    stands = await biller.sql(
        "select usage_point_id, count(*)::int, sum(energy_wh)::int from invoice group by 1 order by 1"
    )
    assert stands == [(f"UC-{n:02}", 1, 30 * (1000 + n)) for n in range(HOMES)]
    numbers = await biller.sql("select number from invoice")
    assert len(set(numbers)) == HOMES
