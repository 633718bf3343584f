"""Readings from files to wherever they go, with a bar while it lasts and a table of what became of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from eletrovia.base.clock import Clock, SystemClock
from eletrovia.base.errors import Conflict
from eletrovia.cli.numbers import number
from eletrovia.cli.reach import reach
from eletrovia.cli.readings_http import ReadingsOverHttp
from eletrovia.cli.terminal import EXIT_CODES, Terminal
from eletrovia.metering.files.destination import Destination, Tally, births
from eletrovia.metering.files.shape import Shape, Wishes
from eletrovia.metering.files.sheet import Sheet
from eletrovia.metering.files.table import Piece, open_table
from eletrovia.metering.files.table import Table as Readings
from eletrovia.metering.files.trouble import Trouble
from eletrovia.metering.reading import Fate

_SHOWN_METERS: Final = 20
_IN_FLIGHT: Final = 2


class FileTold(msgspec.Struct, frozen=True, kw_only=True):
    """One file: how it was read, and what was wrong in it."""

    file: str
    rows: int
    values: int
    readings: int
    shape: Shape
    troubles: dict[str, Trouble]


class MeterTold(msgspec.Struct, frozen=True, kw_only=True):
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    refused: int = 0
    why: dict[str, int] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it all."""

    files: list[FileTold]
    total: MeterTold
    meters: dict[str, MeterTold]
    registered: int
    seconds: float
    readings_per_s: int
    dry_run: bool


def run(
    terminal: Terminal,
    files: list[Path],
    wishes: Wishes,
    *,
    start_wh: int | None,
    register: bool,
    direct: bool,
    dry_run: bool,
) -> None:
    """Reads, sends and reports. Raises: Conflict ``readings.none_kept`` when none was taken."""
    clock: Clock = SystemClock()
    work = _Import(start_wh=start_wh, register=register)
    told: list[FileTold] = []
    sheets = [Sheet(path) for path in files]  # all of them looked at before the first is sent
    with contextlib.ExitStack() as stack:
        for sheet in sheets:
            stack.callback(sheet.close)
        to = None if dry_run else stack.enter_context(_destination(terminal, direct=direct))
        advance = stack.enter_context(_progress(terminal, sum(sheet.octets for sheet in sheets), clock))
        done, started_s = 0, clock.monotonic()
        for sheet in sheets:
            table = open_table(sheet, wishes, work.starts(to))
            before = work.readings
            for _ in work.bring(table, to):
                advance(done + sheet.octets_read, work.readings)
            done += sheet.octets
            told.append(
                FileTold(
                    file=str(sheet.path),
                    rows=table.rows,
                    values=table.values,
                    readings=work.readings - before,
                    shape=table.shape,
                    troubles=table.troubles.by_code,
                )
            )
        seconds = clock.monotonic() - started_s
    answer = Told(
        files=told,
        total=_meter_told(work.tally.total()),
        meters={name: _meter_told(row) for name, row in sorted(work.tally.by_meter.items())},
        registered=work.registered,
        seconds=round(seconds, 3),
        readings_per_s=round(work.readings / seconds) if seconds else 0,
        dry_run=dry_run,
    )
    if terminal.json:
        terminal.answer(answer)
    else:
        _draw(terminal, answer, work.readings)
    total = answer.total
    if total.refused and not total.stored + total.duplicate + total.conflict:
        if terminal.json:  # the answer has said it all
            raise typer.Exit(EXIT_CODES["conflict"])
        raise Conflict("readings.none_kept", refused=total.refused, reasons=", ".join(total.why))


class _Import:
    """Pieces on their way: one is read while the ones before it are being committed."""

    def __init__(self, *, start_wh: int | None, register: bool) -> None:
        self._start_wh = start_wh
        self._register = register
        self._met: set[str] = set()
        self._registering = threading.Lock()
        self.tally = Tally()
        self.readings = 0
        self.registered = 0

    def starts(self, to: Destination | None) -> Callable[[Mapping[str, int]], Mapping[str, Decimal]]:
        """What registers show where a file's differences begin."""

        def starts(first: Mapping[str, int]) -> Mapping[str, Decimal]:
            if self._start_wh is not None:
                return dict.fromkeys(first, Decimal(self._start_wh))
            return {} if to is None else to.registers_at(first)

        return starts

    def bring(self, table: Readings, to: Destination | None) -> Iterator[None]:
        """Steps through a file. All of it is dealt with at the end, or an error says what is not."""
        under_way: list[tuple[Piece, Future[NDArray[np.int8]]]] = []
        with ThreadPoolExecutor(_IN_FLIGHT) as hands:
            for piece in table.pieces():
                self.readings += len(piece)
                if to is not None:
                    under_way.append((piece, hands.submit(self._put, to, piece)))
                    while len(under_way) > _IN_FLIGHT:
                        self._settle(*under_way.pop(0))
                yield
            for piece, answer in under_way:
                self._settle(piece, answer)
                yield

    def _put(self, to: Destination, piece: Piece) -> NDArray[np.int8]:
        if self._register:
            # One at a time: two pieces may begin with the same meter.
            with self._registering:
                new = [name for name in piece.meters if name not in self._met]
                if new:
                    first = births(piece)
                    registered = to.register({name: first[name] for name in new})
                    self.registered += registered
                    self._met.update(new)
        return to.put(piece)

    def _settle(self, piece: Piece, answer: Future[NDArray[np.int8]]) -> None:
        self.tally.add(piece, answer.result())


