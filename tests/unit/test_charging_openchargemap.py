"""Open Charge Map: the real file, and what each of its oddities becomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eletrovia.charging.draft import Skipped
from eletrovia.charging.intake import Report, read_stations
from eletrovia.charging.location import ConnectorStandard, EvseStatus, Location, PowerType, plain

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REAL = Path(__file__).parents[3] / "shared" / "data" / "stations_br_openchargemap.json"


def read(*points: dict[str, Any]) -> list[Location | Skipped]:
    data = json.dumps(points).encode()
    return list(read_stations(data, "openchargemap", country_code="BR", party_id="CAR", now=NOW))


def point(**changes: Any) -> dict[str, Any]:
    """A point of interest with ids alone, as the map's compact answers are."""
    address = {"Title": "Posto", "Town": "Goiana", "Latitude": -7.56, "Longitude": -35.0}
    whole = {"ID": 7, "StatusTypeID": 50, "AddressInfo": address, "Connections": [connection()]}
    return whole | changes


def connection(**changes: Any) -> dict[str, Any]:
    return {"ID": 70, "ConnectionTypeID": 33, "CurrentTypeID": 30, "PowerKW": 60, "Quantity": 1} | changes


def only(items: list[Location | Skipped]) -> Location:
    (item,) = items
    assert isinstance(item, Location), item
    return item


def reason(items: list[Location | Skipped]) -> tuple[str, str]:
    (item,) = items
    assert isinstance(item, Skipped), item
    assert not item.part
    return item.reference, item.code


@pytest.mark.skipif(not REAL.exists(), reason=f"the real data is not here: {REAL}")
def test_the_real_file_is_taken_but_for_what_says_why() -> None:
    report = Report()
    locations: list[Location] = []
    for item in read_stations(REAL, country_code="BR", party_id="CAR", now=NOW):
        report.note(item)
        if isinstance(item, Location):
            locations.append(item)
    assert (report.read, report.taken) == (135, 133)
    assert {code: reason.count for code, reason in report.skipped.items()} == {
        "station.restricted_access": 1,
        "station.no_connections": 1,
    }
    assert {code: reason.count for code, reason in report.parts_skipped.items()} == {
        "connection.kind_unknown": 1
    }
    uids = [evse.uid for location in locations for evse in location.evses]
    evse_ids = [evse.evse_id for location in locations for evse in location.evses]
    assert len(uids) == len(set(uids)) == len(set(evse_ids)) == report.evses
    assert all(plain(uid) == uid for uid in uids)
    assert {location.country for location in locations} == {"BRA"}
    licences = {location.attribution.split("; ")[1] for location in locations}
    assert licences == {
        "Licensed under Creative Commons Attribution 4.0 International (CC BY 4.0)",
        "Licensed under CC0 by data sharing agreement",
    }
    for location in locations:
        for evse in location.evses:
            for connector in evse.connectors:
                dc = connector.standard in (ConnectorStandard.CCS2, ConnectorStandard.CHADEMO)
                assert (connector.power_type is PowerType.DC) == dc
                assert 1_400 <= connector.max_electric_power_w <= 350_000


def test_ids_alone_are_enough() -> None:
    location = only(read(point()))
    (evse,) = location.evses
    assert (location.id, evse.uid, evse.evse_id) == ("ocm-7", "ocm-7-70-1", "BR*CAR*E7*70*1")
    assert evse.connectors[0].standard is ConnectorStandard.CCS2
    assert evse.connectors[0].max_electric_power_w == 60_000
    assert location.last_updated == NOW


def test_a_quantity_is_that_many_evses() -> None:
    location = only(read(point(Connections=[connection(Quantity=3), connection(ID=71, Quantity=None)])))
    assert [evse.uid for evse in location.evses] == ["ocm-7-70-1", "ocm-7-70-2", "ocm-7-70-3", "ocm-7-71-1"]


