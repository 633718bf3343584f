"""Trips planned on what is known: every operator's stations, what is taken there, and the roads."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar

import msgspec

from eletrovia.base.clock import Clock, at_epoch_s
from eletrovia.base.errors import Conflict, EletroviaError, Invalid
from eletrovia.base.geo import Point
from eletrovia.base.window import Window
from eletrovia.booking.board import Board, EvseRef
from eletrovia.booking.offer import tariff_of
from eletrovia.booking.trip import Itinerary, Place, Stop, TripAsk
from eletrovia.charging.location import BOOKABLE, Connector, Evse, Location, PowerType
from eletrovia.charging.stations import Stations
from eletrovia.charging.tariff import Tariff, TariffDimension
from eletrovia.planning.catalogue import Catalogue
from eletrovia.planning.field import Ask, Field, ends_of
from eletrovia.planning.gazetteer import Gazetteer
from eletrovia.planning.plan import Bay, Gap, Plan, PlannedStop, Site, Span
from eletrovia.planning.roads import Roads
from eletrovia.planning.search import alternatives_field, search_field
from eletrovia.planning.vehicle import Vehicle

_FIELDS_KEPT = 32
_QUICK_SITES = 200  # up to here a search takes a few milliseconds, and a thread would only cost more
_LONGEST_S = 4 * 86_400  # every charge starts within two days, and no owner sells a window of more than one
_LATE = timedelta(minutes=5)  # a departure this far back is a clock that differs, not a wish
_AHEAD = timedelta(days=365)  # well inside what owners sell: ``Rules.book_ahead_s``

Answer = TypeVar("Answer")


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """What is booked around the charge itself, and what a stop takes besides. Units: seconds."""

    before_s: int = 0
    after_s: int = 300
    handling_s: int = 180


class _Spot(NamedTuple):
    location: Location
    evse: Evse
    tariff: Tariff


class _Ground(NamedTuple):
    """A field with what its numbers stand for: ``spots[site][bay]``."""

    field: Field
    points: tuple[Point, ...]
    spots: tuple[tuple[_Spot, ...], ...]
    refs: tuple[tuple[tuple[int, int], EvseRef], ...]


class RoadPlanner:
    """Finds ways for one operator's drivers over every operator that is up."""

    def __init__(
        self,
        *,
        stations: Stations,
        board: Board,
        roads: Roads,
        gazetteer: Gazetteer,
        catalogue: Catalogue,
        clock: Clock,
        is_up: Callable[[str], bool],
        margins: Margins = Margins(),  # noqa: B008 - frozen
    ) -> None:
        self._stations = stations
        self._board = board
        self._roads = roads
        self._gazetteer = gazetteer
        self._catalogue = catalogue
        self._clock = clock
        self._is_up = is_up
        self._margins = margins
        self._grounds: OrderedDict[object, _Ground] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")

    async def plan(
        self, ask: TripAsk, *, without: frozenset[str] = frozenset(), alternatives: bool = False
    ) -> list[Itinerary]:
        """Ways for the trip, best first.

        Raises: NotFound for a place or a vehicle; Invalid("trip.no_way") where no battery gets there, and
        Conflict("trip.no_way") where all that could be used is taken; Invalid for a departure in the past, or
        more than a year ahead.
        """
        origin, destination = self._place(ask.origin), self._place(ask.destination)
        vehicle = self._vehicle(ask.vehicle)
        departs_at = self._departure(ask)
        operators = frozenset(
            operator_id
            for operator_id in self._stations.operator_ids()
            if operator_id not in without and self._is_up(operator_id)
        )
        ground = await self._ground(vehicle, ask.reserve_soc, operators)
        busy = self._busy(ground, departs_at)

        def search() -> Sequence[Plan] | Gap:
            legs = self._roads.legs(origin.point, ground.points, destination.point)
            question = Ask(
                departs_at=departs_at,
                soc=ask.soc,
                ends=ends_of(legs),
                busy=busy,
                objective=ask.objective,
                margin_before_s=self._margins.before_s,
                margin_after_s=self._margins.after_s,
            )
            if alternatives and (plans := alternatives_field(ground.field, question)):
                return plans
            found = search_field(ground.field, question)
            return found if isinstance(found, Gap) else [found]

        found = await self._apart(search, len(ground.points))
        if isinstance(found, Gap):
            raise self._no_way(found, origin, destination, ground)
        return [self._itinerary(ask, origin, destination, vehicle, ground, plan) for plan in found]

    async def _apart(self, work: Callable[[], Answer], sites: int) -> Answer:
        """The answer of ``work``; over many sites it is worked out beside the loop, which goes on serving."""
        if sites <= _QUICK_SITES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- the question ---------------------------------------------------------------------------------

    def _place(self, asked: str | Point) -> Place:
        if isinstance(asked, Point):
            return Place(f"{asked.lat:.4f}, {asked.lon:.4f}", asked)
        town = self._gazetteer.find(asked)
        return Place(town.label, town.point)

    def _vehicle(self, asked: str | Vehicle) -> Vehicle:
        vehicle = asked if isinstance(asked, Vehicle) else self._catalogue.get(asked)
        return msgspec.structs.replace(vehicle, handling_s=self._margins.handling_s)

    def _departure(self, ask: TripAsk) -> int:
        now = self._clock.now()
        departs_at = ask.departs_at or now
        if departs_at < now - _LATE:
            raise Invalid("trip.departure_past", departs_at=departs_at.isoformat(), now=now.isoformat())
        if departs_at - now > _AHEAD:
            raise Invalid(
                "trip.departure_too_far", departs_at=departs_at.isoformat(), allowed_days=_AHEAD.days
            )
        return math.ceil(max(departs_at, now).timestamp())

    def _busy(self, ground: _Ground, departs_at: int) -> dict[tuple[int, int], tuple[Span, ...]]:
        """What is taken while the trip can last; a city books weeks ahead, and a plan need not look there."""
        between, until = self._board.between, departs_at + _LONGEST_S
        begin = departs_at - self._margins.before_s
        busy = ((key, between(ref, begin, until)) for key, ref in ground.refs)
        return {key: spans for key, spans in busy if spans}

    async def _ground(self, vehicle: Vehicle, reserve_soc: float, operators: frozenset[str]) -> _Ground:
        key = (self._stations.offers, vehicle, reserve_soc, operators)
        known = self._grounds.get(key)
        if known is None:
            known = self._grounds[key] = await self._made_ready(vehicle, reserve_soc, operators)
            while len(self._grounds) > _FIELDS_KEPT:
                self._grounds.popitem(last=False)
        self._grounds.move_to_end(key)
        return known

    async def _made_ready(self, vehicle: Vehicle, reserve_soc: float, operators: frozenset[str]) -> _Ground:
        sites: list[Site] = []
        spots: list[tuple[_Spot, ...]] = []
        refs: list[tuple[tuple[int, int], EvseRef]] = []
        points: list[Point] = []
        for operator_id in sorted(operators):
            for location in self._stations.all(operator_id):
                bays: list[Bay] = []
                of_site: list[_Spot] = []
                for evse in location.evses:
                    connector = _fitting(vehicle, evse)
                    tariff = tariff_of(self._stations, operator_id, evse)
                    if connector is None or tariff is None:
                        continue
                    refs.append(((len(sites), len(bays)), EvseRef(operator_id, evse.uid)))
                    bays.append(_bay(evse, connector, tariff))
                    of_site.append(_Spot(location, evse, tariff))
                if bays:
                    sites.append(Site(operator_id=operator_id, location_id=location.id, bays=tuple(bays)))
                    spots.append(tuple(of_site))
                    points.append(location.coordinates)

        def made() -> Field:
            inner = slice(1, len(points) + 1)
            middle = points[0] if points else Point(0, 0)
            legs = self._roads.legs(middle, points, middle)
            return Field(
                vehicle, sites, legs.distance_km[inner, inner], legs.drive_s[inner, inner], reserve_soc
            )

        field = await self._apart(made, len(points))
        return _Ground(field, tuple(points), tuple(spots), tuple(refs))

    # -- the answer -----------------------------------------------------------------------------------

    def _itinerary(
        self, ask: TripAsk, origin: Place, destination: Place, vehicle: Vehicle, ground: _Ground, plan: Plan
    ) -> Itinerary:
        stops: list[Stop] = []
        left_at = plan.departs_at
        for planned in plan.stops:
            stops.append(_stop(ground.spots[planned.site][planned.bay], planned, left_at))
            left_at = planned.ends_at
        last_leg_s = plan.arrives_at - left_at
        currencies = {ground.spots[planned.site][planned.bay].tariff.currency for planned in plan.stops}
        if len(currencies) > 1:
            raise Conflict("trip.currencies_differ", currencies=sorted(currencies))
        return Itinerary(
            origin=origin,
            destination=destination,
            vehicle_id=vehicle.id,
            vehicle_name=vehicle.name,
            departs_at=at_epoch_s(plan.departs_at),
            arrives_at=at_epoch_s(plan.arrives_at),
            soc=ask.soc,
            arrival_soc=plan.arrival_soc,
            reserve_soc=ask.reserve_soc,
            distance_km=plan.distance_km,
            drive_s=sum(stop.drive_s for stop in stops) + last_leg_s,
            wait_s=sum(planned.starts_at - planned.arrives_at for planned in plan.stops),
            charge_s=sum(planned.ends_at - planned.starts_at for planned in plan.stops),
            last_leg_km=plan.last_leg_km,
            last_leg_s=last_leg_s,
            price=sum((stop.price for stop in stops), Decimal("0.00")),
            currency=currencies.pop() if currencies else "BRL",
            stops=tuple(stops),
        )

    def _no_way(self, gap: Gap, origin: Place, destination: Place, ground: _Ground) -> EletroviaError:
        def name(place: int) -> str:
            if place == 0:
                return origin.name
            if place > len(ground.spots):
                return destination.name
            location = ground.spots[place - 1][0].location
            return f"{location.name} ({location.operator_id})"

        facts = {"reason": gap.reason, "after": name(gap.after), "before": name(gap.before)}
        if gap.reason == "battery":
            facts["short_km"] = f"{gap.short_km:.1f}"
        kind = Conflict if gap.reason == "occupied" else Invalid
        return kind("trip.no_way", **facts)


