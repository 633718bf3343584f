"""``eletrovia readings import``: into a real database, and over HTTP to a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
import uvicorn
from litestar import Router
from prometheus_client import CollectorRegistry

from eletrovia.api.body import StrictBody
from eletrovia.api.desks import OperatorCard
from eletrovia.api.readings_app import create_readings_app
from eletrovia.api.routes.meters import meters as meter_routes
from eletrovia.api.routes.readings import meter_readings
from eletrovia.api.routes.tokens import tokens
from eletrovia.base.clock import SystemClock
from eletrovia.base.ids import Ids, new_secret
from eletrovia.cli.main import main
from eletrovia.metering.access import Access
from eletrovia.metering.customers import Customers
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.login import DeviceLogin
from eletrovia.metering.intake import Intake
from eletrovia.metering.meters import Meters
from eletrovia.metering.readinglog import ReadingLog
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.people.people import People
from eletrovia.people.token import AccessTokens
from eletrovia.store.pool import Store

ROWS = "".join(
    f"{home},2026-03-{1 + half // 48:02} {half // 2 % 24:02}:{half % 2 * 30:02}:00,"
    f"{(half * 7 + n) % 11 / 10}\n"
    for n, home in enumerate(("H1", "H2"))
    for half in range(96)
)
FILE = "meter,time,kwh\n" + ROWS


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ELETROVIA_SERVER", "ELETROVIA_CONFIG", "LC_ALL", "LC_MESSAGES", "ELETROVIA_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ELETROVIA_LANG", "en")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ELETROVIA_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "homes.csv"
    path.write_text(FILE)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["readings", "import", *arguments])
    said = capsys.readouterr()
    code = int(ended.value.code or 0)
    if "--json" not in arguments:
        return code, said.out + said.err
    # A server in this very process logs to the same place, before the answer.
    return code, json.loads("{" + said.out.partition("{\n")[2])


def test_a_dry_run_says_what_is_in_a_file(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, said = run(capsys, str(file), "--dry-run", "--zone", "-03:00")
    assert code == 0
    assert "192 rows, a row for each reading, differences in kWh, times of -03:00: 194 readings." in said
    assert "the register stands at their end" in said
    code, said = run(capsys, str(file), "--dry-run", "--lang", "pt-BR", "--unit", "wh")
    assert "192 linhas" in said
    assert "Nada foi enviado." in said


def test_what_is_unclear_ends_with_advice_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("x,y\n1,2\n")
    code, said = run(
        capsys, str(file), str(other), "--direct", "--set", "store.url=postgresql://nobody@127.0.0.1:1/x"
    )
    assert code == 7  # the database is looked for first, and nothing is in it
    code, said = run(capsys, str(other), "--dry-run")
    assert code == 2
    assert "Which column" in said
    assert "--meter" in said
    code, said = run(capsys, str(tmp_path / "none.csv"), "--dry-run")
    assert code == 4


def test_straight_into_the_database_and_again(
    capsys: pytest.CaptureFixture[str], file: Path, database_url: str
) -> None:
    direct = [
        str(file),
        "--direct",
        "--json",
        "--zone",
        "America/Recife",
        "--set",
        f"store.url={database_url}",
    ]
    code, told = run(capsys, *direct)
    assert (code, told["total"]["why"]) == (5, {"unknown_meter": 194})
    code, told = run(capsys, *direct, "--register")
    assert (code, told["registered"]) == (0, 2)
    assert told["total"]["stored"] + told["total"]["duplicate"] == 194
    for home in ("H1", "H2"):
        expected = sum(
            round(float(row.split(",")[2]) * 1000) for row in ROWS.splitlines() if row.startswith(home)
        )
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "select max(energy_wh), count(*) from reading join meter on key = meter where id = %s",
                (home,),
            ).fetchone()
        assert row == (expected, 97)
    code, told = run(capsys, *direct)
    assert (code, told["total"]) == (
        0,
        {"stored": 0, "duplicate": 194, "conflict": 0, "refused": 0, "why": {}},
    )


def test_the_next_file_goes_on_where_the_last_one_ended(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> None:
    lines = [row for row in ROWS.splitlines() if row.startswith("H1")]
    parts = []
    for number, part in enumerate((lines[:50], lines[50:])):
        path = tmp_path / f"part{number}.csv"
        path.write_text("meter,time,kwh\n" + "\n".join(part) + "\n")
        parts.append(str(path))
    whole = tmp_path / "whole.csv"
    whole.write_text("meter,time,kwh\n" + "\n".join(lines) + "\n")
    more = ["--direct", "--json", "--zone", "-03:00", "--set", f"store.url={database_url}"]
    assert run(capsys, parts[0], *more, "--register")[0] == 0
    code, told = run(capsys, parts[1], *more)
    assert (code, told["total"]["conflict"], told["total"]["stored"]) == (0, 0, 46)
    code, told = run(capsys, str(whole), *more)
    assert (told["total"]["duplicate"], told["total"]["conflict"]) == (97, 0)
    code, told = run(capsys, parts[1], *more, "--start-wh", "5")
    assert told["total"]["conflict"] > 40


# -- over HTTP ----------------------------------------------------------------------------------------------


class ServerThread:
    """A server of readings and meters, in a loop and a thread of its own."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self.url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> ServerThread:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(30)

    async def _serve(self) -> None:
        clock = SystemClock()
        async with await Store.open(self._url) as store:
            people = People(
                store, AccessTokens(new_secret(48).encode(), "BR*CAR", clock), clock=clock, ids=Ids(clock)
            )
            await people.register(email="staff@example.org", password="a long sentence", name="Staff")
            await people.make_staff("staff@example.org")
            roster = await Roster.open(store, clock)
            intake = Intake(ReadingStore(store, clock), roster, clock)
            keys = DeviceKeys(b"k" * 32)
            app = create_readings_app(
                intake=intake,
                roster=roster,
                devices=DeviceLogin(roster, keys),
                operator=OperatorCard(operator_id="BR*CAR", name="Carcará", url=""),
                clock=clock,
                ids=Ids(clock),
                registry=CollectorRegistry(),
                people=people,
            )
            access = Access(store)

            async def may_see(who: Any, meter_id: str) -> Any:
                return await access.sight(who.account_id, meter_id, is_staff=who.is_staff)

            async def unheard(topic: str, payload: bytes) -> None: ...

            desk = Meters(store, keys, intake, clock=clock, tell=unheard)
            app.register(
                Router(
                    "/api/v1",
                    dto=StrictBody,
                    return_dto=None,
                    route_handlers=[
                        tokens(people),
                        meter_routes(desk, Customers(store, clock=clock, ids=Ids(clock)), access, people),
                        meter_readings(ReadingLog(store), may_see, people, clock),
                    ],
                )
            )
            listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
            serving = asyncio.create_task(self._server.serve(sockets=[listener]))
            while not self._server.started:
                await asyncio.sleep(0.005)
            self._ready.set()
            await serving
            await intake.close()


