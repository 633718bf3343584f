"""Car models: the carried ones, the demo's, and chargeprice's file as it comes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.charging.location import ConnectorStandard, PowerType
from eletrovia.planning.catalogue import Catalogue, import_chargeprice, write_models

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "vehicles_chargeprice.json"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def record(**changes: Any) -> dict[str, Any]:
    return {
        "brand": "Nissan",
        "model": "Leaf",
        "variant": "40 kWh",
        "release_year": 2018,
        "type": "bev",
        "vehicle_type": "car",
        "usable_battery_size": 38.0,
        "ac_charger": {"ports": ["type2"], "max_power": 6.6},
        "dc_charger": {
            "ports": ["chademo"],
            "charging_curve": [{"percentage": 0, "power": 41.0}, {"percentage": 100, "power": 15.0}],
        },
        "energy_consumption": {"average_consumption": 16.4},
    } | changes


def imported(tmp_path: Path, *records: Any) -> Any:
    file = tmp_path / "ev-data.json"
    file.write_text(json.dumps({"data": records, "brands": [], "meta": {}}))
    return import_chargeprice(file)


def test_catalogue_the_demo_car_is_marked_as_made_up(catalogue: Catalogue) -> None:
    car = catalogue.get("demo-compact")
    assert "made up" in car.name
    assert catalogue.model("demo-compact").demo
    assert (car.battery_wh, car.consumption_wh_per_km, car.ac_power_w) == (44_000, 150, 7_400)
    assert max(car.power_at(soc / 100, 350e3, PowerType.DC) for soc in range(101)) == 85e3
    assert car.power_at(0.95, 350e3, PowerType.DC) < 25e3
    assert car.connectors == {ConnectorStandard.CCS2, ConnectorStandard.TYPE2}


def test_catalogue_a_known_car(catalogue: Catalogue) -> None:
    leaf = catalogue.get("nissan-leaf-40")
    assert leaf.name == "Nissan Leaf 40 kWh"
    assert (leaf.battery_wh, leaf.consumption_wh_per_km, leaf.ac_power_w) == (38_000, 164, 6_600)
    assert leaf.connectors == {ConnectorStandard.CHADEMO, ConnectorStandard.TYPE2}


def test_catalogue_every_car_is_a_possible_one_with_a_readable_id(catalogue: Catalogue) -> None:
    cars = catalogue.all()
    assert len(cars) == len({car.id for car in cars}) == 294
    for car in cars:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", car.id)
        assert 3_000 < car.battery_wh <= 200_000
        assert 40 <= car.consumption_wh_per_km <= 400
        assert car.connectors
        assert car.ac_power_w > 0
        assert all(point.power_w < 400e3 for point in car.dc_curve)


def test_catalogue_unknown_ids_get_suggestions(catalogue: Catalogue) -> None:
    for typed, meant in (("nissan-leaf", "nissan-leaf-40"), ("demo_compakt", "demo-compact")):
        with pytest.raises(NotFound, match=r"vehicle\.unknown") as caught:
            catalogue.get(typed)
        assert meant in caught.value.facts["suggestions"]
        assert len(caught.value.facts["suggestions"]) <= 5


def test_catalogue_search_by_words(catalogue: Catalogue) -> None:
    assert catalogue.search("LEAF 40")[0].id == "nissan-leaf-40"
    assert catalogue.search("citroën ami")[0].id == "citroen-ami-one"
    assert all(car.name.startswith("Tesla") for car in catalogue.search("tesla", 50))
    assert catalogue.search("no such car") == []


@pytest.mark.skipif(not REAL.is_file(), reason=f"the real open-ev-data file is not at {REAL}")
def test_catalogue_the_carried_file_is_what_the_real_one_gives(tmp_path: Path) -> None:
    found = import_chargeprice(REAL)
    assert len(found.models) == 293
    assert found.skipped == ()
    write_models(found.models, tmp_path / "vehicles.json")
    assert Catalogue.load(tmp_path / "vehicles.json").all() == Catalogue.load().all()


def test_catalogue_import_mends_units_and_a_curve_that_ends_at_nothing(tmp_path: Path) -> None:
    curve = [{"percentage": 0, "power": 50.0}, {"percentage": 100, "power": 0.0}]
    (model,) = imported(
        tmp_path,
        record(
            energy_consumption={"average_consumption": 176.0},
            dc_charger={"ports": ["ccs"], "charging_curve": curve},
        ),
    ).models
    assert model.consumption_wh_per_km == 176  # given in Wh/km, where the rest is in kWh/100 km
    assert model.dc_curve == ((0.0, 50_000), (1.0, 500))


@pytest.mark.parametrize(
    ("ac", "dc", "plugs"),
    [
        (["type2"], ["ccs"], {ConnectorStandard.TYPE2, ConnectorStandard.CCS2}),
        (["type1"], ["ccs"], {ConnectorStandard.TYPE1, ConnectorStandard.CCS1}),
        ([], [], {ConnectorStandard.DOMESTIC}),
        (
            [],
            ["tesla_suc", "tesla_ccs"],
            {ConnectorStandard.TESLA_S, ConnectorStandard.CCS2, ConnectorStandard.TYPE2},
        ),
    ],
)
def test_catalogue_import_plugs(
    tmp_path: Path, ac: list[str], dc: list[str], plugs: set[ConnectorStandard]
) -> None:
    (model,) = imported(
        tmp_path,
        record(ac_charger={"ports": ac, "max_power": 3.7}, dc_charger={"ports": dc, "charging_curve": []}),
    ).models
    assert set(model.connectors) == plugs


def test_catalogue_import_skips_what_cannot_be_and_says_why(tmp_path: Path) -> None:
    curve = [{"percentage": 50, "power": 41.0}, {"percentage": 10, "power": 15.0}]
    bad = [
        record(variant="no battery", usable_battery_size=0),
        record(variant="no consumption", energy_consumption={"average_consumption": None}),
        record(variant="glutton", energy_consumption={"average_consumption": 5000}),
        record(variant="odd plug", ac_charger={"ports": ["type9"], "max_power": 1}),
        record(variant="odd curve", dc_charger={"ports": ["ccs"], "charging_curve": curve}),
        {"brand": "Half"},
        "not even a record",
        None,
    ]
    found = imported(tmp_path, record(), *bad)
    assert [model.id for model in found.models] == ["nissan-leaf-40"]
    assert len(found.skipped) == len(bad)
    assert all(skipped.reason for skipped in found.skipped)
    assert found.skipped[3].record == "Nissan Leaf odd plug"
    assert "type9" in found.skipped[3].reason


def test_catalogue_import_tells_namesakes_apart_by_year(tmp_path: Path) -> None:
    found = imported(
        tmp_path, record(), record(release_year=2021), record(release_year=2021), record(model="Ariya")
    )
    assert [model.id for model in found.models] == [
        "nissan-leaf-40-2018",
        "nissan-leaf-40-2021-ac6-6",
        "nissan-ariya-40",
    ]
    assert "more than once" in found.skipped[0].reason


def test_catalogue_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"", b"[]", b'{"data": 5}', b"\xff"):
        file.write_bytes(content)
        with pytest.raises(Invalid, match=r"vehicle\.file_unreadable"):
            import_chargeprice(file)
        with pytest.raises(Invalid, match=r"vehicle\.file_unreadable"):
            Catalogue.load(file)
    with pytest.raises(NotFound, match=r"vehicle\.file_missing"):
        import_chargeprice(tmp_path / "none")