@contextlib.contextmanager
def _destination(terminal: Terminal, *, direct: bool) -> Iterator[Destination]:
    if not direct:
        yield ReadingsOverHttp(reach(terminal, role="staff"))
        return
    from eletrovia.runtime import logs
    from eletrovia.runtime.readings_direct import direct_readings

    logs.set_up(msgspec.structs.replace(terminal.config.log, level="warning"))
    with direct_readings(terminal.config) as to:
        yield to


def _meter_told(row: list[int]) -> MeterTold:
    refused = {fate.name.lower(): row[fate] for fate in Fate if fate > Fate.CONFLICT and row[fate]}
    return MeterTold(
        stored=row[Fate.STORED],
        duplicate=row[Fate.DUPLICATE],
        conflict=row[Fate.CONFLICT],
        refused=sum(refused.values()),
        why=refused,
    )


@contextlib.contextmanager
def _progress(terminal: Terminal, octets: int, clock: Clock) -> Iterator[Callable[[int, int], None]]:
    """A bar with its rate for a person; nothing for a pipe or with ``--json``."""
    if terminal.json or not terminal.err.is_terminal:
        yield lambda done, readings: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started_s = clock.monotonic()
    with Progress(*columns, console=terminal.err) as progress:
        task = progress.add_task(terminal.text("readings.importing"), total=octets, rate="")

        def advance(done: int, readings: int) -> None:
            rate = readings / max(clock.monotonic() - started_s, 0.001)
            progress.update(
                task,
                completed=done,
                rate=terminal.text("readings.rate", rate=number(rate, terminal.language)),
            )

        yield advance


def _draw(terminal: Terminal, told: Told, readings: int) -> None:
    for file in told.files:
        shape = file.shape
        terminal.show(
            terminal.text(
                "readings.file",
                file=Path(file.file).name,
                rows=file.rows,
                readings=file.readings,
                form=terminal.text(f"readings.form.{shape.form.value}"),
                values=terminal.text(f"readings.values.{shape.values.value}"),
                unit="kWh" if shape.unit.value == "kwh" else "Wh",
                zone=shape.zone,
            )
        )
        if shape.step_us:
            terminal.show(
                terminal.text(
                    f"readings.stamp.{shape.stamp.value}", minutes=f"{shape.step_us / 60_000_000:g}"
                )
            )
        for guess in shape.guessed:
            terminal.show(terminal.text(f"readings.guessed.{guess}"))
        for code, trouble in sorted(file.troubles.items(), key=lambda one: -one[1].count):
            terminal.show(terminal.text(f"readings.trouble.{code}", count=trouble.count, zone=shape.zone))
            for example in trouble.examples:
                line = terminal.text("readings.line", line=example.line, text=example.text)
                terminal.out.print(f"    {line}", markup=False, style="dim", soft_wrap=True)
    if told.dry_run:
        terminal.show(terminal.text("readings.dry_run"))
        return
    _draw_meters(terminal, told)
    if told.registered:
        terminal.show(terminal.text("readings.registered", count=told.registered))
    rate = number(told.readings_per_s, terminal.language)
    terminal.show(terminal.text("readings.done", readings=readings, seconds=told.seconds, rate=rate))
    if told.total.why.get("unknown_meter"):
        terminal.say("readings.unknown_meters")


def _draw_meters(terminal: Terminal, told: Told) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(terminal.text("readings.column.meter"))
    for name in ("stored", "duplicate", "conflict", "refused"):
        table.add_column(terminal.text(f"readings.column.{name}"), justify="right")

    def add(name: str, one: MeterTold) -> None:
        counts: list[Any] = [one.stored, one.duplicate, one.conflict, one.refused]
        table.add_row(name, *(str(count) if count else "·" for count in counts))

    for name, one in list(told.meters.items())[:_SHOWN_METERS]:
        add(name, one)
    rest = len(told.meters) - _SHOWN_METERS
    if rest > 0:
        table.add_row(terminal.text("readings.more_meters", count=rest))
    if len(told.meters) > 1:
        add(terminal.text("readings.all_meters"), told.total)
    terminal.show(table)
