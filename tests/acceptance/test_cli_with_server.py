"""The command line as people use it, as a process of its own, against a real server started by it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.booking.trip import Itinerary, Trip
from eletrovia.cli.parts import parts_of, totals_of
from eletrovia.cli.server import Server

DRIVER = {"email": "driver@example.org", "password": "a long sentence", "name": "Driver"}
STATIONS = """location_id,name,city,latitude,longitude,connector,power_kw,quantity,tariff_ids,simulated
recife,Recife Norte,Recife,-7.98,-34.90,ccs2,60,2,,yes
palmares,Palmares,Palmares,-8.68,-35.59,ccs2,120,2,,yes
maceio,Maceió,Maceió,-9.60,-35.75,ccs2,120,2,,yes
nowhere,Nowhere,Nowhere,,,ccs2,60,1,,yes
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shell:
    """Runs ``eletrovia`` with the settings of one data folder."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{port}"
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("ELETROVIA_", "PG"))
        }
        self.environ = ours | {
            "ELETROVIA_DATA_DIR": str(data),
            "ELETROVIA_HTTP_PORT": str(port),
            "ELETROVIA_BUS_NATS_PORT": "0",
            "ELETROVIA_BUS_MQTT_PORT": "0",
            "ELETROVIA_BUS_WEBSOCKET_PORT": "0",
            "ELETROVIA_EMAIL": DRIVER["email"],
            "ELETROVIA_PASSWORD": DRIVER["password"],
            "ELETROVIA_ZONE": "America/Recife",
            "ELETROVIA_LOG_FORMAT": "json",
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
        }

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.data / "test.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "eletrovia", *arguments],
                env=self.environ,
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, *arguments: str, staff: bool = False, **more: str) -> tuple[int, str, str]:
        environ = self.environ | more
        if staff:
            environ = {name: value for name, value in environ.items() if name != "ELETROVIA_EMAIL"}
        done = subprocess.run(
            [sys.executable, "-m", "eletrovia", *arguments],
            env=environ,
            cwd=self.data,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments: str, code: int = 0, **more: Any) -> Any:
        ended, out, err = self.run(*arguments, "--json", **more)
        assert ended == code, out + err
        return json.loads(out)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    data = tmp_path_factory.mktemp("operator")
    shell = Shell(data, free_port())
    child = shell.popen("serve")
    server = Server(shell.url, clock=SystemClock())
    try:
        for _ in range(1200):
            if server.answers(0.5) or child.poll() is not None:
                break
            Event().wait(0.05)
        assert child.poll() is None, (data / "test.log").read_text()
        server.ask("POST", "/drivers", body=DRIVER, signed_in=False)
        yield shell
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def furnished(shell: Shell) -> Shell:
    (shell.data / "stations.csv").write_text(STATIONS)
    tried = shell.run("stations", "import", "stations.csv")
    assert tried[0] == 3, tried  # a driver may not
    unpriced = shell.run("stations", "import", "stations.csv", staff=True)
    assert "6 EVSEs have no tariff" in unpriced[2]
    priced = shell.run("stations", "price", "normal", "--kwh", "1,95", "--session", "1.50", staff=True)
    assert priced[1] == "normal: R$ 1.95 per kWh + R$ 1.50 per session\n"
    code, out, err = shell.run("stations", "import", "stations.csv", "--tariff", "normal", staff=True)
    assert (code, err) == (0, ""), out + err
    assert "3 of 4 stations kept for BR*CAR (6 EVSEs, csv)." in out
    assert "no coordinates" in out
    return shell


def test_the_log_is_json_lines_without_secrets(furnished: Shell) -> None:
    lines = (furnished.data / "test.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert any(event["event"] == "operator.ready" for event in events)
    secrets = json.loads((furnished.data / "staff.json").read_text())["password"]
    assert not any(secrets in line or DRIVER["password"] in line for line in lines)


def test_a_planned_trip_adds_up_in_json_and_on_the_screen(furnished: Shell) -> None:
    ask = ("trip", "João Pessoa", "maceio, al", "--battery", "60", "--depart", "2026-12-01 08:00")
    told = furnished.json(*ask)
    way = msgspec.convert(told["itineraries"][0], Itinerary)
    totals = totals_of(way, parts_of(way))
    assert totals.km == round(way.distance_km)
    assert totals.price == way.price
    assert totals.minutes == round((way.arrives_at - way.departs_at).total_seconds() / 60)
    assert way.departs_at.isoformat().startswith("2026-12-01T11:00:0")
    code, out, err = furnished.run(*ask)
    assert code == 0
    assert f"{totals.km} km · driving" in out
    assert "2026-12-01 08:00 (America/Recife, UTC−03:00)" in out
    assert "--book" in err
    assert "\x1b" not in out


def test_a_trip_is_booked_once_shown_listed_and_called_off(furnished: Shell) -> None:
    ask = (
        "trip",
        "-7.115,-34.863",
        "Maceió",
        "-b",
        "60",
        "--depart",
        "2026-12-02 08:00",
        "--book",
        "--key",
        "k1",
    )
    code, out, err = furnished.run(*ask)
    assert code == 0, out + err
    trip_id = re.findall(r"Confirmed: every stop is booked\. (\w+)", out)[0]
    again = msgspec.convert(furnished.json(*ask), Trip)
    assert (again.id, again.state) == (trip_id, "confirmed")
    assert [trip["id"] for trip in furnished.json("trips")["trips"]].count(trip_id) == 1
    assert trip_id in furnished.run("trips")[1]
    assert "Confirmada" in furnished.run("trips", trip_id, "--lang", "pt-BR")[1]

    other = furnished.run("trip", *ask[1:3], "-b", "70", "--book", "--key", "k1")
    assert other[0] == 2  # the same key, another body

    cancelled = furnished.json("trips", trip_id, "--cancel")
    assert cancelled["state"] == "cancelled"
    assert Decimal(cancelled["cancellation_fee"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("trip", "João Pessoa", "xyzzy qwrt", "-b", "60"), 4, "xyzzy"),
        (("trip", "João Pessoa", "Maceió", "-b", "60", "--vehicle", "submarine"), 4, "eletrovia vehicles"),
        (("trips", "trip_00000000000000000000"), 4, "eletrovia trips"),
        (("operators", "revoke", "BR*MAN", "--yes"), 3, "staff"),
        (("stations", "list", "--near", "xyzzy qwrt"), 4, "xyzzy"),
    ],
)
def test_what_the_server_refuses_is_told_with_its_exit_code(
    furnished: Shell, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ended, out, err = furnished.run(*arguments)
    assert (ended, out) == (code, "")
    assert told in err
    assert "Traceback" not in err
    problem = furnished.json(*arguments, code=code)
    assert problem["exit_code"] == code


def test_a_battery_that_cannot_reach_anything_says_why(furnished: Shell) -> None:
    code, out, err = furnished.run("trip", "João Pessoa", "Porto Alegre", "-b", "60", "--lang", "pt-BR")
    assert code in (2, 5)
    assert out == ""
    assert "Nenhum caminho" in err
    assert re.search(r"\d\.\d{3} km aquém entre", err)


def test_a_wrong_password_is_denied_and_never_kept(furnished: Shell, tmp_path: Path) -> None:
    ended, _, err = furnished.run(
        "trips", "--server", furnished.url, "--data", str(tmp_path), ELETROVIA_PASSWORD="wrong"
    )
    assert ended == 3
    assert "ELETROVIA_PASSWORD" in err
    assert "wrong" not in "".join(file.read_text() for file in tmp_path.iterdir())


def test_the_other_verbs_speak_to_the_server(furnished: Shell) -> None:
    assert "João Pessoa" in furnished.run("places", "joao pes")[1]
    assert furnished.json("vehicles", "--limit", "3")["vehicles"]
    assert "BR*CAR" in furnished.run("operators")[1]
    near = furnished.json("stations", "list", "--near", "recife", "--connector", "ccs2")["stations"]
    assert near[0]["location"]["id"] == "recife"
    sheet = furnished.run("stations", "show", "BR-CAR/recife", "--day", "2026-12-02")[1]
    assert "simulated" in sheet
    assert "CCS2 60 kW" in sheet
    invited = furnished.json("operators", "invite", "--for", "BR*MAN", staff=True)
    assert len(invited["registration_token"]) >= 32


def test_tokens_are_kept_private(furnished: Shell) -> None:
    furnished.json("trips")
    mode = (furnished.data / "cli-tokens.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_second_server_on_the_same_port_says_what_to_do(furnished: Shell, tmp_path: Path) -> None:
    code, _, err = furnished.run("serve", "--data", str(tmp_path))
    assert code == 5
    assert "--port" in err
    assert "Traceback" not in err


def test_doctor_sees_the_running_server(furnished: Shell) -> None:
    told = furnished.json("doctor")
    ports = next(one for one in told["checks"] if one["check"] == "ports")
    assert ports["outcome"] == "warn"
    assert furnished.url.rpartition(":")[2] in ports["found"]


def test_meters_are_added_claimed_cut_off_and_swapped(shell: Shell) -> None:
    (shell.data / "ids.txt").write_text("JPA-1\nJPA-2\nJPA 3\n")
    assert shell.run("meters", "add", "JPA-1")[0] == 3, "a driver may not"
    added = shell.json("meters", "add", "--file", "ids.txt", "--area", "Centro", "--start", "5", staff=True)
    assert (added["kept"], added["refused"]) == (2, 1)
    assert added["items"][2]["problem"]["code"] == "meter.id_malformed"
    code = added["items"][0]["registered"]["claim_code"]
    listed = shell.json("meters", "list", "--area", "Centro", "--unclaimed", staff=True)
    assert [one["id"] for one in listed["meters"]] == ["JPA-1", "JPA-2"]
    ended, out, err = shell.run("meters", "mine", "--lang", "pt-BR")
    assert (ended, out) == (0, "")
    assert "ainda não tem medidores" in err
    ended, _, err = shell.run("meters", "claim", "JPA-1", "0000-0000-0000")
    assert ended == 4
    assert "do not belong together" in err
    assert shell.run("meters", "claim", "JPA-1", code.lower())[0] == 0
    assert shell.run("meters", "block", "JPA-1", staff=True)[2] == "JPA-1 is cut off.\n"
    ended, out, _ = shell.run("meters", "mine")
    assert (ended, "cut off" in out) == (0, True)
    swapped = shell.json("meters", "swap", "JPA-1", "JPA-9", "--final", "77", staff=True)
    assert (swapped["usage_point_id"], swapped["new"]["id"]) == ("JPA-1", "JPA-9")
    key = shell.json("meters", "key", "JPA-9", staff=True)["device_key"]
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert key != swapped["new"]["device_key"]
    assert [one["id"] for one in shell.json("meters", "mine")] == ["JPA-9"]
    ended, out, _ = shell.run("meters", "list", staff=True)
    assert ended == 0
    assert re.search(r"JPA-1 +removed", out)
    assert shell.json("meters", "remove", "JPA-2", staff=True)["state"] == "removed"


def test_a_customer_looks_takes_their_data_along_and_is_erased(shell: Shell) -> None:
    added = shell.json("meters", "add", "home", "--area", "Bessa", staff=True)["items"][0]["registered"]
    assert shell.run("meters", "claim", "home", added["claim_code"])[0] == 0
    told = shell.json("customer")
    assert told["customer"]["email"] == DRIVER["email"]
    assert "home" in [stay["usage_point_id"] for stay in told["stays"]]
    assert shell.run("customer", "list")[0] == 3
    (found,) = shell.json("customer", "list", DRIVER["email"], staff=True)["customers"]
    assert shell.json("customer", "show", found["id"], staff=True) == told
    assert shell.run("customer", "export", "--to", "me.json")[0] == 0
    file = shell.data / "me.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["customer"] == told["customer"]
    assert shell.run("customer", "erase", ELETROVIA_PASSWORD="not it")[0] == 3
    ended, out, err = shell.run("customer", "erase", "--lang", "pt-BR")
    assert ended == 0, out + err
    assert "foi apagado" in err
    assert "onde e quando, sem nome" in out
    assert shell.run("customer")[0] == 4
    assert shell.json("customer", "list", DRIVER["email"], staff=True)["customers"] == []


def test_from_a_contract_to_a_paid_bill_on_paper(shell: Shell) -> None:
    rows = [f"2026-{month:02}-01T00:00:00-03:00,{month * 100}" for month in range(1, 8)]
    (shell.data / "bakery.csv").write_text("time,kwh\n" + "\n".join(rows) + "\n")
    imported = ("readings", "import", "bakery.csv", "--meter", "BAKERY", "--values", "registers")
    assert shell.run(*imported, "--unit", "kwh", "--register", staff=True)[0] == 0
    customer = shell.json("customer", "add", "Padaria Sol Nascente", staff=True)["id"]
    moved = ("--at", "2026-01-01T00:00:00-03:00")
    assert shell.run("meters", "assign", "BAKERY", customer, *moved, staff=True)[0] == 0
    terms = ("--tariff", "classroom-3", "--from", "2026-01-01")
    assert shell.run("invoices", "contract", "BAKERY", *terms)[0] == 3, "a driver may not"
    ended, out, _ = shell.run("invoices", "contract", "BAKERY", *terms, staff=True)
    assert (ended, out) == (0, "BAKERY: classroom-3 from 2026-01-01, read on day 1\n")
    days = ("--from", "2026-05-01", "--to", "2026-06-01")
    ended, out, err = shell.run("invoices", "preview", "BAKERY", *days, "--staff", staff=True)
    assert ended == 0, err
    assert re.search(r"Energy, 1–31 May +100 +3\.00000 +R\$ 300\.00", out)
    for issued, stood in ((1, 0), (0, 1)):
        ended, out, err = shell.run("invoices", "issue", "--month", "2026-05", staff=True)
        assert ended == 0, out + err
        assert out.endswith(f"2026-05: {issued} issued, {stood} stood already, 0 wait for a person\n")
    (bill,) = shell.json("invoices", "list", "--staff", "--month", "2026-05", staff=True)["invoices"]
    assert (bill["total"], bill["open"]) == ("300.00", "300.00")
    again = shell.run("invoices", "issue", "BAKERY", *days, "--lang", "pt-BR", staff=True)
    assert again[1] == f"Já existe: {bill['number']}, R$ 300,00\n"
    ended, out, err = shell.run("invoices", "show", bill["number"], "--staff", staff=True)
    assert ended == 0, err
    for words in ("Padaria Sol Nascente", "BAKERY", "R$ 300.00", "Energy, 1–31 May", "br.gov.bcb.pix"):
        assert words in out, words
    assert shell.run("invoices", "show", bill["number"])[0] == 4, "not this driver's"
    paper = ("invoices", "pdf", bill["number"], "-o", "bill.pdf", "--language", "en", "--staff")
    assert shell.run(*paper, staff=True)[0] == 0
    assert (shell.data / "bill.pdf").read_bytes().startswith(b"%PDF-")
    credit = ("invoices", "credit", bill["id"], "20.00", "--reason", "goodwill", "--key", "k1")
    assert shell.json(*credit, staff=True) == shell.json(*credit, staff=True)
    ended, out, _ = shell.run(
        "invoices", "paid", bill["id"], "280.00", "--reference", "E1", "--lang", "pt-BR", staff=True
    )
    assert (ended, out) == (0, "Registrado: 280,00, ainda em aberto 0,00\n")
    assert "charged 300.00 for 100.000 kWh" in shell.run("invoices", "review", bill["id"], staff=True)[1]
    assert shell.run("invoices")[2] == "No invoices.\n"
    assert shell.run("invoices", "issue", staff=True)[0] == 2
