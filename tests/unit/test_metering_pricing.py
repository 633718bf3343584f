"""Bills by hand: published examples, and the corners of the rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.base.money import cents, cents_of
from eletrovia.metering.bill import Bill, BillLine, Measured, Terms
from eletrovia.metering.billwords import said
from eletrovia.metering.portion import by_days, ladder
from eletrovia.metering.priced import Levy
from eletrovia.metering.pricing import bill, edges
from eletrovia.metering.tariff import TariffBook
from eletrovia.metering.tariffbook import book_of, carried_book
from eletrovia.metering.taxing import with_taxes

ZONE = ZoneInfo("America/Fortaleza")
HEAD = """
[[distributor]]
id = "d"
name = "D"
source = "-"
"""


def book(text: str) -> TariffBook:
    return book_of(HEAD + text, "test.toml")


def tariff(price: str, kind: str = "flat", more: str = "", extra: str = "") -> TariffBook:
    """One tariff ``t`` with one price from 2000 on."""
    return book(f"""
{extra}
[[tariff]]
id = "t"
name = "T"
distributor = "d"
kind = "{kind}"
source = "-"
{more}
[[tariff.price]]
from = 2000-01-01
source = "-"
{price}
""")


def billed(
    prices: TariffBook,
    energy_wh: int,
    *,
    terms: Terms | None = None,
    starts_on: date = date(2026, 9, 1),
    ends_on: date = date(2026, 10, 1),
    credits: tuple[BillLine, ...] = (),
) -> Bill:
    """A period in which all usage falls into its first stretch."""
    terms = terms or Terms(tariff_id="t")
    moments = edges(terms, prices, starts_on, ends_on, ZONE)
    measured = [
        Measured(starts_at=a, ends_at=b, energy_wh=energy_wh if n == 0 else 0)
        for n, (a, b) in enumerate(pairwise(moments))
    ]
    return bill(terms, prices, ZONE, starts_on, ends_on, measured, credits=credits)


def parts(made: Bill) -> list[tuple[str, str, str]]:
    return [(line.label, str(line.quantity_kwh), str(line.amount)) for line in made.lines]


# -- published examples


def test_por_dentro_with_icms_outside_the_contributions() -> None:
    """Figures of ogustavorossi.com.br/impostos-na-tarifa."""
    levies = [
        Levy(name="ICMS", share=Decimal("0.18"), outer=True),
        Levy(name="PIS", share=Decimal("0.0082"), outer=False),
        Levy(name="COFINS", share=Decimal("0.0377"), outer=False),
    ]
    exact = with_taxes(Fraction("0.35") + Fraction("0.45"), levies)
    assert exact == Fraction("0.80") / (Fraction("0.9541") * Fraction("0.82"))
    assert round(float(exact), 5) == 1.02254
    # The older formula, with ICMS in the base of PIS and COFINS, asked for more.
    assert exact < Fraction("0.80") / (1 - Fraction("0.18") - Fraction("0.0459"))


def test_the_old_social_tariff_is_the_published_table() -> None:
    """0,63903 less 65, 40 and 10 % is 0,22366, 0,38342 and 0,57513."""
    rule = carried_book().discounts["tarifa-social"].rules[0]
    shown = [cents(Decimal("63903") * (1 - step.share)) / 100_000 for step in rule.steps]
    assert [str(price.quantize(Decimal("0.00001"))) for price in shown] == [
        "0.22366", "0.38342", "0.57513", "0.63903",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("used_wh", "paid_kwh"), [(80_000, "0"), (85_000, "5.000"), (40_000, "0"), (80_001, "0.001")]
)
def test_eighty_kwh_are_free_since_july_2025(used_wh: int, paid_kwh: str) -> None:
    terms = Terms(tariff_id="cariri-b1-convencional", low_income=True)
    made = billed(carried_book(), used_wh, terms=terms, starts_on=date(2026, 1, 1), ends_on=date(2026, 2, 1))
    paid = [line for line in made.lines if line.kind == "energy" and line.unit_price]
    assert sum((line.quantity_kwh or 0 for line in paid), Decimal(0)) == Decimal(paid_kwh)
    assert (made.total > 0) is (used_wh > 80_010)


def test_a_free_home_with_three_phases_has_no_minimum() -> None:
    terms = Terms(tariff_id="cariri-b1-convencional", low_income=True, phases=3)
    days = {"starts_on": date(2026, 1, 1), "ends_on": date(2026, 2, 1)}
    assert billed(carried_book(), 80_000, terms=terms, **days).total == 0
    above = billed(carried_book(), 80_001, terms=terms, **days)
    assert [str(line.quantity_kwh) for line in above.lines] == ["80.000", "20.000"]


def test_a_flag_that_changes_is_split_by_days() -> None:
    """Twenty days of one flag and ten of the next, as Cocel told its customers in October 2019."""
    prices = tariff(
        "kwh = 0",
        more='flags = "f"',
        extra="""
