"""Bills against a slow oracle that was written from the rules: on made-up tariffs, to the cent."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.base.money import cents
from eletrovia.metering.bill import Bill, Measured, Terms
from eletrovia.metering.pricing import bill, edges
from eletrovia.metering.tariff import TariffBook
from eletrovia.metering.tariffbook import book_of
from tests.property.billoracle import OracleBill, Spec, spelled

ZONES = ("America/Fortaleza", "America/Sao_Paulo", "Europe/Lisbon", "Asia/Tehran", "Pacific/Apia")
NAMES = ("peak", "shoulder", "night")


class Meter:
    """A register that runs on by made-up amounts, minute by minute, in spells of use and of silence."""

    def __init__(self, starts_at: datetime, seed: int, most_wh: int) -> None:
        self.starts_at = starts_at
        chance = np.random.default_rng(seed)
        used = chance.integers(0, most_wh, 40 * 1440, endpoint=True)
        used[chance.random(used.size) < 0.4] = 0
        self.sums = [0, *np.cumsum(used).tolist()]

    def __call__(self, moment: datetime) -> int:
        minutes, rest = divmod(moment - self.starts_at, timedelta(minutes=1))
        assert not rest
        return self.sums[minutes]


def decimals(most: str, places: int) -> st.SearchStrategy[str]:
    return st.decimals("0", most, places=places).map(lambda number: f"{number:f}")


def dated(
    draw: st.DrawFn, starts_on: date, ends_on: date, one: st.SearchStrategy[Spec], cuts: int = 2
) -> list[Spec]:
    """Entries that hold one after the other, and cover the period."""
    length = (ends_on - starts_on).days
    days = draw(st.sets(st.integers(-1, length + 1), max_size=cuts))
    bounds = [date(2000, 1, 1), *(starts_on + timedelta(days=n) for n in sorted(days)), None]
    entries = []
    for begins, ends in pairwise(bounds):
        entry = draw(one) | {"from": begins}
        entries.append(entry if ends is None else entry | {"until": ends})
    return entries


@st.composite
def laddered(draw: st.DrawFn, value: st.SearchStrategy[Spec]) -> list[Spec]:
    limits = sorted(draw(st.sets(st.integers(1, 300), max_size=3)))
    return [*(draw(value) | {"up_to_kwh": str(limit)} for limit in limits), draw(value)]


@st.composite
def plans(draw: st.DrawFn) -> Spec:
    """Windows of a day, on half hours; now and then one reaches midnight."""
    marks = sorted(draw(st.sets(st.integers(0, 48), min_size=2, max_size=8)))
    spans = [pair for n, pair in enumerate(pairwise(marks)) if n % 2 == 0 or draw(st.booleans())]
    clock = [time(n // 2, n % 2 * 30) for n in range(48)] + [time(0)]
    window = [{"name": draw(st.sampled_from(NAMES)), "from": clock[a], "until": clock[b]} for a, b in spans]
    return {"window": window, "rest": "rest"}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Spec, str, date, date]:
    """A tariff with all that belongs to it, a time zone and a period."""
    zone = draw(st.sampled_from(ZONES))
    starts_on = draw(
        st.one_of(
            st.dates(date(2023, 1, 1), date(2027, 12, 1)),
            st.sampled_from(
                [
                    date(2018, 10, 20),
                    date(2018, 2, 3),
                    date(2026, 2, 2),
                    date(2011, 12, 20),
                    date(2022, 3, 10),
                ]
            ),
        )
    )
    ends_on = starts_on + timedelta(days=draw(st.integers(1, 35)))

    def entries(one: st.SearchStrategy[Spec]) -> list[Spec]:
        return dated(draw, starts_on, ends_on, one)

    price = st.fixed_dictionaries({"kwh": decimals("2", 5)})
    share = st.fixed_dictionaries({"share": decimals("0.3", 4)})
    kind = draw(st.sampled_from(["flat", "tiers", "windows"]))
    spec: Spec = {"kind": kind, "tiers": draw(st.sampled_from(["marginal", "whole"])), "taxes": []}
    if kind == "flat":
        spec["prices"] = entries(price)
    elif kind == "tiers":
        spec["prices"] = entries(st.fixed_dictionaries({"tiers": laddered(price)}))
    else:
        every = st.fixed_dictionaries(dict.fromkeys((*NAMES, "rest"), price))
        spec["prices"] = entries(st.fixed_dictionaries({"windows": every}))
        spec["hours"] = entries(plans())
        spec["minimum_window"] = "rest"
    for name, base in draw(st.sets(st.sampled_from([("A", "price"), ("B", "net"), ("C", "net")]))):
        banded = st.one_of(share, st.fixed_dictionaries({"bands": laddered(share)}))
        spec["taxes"].append({"name": name, "base": base, "rate": entries(banded)})
    if draw(st.booleans()):
        colours = st.sampled_from(["green", "yellow", "red1"])
        value = [{"colour": "green", "kwh": "0", "from": date(2000, 1, 1)}]
        for colour in ("yellow", "red1"):
            value += [
                entry | {"colour": colour}
                for entry in entries(st.fixed_dictionaries({"kwh": decimals("0.2", 5)}))
            ]
        spec["flags"] = {"held": entries(st.fixed_dictionaries({"colour": colours})), "value": value}
    if draw(st.booleans()):
        least = st.sampled_from(["30", "50", "100", "180"])
        one = st.fixed_dictionaries({"one": least, "two": least, "three": least})
        spec["minimum"] = entries(one)
    if draw(st.booleans()):
        rule = {"step": laddered(st.fixed_dictionaries({"share": decimals("1", 2)})), "flags": st.booleans()}
        optional = {"no_minimum_up_to_kwh": st.just("80")}
        spec["discount"] = entries(st.fixed_dictionaries(rule, optional=optional))
    if draw(st.booleans()):
        amount = st.fixed_dictionaries({"amount": decimals("30", 2)})
        part = st.fixed_dictionaries({"share": decimals("0.2", 3)}, optional={"of": decimals("500", 2)})
        banded = st.fixed_dictionaries({"bands": laddered(amount)})
        spec["lighting"] = entries(st.one_of(amount, part, banded))
    return spec, zone, starts_on, ends_on


def toml(value: Any) -> str:
    """A value as a tariff file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + " }"
    return f'"{value}"'


