"""Car models by id: what the package carries, and the reading of chargeprice's open-ev-data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from eletrovia.base.errors import EletroviaError, Invalid, NotFound
from eletrovia.charging.location import ConnectorStandard
from eletrovia.planning.naming import closest, fold, grams, slug
from eletrovia.planning.vehicle import CurvePoint, Vehicle

SOURCE = "chargeprice/open-ev-data (MIT)"

_AC_PORTS = {"type1": ConnectorStandard.TYPE1, "type2": ConnectorStandard.TYPE2}
_DC_PORTS = {
    "ccs": ConnectorStandard.CCS2,
    "chademo": ConnectorStandard.CHADEMO,
    "tesla_suc": ConnectorStandard.TESLA_S,
    "tesla_ccs": ConnectorStandard.CCS2,
}
_WH_PER_KM_FROM = 60.0
"""The source gives kWh/100 km, but some records Wh/km: no car needs 60 of the one or less of the other."""
_TRICKLE_W = 500.0
"""Where a source's curve ends at 0 W: such a car would never be full."""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One car model as it is carried.

    ``kind`` is ``bev`` or ``phev``; ``body`` is ``car`` or ``motorbike``; ``demo`` marks a made-up one.
    Units: dc_curve is pairs of (state of charge 0…1, watts).
    """

    id: str
    brand: str
    model: str
    variant: str = ""
    release_year: int | None = None
    kind: str = "bev"
    body: str = "car"
    battery_wh: float
    consumption_wh_per_km: float
    ac_power_w: float
    dc_curve: tuple[tuple[float, float], ...] = ()
    connectors: tuple[ConnectorStandard, ...]
    demo: bool = False

    @property
    def name(self) -> str:
        return " ".join(" ".join((self.brand, self.model, self.variant)).split())

    def vehicle(self) -> Vehicle:
        """The car for the planner. Raises: Invalid when its numbers cannot be a car's."""
        return Vehicle(
            id=self.id,
            name=self.name,
            battery_wh=self.battery_wh,
            consumption_wh_per_km=self.consumption_wh_per_km,
            ac_power_w=self.ac_power_w,
            dc_curve=tuple(CurvePoint(soc, power_w) for soc, power_w in self.dc_curve),
            connectors=frozenset(self.connectors),
        )


DEMO_COMPACT = Model(
    id="demo-compact",
    brand="Demo",
    model="Compact",
    variant="(made up)",
    battery_wh=44_000,
    consumption_wh_per_km=150,
    ac_power_w=7_400,
    dc_curve=((0.0, 70e3), (0.1, 85e3), (0.5, 80e3), (0.8, 45e3), (0.9, 25e3), (1.0, 8e3)),
    connectors=(ConnectorStandard.CCS2, ConnectorStandard.TYPE2),
    demo=True,
)


class Skipped(msgspec.Struct, frozen=True):
    """A record that was not taken in, and why."""

    record: str
    reason: str


class Import(msgspec.Struct, frozen=True):
    models: tuple[Model, ...]
    skipped: tuple[Skipped, ...]


