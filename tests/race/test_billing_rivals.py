"""Several who issue the same at once, each with a connection pool of their own; canaries first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eletrovia.base.errors import Conflict
from eletrovia.base.ids import Ids
from eletrovia.metering import invoicestore
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract
from eletrovia.metering.hours import Hours
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoices import Invoices, Issued
from eletrovia.metering.prices import Prices
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.tariffbook import carried_book
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.store.pool import Connection, Store

RIVALS = 4
HOMES = 6
SEP, OCT = date(2026, 9, 1), date(2026, 10, 1)
ZONE = ZoneInfo("America/Fortaleza")
START = datetime(2026, 9, 1, tzinfo=ZONE).astimezone(UTC)
POINTS = [f"UC-{n}" for n in range(HOMES)]


class HandClock:
    """It is noon of 2 October."""

    def now(self) -> datetime:
        return datetime(2026, 10, 2, 15, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


CLOCK = HandClock()


@pytest.fixture
async def crowd(database_url: str, store: Store) -> AsyncIterator[list[Invoices]]:
    """Rivals over homes with a month of readings each."""
    async with store.connection() as connection:
        for point in POINTS:
            await connection.execute("insert into usage_point values (%s, '', null, %s)", (point, START))
            await connection.execute(
                "insert into customer (id, name, language, created_at) values (%s, %s, 'en', %s)",
                (f"c-{point}", f"Padaria {point}", START),
            )
            await connection.execute(
                "insert into occupancy values (%s, default, %s, %s)", (point, f"c-{point}", START)
            )
            await connection.execute(
                "with born as (insert into meter (id, interval_s, registered_at) values (%s, 86400, %s)"
                " returning key) insert into fitting select %s, key, %s, null, 0 from born",
                (f"m-{point}", START, point, START),
            )
        rows = await (await connection.execute("select key from meter")).fetchall()
    readings = [
        Reading(meter=int(key), at=START + timedelta(days=day), energy_wh=day * 10_000)
        for (key,) in rows
        for day in range(31)
    ]
    await ReadingStore(store, CLOCK).merge(Readings.of(Source.HTTP, readings))
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(RIVALS):
            own = await stack.enter_async_context(await Store.open(database_url, size=3))
            made.append(
                Invoices(
                    own,
                    StoredUsage(own, Hours(ZONE)),
                    Prices(carried_book, ZONE),
                    Issuer(operator_id="BR*CAR", name="Carcará"),
                    clock=CLOCK,
                    ids=Ids(CLOCK),
                    batch=2,
                )
            )
            await made[-1].contracts("warm")
        for point in POINTS:
            await made[0].set_contract(
                Contract(usage_point_id=point, valid_from=SEP, terms=Terms(tariff_id="classroom-3")), by=""
            )
        yield made


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are drawn without the counter's lock, so that batches are written beside each other."""
    numbers = count(1)

    async def draw(_: Connection, kind: str, year: int, how_many: int) -> int:
        await asyncio.sleep(0.01)  # a canary's: it holds the door open for the others
        return 1000 * next(numbers) + how_many

    monkeypatch.setattr(invoicestore, "_draw", draw)


async def billed(store: Store) -> dict[str, int]:
    """How many invoices stand for each home's September."""
    async with store.connection() as connection:
        rows = await connection.execute("select usage_point_id, count(*)::int from invoice group by 1")
        return dict(await rows.fetchall())


async def all_at_once(crowd: list[Invoices]) -> list[Issued]:
    """Everybody issues every home's September at the same time."""
    return list(await asyncio.gather(*(one.issue(point, SEP, OCT) for point in POINTS for one in crowd)))


async def without_constraints(store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "alter table invoice drop constraint invoice_once, drop constraint invoice_no_overlap"
        )


async def test_canary_without_lock_and_constraints_days_are_billed_twice(
    crowd: list[Invoices], store: Store, no_lock: None
) -> None:
    await without_constraints(store)
    await all_at_once(crowd)
    assert max((await billed(store)).values()) > 1


async def test_the_constraints_alone_let_nothing_be_billed_twice(
    crowd: list[Invoices], store: Store, no_lock: None
) -> None:
    await all_at_once(crowd)
    assert await billed(store) == dict.fromkeys(POINTS, 1)


async def test_the_lock_alone_lets_nothing_be_billed_twice(crowd: list[Invoices], store: Store) -> None:
    await without_constraints(store)
    await all_at_once(crowd)
    assert await billed(store) == dict.fromkeys(POINTS, 1)


async def test_whoever_issues_at_once_is_told_the_same_invoice(crowd: list[Invoices], store: Store) -> None:
    answers = await all_at_once(crowd)
    assert await billed(store) == dict.fromkeys(POINTS, 1)
    for point in POINTS:
        own = [one for one in answers if one.invoice.usage_point_id == point]
        assert len({one.invoice.id for one in own}) == 1
        assert sum(one.created for one in own) == 1


async def test_a_month_that_all_issue_at_once(crowd: list[Invoices], store: Store) -> None:
    reports = await asyncio.gather(*(one.issue_month(SEP) for one in crowd))
    assert await billed(store) == dict.fromkeys(POINTS, 1)
    assert sum(report.issued for report in reports) == HOMES
    assert all(report.held == () for report in reports)
    assert all(report.issued + report.standing == HOMES for report in reports)


async def test_a_contract_never_changes_under_days_that_are_being_billed(
    crowd: list[Invoices], store: Store
) -> None:
    """Either it is in time, and the bill is by the new one, or it is refused."""
    new = Terms(tariff_id="classroom-0-4")

    async def agree(point: str) -> bool:
        try:
            await crowd[0].set_contract(Contract(usage_point_id=point, valid_from=SEP, terms=new), by="rival")
        except Conflict as refused:
            return refused.code != "contract.days_billed"
        return True

    for point in POINTS:
        answers: list[Any] = await asyncio.gather(
            crowd[1].issue(point, SEP, OCT), agree(point), crowd[2].issue(point, SEP, OCT)
        )
        in_time = answers[1]
        assert (answers[0].invoice.terms == new) is in_time
        assert answers[0].invoice.id == answers[2].invoice.id
