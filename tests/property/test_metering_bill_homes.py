"""Five real homes, a year, flat and by the hour: every bill is the slow oracle's, to the last cent.

What was measured in 2013 is moved by whole weeks to where the demonstration's prices, flags and taxes
change.
"""

from __future__ import annotations

import csv
import gzip
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from eletrovia.metering.bill import Measured, Terms
from eletrovia.metering.pricing import bill, edges
from eletrovia.metering.tariffbook import CARRIED, carried_book
from tests.property.billoracle import OracleBill, Spec, spelled

HOMES = Path(__file__).parents[3] / "shared" / "data" / "households_halfhourly.csv.gz"
ZONE = ZoneInfo("America/Fortaleza")
HALF_HOUR = timedelta(minutes=30)
MOVED = timedelta(weeks=654)  # 2013-02-17 becomes 2025-09-01
FIRST = date(2025, 9, 1)

needs_homes = pytest.mark.skipif(not HOMES.exists(), reason=f"{HOMES.name} is not on this machine")


class Home:
    """Half-hourly differences as a register; half hours that nobody measured add nothing."""

    def __init__(self) -> None:
        self.used: dict[datetime, int] = {}
        self.sums: dict[datetime, int] = {}

    def run(self, starts_at: datetime, ends_at: datetime) -> None:
        at, total = starts_at, 0
        while at <= ends_at:
            self.sums[at] = total
            total += self.used.get(at, 0)
            at += HALF_HOUR

    def __call__(self, moment: datetime) -> int:
        return self.sums[moment]


@pytest.fixture(scope="module")
def homes() -> dict[str, Home]:
    found: dict[str, Home] = {}
    with gzip.open(HOMES, "rt") as lines:
        for row in csv.DictReader(lines):
            began = datetime.fromisoformat(row["reading_datetime"]) + MOVED
            at = began.replace(tzinfo=ZONE).astimezone(UTC)
            wh = int(Decimal(row["general_supply_kwh"]) * 1000)
            found.setdefault(row["customer_id"], Home()).used[at] = wh
    assert len(found) == 5
    for home in found.values():
        home.run(datetime(2025, 9, 1, 3, tzinfo=UTC), datetime(2026, 12, 1, 3, tzinfo=UTC))
    return found


def as_read(path: Path) -> dict[str, dict[str, Any]]:
    """The file's tables by section and id, without the product's reader."""
    tables = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    return {section: {one["id"]: one for one in records} for section, records in tables.items()}


def added(rate: dict[str, Any]) -> dict[str, Any]:
    return rate | {"kwh": rate["te"] + rate["tusd"]}


def specification(tariff_id: str, town: str) -> Spec:
    demo, brazil = as_read(CARRIED / "demo-cariri.toml"), as_read(CARRIED / "brazil.toml")
    tariff = demo["tariff"][tariff_id]
    spec: Spec = {
        "kind": tariff["kind"],
        "tiers": "marginal",
        "prices": [
            one | {"windows": {name: added(rate) for name, rate in one["windows"].items()}}
            if "windows" in one
            else added(one)
            for one in tariff["price"]
        ],
        "taxes": [demo["tax"][name] for name in tariff["taxes"]],
        "flags": demo["flags"][tariff["flags"]],
        "minimum": brazil["minimum"][tariff["minimum"]]["kwh"],
        "lighting": demo["lighting"][town]["rate"],
    }
    if "hours" in tariff:
        spec |= {"hours": demo["hours"][tariff["hours"]]["days"], "minimum_window": tariff["minimum_window"]}
    if "discount" in tariff:
        spec["discount"] = brazil["discount"][tariff["discount"]]["rule"]
    return spec


def months() -> Iterator[tuple[date, date]]:
    """Twelve billing periods of 28 to 33 days, as meter readers make them."""
    starts_on = FIRST
    for length in (31, 30, 29, 33, 28, 30, 32, 30, 29, 31, 30, 32):
        yield starts_on, starts_on + timedelta(days=length)
        starts_on += timedelta(days=length)


CASES = [
    ("cariri-b1-convencional", "vila-cariri", False),
    ("cariri-b1-convencional", "serra-do-vento", True),
    ("cariri-b1-branca", "vila-cariri", False),
]


@needs_homes
@pytest.mark.parametrize(("tariff_id", "town", "low_income"), CASES)
def test_a_year_of_five_homes(homes: dict[str, Home], tariff_id: str, town: str, low_income: bool) -> None:
    terms = Terms(tariff_id=tariff_id, phases=2, municipality=town, low_income=low_income)
    spec = specification("cariri-b1-baixa-renda" if low_income else tariff_id, town)
    book, year, bills = carried_book(), Decimal(0), 0
    for home in homes.values():
        for starts_on, ends_on in months():
            moments = edges(terms, book, starts_on, ends_on, ZONE)
            measured = [
                Measured(starts_at=a, ends_at=b, energy_wh=home(b) - home(a)) for a, b in pairwise(moments)
            ]
            made = bill(terms, book, ZONE, starts_on, ends_on, measured)
            told = OracleBill(spec, ZONE, starts_on, ends_on, home, step=HALF_HOUR, phases=2)
            assert made.total == spelled(told.total)
            assert made.energy_wh == told.used > 0
            taxes = {(tax.name, Fraction(tax.rate)): Fraction(tax.amount) for tax in made.taxes}
            assert taxes == {key: amount for key, (_, amount) in told.taxes.items()}
            year += made.total
            bills += 1
    assert bills == 60
    assert year > 0