[[flags]]
id = "f"
source = "-"
value = [
    { colour = "red1", kwh = 0.04, from = 2019-06-01, source = "-" },
    { colour = "yellow", kwh = 0.015, from = 2019-06-01, source = "-" },
]
held = [
    { colour = "red1", month = "2019-09", source = "-" },
    { colour = "yellow", month = "2019-10", source = "-" },
]
""",
    )
    made = billed(prices, 300_000, starts_on=date(2019, 9, 11), ends_on=date(2019, 10, 11))
    flags = [(line.facts["flag"], str(line.quantity_kwh), str(line.amount)) for line in made.lines[1:]]
    assert flags == [("red1", "200.000", "8.00"), ("yellow", "100.000", "1.50")]
    assert said(made.lines[1], "pt-BR") == "Bandeira vermelha 1, 11 a 30 de setembro"
    assert said(made.lines[2], "en") == "Yellow flag, 1–10 October"


def test_the_classrooms_invoices() -> None:
    """(last − one before) × 3, and last × 0.4 to two places."""
    assert billed(carried_book(), 7_000, terms=Terms(tariff_id="classroom-3")).total == Decimal("21.00")
    assert billed(carried_book(), 123_456, terms=Terms(tariff_id="classroom-0-4")).total == Decimal("49.38")


# -- tiers


@pytest.mark.parametrize(
    ("used_wh", "marginal", "whole"),
    [
        (0, "0.00", "0.00"),
        (100_000, "10.00", "10.00"),
        (100_001, "10.00", "20.00"),
        (200_000, "30.00", "40.00"),
        (200_001, "30.00", "80.00"),
        (250_000, "50.00", "100.00"),
    ],
)
def test_tiers_marginal_and_whole(used_wh: int, marginal: str, whole: str) -> None:
    ladder = (
        "tiers = [{ up_to_kwh = 100, kwh = 0.1 }, { up_to_kwh = 200, kwh = 0.2 }, { te = 0.3, tusd = 0.1 }]"
    )
    assert billed(tariff(ladder, "tiers"), used_wh).total == Decimal(marginal)
    assert billed(tariff(ladder, "tiers", 'tiers = "whole"'), used_wh).total == Decimal(whole)


def test_a_tier_says_which_one_it_is() -> None:
    ladder = "tiers = [{ up_to_kwh = 100, kwh = 0.1 }, { up_to_kwh = 200, kwh = 0.2 }, { kwh = 0.4 }]"
    made = billed(tariff(ladder, "tiers"), 250_000)
    assert [said(line, "en") for line in made.lines] == [
        "Energy up to 100 kWh, 1–30 September",
        "Energy from 100 to 200 kWh, 1–30 September",
        "Energy above 200 kWh, 1–30 September",
    ]


@given(
    used=st.lists(st.integers(0, 400_000), min_size=2, max_size=2),
    steps=st.lists(st.tuples(st.integers(1, 350), st.integers(0, 90_000)), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_more_usage_never_costs_less(used: list[int], steps: list[tuple[int, int]]) -> None:
    limits = sorted({limit for limit, _ in steps})
    rates = sorted(rate for _, rate in steps)[: len(limits) + 1]
    rates += [rates[-1]] * (len(limits) + 1 - len(rates))
    written = [
        f"{{ up_to_kwh = {a}, kwh = {Decimal(b) / 100_000:f} }}" for a, b in zip(limits, rates, strict=False)
    ]
    prices = tariff(f"tiers = [{', '.join(written)}, {{ kwh = {Decimal(rates[-1]) / 100_000:f} }}]", "tiers")
    less, more = sorted(used)
    assert billed(prices, less).total <= billed(prices, more).total


# -- the minimum


MINIMUM = """
[[minimum]]
id = "m"
source = "-"
kwh = [{ from = 2000-01-01, one = 30, two = 50, three = 100, source = "-" }]
"""


@pytest.mark.parametrize(
    ("phases", "used_wh", "total"), [(1, 0, "30.00"), (1, 29_999, "30.00"), (1, 30_001, "30.00"),
                                     (1, 30_010, "30.01"), (2, 10_000, "50.00"), (3, 99_000, "100.00")]
)  # fmt: skip
def test_the_minimum_by_phases(phases: int, used_wh: int, total: str) -> None:
    prices = tariff("kwh = 1", more='minimum = "m"', extra=MINIMUM)
    made = billed(prices, used_wh, terms=Terms(tariff_id="t", phases=phases))
    assert made.total == Decimal(total)
    assert made.energy_wh == used_wh
    below = used_wh < {1: 30_000, 2: 50_000, 3: 100_000}[phases]
    assert {line.kind for line in made.lines} == {"minimum" if below else "energy"}


def test_the_minimum_of_a_tariff_with_windows_fills_up_what_lacks() -> None:
    terms = Terms(tariff_id="cariri-b1-branca", phases=1)
    start, end = date(2026, 1, 1), date(2026, 2, 1)
    made = billed(carried_book(), 10_000, terms=terms, starts_on=start, ends_on=end)
    assert ("minimum.extra", "20.000") in [row[:2] for row in parts(made)]
    extra = next(line for line in made.lines if line.kind == "minimum")
    assert said(extra, "pt-BR") == "Complemento até o mínimo de 30 kWh (consumo de 10), 1 a 31 de janeiro"


# -- windows


def test_windows_hold_on_working_days_only() -> None:
    """Carnival Tuesday of 2026: one more kWh in the evening costs what it costs at night."""
    terms, prices = Terms(tariff_id="cariri-b1-branca"), carried_book()

    def evening(day: date) -> Decimal:
        made = measured_at(terms, prices, day, 19)
        return next(line.unit_price or Decimal(0) for line in made.lines if line.quantity_kwh)

    monday, carnival = evening(date(2026, 2, 16)), evening(date(2026, 2, 17))
    assert monday > 2 * carnival
    assert carnival == evening(date(2026, 2, 15))


def measured_at(terms: Terms, prices: TariffBook, day: date, hour: int) -> Bill:
    start, end = date(2026, 2, 1), date(2026, 3, 1)
    moments = edges(terms, prices, start, end, ZONE)
    at = moments[0] + (day - start) + timedelta(hours=hour)
    measured = [
        Measured(starts_at=a, ends_at=b, energy_wh=40_000 if a <= at < b else 0) for a, b in pairwise(moments)
    ]
    return bill(terms, prices, ZONE, start, end, measured)


def test_a_month_of_edges() -> None:
    """21 working days in June 2026 without Corpus Christi: four window bounds each, and the month's ends."""
    terms = Terms(tariff_id="cariri-b1-branca")
    flagless = edges(terms, carried_book(), date(2026, 6, 1), date(2026, 7, 1), ZONE)
    assert len(flagless) == 21 * 4 + 2
    plain = Terms(tariff_id="classroom-3")
    ends = [flagless[0], flagless[-1]]
    assert edges(plain, carried_book(), date(2026, 6, 1), date(2026, 7, 1), ZONE) == ends


