"""How a table of readings is laid out: recognised from its header and first rows, or asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from eletrovia.base.errors import Invalid
from eletrovia.metering.files.amounts import OK, Point, parts_of, point_of
from eletrovia.metering.files.names import CLOCK, DATE, DIFFERENCE, METER, REGISTER, TIME, tidy
from eletrovia.metering.files.times import DAY_US, NO_TIME, DateOrder, Times, order_of, zone_of


class Form(StrEnum):
    LONG = "long"
    """A row for each reading."""
    WIDE_DAY = "wide-day"
    """A row for each day (and meter), a column for each time of day."""
    WIDE_METER = "wide-meter"
    """A row for each time, a column for each meter."""


class Values(StrEnum):
    DIFFERENCES = "differences"
    """What was used in each interval."""
    REGISTERS = "registers"
    """What the meter showed."""


class Unit(StrEnum):
    KWH = "kwh"
    WH = "wh"


class Stamp(StrEnum):
    """Which end of its interval a difference's time names."""

    START = "start"
    END = "end"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says about a file; None is to be recognised."""

    zone: str
    meter: str | None = None
    meter_column: str | None = None
    time_column: str | None = None
    value_column: str | None = None
    wide: bool | None = None
    values: Values | None = None
    unit: Unit | None = None
    dates: DateOrder | None = None
    point: Point | None = None
    stamp: Stamp | None = None
    interval_s: int | None = None


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is read.

    Shape: columns are counted from 0; ``times`` are one column, or a date's and a time's; ``offsets_us`` is
           the time of day of each of ``value_columns`` in a row for a day; ``step_us`` an interval's length.
    """

    form: Form
    values: Values
    unit: Unit
    dates: DateOrder
    point: Point
    stamp: Stamp
    zone: str
    width: int
    times: tuple[int, ...]
    meter_column: int | None
    meter: str | None
    value_columns: tuple[int, ...]
    meters: tuple[str, ...] = ()
    offsets_us: tuple[int, ...] = ()
    step_us: int = 0
    guessed: tuple[str, ...] = ()
    """What neither the file nor the user made sure of."""


_UNIT: Final = re.compile(r"(?:^|_)(kwh|wh)(?:$|_)")
_OF_DAY: Final = re.compile(r"(?:h|t|i|p|hora|hour|int|interval|periodo|hh)?_?(\d{1,3})", re.ASCII)
_AT_DAY: Final = re.compile(r"(\d{1,2})[:h](\d{2})?", re.ASCII)
_A_DAY: Final = {24: 24, 23: 24, 25: 24, 48: 48, 46: 48, 50: 48, 96: 96, 92: 96, 100: 96}
_SHOWN: Final = 300


def recognised(header: Sequence[str], sample: Sequence[Sequence[str]], wishes: Wishes) -> Shape:
    """The shape of a file.

    Raises: Invalid ``readings.column_unclear``, ``readings.unit_unclear``, ``readings.values_unclear``,
            ``readings.interval_unclear``, ``readings.no_such_column``, ``readings.zone_unknown``: with what
            was found, so that the user can say what is what.
    """
    return _Reader(header, sample, wishes).shape()


