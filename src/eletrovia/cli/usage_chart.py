"""Usage as bars, one a slot; what is estimated is drawn lighter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.table import Table
from rich.text import Text

from eletrovia.cli.numbers import number
from eletrovia.cli.terminal import Terminal

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_LABELS: Final = {"reading": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}
_WIDEST: Final = 60


def draw_usage(terminal: Terminal, told: dict[str, Any], name: str) -> None:
    """A table of bars with their numbers, and the sum below."""
    slots = told["slots"]
    if not slots:
        terminal.say("usage.none")
        return
    zone = _zone(terminal, told["time_zone"])
    most = max(slot["energy_wh"] for slot in slots) or 1
    width = max(10, min(_WIDEST, terminal.out.width - 32))
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
    table.title = f"{name}, {told['time_zone']}"
    table.add_column(terminal.text("column.from"), no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("kWh", justify="right", no_wrap=True)
    for label, slot in _labelled(slots, zone, _LABELS[told["resolution"]]):
        bar = _bar(
            slot["energy_wh"], slot["estimated_wh"], most, width, ascii_only=terminal.out.options.ascii_only
        )
        table.add_row(label, bar, number(slot["energy_wh"] / 1000, terminal.language, 2))
    terminal.show(table)
    total = number(told["energy_wh"] / 1000, terminal.language, 2)
    terminal.show(Text(terminal.text("usage.total", kwh=total), style="bold"))
    if told["estimated_wh"]:
        estimated = number(told["estimated_wh"] / 1000, terminal.language, 2)
        terminal.show(Text(terminal.text("usage.estimated", kwh=estimated), style="dim"))


def _labelled(
    slots: list[dict[str, Any]], zone: ZoneInfo | Any, label: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    day = ""
    for slot in slots:
        text = datetime.fromisoformat(slot["starts_at"]).astimezone(zone).strftime(label)
        date, _, time = text.partition(" ")
        # A day is said once, at its first hour.
        yield (f"{'':>{len(date)}} {time}" if time and date == day else text), slot
        day = date


def _bar(energy_wh: int, estimated_wh: int, most: int, width: int, *, ascii_only: bool) -> Text:
    if ascii_only:
        whole = round(energy_wh * width / most)
        light = min(whole, round(estimated_wh * width / most))
        return Text("#" * (whole - light) + "." * light)
    eighths = round(energy_wh * width * 8 / most)
    light = round(estimated_wh * width * 8 / most) // 8
    whole, rest = divmod(eighths, 8)
    light = min(light, whole)
    bar = Text("█" * (whole - light), style="green")
    bar.append("░" * light, style="yellow")
    return bar.append(_EIGHTHS[rest].strip(), style="yellow" if light else "green")


def _zone(terminal: Terminal, name: str) -> Any:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return terminal.zone
