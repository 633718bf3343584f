"""Stations on the screen."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from rich.table import Table
from rich.text import Text

from eletrovia.base.errors import Unavailable
from eletrovia.base.window import Window
from eletrovia.charging.location import ConnectorStandard, Evse, EvseStatus, Location
from eletrovia.charging.tariff import Tariff
from eletrovia.cli.numbers import money, number
from eletrovia.cli.terminal import Terminal

_STATUS_STYLES: Final = {
    EvseStatus.AVAILABLE: "green",
    EvseStatus.CHARGING: "blue",
    EvseStatus.RESERVED: "blue",
    EvseStatus.OUTOFORDER: "red",
    EvseStatus.INOPERATIVE: "red",
}
_SHORT: Final = {standard: standard.name for standard in ConnectorStandard}
_HALF_HOURS: Final = 48


class Found(msgspec.Struct, frozen=True):
    location: Location
    distance_km: float | None = None


class EvseDay(msgspec.Struct, frozen=True):
    evse_uid: str
    taken: list[Window]


class Day(msgspec.Struct, frozen=True):
    day: str
    time_zone: str
    evses: list[EvseDay]


class Sheet(msgspec.Struct, frozen=True):
    location: Location
    tariffs: list[Tariff] = []


def draw_stations(terminal: Terminal, told: Any, limit: int) -> None:
    """A table, one line a station."""
    found = _read(told, list[Found])
    if not found:
        terminal.say("stations.none")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(terminal.text("column.station"), no_wrap=True)
    table.add_column(terminal.text("column.name"), ratio=1)
    with_km = any(one.distance_km is not None for one in found)
    if with_km:
        table.add_column("km", justify="right")
    table.add_column(terminal.text("column.plugs"))
    table.add_column(terminal.text("column.free"), justify="right", no_wrap=True)
    for one in found:
        place = one.location
        name = place.name if place.city in place.name else f"{place.name}, {place.city}"
        free = sum(evse.status is EvseStatus.AVAILABLE for evse in place.evses)
        row: list[str | Text] = [
            f"{place.operator_id.replace('*', '-')}/{place.id}",
            Text(name + (f" ({terminal.text('timeline.simulated')})" if place.simulated else "")),
        ]
        if with_km:
            row.append(number(one.distance_km or 0, terminal.language, 1))
        row += [_plugs(terminal, place.evses), f"{free}/{len(place.evses)}"]
        table.add_row(*row)
    terminal.show(table)
    if len(found) == limit:
        terminal.say("stations.more", limit=limit)


def draw_station(terminal: Terminal, sheet: Any, availability: Any) -> None:
    """One station with its prices, and its day in half hours."""
    told = _read(sheet, Sheet)
    place = told.location
    day = _read(availability, Day)
    head = Text(place.name, style="bold")
    if place.simulated:
        head.append(f"  ({terminal.text('timeline.simulated')})", style="yellow")
    terminal.show(head)
    where = ", ".join(part for part in (place.address, place.city, place.state) if part)
    terminal.show(
        Text(
            f"{place.operator_id} · {where} · {place.coordinates.lat:.5f},{place.coordinates.lon:.5f}",
            style="dim",
        )
    )
    if place.attribution:
        terminal.show(Text(place.attribution, style="dim"))
    terminal.show("", _day_table(terminal, place, day), "")
    for tariff in told.tariffs:
        terminal.show(prices_of(terminal, tariff))


def prices_of(terminal: Terminal, tariff: Tariff) -> Text:
    """``fast: R$ 2.30 per kWh + R$ 1.50 per session``, taxes included."""
    prices = [
        terminal.text(
            f"tariff.{component.type}",
            price=money(component.price_with_tax, tariff.currency, terminal.language),
        )
        for component in tariff.components
    ]
    return Text(f"{tariff.id}: " + " + ".join(prices))


def _day_table(terminal: Terminal, place: Location, day: Day) -> Table:
    plain = terminal.out.options.ascii_only
    free, taken = (".", "#") if plain else ("·", "▓")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("evse", "plugs", "status"):
        table.add_column(terminal.text(f"column.{name}"), no_wrap=name != "plugs")
    hours = "".join(f"{hour:<8}" for hour in ("0h", "4h", "8h", "12h", "16h", "20h"))
    table.add_column(f"{day.day}  {hours}" if terminal.out.width >= 130 else hours, no_wrap=True)
    busy = {one.evse_uid: one.taken for one in day.evses}
    zone = ZoneInfo(day.time_zone)
    midnight = datetime.fromisoformat(day.day).replace(tzinfo=zone)
    for evse in place.evses:
        halves = [free] * _HALF_HOURS
        for window in busy.get(evse.uid, []):
            first = int((window.starts_at - midnight).total_seconds() // 1800)
            last = int(-(-(window.ends_at - midnight).total_seconds() // 1800))
            for half in range(max(first, 0), min(last, _HALF_HOURS)):
                halves[half] = taken
        status = Text(evse.status.lower(), style=_STATUS_STYLES.get(evse.status, "dim"))
        table.add_row(evse.uid, _plugs(terminal, (evse,)), status, "".join(halves))
    return table


def _plugs(terminal: Terminal, evses: tuple[Evse, ...]) -> str:
    """``2 × CCS2 60 kW, TYPE2 22 kW``."""
    counted = Counter(
        (plug.max_electric_power_w, _SHORT[plug.standard]) for evse in evses for plug in evse.connectors
    )
    return ", ".join(
        (f"{count} × " if count > 1 else "")
        + f"{name} {number(Decimal(power_w) / 1000, terminal.language)} kW"
        for (power_w, name), count in sorted(counted.items(), reverse=True)
    )


def _read(told: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise Unavailable("server.answer_malformed", reason=str(error)) from None
