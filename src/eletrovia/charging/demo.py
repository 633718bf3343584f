"""The demo's three operators and their simulated stations, carried in the package."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

import msgspec

from eletrovia.base.errors import NotFound
from eletrovia.charging.draft import Skipped
from eletrovia.charging.intake import Format, read_stations
from eletrovia.charging.location import Location, plain, split_operator_id
from eletrovia.charging.tariff import Tariff

DEMO_OPERATORS: Final = {"BR*CAR": "Carcará", "BR*MAN": "Mandacaru", "BR*SER": "Sertão"}
"""North to south: João Pessoa to Maceió, Maceió to Aracaju, Aracaju to Feira de Santana and Salvador."""

_DRAWN_UP: Final = datetime(2026, 1, 1, tzinfo=UTC)


def demo_network(operator_id: str) -> tuple[tuple[Location, ...], tuple[Tariff, ...]]:
    """The stations and tariffs of one demo operator; no such stations stand there.

    Source: town coordinates from GeoNames, CC BY 4.0; a station lies 300 to 900 m from its town's centre,
            or at the highway beside it (highways: OpenStreetMap contributors, ODbL).
    Raises: NotFound for an operator that is none of the demo's.
    """
    if operator_id not in DEMO_OPERATORS:
        raise NotFound("demo.operator_unknown", operator_id=operator_id, known=list(DEMO_OPERATORS))
    folder = files("eletrovia.charging") / "demo_stations"
    country_code, party_id = split_operator_id(operator_id)
    stations = (folder / f"{plain(operator_id)}.geojson").read_bytes()
    locations: list[Location] = []
    for item in read_stations(
        stations, Format.GEOJSON, country_code=country_code, party_id=party_id, now=_DRAWN_UP
    ):
        if isinstance(item, Skipped):
            raise AssertionError(f"the demo's own file is broken: {item}")
        locations.append(item)
    tariffs = (folder / f"{plain(operator_id)}.tariffs.json").read_bytes()
    return tuple(locations), msgspec.json.decode(tariffs, type=tuple[Tariff, ...])