# -- taxes


def test_taxes_add_up_and_can_be_checked() -> None:
    made = billed(
        carried_book(),
        210_123,
        terms=Terms(tariff_id="cariri-b1-convencional", municipality="vila-cariri"),
        starts_on=date(2026, 4, 20),
        ends_on=date(2026, 5, 20),
    )
    energy = sum((line.amount for line in made.lines if line.kind != "lighting"), Decimal(0))
    by_name = {}
    for tax in made.taxes:
        by_name.setdefault(tax.name, []).append(tax)
        assert tax.amount == cents(tax.base * tax.rate)
    assert [len(by_name[name]) for name in ("ICMS", "PIS", "COFINS")] == [1, 2, 2]  # they changed on 1 May
    assert by_name["ICMS"][0].base == energy
    left = energy - by_name["ICMS"][0].amount
    assert sum((tax.base for tax in by_name["PIS"]), Decimal(0)) == left
    assert sum((tax.base for tax in by_name["COFINS"]), Decimal(0)) == left


@pytest.mark.parametrize(("used_wh", "rate"), [(50_000, "0"), (50_001, "0.20")])
def test_a_tax_by_usage_lies_on_all_of_it(used_wh: int, rate: str) -> None:
    terms = Terms(tariff_id="cariri-b1-convencional")
    made = billed(carried_book(), used_wh, terms=terms)
    assert [str(tax.rate) for tax in made.taxes if tax.name == "ICMS"] == [rate]


