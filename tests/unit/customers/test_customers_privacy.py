"""What a customer is told about themselves, and what is left when they are erased."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from psycopg.errors import CheckViolation

from eletrovia.base.errors import Conflict, NotFound
from eletrovia.base.window import Window
from eletrovia.metering.arrival import unpacked
from eletrovia.metering.customer import Claimant, CustomerChanges, MoveIn, NewCustomer
from eletrovia.metering.hours import hours_of
from eletrovia.metering.meter import Swap
from eletrovia.metering.privacy import Privacy
from eletrovia.metering.retention import Retention
from eletrovia.metering.section import Kept, kept_until
from eletrovia.metering.tally import Tally
from eletrovia.metering.usage import Resolution
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.store.pool import Connection

ZONE = ZoneInfo("America/Recife")
WORDS = ("Maria Footprint", "52998224725", "maria.footprint@example.org", "Rua dos Rastros", "acct_maria")


class Invoices:
    """Another part's share."""

    name = "invoices"

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.erased: list[str] = []

    async def export(self, customer_id: str) -> Any:
        return [{"number": "1", "customer_id": customer_id}]

    async def settle(self, customer_id: str) -> None:
        if self.refuses:
            raise Conflict("invoice.not_yet")

    async def erase(self, connection: Connection, customer_id: str, now: datetime) -> Sequence[Kept]:
        self.erased.append(customer_id)
        return [Kept(what="invoices", count=1, until=kept_until(now.date()))]


async def maria(utility: Any) -> str:
    """A customer with everything personal, in the second of three stays at a home with a swap."""
    await utility.meter("home", area="Centro")
    utility.clock.pass_by(days=5)
    new = NewCustomer(
        name=WORDS[0], tax_id=WORDS[1], email=WORDS[2], address=f"{WORDS[3]} 7", account_id=WORDS[4]
    )
    customer = await utility.customers.add(new)
    await utility.customers.move_in("home", MoveIn(customer_id=customer.id))
    return str(customer.id)


