"""Files of readings: every layout is recognised, every time put where it belongs, every Wh added up."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.metering.files.amounts import OK, Point, parts_of, point_of
from eletrovia.metering.files.destination import Tally, births
from eletrovia.metering.files.registers import Cumulation
from eletrovia.metering.files.shape import Form, Shape, Stamp, Unit, Values, Wishes
from eletrovia.metering.files.sheet import Sheet
from eletrovia.metering.files.table import Table, open_table
from eletrovia.metering.files.times import NO_TIME, DateOrder, Times, order_of, zone_of
from eletrovia.metering.reading import Fate

HOMES = Path(__file__).parents[3] / "shared" / "data" / "households_halfhourly.csv.gz"
Found = dict[str, list[tuple[datetime, int, bool]]]


def no_starts(first: Mapping[str, int]) -> Mapping[str, Decimal]:
    return {}


class Read:
    """A file, read to its end."""

    def __init__(self, path: Path, starts: Any = no_starts, **wishes: Any) -> None:
        with Sheet(path) as sheet:
            self.table: Table = open_table(sheet, Wishes(**{"zone": "UTC"} | wishes), starts)
            self.shape: Shape = self.table.shape
            self.readings: Found = defaultdict(list)
            self.kwh: dict[str, list[float]] = defaultdict(list)
            for piece in self.table.pieces():
                for row in np.lexsort((piece.at_us, piece.meter)).tolist():
                    name = piece.meters[int(piece.meter[row])]
                    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(piece.at_us[row]))
                    self.readings[name].append((at, int(piece.energy_wh[row]), bool(piece.estimated[row])))
                    self.kwh[name].append(float(piece.sent_kwh[row]))
        self.troubles = {code: one.count for code, one in self.table.troubles.by_code.items()}

    def of(self, name: str) -> list[tuple[str, int]]:
        return [(at.strftime("%d %H:%M"), energy_wh) for at, energy_wh, _ in self.readings[name]]


def written(folder: Path, text: str, name: str = "file.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode(encoding)) if name.endswith(".gz") else text.encode(encoding))
    return path


def long_rows(meter: str, values: list[str], start: str = "2026-03-01 00:00", minutes: int = 30) -> str:
    first = datetime.fromisoformat(start)
    return "".join(
        f"{meter},{first + timedelta(minutes=minutes * place)},{value}\n"
        for place, value in enumerate(values)
    )


UP_AND_DOWN = ["0.5", "0.25", "1.125", "0.1", "0.7", "0.3"] * 3


def test_differences_stand_at_the_ends_of_their_intervals(tmp_path: Path) -> None:
    read = Read(written(tmp_path, "meter,time,kwh\n" + long_rows("M1", UP_AND_DOWN)))
    assert (read.shape.form, read.shape.values, read.shape.unit) == (Form.LONG, Values.DIFFERENCES, Unit.KWH)
    assert read.of("M1")[:4] == [("01 00:00", 0), ("01 00:30", 500), ("01 01:00", 750), ("01 01:30", 1875)]
    assert len(read.readings["M1"]) == len(UP_AND_DOWN) + 1
    assert not read.troubles


def test_an_end_stamp_is_taken_as_one(tmp_path: Path) -> None:
    read = Read(written(tmp_path, "meter,time,kwh\n" + long_rows("M1", UP_AND_DOWN)), stamp=Stamp.END)
    assert read.of("M1")[:2] == [("28 23:30", 0), ("01 00:00", 500)]


def test_registers_are_taken_as_they_stand_even_out_of_order(tmp_path: Path) -> None:
    rows = [f"M1;{1 + place:02}/03/2026 10:00;{100 + place},{place:03}\n" for place in range(20)]
    text = "medidor;data;leitura (kWh)\n" + "".join([*rows[10:], *rows[:10]])
    read = Read(written(tmp_path, text), zone="America/Fortaleza")
    assert (read.shape.values, read.shape.point, read.shape.dates) == (
        Values.REGISTERS,
        Point.COMMA,
        DateOrder.DAY_FIRST,
    )
    assert sorted(read.of("M1"))[:2] == [("01 13:00", 100_000), ("02 13:00", 101_001)]


def test_registers_are_told_from_differences_by_never_falling(tmp_path: Path) -> None:
    rising = "id,at,value_wh\n" + long_rows("M1", [str(10 * place) for place in range(30)])
    assert Read(written(tmp_path, rising)).shape.values is Values.REGISTERS
    flat = "id,at,value_wh\n" + long_rows("M1", ["0"] * 30)
    with pytest.raises(Invalid, match=r"readings\.values_unclear"):
        Read(written(tmp_path, flat))
    assert Read(written(tmp_path, flat), values=Values.DIFFERENCES).of("M1")[-1] == ("01 15:00", 0)


@pytest.mark.parametrize(
    ("header", "count", "expected"),
    [
        ([f"{hour:02}:00" for hour in range(24)], 24, [("01 00:00", 0), ("01 01:00", 1), ("01 02:00", 3)]),
        ([f"h{hour}" for hour in range(1, 25)], 24, [("01 00:00", 0), ("01 01:00", 1), ("01 02:00", 3)]),
        (
            [f"{half // 2:02}:{half % 2 * 30:02}" for half in range(1, 49)],
            48,
            [("01 00:00", 0), ("01 00:30", 1), ("01 01:00", 3)],
        ),
        ([str(quarter) for quarter in range(96)], 96, [("01 00:00", 0), ("01 00:15", 1), ("01 00:30", 3)]),
    ],
)
def test_a_row_a_day_is_recognised(
    tmp_path: Path, header: list[str], count: int, expected: list[tuple[str, int]]
) -> None:
    values = ",".join(str(1 + place % 7) for place in range(count))
    text = f"NMI,date,{','.join(header)}\n" + "".join(f"M1,2026-03-{day:02},{values}\n" for day in (1, 2, 3))
    read = Read(written(tmp_path, text), unit=Unit.WH)
    assert (read.shape.form, read.shape.values) == (Form.WIDE_DAY, Values.DIFFERENCES)
    assert read.of("M1")[:3] == expected
    assert read.of("M1")[-1] == ("04 00:00", 3 * sum(1 + place % 7 for place in range(count)))
    assert len(read.readings["M1"]) == 3 * count + 1
    assert not any(estimated for _, _, estimated in read.readings["M1"])


def test_a_column_a_meter_is_recognised(tmp_path: Path) -> None:
    rows = "".join(f"2026-03-01 {hour:02}:00,{hour % 3 + 0.5},{hour % 4 + 0.25},note\n" for hour in range(24))
    read = Read(written(tmp_path, "timestamp,HOME-1,HOME-2,remark\n" + rows), unit=Unit.KWH)
    assert read.shape.form is Form.WIDE_METER
    assert read.shape.meters == ("HOME-1", "HOME-2")
    assert read.of("HOME-1")[:2] == [("01 00:00", 0), ("01 01:00", 500)]
    assert read.of("HOME-2")[-1] == ("02 00:00", 42_000)


def test_dates_and_times_may_stand_apart(tmp_path: Path) -> None:
    rows = "".join(f"{13 + hour // 24}/02/26;{hour % 24}:00;{hour % 5},5\n" for hour in range(48))
    read = Read(written(tmp_path, "Data;Hora;Consumo kWh\n" + rows, encoding="cp1252"), meter="UC-1")
    assert read.shape.times == (0, 1)
    assert read.of("UC-1")[:2] == [("13 00:00", 0), ("13 01:00", 500)]
    assert not read.troubles


def test_marks_of_encodings_packing_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    text = "meter,time,kwh\n" + long_rows("M1", UP_AND_DOWN)
    plain = Read(written(tmp_path, text)).readings
    for name, encoding, content in (
        ("bom.csv", "utf-8-sig", text),
        ("packed.csv.gz", "utf-8", text),
        ("misnamed.gz", "utf-8-sig", text),
        ("wide.csv", "utf-16", text),
        ("crlf.csv", "utf-8", text.replace("\n", "\r\n")),
        ("tabs.csv", "utf-8", text.replace(",", "\t")),
        ("semicolons.csv", "utf-8", text.replace(",", ";").replace(".", ",")),
        ("blank.csv", "utf-8", "\n\n" + text.replace("\n", "\n\n") + "\n\n"),
        ("quoted.csv", "utf-8", text.replace("M1,", '"M1",')),
    ):
        assert Read(written(tmp_path, content, name, encoding)).readings == plain, name


def test_what_a_file_does_not_say_is_asked_for_with_what_there_is(tmp_path: Path) -> None:
    rows = long_rows("M1", UP_AND_DOWN)
    for header, code in (
        ("a,time,kwh", "readings.column_unclear"),
        ("meter,time,reactive,kvarh", "readings.column_unclear"),
        ("meter,time,value", "readings.unit_unclear"),
    ):
        extra = ",1" if header.count(",") == 3 else ""
        text = header + "\n" + rows.replace("\n", extra + "\n")
        with pytest.raises(Invalid, match=code.replace(".", r"\.")) as problem:
            Read(written(tmp_path, text))
        assert header.split(",")[2] in problem.value.facts["found"]
    text = "a,b,c\n" + rows
    read = Read(written(tmp_path, text), meter_column="A", value_column="c", unit=Unit.WH)
    assert read.of("M1")[-1] == ("01 09:00", 8)
    with pytest.raises(Invalid, match=r"readings\.no_such_column"):
        Read(written(tmp_path, text), meter_column="d")
    with pytest.raises(Invalid, match=r"readings\.zone_unknown"):
        Read(written(tmp_path, text), zone="Mars/Olympus")
    with pytest.raises(Invalid, match=r"readings\.interval_unclear"):
        Read(written(tmp_path, "meter,time,kwh\nM1,2026-03-01,1\n"), values=Values.DIFFERENCES)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"readings\.no_such_file"):
        Sheet(tmp_path / "nothing.csv")
    for content, code in (
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"meter,time,kwh\n", "empty"),
        (b"\x00\x01\x02\x03", "not_text"),
        (gzip.compress(b"meter,time,kwh\nM1,2026-03-01 00:00,1\n" * 5000)[:-20], "broken_gzip"),
        (b"\x1f\x8bnonsense", "broken_gzip"),
    ):
        path = tmp_path / "bad.csv"
        path.write_bytes(content)
        with pytest.raises(Invalid, match=rf"readings\.{code}"):
            Read(path, values=Values.DIFFERENCES)


def test_every_bad_row_is_counted_with_its_line_and_nothing_else_is_lost(tmp_path: Path) -> None:
    good = long_rows("M1", UP_AND_DOWN).splitlines()
    lines = [
        *good[:4],
        "M1,yesterday,1",
        "M1,2026-03-01 02:00:00",
        "not an id!,2026-03-01 02:00:00,1",
        "M2,2026-03-01 00:00:00,much",
        "M2,2026-03-01 00:30:00,",
        "M2,2026-03-01 01:00:00,-1",
        "M2,2026-03-01 01:30:00,1e30",
        good[2],
        "M1,2026-03-01 01:30:00,9.9",
        "M1,2026-03-01 01:10:00,9.9",
        *good[4:],
    ]
    read = Read(written(tmp_path, "meter,time,kwh\n" + "\n".join(lines) + "\n"))
    assert read.troubles == {
        "no_time": 1, "width": 1, "no_meter": 1, "no_number": 1, "empty": 1, "negative": 1, "too_much": 1,
        "out_of_order": 2, "contradicts": 1,
    }  # fmt: skip
    assert read.table.troubles.by_code["width"].examples[0].line == 7
    assert read.table.troubles.by_code["no_number"].examples[0].text == "much"
    assert (
        read.readings["M1"]
        == Read(written(tmp_path, "meter,time,kwh\n" + "\n".join(good) + "\n", "good.csv")).readings["M1"]
    )
    assert "M2" not in read.readings


def test_the_same_row_twice_in_a_row_is_one(tmp_path: Path) -> None:
    good = long_rows("M1", UP_AND_DOWN).splitlines()
    doubled = [line for line in good for _ in (0, 1)]
    read = Read(written(tmp_path, "meter,time,kwh\n" + "\n".join(doubled) + "\n"))
    assert read.troubles == {"repeated": len(good)}
    assert read.of("M1")[-1] == ("01 09:00", 8925)


def test_a_hole_counts_nothing_and_is_marked(tmp_path: Path) -> None:
    rows = long_rows("M1", UP_AND_DOWN) + long_rows("M1", ["1", "0.5"], "2026-03-02 00:00")
    read = Read(written(tmp_path, "meter,time,kwh\n" + rows))
    assert read.readings["M1"][-3:] == [
        (datetime(2026, 3, 2, tzinfo=UTC), 8925, True),
        (datetime(2026, 3, 2, 0, 30, tzinfo=UTC), 9925, False),
        (datetime(2026, 3, 2, 1, tzinfo=UTC), 10_425, False),
    ]


def test_differences_go_on_from_what_stands_there(tmp_path: Path) -> None:
    asked: list[dict[str, int]] = []

    def starts(first: Mapping[str, int]) -> Mapping[str, Decimal]:
        asked.append(dict(first))
        return {"M1": Decimal("1000.5")}

    rows = long_rows("M1", ["0.0004", "0.0003", "0.0002"] * 6) + long_rows("M2", UP_AND_DOWN)
    read = Read(written(tmp_path, "meter,time,kwh\n" + rows), starts)
    start_us = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert asked == [{"M1": start_us, "M2": start_us}]
    assert [energy_wh for _, energy_wh in read.of("M1")[:3]] == [1000, 1000, 1001]
    assert read.kwh["M1"][:3] == [1.0005, 1.0009, 1.0012]
    assert read.of("M2")[0] == ("01 00:00", 0)
    assert np.isnan(read.kwh["M2"]).all()


# -- times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 08:30:00", "2026-03-01T08:30"),
        ("2026-03-01T08:30", "2026-03-01T08:30"),
        ("01/03/2026 08:30", "2026-03-01T08:30"),
        ("1/3/26 8:30", "2026-03-01T08:30"),
        ("01.03.2026, 08:30:00", "2026-03-01T08:30"),
        ("01-03-2026 8h30", "2026-03-01T08:30"),
        ("2026/03/01 8:30 PM", "2026-03-01T20:30"),
        ("2026/03/01 12:30 am", "2026-03-01T00:30"),
        ("20260301083000", "2026-03-01T08:30"),
        ("202603010830", "2026-03-01T08:30"),
        ("20260301", "2026-03-01T00:00"),
        ("01/03/2026 24:00", "2026-03-02T00:00"),
        ("2026-03-01 08:30:00.000", "2026-03-01T08:30"),
        ("2026-03-01T08:30:00Z", "2026-03-01T08:30+00:00"),
        ("2026-03-01 08:30:00-03:00", "2026-03-01T11:30+00:00"),
        ("1772353800", "2026-03-01T08:30+00:00"),
        ("1772353800000", "2026-03-01T08:30+00:00"),
        ("31/02/2026 08:30", None),
        ("2026-03-01 25:00", None),
        ("2026-03-01 08:61", None),
        ("13:00", None),
        ("", None),
        ("０1/03/2026", None),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: str | None) -> None:
    (moment,), (utc,) = Times(UTC, DateOrder.DAY_FIRST).read([text])
    if expected is None:
        assert moment == NO_TIME
        return
    at = datetime.fromisoformat(expected)
    assert utc == (at.tzinfo is not None)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(moment)) == at.replace(tzinfo=UTC)


def test_day_or_month_first_is_seen_from_the_sample() -> None:
    assert order_of(["01/02/2026", "13/02/2026"]) is DateOrder.DAY_FIRST
    assert order_of(["01/02/2026", "02/13/2026"]) is DateOrder.MONTH_FIRST
    assert order_of(["01/02/2026", "2026-02-13"]) is None


@given(st.lists(st.text(max_size=24), max_size=8))
def test_no_text_breaks_the_reader_of_times(texts: list[str]) -> None:
    moments, utc = Times(UTC, DateOrder.DAY_FIRST).read(texts)
    assert len(moments) == len(utc) == len(texts)


@pytest.mark.parametrize(
    "zone", ["Australia/Sydney", "America/Sao_Paulo", "Europe/Dublin", "Australia/Lord_Howe"]
)
def test_hours_that_come_twice_are_told_apart_by_their_order(tmp_path: Path, zone: str) -> None:
    # A year of true half hours, written in local time as a logger does: 2017, when Brazil still changed.
    start = datetime(2017, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(minutes=30 * place) for place in range(365 * 48)]
    text = "meter,time,kwh\n" + "".join(
        f"M1,{moment.astimezone(ZoneInfo(zone)).strftime('%d/%m/%Y %H:%M')},{place % 5 / 10}\n"
        for place, moment in enumerate(moments)
    )
    read = Read(written(tmp_path, text), zone=zone)
    assert [at for at, _, _ in read.readings["M1"]] == [*moments, moments[-1] + timedelta(minutes=30)]
    assert not any(estimated for _, _, estimated in read.readings["M1"])
    assert not read.troubles


def test_times_that_never_were_are_counted_and_their_energy_is_kept(tmp_path: Path) -> None:
    # 2012-10-07 02:00 to 03:00 does not exist in Sydney.
    rows = long_rows("M1", [*UP_AND_DOWN, "0.2", "0.1"] * 3, "2012-10-06 20:00")
    read = Read(written(tmp_path, "meter,time,kwh\n" + rows), zone="Australia/Sydney")
    assert read.troubles == {"skipped_time": 2}
    assert read.readings["M1"][-1][1] == 3 * (8925 + 300)
    fixed = Read(written(tmp_path, "meter,time,kwh\n" + rows), zone="+10:00")
    assert not fixed.troubles
    assert fixed.readings["M1"][-1][1] == 3 * (8925 + 300)


@pytest.mark.parametrize("name", ["-03:00", "+10:00", "-0330", "UTC", "Z", "America/Recife"])
def test_zones_by_name_or_offset(name: str) -> None:
    assert zone_of(name).utcoffset(datetime(2026, 1, 1)) is not None  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "+99:00", "../../etc/passwd", "Recife", "+1"])
def test_no_zones(name: str) -> None:
    with pytest.raises(Invalid, match=r"readings\.zone_unknown"):
        zone_of(name)


# -- numbers ------------------------------------------------------------------------------------------------


@given(st.lists(st.decimals(0, 10**9, places=9), min_size=1, max_size=20))
def test_numbers_are_exact_to_nine_decimals(numbers: list[Decimal]) -> None:
    for point, written_so in (
        (Point.POINT, [f"{one:f}" for one in numbers]),
        (Point.COMMA, [f"{one:f}".replace(".", ",") for one in numbers]),
    ):
        parts, state = parts_of(written_so, point, 10**9)
        told = [int(one * 10**9) for one in numbers]
        assert all(code == OK or value > 10**17 for code, value in zip(state.tolist(), told, strict=True))
        assert all(
            part == value for part, code, value in zip(parts.tolist(), state, told, strict=True) if code == OK
        )


@given(st.lists(st.text(max_size=12), max_size=8), st.sampled_from(list(Point)))
def test_no_text_breaks_the_reader_of_numbers(texts: list[str], point: Point) -> None:
    parts, _ = parts_of(texts, point, 10**9)
    assert len(parts) == len(texts)
    assert (parts >= 0).all()


def test_what_binary_fractions_leave_behind_is_rounded_away() -> None:
    parts, state = parts_of(["0.12300000000000001", "0.1", "1e-3", " 7 "], Point.POINT, 10**9)
    assert parts.tolist() == [123_000_000, 100_000_000, 1_000_000, 7_000_000_000]
    assert not state.any()
    assert point_of(["1.234,5", "0,25"]) is Point.COMMA
    assert point_of(["1,234.5", "0.25"]) is Point.POINT
    assert parts_of(["1.234,5"], Point.COMMA, 10)[0].tolist() == [12_345]
    assert parts_of(["1,234.5"], Point.POINT, 10)[0].tolist() == [12_345]


# -- adding up ----------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 5000), st.booleans()), max_size=40
)


@given(ROWS, st.lists(st.integers(0, 40), max_size=4), st.integers(0, 100_000))
def test_adding_up_in_pieces_is_adding_up_row_by_row(
    rows: list[tuple[int, int, int, bool]], cuts: list[int], start_wh: int
) -> None:
    step, names = 100, ["A", "B", "C"]
    work = Cumulation(step, lambda first: {name: Decimal(start_wh) for name in first if name == "B"})
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    registers: list[tuple[int, int, int, bool]] = []
    unfit: dict[int, str] = {}
    for start, end in pairwise(edges):
        part = rows[start:end]
        found, wrong = work.add(
            names,
            np.array([row[0] for row in part], np.int64),
            np.array([row[1] * step for row in part], np.int64),
            np.array([row[2] for row in part], np.int64),
            np.array([row[3] for row in part], np.bool_),
        )
        unfit |= {start + place: why for place, why in wrong.items()}
        registers += list(
            zip(
                found.meter.tolist(),
                found.at_us.tolist(),
                found.parts.tolist(),
                found.estimated.tolist(),
                strict=True,
            )
        )
    # Row by row, in Python's own numbers.
    ends: dict[int, int] = {}
    sums = {0: 0, 1: 0, 2: 0}
    expected: list[tuple[int, int, int, bool]] = []
    slow_unfit: set[int] = set()
    for place, (meter, at, value, stands) in enumerate(rows):
        if not stands:
            sums[meter] += value
            continue
        if meter not in ends:
            sums[meter] += start_wh * 1_000_000 if meter == 1 else 0
            expected.append((meter, at * step, sums[meter], False))
        elif at * step < ends[meter]:
            slow_unfit.add(place)
            continue
        elif at * step > ends[meter]:
            expected.append((meter, at * step, sums[meter], True))
        sums[meter] += value
        ends[meter] = (at + 1) * step
        expected.append((meter, ends[meter], sums[meter], False))
    assert set(unfit) == slow_unfit
    assert sorted(registers) == sorted(expected)


def test_a_tally_counts_every_fate_of_every_meter(tmp_path: Path) -> None:
    with Sheet(
        written(tmp_path, "meter,time,kwh\n" + long_rows("M1", UP_AND_DOWN) + long_rows("M2", UP_AND_DOWN))
    ) as sheet:
        (piece,) = open_table(sheet, Wishes(zone="UTC"), no_starts).pieces()
    tally = Tally()
    fates = np.where(piece.meter == 0, Fate.STORED, Fate.DUPLICATE).astype(np.int8)
    fates[0] = Fate.CONFLICT
    tally.add(piece, fates)
    tally.add(piece, fates)
    assert sum(tally.total()) == 2 * len(piece)
    assert tally.by_meter["M2"][Fate.DUPLICATE] + tally.by_meter["M1"][Fate.STORED] == 2 * len(piece) - 2
    first = births(piece)
    shown = {name: (one.at_us, one.energy_wh) for name, one in first.items()}
    assert shown == dict.fromkeys(("M1", "M2"), (1_772_323_200_000_000, 0))


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_of_files(tmp_path_factory: Any, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        Read(path)
        Read(path, meter="M1", unit=Unit.KWH, values=Values.DIFFERENCES, interval_s=1800)
    except Invalid:
        return


# -- the five homes -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not HOMES.exists(), reason="the five homes are not in ../shared/data")
def test_the_five_homes_add_up_to_the_last_wh() -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    intervals: dict[str, int] = defaultdict(int)
    with gzip.open(HOMES, "rt") as file:
        for row in csv.DictReader(io.StringIO(file.read())):
            sums[row["customer_id"]] += Decimal(row["general_supply_kwh"])
            intervals[row["customer_id"]] += 1
    read = Read(HOMES, zone="+10:00")
    assert not read.troubles
    assert read.shape.step_us == 1_800_000_000
    assert set(read.readings) == set(sums)
    for name, kwh in sums.items():
        readings = read.readings[name]
        assert readings[-1][1] == kwh * 1000
        holes = sum(estimated for _, _, estimated in readings)
        assert len(readings) == intervals[name] + holes + 1
        assert all(later[0] > earlier[0] and later[1] >= earlier[1] for earlier, later in pairwise(readings))
    assert read.readings["10006414"][0] == (datetime(2012, 2, 9, 22, 0, tzinfo=UTC), 0, False)
    assert read.readings["10006414"][1] == (datetime(2012, 2, 9, 22, 30, tzinfo=UTC), 141, False)