@pytest.fixture
def server(new_database: Callable[[], str]) -> Iterator[ServerThread]:
    with ServerThread(new_database()) as thread:
        yield thread


def test_over_http_as_staff_and_again(
    capsys: pytest.CaptureFixture[str],
    file: Path,
    tmp_path: Path,
    server: ServerThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELETROVIA_EMAIL", "staff@example.org")
    monkeypatch.setenv("ELETROVIA_PASSWORD", "a long sentence")
    over = ["--server", server.url, "--zone", "America/Recife"]
    code, said = run(capsys, str(file), *over)
    assert code == 5
    assert "--register" in said
    code, said = run(capsys, str(file), *over, "--register")
    assert code == 0
    assert "2 meters registered." in said
    code, told = run(capsys, str(file), *over, "--json")
    assert (code, told["total"]["duplicate"]) == (0, 194)
    # Finer than a Wh, and a month later: the sums go on from what is stored, as it was told.
    later = tmp_path / "later.csv"
    later.write_text(
        "meter,time,kwh\n"
        + "".join(f"H1,2026-03-03 {hour:02}:00,{hour % 3 + 0.0004}\n" for hour in range(24))
    )
    code, told = run(capsys, str(later), *over, "--json")
    assert (code, told["total"]["stored"], told["total"]["duplicate"]) == (0, 24, 1)
    code, told = run(capsys, str(later), *over, "--json")
    assert (code, told["total"]["duplicate"]) == (0, 25)
