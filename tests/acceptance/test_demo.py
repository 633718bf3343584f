"""``eletrovia demo`` as a newcomer meets it: once, again on the same data, and the verbs beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eletrovia.runtime.citymeters import AREA, HOME, HOMES
from tests.acceptance.conftest import free_ports

PATIENCE_S = 120.0


class Demo:
    """A data folder, and the command line that is given nothing else."""

    def __init__(self, data: Path) -> None:
        self.data = data
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("ELETROVIA_", "PG"))
        }
        self.environ = ours | {"COLUMNS": "120", "LC_ALL": "C.UTF-8", "ELETROVIA_DATA_DIR": str(data)}

    def words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "eletrovia", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*arguments), env=self.environ, cwd=self.data, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def ask(self, *arguments: str) -> Any:
        """What a verb answers in JSON."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def left(self) -> list[str]:
        """Processes that still know this folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.data) in line:
                found.append(line)
        return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, str, str]]:
    """A city that stays up on data of a run before; what both runs said."""
    demo, port = Demo(tmp_path_factory.mktemp("city")), str(free_ports(3))
    first = demo.run("demo", "--once", "--port", port)
    assert first.returncode == 0, first.stdout + first.stderr
    assert not demo.left()
    # Keys that somebody lost: the home and its bills are the same.
    (demo.data / "simulated-meters.json").unlink()
    log = demo.data / "second.log"
    with log.open("w") as out, subprocess.Popen(
        demo.words("demo", "--port", port, "--lang", "pt-BR"),
        env=demo.environ, cwd=demo.data, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
    ) as running:  # fmt: skip
        try:
            by = time.monotonic() + PATIENCE_S
            while "Ctrl-C" not in log.read_text():
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < by, log.read_text()
                time.sleep(0.05)
            yield demo, first.stdout, log.read_text()
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)
    assert running.returncode == 0
    assert not demo.left()


def test_what_is_told_about_the_home(told: tuple[Demo, str, str]) -> None:
    demo, first, again = told
    bill = next(line.split() for line in first.splitlines() if line.startswith("last bill"))
    number, amount = bill[2], bill[bill.index("R$") + 1].rstrip(",")
    assert f"{HOME}, your simulated home in {AREA}" in first
    assert f"{HOMES} homes of {AREA}" in first
    assert "última fatura" in again
    assert number in again
    assert amount.replace(".", ",") in again
    papers = sorted(demo.data.glob("casa-*.pdf"))
    assert [paper.read_bytes()[:5] for paper in papers] == [b"%PDF-"] * 2
    assert all(str(paper) in first + again for paper in papers)


def test_a_year_is_billed_once(told: tuple[Demo, str, str]) -> None:
    demo, _, _ = told
    page = demo.ask("invoices")
    months = [one["month"] for one in page["invoices"]]
    assert len(months) == len(set(months)) == 12
    assert {one["usage_point_id"] for one in page["invoices"]} == {HOME}
    shown = demo.ask("invoices", "show", page["invoices"][0]["number"])
    assert shown["invoice"]["bill"]["estimated_wh"] == 0
    assert len(shown["invoice"]["history"]) == 13


def test_verbs_need_no_flags(told: tuple[Demo, str, str]) -> None:
    demo, _, _ = told
    used = demo.ask("usage", HOME)
    assert used["energy_wh"] > 0
    assert used["estimated_wh"] == 0
    assert demo.ask("usage")["meter_id"] == HOME
    assert demo.ask("usage", "--area", AREA)["slots"]
    assert [one["id"] for one in demo.ask("meters", "mine")] == [HOME]
    assert len(demo.ask("meters", "list", "--limit", "1000")["meters"]) == HOMES
    assert isinstance(demo.ask("alerts")["alerts"], list)
    city = json.loads((demo.data / "city.json").read_text())
    gateway = json.loads((demo.data / "br-car" / "gateway.json").read_text())
    assert (city["gateway"]["tcp"], city["gateway"]["udp"]) == (gateway["tcp"], gateway["udp"])


def test_a_meter_of_ones_own_speaks_to_the_citys_gateway(told: tuple[Demo, str, str]) -> None:
    demo, _, _ = told
    done = demo.run("meter", "--protocol", "compact-tcp", "--id", "MINE", "--every", "0.2", "--for", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert demo.ask("usage", "MINE", "--by", "reading", "--staff")["slots"]