# -- the rest


@pytest.mark.parametrize(
    ("rate", "amount"),
    [
        ("amount = 12.345", "12.35"),
        ("share = 0.05", "10.00"),
        ("share = 0.05\nof = 81.3", "4.07"),
        (
            "bands = [{ up_to_kwh = 199, amount = 1 }, { up_to_kwh = 200, amount = 2 }, { amount = 3 }]",
            "2.00",
        ),
    ],
)
def test_public_lighting(rate: str, amount: str) -> None:
    town = '[[lighting]]\nid = "town"\nname = "Town"\nsource = "-"\n[[lighting.rate]]\n'
    town += f'from = 2000-01-01\nsource = "-"\n{rate}\n'
    prices = tariff("kwh = 1", extra=town)
    made = billed(prices, 200_000, terms=Terms(tariff_id="t", municipality="town"))
    assert str(made.lines[-1].amount) == amount
    assert made.lines[-1].kind == "lighting"
    assert made.taxes == ()


def test_credits_are_lines_without_taxes() -> None:
    back = BillLine(kind="credit", label="credit", facts={"note": "goodwill"}, amount=Decimal("-5.00"))
    prices = tariff("kwh = 1")
    assert billed(prices, 3_000, credits=(back,)).total == Decimal("-2.00")
    assert said(back, "pt-BR") == "Crédito: goodwill"


def test_a_bill_survives_json() -> None:
    made = billed(
        carried_book(), 99_999, terms=Terms(tariff_id="cariri-b1-branca", municipality="vila-cariri")
    )
    again = msgspec.json.decode(msgspec.json.encode(made), type=Bill)
    assert again == made
    for line in again.lines:
        for language in ("en", "pt-BR"):
            words = said(line, language)
            assert words != line.label
            assert "{" not in words


@pytest.mark.parametrize(
    ("terms", "days", "what"),
    [
        (Terms(tariff_id="cariri-b1-convencional"), (date(1999, 12, 1), date(2000, 1, 1)), "tariff"),
        (
            Terms(tariff_id="cariri-b1-convencional", low_income=True),
            (date(2009, 12, 20), date(2010, 1, 25)),
            "discount",
        ),
        (
            Terms(tariff_id="classroom-3", municipality="nowhere"),
            (date(2026, 1, 1), date(2026, 2, 1)),
            "lighting",
        ),
    ],
)
def test_a_missing_price_is_never_guessed(terms: Terms, days: tuple[date, date], what: str) -> None:
    with pytest.raises(NotFound) as caught:
        billed(carried_book(), 1_000, terms=terms, starts_on=days[0], ends_on=days[1])
    assert caught.value.code == "tariff.no_price"
    assert caught.value.facts["what"] == what
    assert date.fromisoformat(caught.value.facts["day"]) < days[1]


