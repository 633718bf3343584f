"""Stations from a file to a server, in chunks, with a report of what was skipped and why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Invalid, Overloaded, Unavailable
from eletrovia.charging.draft import Skipped
from eletrovia.charging.intake import Report, open_stations
from eletrovia.charging.location import Location, split_operator_id
from eletrovia.cli.reach import reach
from eletrovia.cli.sentences import reason_of
from eletrovia.cli.server import Server, pause
from eletrovia.cli.terminal import Terminal

CHUNK_STATIONS: Final = 250
CHUNK_OCTETS: Final = 600_000
"""Well under the server's 1 MB a body."""
_TRIES: Final = 6


class Refusal(msgspec.Struct, frozen=True):
    code: str
    facts: dict[str, Any] = {}


class ItemAnswer(msgspec.Struct, frozen=True):
    index: int
    id: str = ""
    problem: Refusal | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    items: list[ItemAnswer]


class Done(msgspec.Struct, frozen=True):
    """What became of the file; ``refused`` were read well and not taken by the server.

    ``unpriced`` counts EVSEs without a tariff: they are shown, but nobody can book them.
    """

    operator_id: str
    dry_run: bool
    kept: int
    report: Report
    refused: list[Skipped]
    unpriced: int


def bring_in(
    terminal: Terminal,
    file: Path,
    *,
    format: str | None,
    dry_run: bool,
    operator_id: str | None,
    tariff_id: str | None,
) -> None:
    """Reads, sends and reports. Raises: Conflict when the server took none of what was read."""
    server = None if dry_run and operator_id else reach(terminal, role="staff")
    owner = operator_id or _operator_of(server)
    country_code, party_id = split_operator_id(owner.upper().replace("-", "*"))
    stations = open_stations(
        file, format, country_code=country_code, party_id=party_id, now=SystemClock().now()
    )
    report = Report(format=stations.format.value)
    refused: list[Skipped] = []
    kept = unpriced = 0
    with _progress(terminal, stations.total) as advance:
        for chunk, lacking in _chunks(stations.numbered(), report, advance, tariff_id):
            unpriced += lacking
            if dry_run or server is None:
                kept += len(chunk)
                continue
            for answer in _send(server, chunk).items:
                if answer.problem is None:
                    kept += 1
                else:
                    refused.append(
                        Skipped(reference=answer.id, code=answer.problem.code, facts=answer.problem.facts)
                    )
    done = Done(f"{country_code}*{party_id}", dry_run, kept, report, refused, unpriced)
    if terminal.json:
        terminal.answer(done)
    else:
        _draw(terminal, done)
    if kept == 0 and report.taken:
        raise Conflict("stations.none_kept", refused=len(refused), first=refused[0].code if refused else "")


def _operator_of(server: Server | None) -> str:
    if server is None:
        raise Invalid("stations.owner_missing")
    told = server.get("/operators", dict[str, Any])
    return next(str(one["operator_id"]) for one in told["operators"] if one.get("ourselves"))


def _chunks(
    numbered: Iterator[tuple[int, Location | Skipped]], report: Report, advance: Any, tariff_id: str | None
) -> Iterator[tuple[list[msgspec.Raw], int]]:
    """Stations as they are sent, few enough for one body; and how many of their EVSEs lack a price."""
    chunk: list[msgspec.Raw] = []
    octets = unpriced = 0
    for read, item in numbered:
        advance(read)
        report.note(item)
        if isinstance(item, Skipped):
            continue
        if tariff_id is not None:
            item = _priced(item, tariff_id)
        unpriced += sum(not any(plug.tariff_ids for plug in evse.connectors) for evse in item.evses)
        encoded = msgspec.json.encode(item)
        if chunk and (len(chunk) >= CHUNK_STATIONS or octets + len(encoded) > CHUNK_OCTETS):
            yield chunk, unpriced
            chunk, octets, unpriced = [], 0, 0
        chunk.append(msgspec.Raw(encoded))
        octets += len(encoded)
    if chunk:
        yield chunk, unpriced


def _priced(place: Location, tariff_id: str) -> Location:
    """The location with a tariff at every connector that names none."""
    replace = msgspec.structs.replace
    return replace(
        place,
        evses=tuple(
            replace(
                evse,
                connectors=tuple(
                    plug if plug.tariff_ids else replace(plug, tariff_ids=(tariff_id,))
                    for plug in evse.connectors
                ),
            )
            for evse in place.evses
        ),
    )


def _send(server: Server, chunk: list[msgspec.Raw]) -> BatchAnswer:
    """Sending a chunk again changes nothing, so a busy or silent server is asked again."""
    for repeat in range(_TRIES):
        try:
            return server.post("/stations", BatchAnswer, {"locations": chunk})
        except (Overloaded, Unavailable):
            if repeat == _TRIES - 1:
                raise
        pause(0.5 * 2**repeat)
    raise AssertionError("the last repeat returns or raises")


@contextlib.contextmanager
def _progress(terminal: Terminal, total: int) -> Iterator[Any]:
    """A bar for a person; nothing for a pipe or with ``--json``."""
    if terminal.json or not terminal.err.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err) as progress:
        task = progress.add_task(terminal.text("stations.importing"), total=total)
        yield lambda read: progress.update(task, completed=read)
        progress.update(task, completed=total)


def _draw(terminal: Terminal, done: Done) -> None:
    report = done.report
    terminal.show(
        terminal.text(
            "stations.would_keep" if done.dry_run else "stations.kept",
            kept=done.kept,
            read=report.read,
            evses=report.evses,
            format=report.format,
            operator=done.operator_id,
        )
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(terminal.text("column.count"), justify="right")
    table.add_column(terminal.text("column.skipped"))
    table.add_column(terminal.text("column.examples"), overflow="fold")

    def add(code: str, count: int, examples: list[Skipped], note: str = "") -> None:
        said = reason_of(code, examples[0].facts if examples else {}, terminal.language)
        shown = ", ".join(example.reference for example in examples[:3]) + (" …" if count > 3 else "")
        table.add_row(str(count), said + note, shown)

    for code, reason in sorted(report.skipped.items(), key=lambda item: -item[1].count):
        add(code, reason.count, reason.examples)
    for code, reason in sorted(report.parts_skipped.items(), key=lambda item: -item[1].count):
        add(code, reason.count, reason.examples, terminal.text("stations.part_only"))
    by_code: dict[str, list[Skipped]] = {}
    for one in done.refused:
        by_code.setdefault(one.code, []).append(one)
    for code, items in by_code.items():
        add(code, len(items), items, terminal.text("stations.refused_by_server"))
    if table.row_count:
        terminal.show("", table)
    if done.unpriced:
        terminal.say("stations.unpriced", evses=done.unpriced)
