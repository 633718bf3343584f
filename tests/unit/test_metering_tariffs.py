"""Tariff files: what is carried along, a utility's own over it, and clear words about every mistake."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from eletrovia.api.sentences_bill import BILL
from eletrovia.base.errors import EletroviaError, Invalid, NotFound
from eletrovia.metering.billwords import FLAGS, WINDOWS
from eletrovia.metering.tariff import Dated, holding
from eletrovia.metering.tariffbook import CARRIED, TariffShelf, book_of, carried_book, read_book, records_of
from eletrovia.metering.tariffday import home_tariffs_of, tariff_day

DOC = Path(__file__).parents[2] / "docs" / "tariffs.md"

GOOD = """
[[distributor]]
id = "d"
name = "D"
source = "-"

[[calendar]]
id = "c"
country = "BR"
source = "-"
also = [{ name = "Carnival", weekday = 1 }]

[[hours]]
id = "h"
calendar = "c"
source = "-"
[[hours.days]]
from = 2020-01-01
rest = "night"
window = [{ name = "day", from = 08:00:00, until = 20:30:00 }]
source = "-"

[[tax]]
id = "x"
name = "X"
base = "price"
source = "-"
[[tax.rate]]
from = 2020-01-01
share = 0.2
source = "-"

[[flags]]
id = "f"
source = "-"
[[flags.value]]
from = 2020-01-01
colour = "green"
kwh = 0
source = "-"
[[flags.held]]
month = "2026-01"
colour = "green"
source = "-"

[[discount]]
id = "s"
source = "-"
[[discount.rule]]
from = 2020-01-01
step = [{ up_to_kwh = 30, share = 0.5 }, { share = 0 }]
source = "-"

[[lighting]]
id = "town"
name = "Town"
source = "-"
[[lighting.rate]]
from = 2020-01-01
amount = 7.5
source = "-"