async def footprints(utility: Any) -> dict[str, list[str]]:
    """Every row of every table that holds one of her words."""
    tables = await utility.rows(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    found = {}
    for (table,) in tables:
        rows = await utility.rows("select t::text from " + table + " t")  # noqa: S608
        if here := [row for (row,) in rows if any(word.lower() in row.lower() for word in WORDS)]:
            found[table] = here
    return found


async def quarters(utility: Any, meter_id: str, begins: datetime, ends: datetime, wh: int = 0) -> int:
    """A Wh each minute, read each quarter of an hour in ``[begins, ends)``; what comes next."""
    key = (await utility.access.sight("", meter_id, is_staff=True)).meter
    count = int((ends - begins).total_seconds()) // 900
    await utility.read(key, [(begins + n * timedelta(minutes=15), wh + 15 * n) for n in range(count)])
    return wh + 15 * count


async def test_everything_is_told_and_nothing_of_others(utility: Any) -> None:
    begins = utility.clock.at
    customer_id = await maria(utility)
    since = utility.clock.at
    swapped = utility.clock.pass_by(days=2)
    last = await quarters(utility, "home", begins, swapped)
    await utility.meters.swap("home", Swap(new_id="home2", end_wh=last, start_wh=3))
    left = utility.clock.pass_by(days=2)
    await utility.customers.leave(WORDS[4], "home2")
    utility.clock.pass_by(days=1)
    other = await utility.customers.add(NewCustomer(name="Next One", email="next@example.org"))
    await utility.customers.move_in("home", MoveIn(customer_id=other.id))
    await quarters(utility, "home2", swapped, utility.clock.pass_by(days=1), 3)
    hours = hours_of(ZONE)
    await Tally(utility.store, utility.clock, hours).catch_up()
    book = StoredUsage(utility.store, hours)
    privacy = Privacy(utility.store, utility.meters, clock=utility.clock, zone=ZONE, usage=book)
    privacy.add(Invoices())
    told = msgspec.json.decode(msgspec.json.encode(await privacy.export(customer_id)))
    assert told.keys() == {"made_at", "customer", "usage_points", "invoices"}
    text = str(told)
    assert all(word in text for word in WORDS)
    assert "Next One" not in text
    (home,) = told["usage_points"]
    assert (home["usage_point_id"], home["area"]) == ("home", "Centro")

    def at(moment: str) -> datetime:
        return datetime.fromisoformat(moment)

    assert (at(home["from_at"]), at(home["until_at"])) == (since, left)
    # What the register showed before she came is not hers; what it showed at the swap is.
    meters = [
        (one["meter_id"], at(one["from_at"]), at(one["until_at"]), one["start_wh"], one["end_wh"])
        for one in home["meters"]
    ]
    assert meters == [("home", since, swapped, None, last), ("home2", swapped, left, 3, None)]
    # 9:00 in Recife on the 6th to 9:00 on the 10th; the swap, at 9:00 on the 8th, leaves no seam.
    assert {one["day"]: one["energy_wh"] for one in home["usage_by_day"]} == {
        "2026-03-06": 15 * 60, "2026-03-07": 1440, "2026-03-08": 1440, "2026-03-09": 1440,
        "2026-03-10": 9 * 60,
    }  # fmt: skip
    assert told["invoices"] == [{"number": "1", "customer_id": customer_id}]
    with pytest.raises(NotFound):
        await privacy.export("cust_0")


async def test_erased_leaves_no_footprint(utility: Any) -> None:
    customer_id = await maria(utility)

    she = Claimant(account_id=WORDS[4], name=WORDS[0], email=WORDS[2], language="pt-BR")
    with pytest.raises(NotFound):
        await utility.customers.claim(she, "nobody", "x")
    assert (await footprints(utility)).keys() == {"customer", "claim_try"}, "the look itself finds her"
    invoices = Invoices()
    utility.privacy.add(invoices)
    now = utility.clock.pass_by(days=1)
    erased = await utility.privacy.erase(customer_id)
    assert await footprints(utility) == {}
    assert invoices.erased == [customer_id]
    assert (erased.erased_at, {one.what: (one.count, one.until) for one in erased.kept}) == (
        now, {"stays": (1, None), "invoices": (1, date(2032, 1, 1))},
    )  # fmt: skip
    customer = await utility.customers.customer(customer_id)
    assert (customer.name, customer.account_id, customer.erased_at) == ("—", None, now)
    for word in (*WORDS, "—", customer_id):
        assert await utility.customers.customers(words=word) == [], word
    assert (await utility.meters.meter("home")).customer_id is None
    with pytest.raises(NotFound):
        await utility.access.sight(WORDS[4], "home", is_staff=False)
    # Nobody moves in as her, changes her, or erases more; her account may begin anew.
    utility.clock.pass_by(days=1)
    again = await utility.privacy.erase(customer_id)
    assert (again.erased_at, again.readings_dropped, again.kept) == (now, 0, [])
    with pytest.raises(NotFound):
        await utility.customers.move_in("home", MoveIn(customer_id=customer_id))
    with pytest.raises(Conflict):
        await utility.customers.change(customer_id, CustomerChanges(name="Back"))
    assert (await utility.claimed(WORDS[4], "flat")).customer_id != customer_id
    with pytest.raises(NotFound):
        await utility.privacy.erase("cust_0")


async def test_the_database_refuses_half_an_erasure(utility: Any) -> None:
    customer_id = await maria(utility)
    with pytest.raises(CheckViolation):
        await utility.rows("update customer set erased_at = now() where id = %s", customer_id)
    with pytest.raises(CheckViolation):
        await utility.rows(
            "update customer set erased_at = now(), account_id = null, tax_id = null, email = null,"
            " address = '' where id = %s",
            customer_id,
        )


async def test_only_day_values_of_their_time_stay(utility: Any) -> None:
    begins = utility.clock.at
    customer_id = await maria(utility)
    moved_in = utility.clock.at
    key = (await utility.access.sight("", "home", is_staff=True)).meter
    left = utility.clock.pass_by(days=3)
    await utility.customers.leave(WORDS[4], "home")
    end = utility.clock.pass_by(days=3)
    quarters = [begins + n * timedelta(minutes=15) for n in range(int((end - begins).total_seconds()) // 900)]
    await utility.read(key, [(at, n) for n, at in enumerate(quarters)])
    conflicts = [(quarters[0], 7_777), (moved_in + timedelta(hours=1), 7_777)]
    await utility.read(key, conflicts)
    await utility.rows("delete from arrival returning id")
    before = await utility.rows("select at, energy_wh, power_w from reading order by at")
    erased = await utility.privacy.erase(customer_id)
    after = await utility.rows("select at, energy_wh, power_w from reading order by at")

    def others(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [row for row in rows if not moved_in <= row[0] < left]

    assert others(after) == others(before), "nobody else's readings are touched"
    hers = [row for row in after if moved_in <= row[0] < left]
    # Her first, then the first of each day in Recife, then her last.
    midnight = (moved_in.astimezone(ZONE) + timedelta(days=1)).replace(hour=0).astimezone(UTC)
    edges = [moved_in, *(midnight + timedelta(days=n) for n in range(3)), left - timedelta(minutes=15)]
    assert [row[0] for row in hers] == edges
    values = {at: wh for at, wh, _ in before}
    assert [(row[1], row[2]) for row in hers] == [(values[at], None) for at in edges]
    assert erased.readings_dropped == 3 * 96 - 5 == len(before) - len(after)
    assert await utility.rows("select at from reading_conflict") == [(quarters[0],)]
    # Usage hears of it and works that stretch out anew.
    ((spans, count),) = await utility.rows("select spans, readings from arrival")
    (span,) = unpacked(spans).tolist()
    first, last = (moved_in + timedelta(minutes=15)), (left - timedelta(minutes=30))
    assert span == (key, int(first.timestamp()) * 10**6, int(last.timestamp()) * 10**6)
    assert count == erased.readings_dropped


async def test_usage_of_an_erased_stay_is_even_within_each_day(utility: Any) -> None:
    begins = utility.clock.at
    customer_id = await maria(utility)
    moved_in = utility.clock.at
    left = utility.clock.pass_by(days=4)
    await utility.customers.leave(WORDS[4], "home")
    ends = utility.clock.pass_by(days=3)
    key = (await utility.access.sight("", "home", is_staff=True)).meter
    # Nothing by day, much at night: what tells when somebody is at home.
    moments = [begins + n * timedelta(minutes=15) for n in range(int((ends - begins).total_seconds()) // 900)]
    wh = itertools.accumulate(0 if 9 <= at.hour < 21 else 50 for at in moments)
    await utility.read(key, list(zip(moments, wh, strict=True)))
    hours = hours_of(ZONE)
    tally, book = Tally(utility.store, utility.clock, hours), StoredUsage(utility.store, hours)
    await tally.catch_up()
    whole = Window(begins, ends)
    before = {one.starts_at: one.energy_wh for one in await book.series(key, whole, Resolution.HOUR)}
    by_day = await book.series(key, whole, Resolution.DAY)
    await utility.privacy.erase(customer_id)
    await tally.catch_up()
    after = {one.starts_at: one.energy_wh for one in await book.series(key, whole, Resolution.HOUR)}
    assert after.keys() == before.keys()
    told = [(one.starts_at, one.energy_wh) for one in await book.series(key, whole, Resolution.DAY)]
    assert told == [(one.starts_at, one.energy_wh) for one in by_day], "days stay, to the Wh"
    for at, energy_wh in after.items():
        day = at.astimezone(ZONE).date()
        if day <= moved_in.astimezone(ZONE).date() or day >= left.astimezone(ZONE).date():
            if not moved_in <= at < left:
                assert energy_wh == before[at], "nobody else's hours are touched"
        else:
            total = sum(wh for one, wh in after.items() if one.astimezone(ZONE).date() == day)
            assert abs(energy_wh - total / 24) <= 2, at
    assert max(before.values()) == 200
    assert len({before[at] for at in before if moved_in <= at < left}) > 1


async def test_hours_are_made_even_also_where_readings_have_left_by_their_age(utility: Any) -> None:
    begins = utility.clock.at
    customer_id = await maria(utility)
    moved_in = utility.clock.at
    left = utility.clock.pass_by(days=40)
    await utility.customers.leave(WORDS[4], "home")
    ends = utility.clock.pass_by(days=3)
    key = (await utility.access.sight("", "home", is_staff=True)).meter
    moments = [begins + n * timedelta(hours=1) for n in range(int((ends - begins).total_seconds()) // 3600)]
    wh = itertools.accumulate(0 if 9 <= at.hour < 21 else 101 for at in moments)
    told = [one for n, one in enumerate(zip(moments, wh, strict=True)) if n % 50 not in (7, 8)]
    await utility.read(key, told)
    hours = hours_of(ZONE)
    tally, book = Tally(utility.store, utility.clock, hours), StoredUsage(utility.store, hours)
    await tally.catch_up()
    whole = Window(begins, ends)
    by_day = await book.series(key, whole, Resolution.DAY)
    before = {one.starts_at: one.energy_wh for one in await book.series(key, whole, Resolution.HOUR)}
    utility.clock.pass_by(days=90)
    assert (await Retention(utility.store, utility.clock, 1).prune()).dropped
    assert not await utility.rows("select at from reading")
    await utility.privacy.erase(customer_id)
    await tally.catch_up()
    after = {one.starts_at: one for one in await book.series(key, whole, Resolution.HOUR)}
    assert await book.series(key, whole, Resolution.DAY) == by_day, "days stay, estimates too"
    assert after.keys() == before.keys()
    first = (moved_in.astimezone(ZONE) + timedelta(days=1)).date()
    for at, one in after.items():
        day = at.astimezone(ZONE).date()
        if first <= day < left.astimezone(ZONE).date():
            those = [two.energy_wh for two in after.values() if two.starts_at.astimezone(ZONE).date() == day]
            assert max(those) - min(those) <= 1
            assert 0 <= one.estimated_wh <= one.energy_wh
        else:
            assert one.energy_wh == before[at], "a day that was not all hers stays as it is"


async def test_what_must_be_finished_first_is(utility: Any) -> None:
    customer_id = await maria(utility)
    utility.privacy.add(Invoices(refuses=True))
    before = await utility.rows("select t::text from customer t")
    with pytest.raises(Conflict):
        await utility.privacy.erase(customer_id)
    assert await utility.rows("select t::text from customer t") == before
    assert len(await utility.rows("select from occupancy where until_at is null")) == 1


async def test_a_part_that_fails_erases_nothing(utility: Any) -> None:
    customer_id = await maria(utility)

    class Broken(Invoices):
        async def erase(self, connection: Connection, customer_id: str, now: datetime) -> Sequence[Kept]:
            await connection.execute("delete from claim_try")
            raise RuntimeError("no")

    utility.privacy.add(Broken())
    before = await footprints(utility)
    with pytest.raises(RuntimeError):
        await utility.privacy.erase(customer_id)
    assert await footprints(utility) == before
