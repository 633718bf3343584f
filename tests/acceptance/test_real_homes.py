"""Five real homes, from the file to the bill: a year, flat and by the hour, to the oracle's last cent.

Everything is the product's own: `eletrovia readings import` as a person runs it, the worker that works out
usage, and the invoices of every month. Only the oracle reads the file by itself.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import Ids
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract
from eletrovia.metering.customer import MoveIn, NewCustomer
from eletrovia.metering.customers import Customers
from eletrovia.metering.hours import Hours
from eletrovia.metering.invoice import Issuer
from eletrovia.metering.invoices import Invoices
from eletrovia.metering.prices import Prices
from eletrovia.metering.tally import Tally
from eletrovia.metering.tariffbook import carried_book
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.store.pool import Store
from tests.property.billoracle import OracleBill, spelled
from tests.property.test_metering_bill_homes import HOMES, MOVED, Home, needs_homes, specification

ZONE = ZoneInfo("America/Fortaleza")
MONTHS = [date(2025 + (8 + n) // 12, (8 + n) % 12 + 1, 1) for n in range(13)]  # September to September
BEGINS = datetime(2025, 9, 1, 3, tzinfo=UTC)
TARIFFS = {"F": "cariri-b1-convencional", "B": "cariri-b1-branca"}
TOWN = "vila-cariri"


class Afterwards(SystemClock):
    """The year is over."""

    def now(self) -> datetime:
        return datetime(2026, 10, 1, 12, tzinfo=UTC)


def moved_by_weeks(to: Path) -> dict[str, Home]:
    """The homes as a file of a year with the demonstration's prices, each twice; and for the oracle."""
    homes: dict[str, Home] = {}
    first, end = datetime(2025, 8, 25), datetime(2026, 9, 2)  # noqa: DTZ001 - local, as the file has them
    with gzip.open(HOMES, "rt") as lines, gzip.open(to, "wt", compresslevel=1) as out:
        out.write("meter,time,kwh\n")
        for row in csv.DictReader(lines):
            began = datetime.fromisoformat(row["reading_datetime"]) + MOVED
            if not first <= began < end:
                continue
            home = homes.setdefault(row["customer_id"], Home())
            at = began.replace(tzinfo=ZONE).astimezone(UTC)
            home.used[at] = int(Decimal(row["general_supply_kwh"]) * 1000)
            for kind in TARIFFS:
                out.write(f"{kind}{row['customer_id']},{began},{row['general_supply_kwh']}\n")
    for home in homes.values():
        home.run(BEGINS, datetime(2026, 9, 1, 3, tzinfo=UTC))
    return homes


async def imported(file: Path, url: str, data: Path) -> dict[str, Any]:
    """What the command says of the import."""
    arguments = ["readings", "import", str(file), "--direct", "--register", "--json", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eletrovia", *arguments, "--set", f"store.url={url}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "ELETROVIA_LANG": "en"},
    )
    told, said = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0, said.decode()
    answer: dict[str, Any] = json.loads(told)
    return answer


@needs_homes
async def test_from_the_file_to_the_bill(tmp_path: Path, database_url: str, store: Store) -> None:
    homes = moved_by_weeks(tmp_path / "homes.csv.gz")
    assert len(homes) == 5
    told = (await imported(tmp_path / "homes.csv.gz", database_url, tmp_path))["total"]
    again = (await imported(tmp_path / "homes.csv.gz", database_url, tmp_path))["total"]
    assert told["stored"] > 150_000
    assert told["conflict"] == told["refused"] == 0
    assert (again["stored"], again["conflict"], again["refused"]) == (0, 0, 0)

    clock, hours = Afterwards(), Hours(ZONE)
    await Tally(store, clock, hours).catch_up()
    issuer = Issuer(operator_id="BR*CAR", name="Carcará", contact="", regulator="")
    invoices = Invoices(
        store, StoredUsage(store, hours), Prices(carried_book, ZONE), issuer, clock=clock, ids=Ids(clock)
    )
    customers = Customers(store, clock=clock, ids=Ids(clock))
    for kind, tariff_id in TARIFFS.items():
        terms = Terms(tariff_id=tariff_id, phases=2, municipality=TOWN)
        spec = specification(tariff_id, TOWN)
        for name, home in homes.items():
            point = f"{kind}{name}"
            who = await customers.add(NewCustomer(name=f"Casa {name}"))
            await customers.move_in(point, MoveIn(customer_id=who.id, from_at=BEGINS))
            contract = Contract(usage_point_id=point, valid_from=MONTHS[0], terms=terms)
            await invoices.set_contract(contract, by="test")
            for starts_on, ends_on in pairwise(MONTHS):
                issued = await invoices.issue(point, starts_on, ends_on, despite="a home with holes")
                oracle = OracleBill(
                    spec, ZONE, starts_on, ends_on, home, step=timedelta(minutes=30), phases=2
                )
                assert issued.invoice.bill.energy_wh == oracle.used > 0, (point, starts_on)
                assert issued.invoice.total == spelled(oracle.total), (point, starts_on)
    async with store.connection() as connection:
        row = await (
            await connection.execute("select count(*), count(distinct number) from invoice")
        ).fetchone()
    assert row == (120, 120)
