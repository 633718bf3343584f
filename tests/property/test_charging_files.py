"""GeoJSON brings back whatever locations there are; no bytes do more than be refused."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point
from eletrovia.charging.draft import Skipped
from eletrovia.charging.geojson import write_geojson
from eletrovia.charging.intake import Format, read_stations
from eletrovia.charging.location import Connector, ConnectorStandard, Evse, EvseStatus, Location, PowerType

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN = st.text("abcXYZ019_-", min_size=1, max_size=12)
TEXT = st.text(max_size=20)
CONNECTORS = st.builds(
    Connector,
    id=PLAIN,
    standard=st.sampled_from(ConnectorStandard),
    power_type=st.sampled_from(PowerType),
    max_electric_power_w=st.integers(1, 10**6),
    tariff_ids=st.lists(PLAIN, max_size=2).map(tuple),
)
EVSES = st.builds(
    Evse,
    uid=PLAIN,
    evse_id=st.integers(0, 10**9).map("BR*CAR*E{}".format),
    status=st.sampled_from(EvseStatus),
    connectors=st.lists(CONNECTORS, min_size=1, max_size=2).map(tuple),
)
LOCATIONS = st.builds(
    Location,
    country_code=st.just("BR"),
    party_id=st.just("CAR"),
    id=PLAIN,
    name=TEXT.filter(bool),
    city=TEXT,
    country=TEXT,
    address=TEXT,
    state=TEXT,
    coordinates=st.builds(Point, st.floats(-90, 90).filter(bool), st.floats(-180, 180)),
    evses=st.lists(EVSES, min_size=1, max_size=3, unique_by=(lambda e: e.uid, lambda e: e.evse_id)).map(
        tuple
    ),
    time_zone=TEXT,
    attribution=TEXT,
    simulated=st.booleans(),
    last_updated=st.datetimes(timezones=st.just(UTC)),
)


@given(LOCATIONS)
def test_geojson_brings_back_what_went_in(location: Location) -> None:
    data = write_geojson([location])
    assert list(read_stations(data, country_code="BR", party_id="CAR", now=NOW)) == [location]


# Snippets of all three formats, so that chance gets past the first byte.
PIECES = st.sampled_from(
    [
        *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"\n", b";", b"null", b"1e999", b"-7.5", b"33", b"true"),
        *(b'"ID"', b'"AddressInfo"', b'"Latitude"', b'"Connections"', b'"ConnectionTypeID"', b'"Quantity"'),
        *(b'"type"', b'"FeatureCollection"', b'"features"', b'"Feature"', b'"geometry"', b'"Point"'),
        *(b'"coordinates"', b'"properties"', b'"evses"', b'"id"', b'"connector"', b'"CCS2"', b'"\\ud800"'),
        *(b"location_id,latitude,longitude,connector\n", b"a,1,2,CCS2\n", b"\xef\xbb\xbf", b"\xff", b"\x00"),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join), st.sampled_from([None, *Format]))
def test_no_bytes_do_more_than_be_refused(data: bytes, format: Format | None) -> None:
    with contextlib.suppress(Invalid):
        for item in read_stations(data, format, country_code="BR", party_id="CAR", now=NOW):
            assert isinstance(item, Location | Skipped)
