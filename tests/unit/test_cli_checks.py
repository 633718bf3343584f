"""The doctor's checks, each made to fail; and clocks and numbers as people write them."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eletrovia.base.errors import Invalid
from eletrovia.cli import checks, checks_metering
from eletrovia.cli.checks import Finding, Outcome
from eletrovia.cli.main import main
from eletrovia.cli.numbers import duration, money, number, percent
from eletrovia.cli.words import WORDS
from eletrovia.cli.zone import clock_time, departure, users_zone, zone_name
from eletrovia.people.account import Language
from eletrovia.runtime.config import defaults, with_values

NOW = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)


def test_this_machine_passes_where_the_other_tests_do(tmp_path: Path) -> None:
    values = {"data.dir": str(tmp_path), "http.port": 0, "bus.nats_port": 0, "bus.mqtt_port": 0}
    findings = checks.run_checks(with_values(defaults(), values | {"bus.websocket_port": 0}))
    assert [one.check for one in findings] == [
        *("python", "user", "data_dir", "disk", "memory", "files", "zone", "postgresql", "nats", "ports"),
        *("meters_zone", "tariffs"),
    ]
    by_check = {one.check: one for one in findings}
    assert by_check["postgresql"].found.startswith("postgres (PostgreSQL) ")
    assert by_check["nats"].found.startswith("nats-server 2.")
    assert by_check["ports"].outcome is Outcome.OK
    for one in findings:
        assert f"doctor.check.{one.check}" in WORDS
        assert one.outcome is Outcome.OK or f"doctor.{one.advice}" in WORDS


@pytest.mark.parametrize(
    ("finding", "outcome"),
    [
        (checks.check_disk(100), Outcome.FAIL),
        (checks.check_disk(1000), Outcome.WARN),
        (checks.check_disk(100_000), Outcome.OK),
        (checks.check_memory(100), Outcome.FAIL),
        (checks.check_memory(1000), Outcome.WARN),
        (checks.check_memory(None), Outcome.OK),
        (checks.check_files(256), Outcome.FAIL),
        (checks.check_files(1024), Outcome.WARN),
        (checks.check_files(65536), Outcome.OK),
        (checks.check_user(0), Outcome.WARN),
        (checks.check_user(1000), Outcome.OK),
    ],
)
def test_thresholds(finding: Finding, outcome: Outcome) -> None:
    assert finding.outcome is outcome
    assert outcome is Outcome.OK or f"doctor.{finding.advice}" in WORDS


def test_a_data_folder_that_is_a_file_or_open_to_others_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert checks.check_data_dir(blocked).outcome is Outcome.FAIL
    assert checks.check_data_dir(blocked / "below").outcome is Outcome.FAIL
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert checks.check_data_dir(shared).outcome is Outcome.WARN
    shared.chmod(0o700)
    assert checks.check_data_dir(shared).outcome is Outcome.OK
    assert checks.check_data_dir(shared / "not" / "there" / "yet").outcome is Outcome.OK
    assert list(shared.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_data_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert checks.check_data_dir(tmp_path / "var").advice == "data_dir_unwritable"


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        values = {"http.port": port, "bus.nats_port": 0, "bus.mqtt_port": 0, "bus.websocket_port": 0}
        found = checks.check_ports(with_values(defaults(), values))
        assert (found.outcome, found.found) == (Outcome.WARN, f"http.port {port}")
    assert checks.port_is_free("127.0.0.1", port)


def test_servers_that_do_not_answer_are_told_without_their_passwords() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{held.getsockname()[1]}"
        for found in (
            checks.check_store_url(f"postgresql://ana:s3cret@{at}/x"),
            checks.check_bus_url(f"nats://ana:s3cret@{at}"),
        ):
            assert found.outcome is Outcome.FAIL
            assert "refused" in found.found
            assert "s3cret" not in found.found


def test_the_users_own_postgresql_is_asked_for_its_version(postgres: Any) -> None:
    found = checks.check_store_url(postgres.url)
    assert found.outcome is Outcome.OK
    assert found.found.startswith("PostgreSQL 1")


def test_doctor_ends_with_7_when_something_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json", "--data", "file"])
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["fit"]) == (7, False)
    assert [one["check"] for one in told["checks"] if one["outcome"] == "fail"] == ["data_dir"]


# -- clocks and numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "machine", "zone"),
    [
        ({}, "America/Recife", "America/Recife"),
        ({}, "Etc/UTC", "America/Sao_Paulo"),
        ({}, "UTC", "America/Sao_Paulo"),
        ({"TZ": ":Europe/Lisbon"}, "Etc/UTC", "Europe/Lisbon"),
        ({"TZ": "nonsense"}, "America/Manaus", "America/Manaus"),
        ({"TZ": "Europe/Lisbon", "ELETROVIA_ZONE": "America/Belem"}, "UTC", "America/Belem"),
    ],
)
def test_the_users_zone_is_asked_for_or_the_machines_or_brazils(
    tmp_path: Path, environ: dict[str, str], machine: str, zone: str
) -> None:
    target = tmp_path / "zoneinfo" / machine
    target.parent.mkdir(parents=True)
    target.write_text("")
    (tmp_path / "localtime").symlink_to(target)
    assert str(users_zone(environ, tmp_path / "localtime")) == zone


def test_an_unknown_zone_that_was_asked_for_is_refused() -> None:
    with pytest.raises(Invalid, match=r"zone\.unknown"):
        users_zone({"ELETROVIA_ZONE": "America/Atlantis"})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-12-01 08:00", "2026-12-01T11:00:00+00:00"),
        ("2026-12-01T08:00", "2026-12-01T11:00:00+00:00"),
        ("2026-12-01T08:00:00-05:00", "2026-12-01T13:00:00+00:00"),
        ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00+00:00"),
        ("09:15", "2026-12-01T12:15:00+00:00"),
        ("8h29", "2026-12-02T11:29:00+00:00"),
        ("08:30", "2026-12-02T11:30:00+00:00"),
    ],
)
def test_a_departure_is_on_the_users_clock_and_a_time_alone_is_the_next_one(
    written: str, expected: str
) -> None:
    zone = users_zone({"ELETROVIA_ZONE": "America/Sao_Paulo"})
    assert departure(written, zone, NOW).astimezone(UTC).isoformat() == expected


@pytest.mark.parametrize("written", ["", "soon", "25:00", "2026-13-01 08:00", "08:60"])
def test_what_is_no_departure_is_refused(written: str) -> None:
    with pytest.raises(Invalid, match=r"departure\.malformed"):
        departure(written, UTC, NOW)


def test_clock_and_zone_are_written_for_people() -> None:
    zone = users_zone({"ELETROVIA_ZONE": "America/Sao_Paulo"})
    assert clock_time(NOW, zone, since=NOW) == "08:30"
    assert clock_time(NOW + timedelta(hours=16), zone, since=NOW) == "00:30 +1"
    assert zone_name(zone, NOW) == "America/Sao_Paulo, UTC−03:00"


def test_numbers_in_both_languages() -> None:
    assert number(1234.56, Language.ENGLISH, 1) == "1,234.6"
    assert number(1234567, Language.PORTUGUESE) == "1.234.567"
    assert money(Decimal("1234.505"), "BRL", Language.PORTUGUESE) == "R$ 1.234,51"
    assert money(Decimal(3), "XYZ", Language.ENGLISH) == "XYZ 3.00"
    assert (percent(0.2), percent(0.996)) == ("20%", "100%")
    assert (duration(0), duration(59), duration(60), duration(125)) == ("0 min", "59 min", "1 h 00", "2 h 05")


def test_the_doctor_looks_at_meters_zone_tariffs_and_buffer(tmp_path: Path) -> None:
    assert checks_metering.check_meters_zone("America/Fortaleza").outcome is Outcome.OK
    assert checks_metering.check_meters_zone("America/Nowhere").outcome is Outcome.FAIL
    assert checks_metering.check_tariffs(None, Language.ENGLISH).outcome is Outcome.OK
    wrong = tmp_path / "tariffs.toml"
    wrong.write_text("[[tariff]]\nid = 3\n")
    for file in (wrong, tmp_path / "missing.toml"):
        finding = checks_metering.check_tariffs(file, Language.PORTUGUESE)
        assert finding.outcome is Outcome.FAIL
        assert str(file) in finding.found
        assert f"doctor.{finding.advice}" in WORDS
    assert checks_metering.check_udp_buffer(1 << 10).outcome is Outcome.OK


def test_a_udp_port_makes_the_doctor_look_at_the_buffer(tmp_path: Path) -> None:
    values = {"data.dir": str(tmp_path), "metering.udp_port": 47808}
    assert checks.run_checks(with_values(defaults(), values))[-1].check == "udp_buffer"


def test_a_buffer_the_kernel_does_not_give_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eletrovia.metering.gateways.mailbox.widened", lambda sock, octets: 212_992)
    finding = checks_metering.check_udp_buffer(128 << 20)
    assert finding.outcome is Outcome.WARN
    assert "134217728" in WORDS[f"doctor.{finding.advice}"][0].format_map(finding.facts)
