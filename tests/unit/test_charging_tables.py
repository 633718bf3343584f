"""CSV: what a header must have, and each bad line by its number."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eletrovia.base.errors import Invalid
from eletrovia.charging.draft import Skipped
from eletrovia.charging.intake import Report, read_stations
from eletrovia.charging.location import EvseStatus, Location

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = "location_id,name,city,latitude,longitude,connector,power_kw,quantity,status,evse_uid,tariff_ids\n"


def read(text: str) -> list[Location | Skipped]:
    return list(read_stations(text.encode(), country_code="BR", party_id="CAR", now=NOW))


def test_lines_of_one_site_make_one_location() -> None:
    first, second = read(
        HEADER
        + "goiana,Posto Norte,Goiana,-7.56,-35.0,CCS2,120,2,,,fast day\n"
        + "recife,Recife,Recife,-8.05,-34.88,Type 2,22,,OUTOFORDER,,\n"
        + "goiana,,,-7.56,-35.0,CHAdeMO,50,,,,\n"
    )
    assert isinstance(first, Location)
    assert isinstance(second, Location)
    assert (first.id, first.name, first.city) == ("goiana", "Posto Norte", "Goiana")
    assert [evse.uid for evse in first.evses] == ["goiana-1", "goiana-2", "goiana-3"]
    assert first.evses[0].connectors[0].tariff_ids == ("fast", "day")
    assert second.evses[0].status is EvseStatus.OUTOFORDER


def test_lines_with_one_evse_uid_are_plugs_of_one_evse() -> None:
    (location,) = read(
        HEADER
        + "a,,,-7.5,-35,CCS2,50,,,both,\n"
        + "a,,,-7.5,-35,CHADEMO,50,,,both,\n"
        + "a,,,-7.5,-35,TYPE2,22,,,,\n"
    )
    assert isinstance(location, Location)
    assert [(evse.uid, len(evse.connectors)) for evse in location.evses] == [("both", 2), ("a-1", 1)]


def test_a_number_given_away_by_name_is_not_given_again() -> None:
    (location,) = read(HEADER + "a,,,-7.5,-35,TYPE2,22,2,,,\n" + "a,,,-7.5,-35,CCS2,50,,,a-2,\n")
    assert isinstance(location, Location)
    assert [evse.uid for evse in location.evses] == ["a-1", "a-3", "a-2"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("b,,,-7.5,-35,CCS2,50", "line.columns_miscounted"),
        ("b b,,,-7.5,-35,CCS2,50,,,,", "location.id_malformed"),
        ('b,,,"-7,5",-35,CCS2,50,,,,', "field.not_a_number"),
        ("b,,,nan,-35,CCS2,50,,,,", "point.off_globe"),
        ("b,,,,,CCS2,50,,,,", "station.no_coordinates"),
        ("b,,,-7.5,-35,plug,50,,,,", "connector.unknown"),
        ("b,,,-7.5,-35,CCS2,50000,,,,", "connector.power_implausible"),
        ("b,,,-7.5,-35,CCS2,50,0,,,", "connector.quantity_out_of_range"),
        ("b,,,-7.5,-35,CCS2,50,1.5,,,", "connector.quantity_out_of_range"),
        ("b,,,-7.5,-35,CCS2,50,inf,,,", "connector.quantity_out_of_range"),
        ("b,,,-7.5,-35,CCS2,50,2,,x,", "connector.one_id_for_many"),
        ("b,,,-7.5,-35,CCS2,50,,BROKEN,,", "evse.status_unknown"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_the_others_are_taken(line: str, code: str) -> None:
    items = read(HEADER + "a,,,-7.5,-35,CCS2,50,,,,\n\n" + line + "\nc,,,-7.5,-35,CCS2,50,,,,\n")
    assert [item.id for item in items if isinstance(item, Location)] == ["a", "c"]
    (skipped,) = (item for item in items if isinstance(item, Skipped))
    assert (skipped.reference, skipped.code, skipped.facts["line"], skipped.part) == (
        "line 4",
        code,
        4,
        False,
    )


def test_a_line_that_stands_elsewhere_is_a_part_left_out() -> None:
    items = read(HEADER + "a,,,-7.5,-35,CCS2,50,,,,\n" + "a,,,-8.5,-35,CCS2,50,,,,\n")
    report = Report()
    for item in items:
        report.note(item)
    assert (report.read, report.taken, report.evses) == (1, 1, 1)
    assert report.parts_skipped["line.elsewhere"].examples[0].reference == "line 3"


def test_numbers_of_lines_hold_after_a_quoted_line_break() -> None:
    items = read(HEADER + 'a,"Posto\nNorte",,-7.5,-35,CCS2,50,,,,\n' + "b,,,-7.5,-35,plug,50,,,,\n")
    location = next(item for item in items if isinstance(item, Location))
    skipped = next(item for item in items if isinstance(item, Skipped))
    assert (location.name, skipped.reference) == ("Posto Norte", "line 4")


def test_semicolons_and_a_byte_order_mark() -> None:
    (location,) = read("\ufeffConnector;Longitude;Latitude;Location_ID\nCCS2;-35.0;-7.5;a\n")
    assert isinstance(location, Location)
    assert location.evses[0].connectors[0].max_electric_power_w == 40_000


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"location_id,latitude\na,1\n", "stations.columns_missing", 1),
        (HEADER.replace("status", "name").encode(), "stations.columns_twice", 1),
        (HEADER.encode() + b"a,Jo\xe3o,,1,1,CCS2,1,,,,\n", "stations.not_utf8", 2),
        (HEADER.encode() + b'a,"Jo,,1,1,CCS2,1,,,,\n', "stations.malformed", 2),
    ],
)
def test_a_table_that_cannot_be_read_says_where(data: bytes, code: str, line: int) -> None:
    with pytest.raises(Invalid) as caught:
        list(read_stations(data, country_code="BR", party_id="CAR", now=NOW))
    assert (caught.value.code, caught.value.facts["line"]) == (code, line)