def test_real_flags_end_where_their_sources_do() -> None:
    with pytest.raises(NotFound) as caught:
        billed(tariff_on_brazils_flags(), 1_000, starts_on=date(2026, 3, 15), ends_on=date(2026, 4, 15))
    assert caught.value.facts.items() >= {"what": "flag", "name": "brazil", "day": "2026-04-01"}.items()


def tariff_on_brazils_flags() -> TariffBook:
    own = tariff("kwh = 1")
    flagged = msgspec.structs.replace(own.tariffs["t"], flags="brazil")
    return msgspec.structs.replace(own, tariffs={"t": flagged}, flags=carried_book().flags)


def broken(change: Callable[[list[Measured]], list[Measured]], reason: str) -> None:
    terms, prices = Terms(tariff_id="cariri-b1-branca"), carried_book()
    start, end = date(2026, 6, 1), date(2026, 7, 1)
    moments = edges(terms, prices, start, end, ZONE)
    measured = [Measured(starts_at=a, ends_at=b, energy_wh=1) for a, b in pairwise(moments)]
    bill(terms, prices, ZONE, start, end, measured)
    with pytest.raises(Invalid) as caught:
        bill(terms, prices, ZONE, start, end, change(measured))
    assert (caught.value.code, caught.value.facts["reason"]) == ("bill.measured_wrong", reason)


def test_what_was_measured_must_fit() -> None:
    broken(lambda all_: [], "gap")
    broken(lambda all_: all_[1:], "period")
    broken(lambda all_: all_[:-1], "period")
    broken(lambda all_: all_[:5] + all_[6:], "gap")
    broken(lambda all_: all_[::-1], "gap")
    joined = lambda a, b: msgspec.structs.replace(a, ends_at=b.ends_at)  # noqa: E731
    broken(lambda all_: [joined(all_[0], all_[1]), *all_[2:]], "edge")
    broken(lambda all_: [msgspec.structs.replace(all_[0], energy_wh=-1), *all_[1:]], "gap")


def test_a_period_needs_a_day() -> None:
    with pytest.raises(Invalid, match="bill.period_empty"):
        billed(carried_book(), 0, terms=Terms(tariff_id="classroom-3"), ends_on=date(2026, 9, 1))


# -- sharing out


@given(energy_wh=st.integers(0, 10**9), days=st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_days_share_everything_out(energy_wh: int, days: list[int]) -> None:
    shared = by_days(energy_wh, days)
    assert sum(shared) == energy_wh
    for part, count in zip(shared, days, strict=True):
        assert abs(Fraction(part) - Fraction(energy_wh * count, sum(days))) < 1


@given(
    part=st.integers(0, 500_000),
    rest=st.integers(0, 500_000),
    limits=st.lists(st.integers(1, 900).map(Decimal), max_size=4),
)
def test_steps_share_everything_out(part: int, rest: int, limits: list[Decimal]) -> None:
    steps = ladder(part, part + rest, limits)
    assert sum(step.energy_wh for step in steps) == part
    for step in steps:
        assert step.up_to_kwh is None or step.above_kwh < step.up_to_kwh


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=10**6))
def test_there_is_one_rounding_rule(amount: Fraction) -> None:
    rounded = Fraction(cents_of(amount))
    assert abs(rounded - amount) <= Fraction(1, 200)
    assert cents_of(-amount) == -cents_of(amount)
    whole = amount * 10**12
    if whole.denominator == 1:
        assert cents_of(amount) == cents(Decimal(whole.numerator).scaleb(-12))


@pytest.mark.parametrize(
    ("exact", "shown"), [("1/200", "0.01"), ("-1/200", "-0.01"), ("1/201", "0.00"), ("3/200", "0.02")]
)
def test_halves_go_up(exact: str, shown: str) -> None:
    assert str(cents_of(Fraction(exact))) == shown