def book_from(spec: Spec) -> TariffBook:
    """The specification written as a file, and read as one."""
    lines: list[str] = []

    def record(section: str, name: str, /, **fields: Any) -> None:
        lines.append(f"[[{section}]]\nid = {toml(name)}\nsource = 'made up'")
        for field, value in fields.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                value = [one | {"source": "made up"} for one in value]
            lines.append(f"{field} = {toml(value)}")

    also = [{"name": "Carnival", "weekday": "1"}, {"name": "Corpus Christi"}]
    lines.append("[[calendar]]\nid='c'\ncountry='BR'\nsource='made up'")
    lines.append("also = " + toml(also).replace('"1"', "1"))
    record("distributor", "d", name="D")
    tariff: dict[str, Any] = {"name": "T", "distributor": "d", "kind": spec["kind"], "tiers": spec["tiers"]}
    if "hours" in spec:
        record("hours", "h", calendar="c", days=spec["hours"])
        tariff |= {"hours": "h", "minimum_window": spec["minimum_window"]}
    for tax in spec["taxes"]:
        record("tax", tax["name"].lower(), name=tax["name"], base=tax["base"], rate=tax["rate"])
    tariff["taxes"] = [tax["name"].lower() for tax in spec["taxes"]]
    if "flags" in spec:
        record("flags", "f", **spec["flags"])
        tariff["flags"] = "f"
    for section, field in (("minimum", "kwh"), ("discount", "rule")):
        if section in spec:
            record(section, "x", **{field: spec[section]})
            tariff[section] = "x"
    if "lighting" in spec:
        record("lighting", "town", name="Town", rate=spec["lighting"])
    record("tariff", "t", **tariff, price=spec["prices"])
    return book_of("\n".join(lines), "made-up.toml")


def measured_by(meter: Meter, moments: list[datetime]) -> list[Measured]:
    return [Measured(starts_at=a, ends_at=b, energy_wh=meter(b) - meter(a)) for a, b in pairwise(moments)]


def check_sums(made: Bill) -> None:
    """What must be true of any bill."""
    assert made.total == sum((line.amount for line in made.lines), Decimal(0))
    assert made.total == cents(made.total)
    billed = Decimal(0)
    for line in made.lines:
        if line.quantity_kwh is not None and line.unit_price is not None:
            assert cents(line.quantity_kwh * line.unit_price) == line.amount
            billed += line.quantity_kwh if line.kind != "flag" else 0
    assert billed >= Decimal(made.energy_wh) / 1000
    for tax in made.taxes:
        assert tax.amount == cents(tax.base * tax.rate)


@given(
    world=worlds(),
    seed=st.integers(0, 2**32),
    most_wh=st.sampled_from([0, 1, 3, 9, 40]),
    phases=st.sampled_from([1, 2, 3]),
)
@settings(max_examples=120, deadline=None)
def test_every_bill_is_the_oracles(
    world: tuple[Spec, str, date, date], seed: int, most_wh: int, phases: int
) -> None:
    spec, zone_name, starts_on, ends_on = world
    zone = ZoneInfo(zone_name)
    terms = Terms(tariff_id="t", phases=phases, municipality="town" if "lighting" in spec else "")
    book = book_from(spec)
    moments = edges(terms, book, starts_on, ends_on, zone)
    meter = Meter(moments[0], seed, most_wh)
    made = bill(terms, book, zone, starts_on, ends_on, measured_by(meter, moments))

    half_hour = timedelta(minutes=30)
    told = OracleBill(spec, zone, starts_on, ends_on, meter, step=half_hour, phases=phases)
    lines = sorted(
        (line.kind, Fraction(line.quantity_kwh or 0), Fraction(line.amount))
        for line in made.lines
        if line.quantity_kwh is None or line.quantity_kwh
    )
    assert made.energy_wh == told.used
    assert lines == sorted(told.lines)
    assert made.total == spelled(told.total)
    taxes = {(tax.name, Fraction(tax.rate)): (Fraction(tax.base), Fraction(tax.amount)) for tax in made.taxes}
    assert {key: row for key, row in taxes.items() if row[0]} == {
        key: row for key, row in told.taxes.items() if row[0]
    }
    check_sums(made)

    # Finer readings tell the same: what lies between edges adds up.
    finer = sorted({*moments, *(moments[0] + n * half_hour for n in range(1, len(meter.sums) // 30))})
    finer = [moment for moment in finer if moment <= moments[-1]]
    assert bill(terms, book, zone, starts_on, ends_on, measured_by(meter, finer)) == made
