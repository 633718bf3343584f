"""/api/v1/stations: finding chargers, and what is free there."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from eletrovia.api.desks import Gazetteer, Stations, Taken
from eletrovia.api.documented import problems
from eletrovia.base.clock import Clock, at_epoch_s, epoch_s
from eletrovia.base.errors import Invalid, NotFound
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.board import EvseRef
from eletrovia.charging.location import ConnectorStandard, EvseStatus, Location, split_operator_id
from eletrovia.charging.tariff import Tariff

_POINT: Final = re.compile(r"\s*(-?\d{1,3}(?:\.\d{1,12})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,12})?)\s*")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A station, and how far it is from where was asked, as the crow flies."""

    location: Location
    distance_km: float | None = None


class FoundPage(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest first where ``near`` was given."""

    stations: list[Found]


class StationSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A station with the tariffs that its connectors name."""

    location: Location
    operator_id: str
    tariffs: list[Tariff]


class EvseDay(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE's day. ``free`` and ``taken`` are half-open and together fill it."""

    evse_uid: str
    evse_id: str
    status: EvseStatus
    free: list[Window]
    taken: list[Window]


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """A day at a station, in the station's own time zone."""

    operator_id: str
    location_id: str
    day: date
    time_zone: str
    evses: list[EvseDay]


def near_point(near: str, gazetteer: Gazetteer) -> Point:
    """``-7.12,-34.86`` or a place's name. Raises: Invalid, NotFound."""
    if (match := _POINT.fullmatch(near)) is not None:
        return Point(float(match.group(1)), float(match.group(2)))
    if re.fullmatch(r"[\s\d.,+-]+", near):
        raise Invalid("point.malformed", near=near)
    found = gazetteer.find(near, limit=1)
    if not found:
        raise NotFound("place.unknown", text=near, suggestions=[])
    return found[0].point


def operator_id_of(written: str) -> str:
    """``BR-CAR`` or ``BR*CAR`` as the latter. Raises: Invalid."""
    operator_id = written.upper().replace("-", "*")
    split_operator_id(operator_id)
    return operator_id


def day_at(location: Location, day: str | None, now: datetime) -> tuple[date, Window]:
    """The day as written, or today there, and when it is. Raises: Invalid."""
    zone = ZoneInfo(location.time_zone)
    try:
        chosen = now.astimezone(zone).date() if day is None else date.fromisoformat(day)
        # Midnight to midnight by the wall clock: 23 or 25 hours where clocks change.
        starts_at = datetime.combine(chosen, time(), zone).astimezone(UTC)
        ends_at = datetime.combine(chosen + timedelta(days=1), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("day.malformed", day=str(day)) from None
    return chosen, Window(starts_at, ends_at)


def split_day(day: Window, taken: tuple[tuple[int, int], ...]) -> tuple[list[Window], list[Window]]:
    """What of ``day`` is free and what is taken; ``taken`` is sorted and disjoint."""
    free: list[Window] = []
    busy: list[Window] = []
    at_s, end_s = epoch_s(day.starts_at), epoch_s(day.ends_at)
    for start_s, stop_s in taken:
        start_s, stop_s = max(start_s, at_s), min(stop_s, end_s)
        if start_s >= stop_s:
            continue
        if start_s > at_s:
            free.append(Window(at_epoch_s(at_s), at_epoch_s(start_s)))
        busy.append(Window(at_epoch_s(start_s), at_epoch_s(stop_s)))
        at_s = stop_s
    if at_s < end_s:
        free.append(Window(at_epoch_s(at_s), at_epoch_s(end_s)))
    return free, busy


def stations(stations: Stations, gazetteer: Gazetteer, taken: Taken, clock: Clock) -> Router:
    """Chargers of all operators known here."""

    @get("/", responses=problems(404, 422), summary="Find stations", tags=["stations"])
    async def search(
        near: Annotated[str | None, QueryParameter(max_length=100, description="lat,lon or a place")] = None,
        radius_km: Annotated[float, QueryParameter(gt=0, le=20_000)] = 50.0,
        connector: Annotated[ConnectorStandard | None, QueryParameter()] = None,
        min_power_kw: Annotated[float, QueryParameter(ge=0, le=10_000)] = 0.0,
        operator: Annotated[str | None, QueryParameter(max_length=16)] = None,
        q: Annotated[str, QueryParameter(max_length=100, description="Words of name or city.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
    ) -> FoundPage:
        """Stations by place, plug, power, operator and words."""
        found = await stations.search(
            near=None if near is None else near_point(near, gazetteer),
            radius_km=radius_km,
            connector=connector,
            min_power_w=int(min_power_kw * 1000),
            operator_id=None if operator is None else operator_id_of(operator),
            text=q,
            limit=limit,
        )
        return FoundPage(
            stations=[
                Found(location=location, distance_km=None if km is None else round(km, 3))
                for location, km in found
            ]
        )

    @get(
        "/{operator:str}/{location_id:str}",
        responses=problems(404, 422),
        summary="One station",
        tags=["stations"],
    )
    async def one(operator: FromPath[str], location_id: FromPath[str]) -> StationSheet:
        """A station with its EVSEs, connectors and prices."""
        location = await stations.location(operator_id_of(operator), location_id)
        prices = await stations.tariffs(location.operator_id)
        named = sorted(
            {name for evse in location.evses for plug in evse.connectors for name in plug.tariff_ids}
        )
        return StationSheet(
            location=location,
            operator_id=location.operator_id,
            tariffs=[prices[name] for name in named if name in prices],
        )

    @get(
        "/{operator:str}/{location_id:str}/availability",
        responses=problems(404, 422),
        summary="A day at a station",
        tags=["stations"],
    )
    async def availability(
        operator: FromPath[str],
        location_id: FromPath[str],
        day: Annotated[
            str | None, QueryParameter(max_length=10, description="2026-03-01; today if left out")
        ] = None,
    ) -> Availability:
        """What is free and what is taken, EVSE by EVSE. It may be a moment behind; booking decides."""
        location = await stations.location(operator_id_of(operator), location_id)
        chosen, window = day_at(location, day, clock.now())
        sheet = []
        for evse in location.evses:
            free, busy = split_day(window, taken(EvseRef(location.operator_id, evse.uid)))
            sheet.append(
                EvseDay(evse_uid=evse.uid, evse_id=evse.evse_id, status=evse.status, free=free, taken=busy)
            )
        return Availability(
            operator_id=location.operator_id,
            location_id=location.id,
            day=chosen,
            time_zone=location.time_zone,
            evses=sheet,
        )

    return Router("/stations", route_handlers=[search, one, availability])