def _fitting(vehicle: Vehicle, evse: Evse) -> Connector | None:
    """The strongest connector that the car can use, if the EVSE can be booked."""
    if evse.status not in BOOKABLE:
        return None
    fits = [
        connector
        for connector in evse.connectors
        if connector.standard in vehicle.connectors and _charges(vehicle, connector)
    ]
    return max(fits, key=lambda connector: connector.max_electric_power_w, default=None)


def _charges(vehicle: Vehicle, connector: Connector) -> bool:
    if vehicle.fixed_charge_s is not None:
        return True
    if connector.power_type is PowerType.DC:
        return bool(vehicle.dc_curve)
    return vehicle.ac_power_w > 0


def _bay(evse: Evse, connector: Connector, tariff: Tariff) -> Bay:
    return Bay(
        evse_uid=evse.uid,
        power_w=float(connector.max_electric_power_w),
        power_type=connector.power_type,
        price_per_kwh=float(tariff.rate(TariffDimension.ENERGY)),
        price_per_hour=float(tariff.rate(TariffDimension.TIME)),
        price_flat=float(tariff.rate(TariffDimension.FLAT)),
    )


def _stop(spot: _Spot, planned: PlannedStop, left_at: int) -> Stop:
    location, evse, tariff = spot
    power_w = max(connector.max_electric_power_w for connector in evse.connectors)
    starts, ends = planned.window
    return Stop(
        operator_id=location.operator_id,
        location_id=location.id,
        location_name=location.name,
        city=location.city,
        coordinates=location.coordinates,
        evse_uid=evse.uid,
        evse_id=evse.evse_id,
        power_w=power_w,
        arrives_at=at_epoch_s(planned.arrives_at),
        starts_at=at_epoch_s(planned.starts_at),
        ends_at=at_epoch_s(planned.ends_at),
        window=Window(at_epoch_s(starts), at_epoch_s(ends)),
        arrival_soc=planned.arrival_soc,
        departure_soc=planned.departure_soc,
        energy_wh=planned.energy_wh,
        distance_km=planned.distance_km,
        drive_s=planned.arrives_at - left_at,
        price=tariff.quote(planned.energy_wh, planned.ends_at - planned.starts_at),
        simulated=location.simulated,
    )