[[tariff]]
id = "t"
name = "T"
distributor = "d"
kind = "windows"
hours = "h"
taxes = ["x"]
flags = "f"
source = "-"
[[tariff.price]]
from = 2020-01-01
until = 2027-01-01
windows.day = { te = 0.3, tusd = 0.4 }
windows.night = { kwh = 0.2 }
source = "-"
"""


def test_the_good_file_is_good() -> None:
    book = book_of(GOOD, "good.toml")
    assert book.tariff("t").prices[0].windows["day"].per_kwh == Decimal("0.7")


@pytest.mark.parametrize(
    ("old", "new", "record", "field", "reason"),
    [
        ("kwh = 0.2 }", "kwh = -0.2 }", 'tariff "t"', "price[0].windows.night.kwh", "no number"),
        ("kwh = 0.2 }", "kwh = nan }", 'tariff "t"', "price[0].windows.night.kwh", "no number"),
        ("kwh = 0.2 }", "kwh = inf }", 'tariff "t"', "price[0].windows.night.kwh", "no number"),
        ("kwh = 0.2 }", "kwh = 1e400 }", 'tariff "t"', "price[0].windows.night.kwh", "no number"),
        ("kwh = 0.2 }", 'kwh = "x" }', 'tariff "t"', "price[0].windows[...].kwh", "decimal"),
        ("kwh = 0.2 }", "kwh = true }", 'tariff "t"', "price[0].windows[...].kwh", "got `bool`"),
        ("kwh = 0.2 }", "te = 0.2 }", 'tariff "t"', "price[0].windows[night]", "either kwh, or te and tusd"),
        ("kwh = 0.2 }", "kwh = 1, te = 1, tusd = 1 }", 'tariff "t"', "price[0].windows[night]", "either kwh"),
        ("windows.night = { kwh = 0.2 }", "", 'tariff "t"', "price[0].windows", "no price for night"),
        ("windows.night =", "kwh = 1\nwindows.night =", 'tariff "t"', "price[0]", "stands in its windows"),
        ("share = 0.2\n", "share = 1.2\n", 'tax "x"', "rate[0].share", "no share"),
        ("share = 0.2\n", "share = 1\n", 'tariff "t"', "taxes", "the whole price"),
        ("share = 0.2\n", "", 'tax "x"', "rate[0]", "exactly one of share, bands"),
        ("share = 0.2\n", "bands = [{ up_to_kwh = 5, share = 0 }]\n",
         'tax "x"', "rate[0].bands[0].up_to_kwh", "last"),
        ("up_to_kwh = 30, share = 0.5 }, { share", "up_to_kwh = 30, share = 0.5 }, { up_to_kwh = 30, share",
         'discount "s"', "rule[0].step[1].up_to_kwh", "last one"),
        ("{ up_to_kwh = 30, share = 0.5 }", "{ up_to_kwh = 30, share = 0.5 }, { up_to_kwh = 20, share = 0 }",
         'discount "s"', "rule[0].step[1].up_to_kwh", "rise"),
        ("until = 2027-01-01", "until = 2020-01-01", 'tariff "t"', "price[0].until", "not after from"),
        ("from = 2020-01-01\nuntil = 2027-01-01\n", 'month = "2026-13"\n', 'tariff "t"', "", "month like"),
        ('month = "2026-01"', 'month = "2026-01"\nfrom = 2026-01-01', 'flags "f"', "", "not both"),
        ('taxes = ["x"]', 'taxes = ["y"]', 'tariff "t"', "taxes", 'no "y"'),
        ('taxes = ["x"]', 'taxes = ["x", "x"]', 'tariff "t"', "taxes", "twice"),
        ('distributor = "d"', 'distributor = "e"', 'tariff "t"', "distributor", 'no "e"'),
        ('hours = "h"\n', "", 'tariff "t"', "hours", "has hours"),
        ('hours = "h"\n', 'hours = "h"\nlow_income = "u"\n', 'tariff "t"', "low_income", 'no "u"'),
        ('hours = "h"\n', 'hours = "h"\nminimum_window = "u"\n',
         'tariff "t"', "minimum_window", 'no window "u"'),
        ('kind = "windows"', 'kind = "window"', 'tariff "t"', "kind", "Invalid enum"),
        ('name = "Carnival"', 'name = "Karneval"', 'calendar "c"', "also[0].name", "known are"),
        ('country = "BR"', 'country = "XX"', 'calendar "c"', "country", "no holidays"),
        ("until = 20:30:00", "until = 07:00:00", 'hours "h"', "days[0].window[0].until", "not after from"),
        ("until = 20:30:00", "until = 20:30:01", 'hours "h"', "days[0].window[0]", "whole minutes"),
        ("until = 20:30:00 }", 'until = 20:30:00 }, { name = "x", from = 20:00:00, until = 00:00:00 }',
         'hours "h"', "days[0].window", "overlap"),
        ('rest = "night"', 'rest = "all"', 'hours "h"', "days[0]", "may be called"),
        ("amount = 7.5", "amount = 7.5\nshare = 0.1", 'lighting "town"', "rate[0]", "exactly one"),
        ("amount = 7.5", "amonut = 7.5", 'lighting "town"', "rate[0]", "unknown field"),
        ('id = "d"\nname = "D"\nsource = "-"', 'id = "d"\nname = "D"', 'distributor "d"', "", "`source`"),
        ('id = "d"\nname = "D"\nsource = "-"', 'id = "d"\nname = "D"\nsource = ""',
         'distributor "d"', "source", "length"),
        ('id = "d"\nname', 'name', "distributor number 1", "", "`id`"),
        ('[[distributor]]\nid = "d"', '[distributor]\nid = "d"', "[distributor]", "", "two brackets"),
        ("[[lighting]]", "[[lightning]]", "[lightning]", "", "known are"),
        ("[[tax]]\n", '[[tax]]\nid = "x"\nname = "X"\nbase = "net"\nsource = "-"\nrate = []\n[[tax]]\n',
         'tax "x"', "id", "two"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_record_and_field(
    old: str, new: str, record: str, field: str, reason: str
) -> None:
    assert old in GOOD
    with pytest.raises(Invalid) as caught:
        book_of(GOOD.replace(old, new, 1), "mine.toml")
    facts = caught.value.facts
    assert (caught.value.code, facts["file"], facts["record"]) == ("tariff.file_wrong", "mine.toml", record)
    assert facts["field"] == field
    assert reason in facts["reason"]


@pytest.mark.parametrize(
    "table", ["tariff.price", "tax.rate", "lighting.rate", "discount.rule", "hours.days"]
)
def test_days_that_overlap_are_a_mistake(table: str) -> None:
    entry = GOOD.split(f"[[{table}]]\n")[1]
    entry = entry.split("\n\n")[0]
    twice = GOOD.replace(
        f"[[{table}]]\n{entry}", f"[[{table}]]\n{entry}\n[[{table}]]\n" + entry.replace("2020", "2026", 1)
    )
    with pytest.raises(Invalid) as caught:
        book_of(twice, "mine.toml")
    facts = caught.value.facts
    assert (caught.value.code, facts["day"]) == ("tariff.overlap", "2026-01-01")
    assert facts["field"].endswith("[1]")
    assert facts["other"].endswith("[0]")


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[tariff\n")
    with pytest.raises(Invalid, match="tariff.file_malformed"):
        read_book(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="tariff.file_malformed"):
        read_book(broken)
    with pytest.raises(NotFound, match="tariff.file_missing"):
        read_book(tmp_path / "none.toml")


# -- what is carried along


def test_every_dated_record_carried_along_names_its_source_once() -> None:
    seen: set[tuple[str, str]] = set()
    for path in CARRIED.glob("*.toml"):
        for record in records_of(path.read_text("utf-8"), str(path)):
            assert (record.section, record.body.id) not in seen, "two files speak of the same record"
            seen.add((record.section, record.body.id))


def test_invented_prices_say_so() -> None:
    book = carried_book()
    for tariff in book.tariffs.values():
        real = not book.distributors[tariff.distributor].fictional
        assert real or all("demonstration" in one.source or "course" in one.source for one in tariff.prices)


def test_every_window_and_flag_has_words() -> None:
    book = carried_book()
    assert {name for hours in book.hours.values() for plan in hours.plans for name in plan.names} <= set(
        WINDOWS
    )
    assert {value.colour for flags in book.flags.values() for value in flags.values} <= set(FLAGS)


def test_flags_of_2025_are_the_published_ones() -> None:
    flags = carried_book().flags["brazil"]
    held = [
        holding(flags.held, date(2025, month, 1), what="flag", name="brazil").colour for month in range(1, 13)
    ]
    assert held == [*["green"] * 4, "yellow", "red1", "red1", "red2", "red2", "red1", "red1", "yellow"]


def test_demonstrations_go_on() -> None:
    for tariff_id in carried_book().tariffs:
        assert tariff_day(carried_book(), tariff_id, date(2039, 12, 31)).windows


# -- laid over


OWN = """
[[flags]]
id = "brazil"
source = "ours"
[[flags.held]]
month = "2026-04"
colour = "yellow"
source = "ours"
[[flags.held]]
month = "2025-08"
colour = "green"
source = "ours"
"""


def test_a_utilitys_file_is_laid_over_day_by_day(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    flags = read_book(own).flags["brazil"]

    def held(day: date) -> tuple[str, str]:
        one = holding(flags.held, day, what="flag", name="brazil")
        return one.colour, one.source

    assert held(date(2026, 4, 30)) == ("yellow", "ours")
    assert held(date(2025, 8, 1)) == ("green", "ours")
    assert held(date(2025, 9, 1))[0] == "red2"  # what the file does not speak of stays
    assert held(date(2025, 7, 31))[0] == "red1"
    assert len(flags.values) == len(carried_book().flags["brazil"].values)
    with pytest.raises(NotFound, match="tariff.no_price"):
        held(date(2026, 5, 1))
    assert carried_book().flags["brazil"].source != "ours"


def test_no_two_records_hold_at_once_after_laying_over(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    held: list[Dated] = sorted(read_book(own).flags["brazil"].held, key=lambda one: one.starts_on)
    for before, after in pairwise(held):
        assert before.ends_on is not None
        assert before.ends_on <= after.starts_on


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    shelf = TariffShelf(own)
    assert shelf.book() is shelf.book()
    own.write_text(OWN.replace('"yellow"', '"red2"'))
    os.utime(own, ns=(1, 1))
    april = [one.colour for one in shelf.book().flags["brazil"].held if one.starts_on == date(2026, 4, 1)]
    assert april == ["red2"]
    own.write_text("[[tariff")  # broken: what held goes on to hold
    assert [
        one.colour for one in shelf.book().flags["brazil"].held if one.starts_on == date(2026, 4, 1)
    ] == april
    own.unlink()
    assert shelf.book().flags["brazil"].held
    with pytest.raises(EletroviaError):
        TariffShelf(own)


# -- shown


def test_a_day_shown() -> None:
    day = tariff_day(carried_book(), "cariri-b1-branca", date(2026, 9, 8), use_kwh=Decimal(40))
    assert [(window.name, f"{window.starts_at:%H:%M}") for window in day.windows] == [
        ("off_peak", "00:00"), ("intermediate", "16:30"), ("peak", "17:30"), ("intermediate", "20:30"),
        ("off_peak", "21:30"),
    ]  # fmt: skip
    assert day.working_day
    assert day.taxes[0].share == 0  # exempt at 40 kWh
    assert day.flag is not None
    assert day.flag.colour == "red2"
    assert len(tariff_day(carried_book(), "cariri-b1-branca", date(2026, 9, 7)).windows) == 1
    assert tariff_day(carried_book(), "classroom-3", date(2026, 9, 7)).working_day is None


def test_the_list() -> None:
    known = home_tariffs_of(carried_book())
    assert {"cariri-b1-convencional", "cariri-b1-branca", "classroom-3"} <= {one.id for one in known.tariffs}
    assert {"vila-cariri"} <= {one.id for one in known.municipalities}


def test_every_code_of_tariffs_and_bills_has_a_sentence() -> None:
    folder = CARRIED.parent
    nouns = ("tariff", "tariffbook", "tariffcheck", "pricing", "priced", "lines", "portion")
    words = "".join((folder / f"{noun}.py").read_text() for noun in nouns)
    codes = {part.split('"')[0] for part in words.split('"')[1::2] if part.startswith(("tariff.", "bill."))}
    whats = {part.split('"')[0] for part in words.split('what="')[1:]} | {"lighting"}
    assert len(whats) == 8
    assert codes | {f"tariff.no_price/{what}" for what in whats} <= set(BILL)


def test_the_manuals_example_is_right() -> None:
    example = DOC.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    book = book_of(example, "docs/tariffs.md")
    assert book.tariffs
    for tariff_id in book.tariffs:
        assert tariff_day(book, tariff_id, date(2026, 3, 10)).windows
