"""The timeline of an invented trip: what is shown adds up, at any width, with and without colours."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.trip import Itinerary, Place, Stop
from eletrovia.cli.parts import Kind, parts_of, totals_of
from eletrovia.cli.timeline import MARKS, Timeline, columns_of
from eletrovia.people.account import Language

ZONE = ZoneInfo("America/Recife")
START = datetime(2026, 12, 1, 11, 0, tzinfo=UTC)
HERE = Point(-7.12, -34.86)

# (drive s, km, wait s, charge s, soc on arrival, soc after, Wh, price, where)
Leg = tuple[int, float, int, int, float, float, int, str, str]
LEGS: list[Leg] = [
    (5405, 121.4, 0, 1790, 0.312, 0.8, 26352, "51.39", "Recife"),
    (9310, 246.6, 725, 2115, 0.2043, 0.86, 35406, "67.27", "Maceió"),
    (10122, 271.3, 0, 2405, 0.205, 0.8, 32130, "64.26", "Aracaju"),
]


def trip(legs: list[Leg], last: tuple[int, float, float] = (8040, 219.9, 0.2467)) -> Itinerary:
    at = START
    stops = []
    for number, (drive_s, km, wait_s, charge_s, low, high, energy_wh, price, city) in enumerate(legs, 1):
        arrives = at + timedelta(seconds=drive_s)
        starts = arrives + timedelta(seconds=wait_s)
        at = starts + timedelta(seconds=charge_s)
        stops.append(
            Stop(
                operator_id=("BR*CAR", "BR*MAN", "BR*SER")[number % 3],
                location_id=f"{city}-1",
                location_name=f"Eletroposto {city} BR-101",
                city=city,
                coordinates=HERE,
                evse_uid=f"{city}-1-1",
                evse_id=f"BR*CAR*E000{number}",
                power_w=60000,
                arrives_at=arrives,
                starts_at=starts,
                ends_at=at,
                window=Window(starts, at + timedelta(minutes=5)),
                arrival_soc=low,
                departure_soc=high,
                energy_wh=energy_wh,
                distance_km=km,
                drive_s=drive_s,
                price=Decimal(price),
                simulated=True,
            )
        )
    last_s, last_km, last_soc = last
    return Itinerary(
        origin=Place("João Pessoa", HERE),
        destination=Place("Feira de Santana", HERE),
        vehicle_id="demo-compact",
        vehicle_name="Demo Compact",
        departs_at=START,
        arrives_at=at + timedelta(seconds=last_s),
        soc=0.6,
        arrival_soc=last_soc,
        reserve_soc=0.2,
        distance_km=sum(leg[1] for leg in legs) + last_km,
        drive_s=sum(leg[0] for leg in legs) + last_s,
        wait_s=sum(leg[2] for leg in legs),
        charge_s=sum(leg[3] for leg in legs),
        last_leg_km=last_km,
        last_leg_s=last_s,
        price=sum((Decimal(leg[7]) for leg in legs), Decimal(0)),
        currency="BRL",
        stops=tuple(stops),
    )


def drawn(
    way: Itinerary, width: int = 80, language: Language = Language.ENGLISH, encoding: str = "utf-8"
) -> str:
    octets = io.BytesIO()
    file = io.TextIOWrapper(octets, encoding=encoding, errors="replace", write_through=True)
    console = Console(file=file, width=width, color_system=None, highlight=False)
    console.print(Timeline(way, language=language, zone=ZONE))
    return octets.getvalue().decode(encoding)


legs = st.lists(
    st.tuples(
        st.integers(60, 30000),
        st.floats(0.1, 500),
        st.sampled_from([0, 1, 29, 30, 31, 3600]),
        st.integers(1, 7200),
        st.floats(0, 1),
        st.floats(0, 1),
        st.integers(0, 90000),
        st.decimals(0, 500, places=2).map(str),
        st.just("Recife"),
    ),
    max_size=8,
)


@given(legs, st.tuples(st.integers(1, 30000), st.floats(0, 500), st.floats(0, 1)))
def test_the_parts_join_and_their_rounded_lengths_add_up(
    found: list[Leg], last: tuple[int, float, float]
) -> None:
    way = trip(found, last)
    parts = parts_of(way)
    assert parts[0].starts_at == way.departs_at
    assert parts[-1].ends_at == way.arrives_at
    for before, after in pairwise(parts):
        assert before.ends_at == after.starts_at
        assert before.soc_after == after.soc_before
    totals = totals_of(way, parts)
    assert totals.minutes == round((way.arrives_at - way.departs_at).total_seconds() / 60)
    assert totals.km == round(way.distance_km)
    assert totals.price == way.price
    assert abs(totals.drive_minutes * 60 - way.drive_s) <= 30 * len(parts) + 30
    assert sum(part.kind is Kind.CHARGE for part in parts) == len(way.stops)
    assert all(part.kind is not Kind.WAIT or part.ends_at > part.starts_at for part in parts)


@settings(max_examples=30, deadline=None)
@given(legs, st.integers(40, 160))
def test_no_width_breaks_the_drawing_and_the_bar_keeps_the_order_of_the_parts(
    found: list[Leg], width: int
) -> None:
    way = trip(found)
    assert all(len(line.rstrip()) <= width for line in drawn(way, width).splitlines())
    parts = parts_of(way)
    columns = columns_of(parts, width)
    assert len(columns) == width
    order = [parts.index(part) for part in columns]
    assert order == sorted(order)
    assert {at for at, part in enumerate(parts) if part.kind is not Kind.DRIVE} <= set(order)


def test_rows_add_up_as_they_are_read_from_the_screen() -> None:
    text = drawn(trip(LEGS), 120)
    kms = [int(found) for found in re.findall(r"drive (\d+) km", text)]
    assert sum(kms) == 859
    assert "859 km · driving" in text
    spans = re.findall(r"^(\d\d):(\d\d) .*?(?:(\d+) h )?(\d+)(?: min)? +\d+%", text, re.M)
    minutes = [int(hours or 0) * 60 + int(rest) for _, _, hours, rest in spans]
    clock = [int(hour) * 60 + int(minute) for hour, minute, _, _ in spans]
    assert len(minutes) == 8  # four drives, one wait, three charges
    assert sum(minutes) == round(trip(LEGS).arrives_at.timestamp() / 60 - START.timestamp() / 60)
    for (at, lasts), (then, _) in pairwise(zip(clock, minutes, strict=True)):
        assert abs(then - (at + lasts)) <= 1  # clocks show whole minutes, cut off
    prices = [Decimal(found) for found in re.findall(r"R\$ (\d+\.\d\d)$", text, re.M)]
    assert prices[-1] == sum(prices[:-1]) == Decimal("182.92")


def test_a_portuguese_timeline_uses_portuguese_words_and_numbers() -> None:
    dear = msgspec.structs.replace(trip(LEGS), price=Decimal("1182.92"))
    text = drawn(dear, 100, Language.PORTUGUESE)
    assert "R$ 1.182,92" in text
    assert "carregar 26,4 kWh em Eletroposto Recife BR-101" in text
    assert "01/12/2026 08:00 (America/Recife, UTC−03:00)" in text
    assert "simulada" in text


def test_every_charge_has_its_number_over_the_curve_and_its_mark_in_the_bar() -> None:
    lines = drawn(trip(LEGS), 80).splitlines()
    curve = next(at for at, line in enumerate(lines) if line.strip().startswith("100%"))
    assert lines[curve - 1].split() == ["1", "2", "3"]
    bar = lines[curve + 5]
    runs = re.findall(f"{MARKS[Kind.CHARGE]}+", bar)
    assert len(runs) == 3
    for digit, run in zip("123", re.finditer(f"{MARKS[Kind.CHARGE]}+", bar), strict=True):
        assert lines[curve - 1].index(digit) == run.start()
    assert set(bar.strip()) == set(MARKS.values())
    assert "08:00" in lines[curve + 6]
    assert f"{trip(LEGS).arrives_at.astimezone(ZONE):%H:%M}" in lines[curve + 6]


def test_the_curve_falls_while_driving_and_rises_while_charging() -> None:
    lines = drawn(trip(LEGS), 80).splitlines()
    first = next(at for at, line in enumerate(lines) if line.strip().startswith("100%"))
    rows = [line[6:].ljust(73) for line in lines[first : first + 5]]
    heights = [sum(" ▁▂▃▄▅▆▇█".index(row[column]) for row in rows) for column in range(73)]
    marks = lines[first + 5][6:].ljust(73)
    for at in range(1, 73):
        if marks[at - 1 : at + 1] == "━━":
            assert heights[at] <= heights[at - 1]
        if marks[at - 1 : at + 1] == "▓▓":
            assert heights[at] >= heights[at - 1]
    assert heights[0] == pytest.approx(0.6 * 40, abs=1.5)


def test_a_trip_over_midnight_says_so() -> None:
    text = drawn(trip([*LEGS, (20000, 200.0, 0, 1800, 0.3, 0.8, 25000, "40.00", "Salvador")]))
    assert re.search(r"^\d\d:\d\d \+1 .*arrive in Feira de Santana", text, re.M)


def test_without_any_stop_there_is_one_drive() -> None:
    text = drawn(trip([]))
    assert "drive 220 km to Feira de Santana" in text
    assert "charging 0 min" in text


def test_a_terminal_that_knows_ascii_only_still_tells_the_kinds_apart() -> None:
    text = drawn(trip(LEGS), 80, encoding="ascii")
    bar = next(line for line in text.splitlines() if re.fullmatch(r" +[-.#]{60,}", line))
    assert set(bar.strip()) == {"-", ".", "#"}