class _Carried(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    models: tuple[Model, ...]


class Catalogue:
    """Car models by id and by name. Immutable after it is made."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.id: model for model in models}
        self._vehicles = {model.id: model.vehicle() for model in self._models.values()}
        self._folded = {fold(f"{model.id} {model.name}"): model.id for model in self._models.values()}

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """The carried models, or a file's that ``write_models`` wrote, and the demo's.

        Raises: NotFound, Invalid.
        """
        file = path if path is not None else resources.files(__package__) / "data" / "vehicles.json"
        if not file.is_file():
            raise NotFound("vehicle.file_missing", path=str(file))
        try:
            carried = msgspec.json.decode(file.read_bytes(), type=_Carried)
        except msgspec.MsgspecError as error:
            raise Invalid("vehicle.file_unreadable", path=str(file), reason=str(error)) from error
        return cls((DEMO_COMPACT, *carried.models))

    def get(self, vehicle_id: str) -> Vehicle:
        """The car of this id. Raises: NotFound("vehicle.unknown") with up to 5 suggestions."""
        return self._vehicles[self.model(vehicle_id).id]

    def model(self, vehicle_id: str) -> Model:
        """All that is known of this id. Raises: NotFound("vehicle.unknown")."""
        model = self._models.get(vehicle_id)
        if model is None:
            raise NotFound(
                "vehicle.unknown", vehicle_id=vehicle_id[:80], suggestions=self._guesses(vehicle_id)
            )
        return model

    def all(self) -> tuple[Vehicle, ...]:
        """Every car, the demo's first."""
        return tuple(self._vehicles.values())

    def search(self, text: str, limit: int = 20) -> list[Vehicle]:
        """Cars whose id or name holds a word beginning with each word of ``text``, shortest name first."""
        words = [f" {word}" for word in fold(text).split()]
        found = [name for name in self._folded if all(word in f" {name}" for word in words)]
        return [
            self._vehicles[self._folded[name]]
            for name in sorted(found, key=lambda name: (len(name), name))[:limit]
        ]

    def _guesses(self, vehicle_id: str) -> list[str]:
        holding = [vehicle.id for vehicle in self.search(vehicle_id, 5)]
        ids = {fold(known): known for known in self._models}
        like = closest(fold(vehicle_id), {folded: grams(folded) for folded in ids}, 5)
        return list(dict.fromkeys([*holding, *(ids[folded] for folded in like)]))[:5]


def write_models(models: Iterable[Model], path: Path) -> None:
    """Write the carried file: one model a line, so that a change can be read."""
    lines = b",\n".join(msgspec.json.encode(model) for model in sorted(models, key=lambda model: model.id))
    path.write_bytes(b'{"source":%s,"models":[\n%s\n]}\n' % (msgspec.json.encode(SOURCE), lines))


def import_chargeprice(path: Path) -> Import:
    """Read open-ev-data's JSON as it comes; a bad record is skipped with its reason.

    Raises: NotFound; Invalid when the file as a whole is something else.
    """
    try:
        records = json.loads(path.read_bytes())["data"]
    except FileNotFoundError:
        raise NotFound("vehicle.file_missing", path=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("vehicle.file_unreadable", path=str(path), reason=str(error)) from error
    if not isinstance(records, list):
        raise Invalid("vehicle.file_unreadable", path=str(path), reason="its data is no list")
    models: list[Model] = []
    skipped: list[Skipped] = []
    for number, record in enumerate(records):
        try:
            model = _model(record)
            model.vehicle()
            models.append(model)
        except EletroviaError as error:
            skipped.append(Skipped(_called(record, number), str(error)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            skipped.append(Skipped(_called(record, number), reason))
    own = {model.id: model for model in reversed(_with_own_ids(models))}
    twice = len(models) - len(own)
    if twice:
        skipped.append(Skipped(f"{twice} records", "the same car is given more than once"))
    return Import(tuple(reversed(own.values())), tuple(skipped))


def _called(record: Any, number: int) -> str:
    if not isinstance(record, Mapping):
        return f"record {number}"
    named = " ".join(str(record.get(part) or "") for part in ("brand", "model", "variant")).strip()
    return named or f"record {number}"


def _model(record: Mapping[str, Any]) -> Model:
    variant = str(record.get("variant") or "").strip()
    ac, dc = record["ac_charger"] or {}, record.get("dc_charger") or {}
    consumption = float(record["energy_consumption"]["average_consumption"])
    ports = [*ac.get("ports", ()), *dc.get("ports", ())]
    unknown = [port for port in ports if port not in _AC_PORTS and port not in _DC_PORTS]
    if unknown:
        raise Invalid("vehicle.port_unknown", ports=unknown)
    model = Model(
        id=slug(f"{record['brand']} {record['model']} {_short(variant)}"),
        brand=record["brand"].strip(),
        model=record["model"].strip(),
        variant=variant,
        release_year=record.get("release_year"),
        kind=str(record["type"]),
        body=str(record["vehicle_type"]),
        battery_wh=round(float(record["usable_battery_size"]) * 1000),
        consumption_wh_per_km=round(consumption * (1 if consumption >= _WH_PER_KM_FROM else 10), 1),
        ac_power_w=round(float(ac.get("max_power") or 0) * 1000),
        dc_curve=tuple(
            (point["percentage"] / 100, max(_TRICKLE_W, round(point["power"] * 1000)))
            for point in dc.get("charging_curve", ())
        ),
        connectors=_connectors(ac.get("ports", ()), dc.get("ports", ())),
    )
    if not model.id or not 30 <= model.consumption_wh_per_km <= 600:
        raise Invalid("vehicle.impossible", consumption_wh_per_km=model.consumption_wh_per_km)
    return model


def _short(variant: str) -> str:
    """``40 kWh`` as ``40``: the id says what people call the car."""
    return (
        variant.removesuffix("kWh")
        if variant.removesuffix("kWh").strip().replace(".", "").isdigit()
        else variant
    )


def _connectors(ac: Iterable[str], dc: Iterable[str]) -> tuple[ConnectorStandard, ...]:
    fits = {_AC_PORTS[port] for port in ac} | {_DC_PORTS[port] for port in dc}
    if ConnectorStandard.CCS2 in fits and {ConnectorStandard.TYPE1} == {_AC_PORTS[port] for port in ac}:
        # "ccs" names both shapes; the one that goes with a Type 1 inlet is CCS 1.
        fits = (fits - {ConnectorStandard.CCS2}) | {ConnectorStandard.CCS1}
    if not list(ac):
        # Without a port of its own: early Teslas' inlet takes Type 2, small ones use a household socket.
        tesla = ConnectorStandard.TESLA_S in fits
        fits.add(ConnectorStandard.TYPE2 if tesla else ConnectorStandard.DOMESTIC)
    return tuple(sorted(fits))


def _with_own_ids(models: list[Model]) -> list[Model]:
    """Namesakes get their year, then their AC power in the id; what is still alike is one car given twice."""
    marks: tuple[Callable[[Model], str], ...] = (
        lambda model: str(model.release_year or ""),
        lambda model: f"ac{model.ac_power_w / 1000:g}",
    )
    for mark in marks:
        uses = Counter(model.id for model in models)
        models = [
            msgspec.structs.replace(model, id=slug(f"{model.id} {mark(model)}"))
            if uses[model.id] > 1
            else model
            for model in models
        ]
    return models
