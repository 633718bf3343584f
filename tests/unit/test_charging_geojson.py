"""GeoJSON: our own comes back exactly, other people's is read leniently."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.draft import Skipped
from eletrovia.charging.geojson import write_geojson
from eletrovia.charging.intake import read_stations
from eletrovia.charging.location import ConnectorStandard, Location, PowerType, split_operator_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def read(data: bytes, operator_id: str = "BR*CAR") -> list[Location | Skipped]:
    country_code, party_id = split_operator_id(operator_id)
    return list(read_stations(data, country_code=country_code, party_id=party_id, now=NOW))


def collection(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def feature(coordinates: Any = (-35.0, -7.56), **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize("operator_id", DEMO_OPERATORS)
def test_our_own_comes_back_exactly(operator_id: str) -> None:
    locations, _ = demo_network(operator_id)
    assert tuple(read(write_geojson(locations), operator_id)) == locations


def test_longitude_comes_first() -> None:
    (location,) = read(collection(feature(id="a", connector="CCS2", power_kw=50)))
    assert isinstance(location, Location)
    assert location.coordinates == Point(-7.56, -35.0)


def test_columns_of_a_table_serve_as_properties() -> None:
    (location,) = read(
        collection(feature(id="goiana", name="Posto", connector="ccs", power_kw="60", quantity=2))
    )
    assert isinstance(location, Location)
    assert [evse.uid for evse in location.evses] == ["goiana-1", "goiana-2"]
    assert [evse.evse_id for evse in location.evses] == ["BR*CAR*EGOIANA*1", "BR*CAR*EGOIANA*2"]
    assert location.evses[0].connectors[0].standard is ConnectorStandard.CCS2
    assert location.last_updated == NOW


def test_several_kinds_stand_in_a_list() -> None:
    kinds = [{"connector": "CCS2", "power_kw": 120}, "Tipo 2"]
    (location,) = read(collection(feature(id="a", connectors=kinds)))
    assert isinstance(location, Location)
    powers = [
        (one.connectors[0].power_type, one.connectors[0].max_electric_power_w) for one in location.evses
    ]
    assert powers == [(PowerType.DC, 120_000), (PowerType.AC_1_PHASE, 7_400)]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"type": "Feature", "geometry": None, "properties": {}}, "station.no_coordinates"),
        (
            {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[0, 1]]}},
            "station.not_a_point",
        ),
        (feature((-7.5,), id="a", connector="CCS2"), "station.malformed"),
        (feature((-35, -97.5), id="a", connector="CCS2"), "point.off_globe"),
        (feature(id="a b", connector="CCS2"), "location.id_malformed"),
        (feature(connector="CCS2"), "location.id_malformed"),
        (feature(id="a", connector="bolacha"), "connector.unknown"),
        (feature(id="a", connectors=[]), "station.no_connections"),
        (feature(id="a", evses=[]), "station.no_connections"),
        (feature(id="a", evses=[{"uid": "a-1"}]), "station.malformed"),
        (feature(id="a", party_id="MAN", evses=[]), "station.of_another_operator"),
    ],
)
def test_a_broken_feature_is_skipped_and_the_others_taken(broken: dict[str, Any], code: str) -> None:
    before, skipped, after = read(
        collection(feature(id="x", connector="CCS2"), broken, feature(id="y", connector="TYPE2"))
    )
    assert isinstance(before, Location)
    assert isinstance(after, Location)
    assert isinstance(skipped, Skipped)
    assert skipped.code == code


def test_an_evse_that_is_told_twice_is_taken_once() -> None:
    locations, _ = demo_network("BR*CAR")
    data = json.loads(write_geojson(locations[:2]))
    data["features"][1]["properties"]["evses"][0]["uid"] = locations[0].evses[0].uid
    _, second = read(json.dumps(data).encode())
    assert isinstance(second, Skipped)
    assert (second.code, second.facts["also_at"]) == ("evse.uid_duplicated", locations[0].id)


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b'{"type": "FeatureCollection",\n "features": [\n{"type": }]}', {"line": 3, "offset": 54}),
        (b'[{"ID": 1},\n{"ID": 2}', {"line": 2, "offset": 21}),
        (b"\xef\xbb\xbf[1,\n2}", {"line": 2, "offset": 8}),
    ],
)
def test_a_file_that_is_no_json_says_where(data: bytes, facts: dict[str, int]) -> None:
    with pytest.raises(Invalid) as caught:
        read(data)
    assert caught.value.code == "stations.malformed"
    assert {name: caught.value.facts[name] for name in facts} == facts


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "stations.empty"),
        (b"hello", "stations.format_unknown"),
        (b'{"type": "Topology"}', "stations.format_unknown"),
        (b"[" * 100_000, "stations.malformed"),
        (b'{"features":' + b"[" * 100_000, "stations.malformed"),
    ],
)
def test_a_file_of_something_else_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(data)
    assert caught.value.code == code


def test_text_that_is_not_utf8_costs_one_record() -> None:
    data = collection(feature(id="x", name="?", connector="CCS2"), feature(id="y", connector="CCS2"))
    bad, good = read(data.replace(b'"?"', b'"Jo\xe3o"'))
    assert isinstance(bad, Skipped)
    assert isinstance(good, Location)
