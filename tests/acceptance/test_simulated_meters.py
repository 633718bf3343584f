"""``eletrovia meter`` and ``eletrovia simulate meters`` against real servers, as people run them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eletrovia.sim.household import Households
from eletrovia.store.folder import OWNER, StoreFolder

MeterRoom = Any  # tests.acceptance.conftest


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "eletrovia", *words]


def run(*words: str, typed: str | None = None, lang: str = "en") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), input=typed, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "ELETROVIA_LANG": lang, "COLUMNS": "200"},
    )  # fmt: skip


def until(true: Callable[[], bool], patience_s: float = 30.0) -> None:
    by = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < by, "waited in vain"
        time.sleep(0.05)


# -- the classroom's ----------------------------------------------------------------------------------------


def history(room: MeterRoom, number: str) -> list[list[Any]]:
    told = json.loads(room.http("meter_tcp", f"/historic/{number}")[1])
    return [] if told is None else list(told["historic"])


def test_the_menu_changes_the_rate_and_leaves(meter_room: MeterRoom, tmp_path: Path) -> None:
    to = f"127.0.0.1:{meter_room.ports['meter_tcp']}"
    words = command("meter", "--to", to, "--every", "0.05", "--data", str(tmp_path), "--lang", "pt-BR")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def answer(*lines: str) -> None:
            assert process.stdin is not None
            process.stdin.write("".join(f"{line}\n" for line in lines))
            process.stdin.flush()

        answer("3", "7,5", "1", "2.5", "2", "1000", "2", "x", "9", "3", "100")
        stored = "select max(energy_wh) from reading join meter on key = meter where id ~ '^uefs-c-'"
        until(lambda: (meter_room.rows(stored)[0][0] or 0) > 400_000)
        answer("4")
        said = process.stdout.read()
        assert process.wait(20) == 0
    rates = [f"taxa {rate} kWh/s" for rate in ("7,500", "10,000", "0,000", "100,000")]
    for told in (*rates, "'x' não é uma taxa", "'9' não está no menu", "Alerta: within", "Alerta: above"):
        assert told in said, said
    number = said.rpartition("Medidor ")[2].partition(":")[0]
    rows = history(meter_room, number)
    assert rows == sorted(rows, key=lambda row: row[0])
    assert rows[-1][0] > 400


def test_without_a_menu_it_runs_for_its_time_and_keeps_its_number(
    meter_room: MeterRoom, tmp_path: Path
) -> None:
    common = ["meter", "--to", f"127.0.0.1:{meter_room.ports['meter_tcp']}", "--every", "0.1", "--json",
              "--data", str(tmp_path)]  # fmt: skip
    first = json.loads(run(*common, "--rate", "2", "--for", "1").stdout)
    assert first["told"] >= 2
    assert first["kwh"] == pytest.approx(0.2 * first["told"], abs=0.21)
    assert first["alert"] == "within"
    again = json.loads(
        run(*common, "--id", first["id"], "--kwh", "299", "--rate", "100", "--for", "1").stdout
    )
    assert again["id"] == first["id"]
    assert again["alert"] == "above"
    rows = history(meter_room, first["id"])
    # Ended in the middle of one, it never hears that it was stored.
    assert len(rows) - first["told"] - again["told"] in (0, 1, 2)
    assert rows[-1][0] == pytest.approx(again["kwh"], abs=10.1)


def test_it_waits_out_a_server_that_dies(meter_room: MeterRoom, tmp_path: Path) -> None:
    to = f"127.0.0.1:{meter_room.ports['meter_tcp']}"
    words = command("meter", "--to", to, "--every", "0.05", "--for", "60", "--json", "--data", str(tmp_path))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        newest = "select count(*) from reading join meter on key = meter where id ~ '^uefs-c-'"
        before = meter_room.rows(newest)[0][0]
        until(lambda: meter_room.rows(newest)[0][0] > before)
        meter_room.kill()
        before = meter_room.rows(newest)[0][0]
        until(lambda: meter_room.rows(newest)[0][0] > before + 3)
        process.terminate()
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
    rows = history(meter_room, told["id"])
    # Ended in the middle, one more may have arrived that it never heard of.
    assert len({row[0] for row in rows}) - told["told"] in (0, 1), "none lost, none twice"
    assert told["kwh"] in [row[0] for row in rows[-2:]] or told["kwh"] - rows[-1][0] < 0.06


def test_over_udp_and_by_the_thousand(meter_room: MeterRoom, tmp_path: Path) -> None:
    to = f"127.0.0.1:{meter_room.ports['meter_udp']}"
    ran = run("meter", "--protocol", "classroom-udp", "--id", "09812389", "--to", to, "--rate", "50",
              "--every", "0.1", "--for", "0.55", "--json", "--data", str(tmp_path))  # fmt: skip
    assert json.loads(ran.stdout)["id"] == "09812389"
    body = b'{"matricula": "09812389"}'
    until(lambda: meter_room.http("meter_http", "/medicoes/ultima-medicao", body)[0] == 200)
    ran = run("simulate", "meters", "--count", "2000", "--protocol", "classroom", "--to", to, "--speed",
              "10000", "--rounds", "3", "--json", "--data", str(tmp_path))  # fmt: skip
    told = json.loads(ran.stdout)
    assert (told["told"], told["refused"], told["rounds"]) == (6000, 0, 3)
    stored = "select count(*) from reading join meter on key = meter where id ~ '^uefs-b-7000'"
    until(lambda: meter_room.rows(stored) == [(6000,)])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["meter", "--protocol", "classroom-udp", "--id", "12"], 2, "matrícula de 7 ou 8"),
        (["meter", "--to", "x:y"], 2, "HOST:PORTA"),
        (["meter", "--protocol", "compact-tcp", "--id", "A", "--key", "00", "--number", "1"], 2, "gateway"),
        (["meter", "--protocol", "http", "--id", "A", "--key", "zz"], 2, "hexadecimal"),
        (["meter", "--json"], 2, "--for"),
        (["simulate", "meters", "--from", "amanhã"], 2, "data passada"),
        (["simulate", "meters", "--from", "2090-01-01"], 2, "data passada"),
        (["simulate", "meters", "--server", "http://127.0.0.1:9"], 7, "Sem resposta"),
    ],
)
def test_what_is_asked_wrongly_is_told(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    ran = run(*words, "--data", str(tmp_path), lang="pt-BR")
    assert (ran.returncode, said in ran.stderr + ran.stdout) == (code, True), ran.stderr + ran.stdout


# -- a utility's ---------------------------------------------------------------------------------------------


class Utility:
    """``eletrovia serve`` with its ports for meters open."""

    def __init__(self, folder: Path) -> None:
        names = ["http.port", "bus.mqtt_port", "bus.websocket_port", "metering.tcp_port", "metering.udp_port"]
        held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
        self.ports = {name: one.getsockname()[1] for name, one in zip(names, held, strict=True)}
        for one in held:
            one.close()
        settings = self.ports | {"bus.nats_port": 0, "log.format": "json"}
        self.folder = folder
        self.flags = ["--data", str(folder)]
        for name, value in settings.items():
            self.flags += ["--set", f"{name}={value}"]
        self.log = (folder / "said").open("w")
        self.process = subprocess.Popen(command("serve", *self.flags), stdout=self.log, stderr=self.log)
        until(self.answers, 60)

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "said").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http.port']}/healthz", timeout=2):
                return True
        except OSError:
            return False

    def rows(self, statement: str) -> list[Any]:
        folder = StoreFolder(self.folder / "postgresql")
        with psycopg.connect(folder.url(folder.home / "socket", OWNER, OWNER)) as connection:
            return connection.execute(statement.encode()).fetchall()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def utility() -> Iterator[Utility]:
    with tempfile.TemporaryDirectory(prefix="eletrovia-utility-") as folder:
        made = Utility(Path(folder))
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("protocol", ["http", "compact", "udp", "mqtt"])
def test_a_neighbourhood_tells_the_same_by_every_protocol(utility: Utility, protocol: str) -> None:
    name = protocol.upper()
    ran = run("simulate", "meters", "--count", "60", "--protocol", protocol, "--name", name,
              "--rounds", "2", "--from", "2026-03-01T00:00:00+00:00", "--speed", "100000", "--json",
              *utility.flags)  # fmt: skip
    told = json.loads(ran.stdout)
    assert (told["told"], told["refused"], told["until"]) == (120, 0, "2026-03-01T00:15:00Z")
    found = utility.rows(
        f"""select replace(id, '{name}-', '')::int, extract(epoch from at)::int, energy_wh from reading
            join meter on key = meter where id ~ '^{name}-[0-9]' order by 1, 2"""  # noqa: S608
    )
    households = Households(1, 60)
    expected = [
        (meter, at_s, int(households.registers_wh(datetime.fromtimestamp(at_s, UTC))[meter]))
        for meter in range(60)
        for at_s in (1772323200, 1772324100)
    ]
    assert found == expected


def test_a_meter_obeys_when_it_is_cut_off(utility: Utility) -> None:
    words = command("meter", "--protocol", "compact-udp", "--rate", "70", "--every", "0.1", "--for", "60",
                    *utility.flags)  # fmt: skip
    telling = "select count(*), max(energy_wh) from reading join meter on key = meter where id = 'MENU-1'"
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "ELETROVIA_LANG": "en"},
    ) as process:  # fmt: skip
        until(lambda: utility.rows(telling)[0][0] > 3)
        assert run("meters", "block", "MENU-1", *utility.flags).returncode == 0
        until(lambda: _stands_still(utility, telling))
        assert run("meters", "unblock", "MENU-1", *utility.flags).returncode == 0
        stood_at = utility.rows(telling)[0][1]
        until(lambda: utility.rows(telling)[0][1] > stood_at)
        process.terminate()
        assert process.stdout is not None
        said = process.stdout.read()
    assert "Cut off by the utility" in said
    assert "Connected again" in said
    assert "readings told" in said


def _stands_still(utility: Utility, telling: str) -> bool:
    """It goes on telling, and always the same."""
    count, wh = utility.rows(telling)[0]
    until(lambda: utility.rows(telling)[0][0] > count + 3)
    return bool(utility.rows(telling)[0][1] == wh)