class _Reader:
    def __init__(self, header: Sequence[str], sample: Sequence[Sequence[str]], wishes: Wishes) -> None:
        self.header = list(header)
        self.names = [tidy(name) for name in header]
        self.rows = [row for row in sample if len(row) == len(header)]
        self.wishes = wishes
        self.guessed: list[str] = []

    def shape(self) -> Shape:
        meter = self._meter_column()
        of_day, offsets = self._columns_of_day()
        times = self._time_columns(bool(of_day))
        value: tuple[int, ...]
        meters: tuple[str, ...] = ()
        rest = [place for place in range(len(self.header)) if place != meter and place not in times]
        if of_day:
            form, value = Form.WIDE_DAY, of_day
        else:
            chosen = self._value_column(rest, meter)
            if chosen is None:
                form, value = Form.WIDE_METER, tuple(self._numeric(rest))
                meters = tuple(self.header[place] for place in value)
                if not value:
                    raise self._unclear("value")
            else:
                form, value = Form.LONG, (chosen,)
        if form is not Form.WIDE_METER and meter is None and self.wishes.meter is None:
            raise self._unclear("meter")
        cells = [row[place] for row in self.rows for place in value][:20_000]
        point = self.wishes.point or point_of(cells)
        dates = self._dates(times)
        values = self._values(form, meter, value, point)
        step_us, stamp, offsets = self._interval(form, meter, times, offsets, dates, values)
        return Shape(
            form=form, values=values, unit=self._unit(value), dates=dates, point=point, stamp=stamp,
            zone=self.wishes.zone, width=len(self.header), times=times, meter_column=meter,
            meter=self.wishes.meter, value_columns=value, meters=meters, offsets_us=offsets, step_us=step_us,
            guessed=tuple(self.guessed),
        )  # fmt: skip

    # -- which column is what ---------------------------------------------------------------------------

    def _named(self, asked: str) -> int:
        for place, (name, short) in enumerate(zip(self.header, self.names, strict=True)):
            if asked == name or tidy(asked) == short:
                return place
        raise Invalid("readings.no_such_column", asked=asked, found=self._found())

    def _first(self, known: Sequence[str], but: Sequence[int] = ()) -> int | None:
        """The column with the best known name; with a unit or a zone behind it is the same name."""
        bare = [
            _UNIT.sub("", name).removesuffix("_utc").removesuffix("_local").strip("_") for name in self.names
        ]
        for word in known:
            for names in (self.names, bare):
                if word in names and (place := names.index(word)) not in but:
                    return place
        return None

    def _meter_column(self) -> int | None:
        if self.wishes.meter is not None:
            return None
        if self.wishes.meter_column is not None:
            return self._named(self.wishes.meter_column)
        return self._first(METER)

    def _time_columns(self, day_only: bool) -> tuple[int, ...]:
        if self.wishes.time_column is not None:
            return tuple(self._named(one) for one in self.wishes.time_column.split("+"))
        date = self._first(DATE)
        if date is not None and not day_only:
            clock = self._first(CLOCK, but=(date,))
            # "date" may hold both; then a column "time" is something else, or nothing.
            if clock is not None and all(len(row[clock].strip()) <= 8 for row in self.rows[:50]):
                return (date, clock)
        found = (date if day_only else None) or self._first(TIME)
        found = date if found is None else found
        if found is None:
            found = self._looking_like_time()
        if found is None:
            raise self._unclear("time")
        return (found,)

    def _looking_like_time(self) -> int | None:
        times = Times(zone_of("UTC"), DateOrder.DAY_FIRST)
        for place in range(len(self.header)):
            cells = [row[place] for row in self.rows[:50]]
            if cells and not any(cell.strip().isdigit() for cell in cells):
                moments, _ = times.read(cells)
                if (moments != NO_TIME).mean() > 0.9:
                    return place
        return None

    def _columns_of_day(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The columns that are times of a day, and each one's; none in other tables."""
        if self.wishes.wide is False:
            return (), ()
        found: list[tuple[int, int]] = []
        for place, name in enumerate(self.header):
            if place == self._meter_column():
                continue
            label = _AT_DAY.fullmatch(name.strip())
            if label is not None:
                found.append((place, (int(label[1]) * 60 + int(label[2] or 0)) * 60_000_000))
        if len(found) in _A_DAY:
            return tuple(place for place, _ in found), tuple(offset for _, offset in found)
        numbered = [
            (place, int(match[1]))
            for place, name in enumerate(self.names)
            if (match := _OF_DAY.fullmatch(name)) is not None
        ]
        numbers = [number for _, number in numbered]
        count = len(numbers)
        if count in _A_DAY and numbers == list(range(numbers[0], numbers[0] + count)):
            step = DAY_US // _A_DAY[count]
            return tuple(place for place, _ in numbered), tuple(step * at for at in range(count))
        return (), ()

    def _value_column(self, rest: list[int], meter: int | None) -> int | None:
        """The one column of values; None where each column is a meter."""
        if self.wishes.value_column is not None:
            return self._named(self.wishes.value_column)
        others = [place for place in range(len(self.header)) if place not in rest]
        known = self._first(REGISTER, but=others)
        if known is None:
            known = self._first(DIFFERENCE, but=others)
        if known is None:
            with_unit = [place for place in rest if _UNIT.search(self.names[place])]
            known = with_unit[0] if len(with_unit) == 1 else None
        if known is not None:
            return known
        if meter is not None or self.wishes.meter is not None:
            numeric = self._numeric(rest)
            if len(numeric) == 1:
                return numeric[0]
            raise self._unclear("value")
        return None

    def _numeric(self, places: Sequence[int]) -> list[int]:
        found = []
        for place in places:
            cells = [row[place] for row in self.rows[:200]]
            _, state = parts_of(cells, self.wishes.point or point_of(cells), 1000)
            if cells and (state == OK).mean() >= 0.5:
                found.append(place)
        return found

    # -- what the values are ----------------------------------------------------------------------------

    def _unit(self, columns: Sequence[int]) -> Unit:
        if self.wishes.unit is not None:
            return self.wishes.unit
        told = {match[1] for place in columns if (match := _UNIT.search(self.names[place])) is not None}
        if len(told) == 1:
            return Unit(told.pop())
        raise Invalid("readings.unit_unclear", found=self._found())

    def _dates(self, times: Sequence[int]) -> DateOrder:
        if self.wishes.dates is not None:
            return self.wishes.dates
        cells = [row[times[0]] for row in self.rows]
        order = order_of(cells)
        if order is None:
            # A date that begins with the year needs no order.
            if any(re.match(r"\s*\d{1,2}[-/.]", cell) for cell in cells):
                self.guessed.append("dates")
            return DateOrder.DAY_FIRST
        return order

    def _values(self, form: Form, meter: int | None, columns: Sequence[int], point: Point) -> Values:
        """Registers never fall and reach far; differences fall again and again."""
        if self.wishes.values is not None:
            return self.wishes.values
        if form is Form.LONG and self._first(REGISTER) == columns[0]:
            return Values.REGISTERS
        series: dict[object, list[int]] = {}
        cells = [row[place] for row in self.rows for place in columns]
        parts, state = parts_of(cells, point, 1_000_000)
        if form is Form.WIDE_METER:
            whose: list[object] = [place for _ in self.rows for place in columns]
        else:
            whose = ["" if meter is None else row[meter] for row in self.rows for _ in columns]
        for one, part, good in zip(whose, parts.tolist(), (state == OK).tolist(), strict=True):
            if good:
                series.setdefault(one, []).append(part)
        none = np.empty(0, np.int64)
        steps = np.concatenate([none, *(np.diff(np.array(told, np.int64)) for told in series.values())])
        rises, falls = int((steps > 0).sum()), int((steps < 0).sum())
        up, down = int(steps[steps > 0].sum()), -int(steps[steps < 0].sum())
        # A meter that was swapped falls once or twice, and far; differences fall often, or back all the way.
        if rises + falls >= 10 and (falls * 20 > rises or (falls >= 10 and down * 5 > up)):
            return Values.DIFFERENCES
        if rises >= 10 and not falls:
            return Values.REGISTERS
        raise Invalid("readings.values_unclear", found=self._found())

    def _interval(
        self,
        form: Form,
        meter: int | None,
        times: Sequence[int],
        offsets: tuple[int, ...],
        dates: DateOrder,
        values: Values,
    ) -> tuple[int, Stamp, tuple[int, ...]]:
        """How long an interval is, which end the times name, and the columns' times of day."""
        stamp = self.wishes.stamp or Stamp.START
        if form is Form.WIDE_DAY:
            step = DAY_US // _A_DAY[len(offsets)]
            if self.wishes.stamp is None and offsets[0] == step and offsets[-1] == DAY_US:
                stamp = Stamp.END  # 00:30 … 24:00
            return step, stamp, offsets
        if values is Values.REGISTERS:
            return 0, stamp, ()
        if self.wishes.interval_s is not None:
            return self.wishes.interval_s * 1_000_000, stamp, ()
        reader = Times(zone_of("UTC"), dates)
        steps: Counter[int] = Counter()
        last: dict[object, int] = {}
        moments, _ = reader.read([_time_text(row, times) for row in self.rows])
        for row, moment in zip(self.rows, moments.tolist(), strict=True):
            whose = row[meter] if meter is not None else ""
            if moment != NO_TIME:
                if whose in last and moment > last[whose]:
                    steps[moment - last[whose]] += 1
                last[whose] = moment
        if not steps:
            raise Invalid("readings.interval_unclear")
        return steps.most_common(1)[0][0], stamp, ()

    def _unclear(self, what: str) -> Invalid:
        return Invalid("readings.column_unclear", what=what, found=self._found())

    def _found(self) -> str:
        return ", ".join(name or "·" for name in self.header)[:_SHOWN]


def _time_text(row: Sequence[str], times: Sequence[int]) -> str:
    return row[times[0]] if len(times) == 1 else " ".join(row[place].strip() for place in times)
