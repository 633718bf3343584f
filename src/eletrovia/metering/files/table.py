"""A file of readings, read: registers in pieces, and what was wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid
from eletrovia.metering.files.amounts import EMPTY, NEGATIVE, NO_NUMBER, OK, TOO_MUCH, parts_of
from eletrovia.metering.files.registers import PARTS_PER_WH, Cumulation, Registers, Starts
from eletrovia.metering.files.shape import Form, Shape, Stamp, Unit, Values, Wishes, recognised
from eletrovia.metering.files.sheet import Block, Sheet
from eletrovia.metering.files.times import NO_TIME, Times, zone_of
from eletrovia.metering.files.trouble import Troubles
from eletrovia.metering.gateways.report import METER_ID

_CELLS: Final = 50_000
_ID: Final = re.compile(METER_ID)
_STATES: Final = {EMPTY: "empty", NO_NUMBER: "no_number", NEGATIVE: "negative", TOO_MUCH: "too_much"}
_REGISTER_PARTS_PER_WH: Final = 1000
"""Registers reach further than differences, and need no adding up."""

Ints = NDArray[np.int64]


class Piece(msgspec.Struct):
    """Some of a file's readings, ready to be taken in.

    Shape: ``meters`` are ids, ``meter`` the place among them; ``sent_kwh`` NaN where whole Wh tell it all.
    """

    meters: list[str]
    meter: Ints
    at_us: Ints
    energy_wh: Ints
    sent_kwh: NDArray[np.float64]
    estimated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.meter)


class Table:
    """One file. ``pieces`` reads it once, from its beginning to its end."""

    def __init__(self, sheet: Sheet, wishes: Wishes, starts: Starts) -> None:
        zone = zone_of(wishes.zone)
        self.shape: Shape = recognised(sheet.header, sheet.sample, wishes)
        self.troubles = Troubles()
        self.rows = 0
        self.values = 0
        self._sheet = sheet
        self._times = Times(zone, self.shape.dates)
        self._codes: dict[str, int] = {}
        self._names: list[str] = []
        self._last_us = np.empty(0, np.int64)
        self._sums = Cumulation(self.shape.step_us, starts)

    def pieces(self) -> Iterator[Piece]:
        """Everything that could be read, a piece at a time. Raises: Invalid for a file that breaks off."""
        lines = max(1, _CELLS // len(self.shape.value_columns))
        for block in self._sheet.blocks(lines):
            piece = self._piece(block)
            if piece is not None and len(piece):
                yield piece

    def _piece(self, block: Block) -> Piece | None:
        rows, lines = self._sound(block)
        if not rows:
            return None
        self.rows += len(rows)
        columns = list(zip(*rows, strict=True))
        local, utc = self._times.read(self._time_texts(columns))
        texts, whose, place = self._cells(rows, columns)
        moment = local[place]
        if self.shape.offsets_us:
            moment = moment + np.tile(np.array(self.shape.offsets_us, np.int64), len(rows))
        per_unit = self._per_wh * (1000 if self.shape.unit is Unit.KWH else 1)
        parts, state = parts_of(texts, self.shape.point, per_unit)
        good = (state == OK) & (local[place] != NO_TIME) & (whose >= 0)
        self._tell(good, state, local[place], whose, place, lines, texts, rows)
        self.values += int(good.sum())
        cells = np.flatnonzero(good)
        whose, parts = whose[cells], parts[cells]
        at_us, skipped = self._on_line(whose, moment[cells], utc[place[cells]])
        told = skipped & (parts > 0)
        for cell in np.flatnonzero(told)[:5].tolist():
            row = int(place[cells[cell]])
            self.troubles.note("skipped_time", lines[row], " ".join(rows[row]), 0)
        if told.any():
            self.troubles.by_code["skipped_time"].count += int(told.sum())
        if self.shape.values is Values.REGISTERS:
            stands = ~skipped
            found = Registers(
                whose[stands], at_us[stands], parts[stands], np.zeros(int(stands.sum()), np.bool_)
            )
        else:
            start_us = at_us - self.shape.step_us if self.shape.stamp is Stamp.END else at_us
            found, unfit = self._sums.add(self._names, whose, start_us, parts, ~skipped)
            for cell, why in unfit.items():
                row = int(place[cells[cell]])
                self.troubles.note(why, lines[row], " ".join(rows[row]))
        return self._finished(found)

    @property
    def _per_wh(self) -> int:
        return _REGISTER_PARTS_PER_WH if self.shape.values is Values.REGISTERS else PARTS_PER_WH

    # -- from rows to cells -----------------------------------------------------------------------------

    def _sound(self, block: Block) -> tuple[list[list[str]], list[int]]:
        """Rows of the right width, with their lines."""
        width = self.shape.width
        if all([len(row) == width for row in block.rows]):  # noqa: C419 - a million rows go by
            return block.rows, list(range(block.first_line, block.first_line + len(block.rows)))
        rows: list[list[str]] = []
        lines: list[int] = []
        for line, row in enumerate(block.rows, block.first_line):
            if len(row) == width:
                rows.append(row)
                lines.append(line)
            elif any(cell.strip() for cell in row):
                self.troubles.note("width", line, self._sheet.separator.join(row))
        return rows, lines

    def _time_texts(self, columns: list[tuple[str, ...]]) -> list[str]:
        if len(self.shape.times) == 1:
            return list(columns[self.shape.times[0]])
        parts = [columns[place] for place in self.shape.times]
        return [" ".join(part.strip() for part in row) for row in zip(*parts, strict=True)]

    def _cells(self, rows: list[list[str]], columns: list[tuple[str, ...]]) -> tuple[list[str], Ints, Ints]:
        """All values, with whose each is (-1 for nobody's) and in which row it stood."""
        shape, count = self.shape, len(rows)
        if shape.form is Form.WIDE_METER:
            texts = [text for place in shape.value_columns for text in columns[place]]
            codes = self._codes_of([name.strip() for name in shape.meters])
            return texts, np.repeat(codes, count), np.tile(np.arange(count), len(codes))
        if shape.meter_column is None:
            codes = np.repeat(self._codes_of([shape.meter or ""]), count)
        else:
            codes = self._codes_of(columns[shape.meter_column])
        if shape.form is Form.LONG:
            return list(columns[shape.value_columns[0]]), codes, np.arange(count)
        width = len(shape.value_columns)
        texts = [row[place] for row in rows for place in shape.value_columns]
        return texts, np.repeat(codes, width), np.repeat(np.arange(count), width)

    def _codes_of(self, names: list[str] | tuple[str, ...]) -> Ints:
        known = self._codes
        try:
            return np.array([known[name] for name in names], np.int64)
        except KeyError:
            for name in names:
                if name not in known:
                    self._know(name)
            return np.array([known[name] for name in names], np.int64)

    def _know(self, name: str) -> None:
        """A meter by the name as it is written; one that can be no meter's is nobody."""
        plain = name.strip()
        if not _ID.fullmatch(plain):
            self._codes[name] = -1
            return
        if plain not in self._codes:
            self._codes[plain] = len(self._names)
            self._names.append(plain)
            if len(self._names) > len(self._last_us):
                self._last_us = np.r_[self._last_us, np.full(len(self._last_us) + 64, NO_TIME)]
        self._codes[name] = self._codes[plain]

    def _tell(
        self,
        good: NDArray[np.bool_],
        state: NDArray[np.int8],
        local: Ints,
        whose: Ints,
        place: Ints,
        lines: list[int],
        texts: list[str],
        rows: list[list[str]],
    ) -> None:
        for cell in np.flatnonzero(~good).tolist():
            row = int(place[cell])
            if local[cell] == NO_TIME:
                code, text = "no_time", " ".join(rows[row])
            elif whose[cell] < 0:
                code, text = "no_meter", " ".join(rows[row])
            else:
                code, text = _STATES[int(state[cell])], texts[cell]
            self.troubles.note(code, lines[row], text)

    # -- from local times to the line -------------------------------------------------------------------

    def _on_line(self, whose: Ints, moment: Ints, utc: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_]]:
        """Each moment in UTC. An hour that comes twice is told apart by the order of the meter's rows."""
        early, late, skipped = self._times.on_line(moment, utc)
        at_us = early
        order = np.argsort(whose, kind="stable")
        sorted_whose = whose[order]
        for rank in np.flatnonzero((early != late)[order] & ~skipped[order]).tolist():
            cell = order[rank]
            follows = rank > 0 and sorted_whose[rank - 1] == sorted_whose[rank]
            before = at_us[order[rank - 1]] if follows else self._last_us[sorted_whose[rank]]
            if early[cell] <= before < late[cell]:
                at_us[cell] = late[cell]
        if len(order):
            last = order[np.r_[sorted_whose[1:] != sorted_whose[:-1], True]]
            self._last_us[whose[last]] = at_us[last]
        return at_us, skipped

    def _finished(self, found: Registers) -> Piece:
        energy_wh = found.parts // self._per_wh
        sent_kwh = np.full(len(energy_wh), np.nan)
        finer = np.flatnonzero(found.parts % self._per_wh)
        sent_kwh[finer] = found.parts[finer] / (self._per_wh * 1000)
        used, meter = np.unique(found.meter, return_inverse=True)
        return Piece(
            meters=[self._names[code] for code in used.tolist()],
            meter=meter.astype(np.int64),
            at_us=found.at_us,
            energy_wh=energy_wh,
            sent_kwh=sent_kwh,
            estimated=found.estimated,
        )


def open_table(sheet: Sheet, wishes: Wishes, starts: Starts) -> Table:
    """A file's table. Raises: Invalid where its shape cannot be told."""
    if not sheet.sample:
        raise Invalid("readings.empty", path=sheet.path.name)
    return Table(sheet, wishes, starts)