def test_an_evse_keeps_its_uid_when_its_neighbour_goes() -> None:
    both = only(read(point(Connections=[connection(), connection(ID=71)])))
    one = only(read(point(Connections=[connection(ID=71)])))
    assert one.evses == both.evses[1:]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PowerKW": None, "Amps": 125, "Voltage": 400}, (PowerType.DC, 50_000)),
        ({"PowerKW": None, "Amps": -6, "Voltage": 400}, (PowerType.DC, 40_000)),
        ({"PowerKW": 0}, (PowerType.DC, 40_000)),
        ({"PowerKW": 60_000}, (PowerType.DC, 40_000)),
        ({"CurrentTypeID": 20}, (PowerType.DC, 60_000)),
        (
            {"ConnectionTypeID": 25, "CurrentTypeID": 20, "PowerKW": None, "Amps": 32, "Voltage": 400},
            (PowerType.AC_3_PHASE, 22_170),
        ),
        (
            {"ConnectionTypeID": 25, "CurrentTypeID": 10, "PowerKW": None, "Amps": 32, "Voltage": 220},
            (PowerType.AC_1_PHASE, 7_040),
        ),
        ({"ConnectionTypeID": 25, "CurrentTypeID": 10, "PowerKW": 22}, (PowerType.AC_3_PHASE, 22_000)),
        ({"ConnectionTypeID": 25, "CurrentTypeID": 20, "PowerKW": None}, (PowerType.AC_3_PHASE, 11_000)),
        (
            {"ConnectionTypeID": 25, "CurrentTypeID": None, "PowerKW": None, "LevelID": 1},
            (PowerType.AC_1_PHASE, 2_000),
        ),
        ({"ConnectionTypeID": 1036, "CurrentTypeID": 30, "PowerKW": 7}, (PowerType.AC_1_PHASE, 7_000)),
    ],
)
def test_power_and_its_type(changes: dict[str, Any], expected: tuple[PowerType, int]) -> None:
    (evse,) = only(read(point(Connections=[connection(**changes)]))).evses
    (connector,) = evse.connectors
    assert (connector.power_type, connector.max_electric_power_w) == expected


@pytest.mark.parametrize(
    ("station", "own", "status"),
    [
        (50, 50, EvseStatus.AVAILABLE),
        (50, 20, EvseStatus.CHARGING),
        (50, 100, EvseStatus.INOPERATIVE),
        (50, 30, EvseStatus.OUTOFORDER),
        (100, 50, EvseStatus.INOPERATIVE),
        (75, None, EvseStatus.AVAILABLE),
        (None, None, EvseStatus.UNKNOWN),
        (None, 50, EvseStatus.AVAILABLE),
    ],
)
def test_status(station: int | None, own: int | None, status: EvseStatus) -> None:
    location = only(read(point(StatusTypeID=station, Connections=[connection(StatusTypeID=own)])))
    assert [evse.status for evse in location.evses] == [status]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"StatusTypeID": 150}, "station.planned"),
        ({"StatusTypeID": 200}, "station.removed"),
        ({"StatusTypeID": 210}, "station.removed"),
        ({"SubmissionStatus": {"IsLive": False}}, "station.not_live"),
        ({"UsageTypeID": 2}, "station.restricted_access"),
        ({"AddressInfo": None}, "station.no_coordinates"),
        ({"AddressInfo": {"Latitude": 0, "Longitude": 0}}, "station.no_coordinates"),
        ({"AddressInfo": {"Latitude": -91, "Longitude": 0}}, "point.off_globe"),
        ({"Connections": None}, "station.no_connections"),
        ({"Connections": [connection(ConnectionTypeID=24)]}, "station.no_connections"),
        ({"Connections": [connection(StatusTypeID=150)]}, "station.no_connections"),
    ],
)
def test_what_is_skipped_says_why(changes: dict[str, Any], code: str) -> None:
    assert reason(read(point(**changes))) == ("ocm-7", code)


def test_a_record_that_is_no_station_is_skipped_and_the_next_is_taken() -> None:
    bad, good = read({"ID": "seven"}, point())
    assert isinstance(bad, Skipped)
    assert (bad.reference, bad.code) == ("record 1", "station.malformed")
    assert isinstance(good, Location)


def test_the_same_id_twice_is_taken_once() -> None:
    first, second = read(point(), point(StatusTypeID=100))
    assert isinstance(first, Location)
    assert isinstance(second, Skipped)
    assert second.code == "location.duplicated"


def test_an_unknown_plug_beside_a_known_one_is_told_as_a_part() -> None:
    location, part = read(point(Connections=[connection(), connection(ID=71, ConnectionTypeID=0)]))
    assert isinstance(location, Location)
    assert len(location.evses) == 1
    assert isinstance(part, Skipped)
    assert part.part
    assert (part.reference, part.code) == ("ocm-7-71", "connection.kind_unknown")


def test_a_slip_of_a_million_plugs_is_left_out() -> None:
    assert reason(read(point(Connections=[connection(Quantity=1_000_000)])))[1] == "station.no_connections"
