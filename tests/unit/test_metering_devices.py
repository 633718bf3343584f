"""What devices say, as they say it; and moments and numbers as they are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eletrovia.metering.gateways.devices import FILTERS, SUBJECTS, Heard, heard
from eletrovia.metering.gateways.report import Columns, Report, of_kwh
from eletrovia.metering.moment import MALFORMED, NO_ZONE, at_us_of
from eletrovia.metering.reading import MOST_ENERGY_WH, NO_POWER, epoch_us

TASMOTA = """{"Time":"2026-01-02T03:04:05","ENERGY":{"TotalStartTime":"2023-05-01T10:00:00","Total":1956.123,
"Yesterday":0.754,"Today":0.249,"Period":3,"Power":92,"ApparentPower":120,"ReactivePower":77,"Factor":0.77,
"Voltage":231,"Current":0.519}}"""
THREE_PHASES = """{"Time":"2026-01-02T03:04:05+01:00","ENERGY":{"Total":[1.101,2.2,3.003],
"Power":[10,20,30.5],"Voltage":[230,231,229]},"TempUnit":"C"}"""
OLD_TASMOTA = """{"Time":"2017-01-17T18:59:50","Total":1.956,"Yesterday":0.054,"Today":0.049,"Period":0,
"Power":9,"Factor":0.43,"Voltage":231,"Current":0.089}"""
PLUS_1PM = """{"src":"shellyplus1pm-a8032abe54dc","dst":"shellyplus1pm-a8032abe54dc/events",
"method":"NotifyStatus","params":{"ts":1765432101.52,"switch:0":{"id":0,"aenergy":{
"by_minute":[12.1,0.5,3.25],"minute_ts":1765432080,"total":11.679},"apower":8.9}}}"""
PRO_3EM = """{"src":"shellypro3em-0cb815fd1c64","dst":"x","method":"NotifyStatus",
"params":{"ts":1765432140.00,"emdata:0":{"id":0,"a_total_act_energy":2776.05,"a_total_act_ret_energy":0.00,"b_total_act_energy":1.05,
"total_act":6776.55,"total_act_ret":3.01}}}"""
PRO_EM = """{"src":"shellyproem50-08f9e0e67204","dst":"x","method":"NotifyStatus",
"params":{"ts":1765432140.00,"em1data:0":{"id":0,"total_act_energy":0.00,"total_act_ret_energy":0.00},
"em1data:1":{"id":1,"total_act_energy":9671.54,"total_act_ret_energy":2595.26}}}"""
FULL_STATUS = """{"src":"shellyplus1pm-1","dst":"x","method":"NotifyFullStatus","params":{"ts":1765432101.5,
"ble":{},"cloud":{"connected":false},"switch:0":{"id":0,"source":"init","output":true,"apower":0.0,
"voltage":231.5,"aenergy":{"total":5.0,"by_minute":[0,0,0],"minute_ts":1765432080},"temperature":{"tC":41.2}},
"sys":{"mac":"08F9E0E67204","unixtime":1765432101},"wifi":{"rssi":-61}}}"""
SWITCH = """{"id":1,"source":"MQTT","output":true,"apower":1203.4,"voltage":229.9,"current":5.23,
"aenergy":{"total":123456.789,"by_minute":[1.0,2.0,3.0],"minute_ts":1765432080},"temperature":{"tC":41.2}}"""


def told(topic: str, payload: str) -> list[tuple[str, int, float | str | None, int, float | None]]:
    return [
        (one.device, one.channel, one.at, one.energy_wh, one.power_w)
        for one in heard(topic, payload.encode())
    ]


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        ("tele/pow-1/SENSOR", TASMOTA, [("pow-1", 0, "2026-01-02T03:04:05", 1_956_123, 92)]),
        ("tele/pow-1/SENSOR", THREE_PHASES, [("pow-1", 0, "2026-01-02T03:04:05+01:00", 6304, 60.5)]),
        ("tele/pow-1/ENERGY", OLD_TASMOTA, [("pow-1", 0, "2017-01-17T18:59:50", 1956, 9)]),
        ("shellies/shelly1pm-68C63A/relay/0/energy", "7319", [("shelly1pm-68C63A", 0, None, 121, None)]),
        ("shellies/shelly25-1/relay/1/energy", "60", [("shelly25-1", 1, None, 1, None)]),
        ("shellies/shellyem-B9/emeter/0/total", "17706.2", [("shellyem-B9", 0, None, 17_706, None)]),
        (
            "shellyplus1pm-a8032abe54dc/events/rpc",
            PLUS_1PM,
            [("shellyplus1pm-a8032abe54dc", 0, 1765432101.52, 11, 8.9)],
        ),
        ("3em-1/events/rpc", PRO_3EM, [("3em-1", 0, 1765432140.0, 6776, None)]),
        (
            "em-1/events/rpc",
            PRO_EM,
            [("em-1", 0, 1765432140.0, 0, None), ("em-1", 1, 1765432140.0, 9671, None)],
        ),
        ("plug-1/events/rpc", FULL_STATUS, [("plug-1", 0, 1765432101.5, 5, 0.0)]),
        ("plug-1/status/switch:1", SWITCH, [("plug-1", 1, None, 123_456, 1203.4)]),
        ("plug-1/status/emdata:0", '{"id":0,"total_act":0.99}', [("plug-1", 0, None, 0, None)]),
    ],
)
def test_devices_are_understood_as_they_come(topic: str, payload: str, expected: list[object]) -> None:
    assert told(topic, payload) == expected


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("tele/th-1/SENSOR", '{"Time":"2026-01-02T03:04:05","AM2301":{"Temperature":23.5}}'),
        ("tele/pow-1/LWT", "Online"),
        ("shellies/announce", '{"id":"shelly1-1"}'),
        ("plug-1/events/rpc", '{"src":"plug-1","method":"NotifyEvent","params":{"ts":1.0,"events":[]}}'),
        (
            "plug-1/events/rpc",
            '{"method":"NotifyStatus","params":{"ts":1.0,"switch:0":{"id":0,"output":true}}}',
        ),
        ("plug-1/status/wifi", '{"rssi":-61}'),
        ("plug-1/status/em:0", '{"id":0,"total_act_power":2238.718}'),
        ("plug-1/status/mqtt", "not even JSON"),
    ],
)
def test_what_tells_of_something_else_is_nothing(topic: str, payload: str) -> None:
    assert heard(topic, payload.encode()) == []


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("tele/pow-1/SENSOR", "{"),
        ("tele/pow-1/SENSOR", '{"ENERGY":{"Total":"a lot"}}'),
        ("tele/pow-1/SENSOR", '{"ENERGY":{"Total":1e400000}}'),
        ("shellies/x/relay/0/energy", "-5"),
        ("shellies/x/relay/0/energy", "1e9"),
        ("shellies/x/relay/zero/energy", "5"),
        ("shellies/x/emeter/0/total", "nan"),
        ("plug-1/events/rpc", '{"method":"NotifyStatus","params":{"switch:0":{"aenergy":{"total":[]}}}}'),
        ("plug-1/status/switch:0", '{"aenergy":{"total":1e999999}}'),
    ],
)
def test_nonsense_is_refused_with_a_value_error(topic: str, payload: str) -> None:
    with pytest.raises(ValueError, match="."):
        heard(topic, payload.encode())


def test_the_filters_are_the_subjects_in_mqtts_words() -> None:
    assert "tele/+/SENSOR" in FILTERS
    assert "+/status/+" in FILTERS
    assert len(FILTERS) == len(SUBJECTS)


TOPIC = st.sampled_from(
    ["tele/d/SENSOR", "tele/d/ENERGY", "shellies/d/relay/0/energy", "shellies/d/emeter/0/total",
     "d/events/rpc", "d/status/switch:0", "d/status/emdata:0", "d/status/em1data:2"]
)  # fmt: skip
NUMBER = st.one_of(
    st.floats(), st.integers(), st.text(max_size=3), st.none(), st.lists(st.floats(), max_size=3)
)
ENERGY = st.fixed_dictionaries({}, optional={"Total": NUMBER, "Power": NUMBER, "total": NUMBER})
MESSAGE = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda **fields: msgspec.json.encode(fields),
        Time=st.text(max_size=25),
        ENERGY=ENERGY,
        method=st.sampled_from(["NotifyStatus", "NotifyFullStatus", ""]),
        params=st.dictionaries(
            st.sampled_from(["ts", "switch:0", "emdata:0", "em1data:1", "pm1:0", "sys"]),
            st.one_of(NUMBER, st.fixed_dictionaries({"aenergy": ENERGY, "total_act": NUMBER})),
        ),
        aenergy=ENERGY,
        total_act=NUMBER,
    ),
)


@given(TOPIC, MESSAGE)
def test_no_message_does_more_to_a_decoder_than_a_value_error(topic: str, payload: bytes) -> None:
    try:
        found = heard(topic, payload)
    except ValueError:
        return
    for one in found:
        assert isinstance(one, Heard)
        assert -1 <= one.energy_wh < 2**63


# -- moments ------------------------------------------------------------------------------------------------

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)), max_size=20))  # noqa: DTZ001
def test_moments_of_one_width_are_read_as_one_by_one(moments: list[datetime]) -> None:
    aware = [moment.replace(microsecond=0, tzinfo=UTC) for moment in moments]
    at_us, wrong = at_us_of([moment.isoformat().replace("+00:00", "Z") for moment in aware])
    assert not wrong
    assert at_us.tolist() == [epoch_us(moment) for moment in aware]


@given(st.lists(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES)))  # noqa: DTZ001
def test_moments_with_offsets_and_fractions_are_exact(moments: list[datetime]) -> None:
    at_us, wrong = at_us_of([moment.isoformat() for moment in moments])
    assert not wrong
    assert at_us.tolist() == [epoch_us(moment) for moment in moments]


@given(st.lists(st.one_of(st.integers(), st.text(max_size=30), st.none()), max_size=12))
@example(["2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z"])
@example(["2026-01-01T00:00:0/Z"] * 3)
@example(["0000-01-01T00:00:00Z"])
@example([10**12, -(10**12), 10**12 + 1, 2**63])
def test_each_moment_is_read_or_named(moments: list[int | str | None]) -> None:
    at_us, wrong = at_us_of(moments)
    assert len(at_us) == len(moments)
    for place, moment in enumerate(moments):
        if isinstance(moment, str):
            try:
                read = datetime.fromisoformat(moment)
            except ValueError:
                assert wrong[place] == MALFORMED
            else:
                assert (wrong.get(place) == NO_ZONE) == (read.tzinfo is None)
        elif moment is not None and abs(moment) <= 10**12:
            assert at_us[place] == moment * 1_000_000
            assert place not in wrong
        else:
            assert wrong[place] == MALFORMED


# -- energies -----------------------------------------------------------------------------------------------


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_kwh_is_cut_to_whole_wh_and_never_rounded_up(kwh: Decimal) -> None:
    energy_wh, sent_kwh = of_kwh(kwh)
    if kwh < 0:
        assert energy_wh == -1
    elif kwh.adjusted() > 12:
        assert energy_wh == MOST_ENERGY_WH + 1
    else:
        assert energy_wh <= kwh * 1000 < energy_wh + 1
        assert math.isnan(sent_kwh) or sent_kwh == float(kwh)


REPORTS = st.builds(
    lambda **fields: msgspec.json.encode(fields),
    at=st.one_of(st.integers(), st.text(max_size=25)),
    energy_wh=st.one_of(st.integers(), st.none()),
    energy_kwh=st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none()),
    power_w=st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.none()),
    estimated=st.booleans(),
)


@given(st.lists(REPORTS, max_size=6))
def test_columns_hold_whatever_a_report_says(bodies: list[bytes]) -> None:
    reports = []
    for body in bodies:
        try:
            reports.append(msgspec.json.decode(body, type=Report))
        except msgspec.DecodeError:
            continue
    columns = Columns(reports)
    assert len(columns.at_us) == len(columns.energy_wh) == len(reports)
    for place, report in enumerate(reports):
        both = (report.energy_wh is not None) + (report.energy_kwh is not None)
        if both != 1:
            assert place in columns.wrong
        elif report.energy_wh is not None and 0 <= report.energy_wh <= MOST_ENERGY_WH:
            assert columns.energy_wh[place] == report.energy_wh
        if columns.power_w is not None and report.power_w is None:
            assert columns.power_w[place] == NO_POWER


def test_all_sizes_of_power_fit_or_are_none() -> None:
    bodies = [b'{"at":1,"energy_wh":1,"power_w":%b}' % power for power in (b"1e300", b"-5.6", b"4e9", b"7")]
    columns = Columns([msgspec.json.decode(body, type=Report) for body in bodies])
    assert columns.power_w is not None
    assert columns.power_w.dtype == np.int32
    assert columns.power_w.tolist() == [NO_POWER, -6, NO_POWER, 7]
