"""Trips on the screen."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from eletrovia.base.errors import Unavailable
from eletrovia.booking.trip import Itinerary, Trip, TripState
from eletrovia.cli.numbers import duration, money, percent
from eletrovia.cli.parts import parts_of, totals_of
from eletrovia.cli.sentences import reason_of
from eletrovia.cli.terminal import Terminal
from eletrovia.cli.timeline import Timeline
from eletrovia.cli.zone import clock_time

_STYLES = {
    TripState.CONFIRMED: "bold green",
    TripState.PENDING: "bold yellow",
    TripState.FAILED: "bold red",
    TripState.CANCELLED: "bold dim",
}


def trip_of(told: dict[str, Any]) -> Trip:
    """The trip that a server told. Raises: Unavailable when it is none."""
    try:
        return msgspec.convert(told, Trip)
    except msgspec.ValidationError as error:
        raise Unavailable("server.answer_malformed", reason=str(error)) from None


def itineraries_of(told: Any) -> list[Itinerary]:
    """Likewise."""
    try:
        return msgspec.convert(told, list[Itinerary])
    except msgspec.ValidationError as error:
        raise Unavailable("server.answer_malformed", reason=str(error)) from None


def show_plans(terminal: Terminal, told: Any) -> None:
    """The best way drawn, the others in a table."""
    itineraries = itineraries_of(told)
    for itinerary in itineraries[:1]:
        terminal.show(Timeline(itinerary, language=terminal.language, zone=terminal.zone))
    _others(terminal, itineraries[1:], "trip.others")
    terminal.say("trip.only_planned")


def show_trip(terminal: Terminal, told: dict[str, Any]) -> None:
    """How a trip stands, with its way where it has one."""
    if "itinerary" not in told and told.get("state") == "pending":
        # All we know of it is that it was asked for.
        terminal.out.print(
            terminal.text("trip.state.pending", id=told["id"]), style="bold yellow", markup=False
        )
        return
    trip = trip_of(told)
    if trip.itinerary is not None:
        terminal.show(Timeline(trip.itinerary, language=terminal.language, zone=terminal.zone), "")
    terminal.out.print(
        terminal.text(f"trip.state.{trip.state}", id=trip.id), style=_STYLES[trip.state], markup=False
    )
    if trip.cancellation_fee is not None and trip.itinerary is not None:
        fee = money(trip.cancellation_fee, trip.itinerary.currency, terminal.language)
        terminal.show(terminal.text("trip.fee", fee=fee))
    if trip.setback is not None:
        terminal.show(reason_of(trip.setback.code, trip.setback.facts, terminal.language))
        _others(terminal, list(trip.alternatives), "trip.alternatives")


def show_alternatives(terminal: Terminal, told: Any) -> None:
    """Ways of a failed trip that were found and not held."""
    if isinstance(told, dict):
        _others(terminal, list(trip_of(told).alternatives), "trip.alternatives")


def show_trips(terminal: Terminal, told: Any) -> None:
    """A driver's trips in a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "state", "from", "to", "departs", "price"):
        right = {"justify": "right"} if name == "price" else {}
        table.add_column(terminal.text(f"column.{name}"), no_wrap=name in {"id", "departs", "price"}, **right)  # type: ignore[arg-type]
    for trip in map(trip_of, told):
        way = trip.itinerary
        table.add_row(
            trip.id,
            f"[{_STYLES[trip.state]}]{terminal.text(f'state.{trip.state}')}[/]",
            way.origin.name if way else "",
            way.destination.name if way else "",
            f"{way.departs_at.astimezone(terminal.zone):%Y-%m-%d %H:%M}" if way else "",
            money(way.price, way.currency, terminal.language) if way else "",
        )
    if table.row_count:
        terminal.show(table)
    else:
        terminal.say("trips.none")


def _others(terminal: Terminal, itineraries: list[Itinerary], heading: str) -> None:
    if not itineraries:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
    table.title = terminal.text(heading)
    for name in ("departs", "arrives", "stops", "operators", "charging", "battery", "price"):
        table.add_column(terminal.text(f"column.{name}"), justify="left" if name == "operators" else "right")
    for way in itineraries:
        totals = totals_of(way, parts_of(way))
        table.add_row(
            f"{way.departs_at.astimezone(terminal.zone):%H:%M}",
            clock_time(way.arrives_at, terminal.zone, since=way.departs_at),
            str(len(way.stops)),
            " ".join(dict.fromkeys(stop.operator_id for stop in way.stops)),
            duration(totals.charge_minutes),
            percent(way.arrival_soc),
            money(way.price, way.currency, terminal.language),
        )
    terminal.show("", table)
