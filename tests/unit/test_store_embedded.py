"""The embedded PostgreSQL: private, quick, found again, honest about what it cannot do."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from eletrovia.base.errors import Conflict, Denied, Invalid, Unavailable
from eletrovia.store.account import Account, account_of
from eletrovia.store.binaries import WHEEL, find_binaries
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.folder import SOCKET_NAME, SUN_PATH_OCTETS
from eletrovia.store.pool import Store

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which must run it as another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "city" / "postgres"


async def start(home: Path, **settings: str) -> EmbeddedPostgres:
    return await EmbeddedPostgres.start(home, settings=settings, revive=False)


async def test_data_outlive_a_stop(home: Path) -> None:
    server = await start(home)
    async with await Store.open(server.url) as store, store.connection() as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 'João' AS who")
    await server.stop()
    assert not server.is_alive
    server = await start(home)
    try:
        async with await Store.open(server.url) as store, store.connection() as connection:
            found = await connection.execute(
                """
                SELECT who, upper(who), current_setting('server_encoding'), current_setting('data_checksums'),
                       current_setting('fsync'), current_setting('synchronous_commit'),
                       current_setting('listen_addresses'), current_setting('is_superuser')
                FROM kept
                """
            )
            assert await found.fetchone() == ("João", "JOÃO", "UTF8", "on", "on", "on", "", "off")
    finally:
        await server.stop()


async def test_the_folder_is_private_its_parents_untouched_and_strangers_need_the_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.parent.mkdir(mode=0o750)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in home.parents]
    server = await start(home)
    try:
        assert [(path, path.stat().st_mode, path.stat().st_uid) for path in home.parents] == before
        assert mode(home) == 0o700
        assert mode(home / "cluster") == 0o700
        assert {mode(home / name) for name in ("secret", "postgres.log", "lock")} == {0o600}
        assert not (home / "pwfile").exists()
        secrets = [line.split(":")[4] for line in (home / "secret").read_text().splitlines()]
        assert len(set(secrets)) == 2
        assert not any(secret in server.url + server.admin_url for secret in secrets)
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(server.url, passfile="/dev/null")
        # The variable of another server must not lock us out of ours.
        monkeypatch.setenv("PGPASSWORD", "of another server")
        async with await Store.open(server.url) as store, store.connection() as connection:
            await connection.execute("SELECT 1")
    finally:
        await server.stop()


async def test_a_folder_is_used_once_at_a_time(home: Path) -> None:
    server = await start(home)
    try:
        with pytest.raises(Conflict) as caught:
            await start(home)
        assert caught.value.code == "store.in_use"
        assert caught.value.facts["holder_pid"] == os.getpid()
        assert server.is_alive
    finally:
        await server.stop()
    await (await start(home)).stop()


async def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict) as caught:
        await start(tmp_path)
    assert caught.value.code == "store.folder_not_empty"
    assert os.listdir(tmp_path) == ["thesis.txt"]


async def test_a_path_too_long_for_a_socket_gets_a_short_private_one(tmp_path: Path) -> None:
    home = tmp_path / ("a-long-name-" * 9)
    server = await start(home)
    try:
        with psycopg.connect(server.url) as connection:
            folder = Path(connection.info.host)
        assert len(os.fsencode(folder / SOCKET_NAME)) <= SUN_PATH_OCTETS
        assert not folder.is_relative_to(home)
        assert mode(folder) == 0o700
    finally:
        await server.stop()
    assert folder.name not in os.listdir(folder.parent)


async def test_a_server_that_cannot_start_says_what_postgres_said(home: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        await start(home, shared_buffers="plenty")
    assert caught.value.code == "store.start_failed"
    assert any("plenty" in line for line in caught.value.facts["log"])
    assert str(home) in caught.value.facts["do"]
    await (await start(home)).stop()  # and nothing stays in the way


async def test_a_start_that_is_cancelled_leaves_nothing_in_the_way(home: Path) -> None:
    for delay_s in (0.05, 0.2):  # in the middle of initdb
        starting = asyncio.create_task(start(home))
        await asyncio.sleep(delay_s)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    server = await start(home)
    assert server.is_alive
    await server.stop()


@pytest.mark.parametrize("harm", ["lost", "wrong"])
async def test_without_its_secret_the_data_stay_closed_and_it_says_so(home: Path, harm: str) -> None:
    await (await start(home)).stop()
    kept = (home / "secret").read_text()
    (home / "secret").write_text(
        "" if harm == "lost" else "".join(f"*:*:*:{role}:guess\n" for role in ("postgres", "eletrovia"))
    )
    with pytest.raises((Denied, Unavailable)) as caught:
        await start(home)
    assert caught.value.code == {"lost": "store.secret_missing", "wrong": "store.secret_wrong"}[harm]
    assert str(home / "secret") in caught.value.facts["file"]
    (home / "secret").write_text(kept)
    await (await start(home)).stop()


async def test_data_of_another_version_are_not_touched(home: Path) -> None:
    await (await start(home)).stop()
    (home / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable) as caught:
        await start(home)
    assert caught.value.code == "store.version"
    assert caught.value.facts["cluster"] == 9


async def test_a_malformed_url_is_the_callers_mistake() -> None:
    with pytest.raises(Invalid):
        await Store.open("postgresql://[half/")


def test_postgres_never_runs_as_root_and_keeps_the_owner_of_its_data() -> None:
    account = account_of(None)
    assert account.uid != 0
    assert account.is_ourselves == (os.geteuid() != 0)
    if os.geteuid() == 0:
        assert account_of(12345) == Account(12345, 12345)
    else:
        with pytest.raises(Unavailable):
            account_of(os.geteuid() + 1)


# Run as nobody from outside; prints the uid that postgres runs as.
AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.pool import Store

async def main():
    server = await EmbeddedPostgres.start(Path(sys.argv[1]))
    async with await Store.open(server.url) as store, store.connection() as connection:
        await connection.execute("CREATE TABLE kept ()")
    print(os.geteuid(), os.stat(f"/proc/{server.pid}").st_uid)
    await server.stop()

asyncio.run(main())
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="eletrovia-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@root_only
async def test_a_normal_users_server_is_theirs_and_root_can_run_it_for_them(open_folder: Path) -> None:
    nobody = account_of(None)
    home = open_folder / "mine"
    home.mkdir()
    nobody.give(home)
    # The interpreter may lie in a folder closed to nobody: lend what it takes to read it.
    python = Account(nobody.uid, nobody.gid, "dac_read_search")
    command, how = python.command([sys.executable, "-c", AS_NOBODY, str(home)])
    ran = await asyncio.to_thread(subprocess.run, command, **how, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == [str(nobody.uid)] * 2, ran.stderr
    server = await start(home)
    try:
        assert os.stat(f"/proc/{server.pid}").st_uid == nobody.uid
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT FROM kept")
    finally:
        await server.stop()


@root_only
async def test_a_reachable_folder_costs_no_capability(open_folder: Path) -> None:
    nobody = account_of(None)
    nobody.give(open_folder)
    if not nobody.reaches(find_binaries().postgres, find_binaries().catalog, open_folder):
        pytest.skip("this checkout itself lies in a closed folder")
    server = await start(open_folder / "data")
    try:
        assert capabilities(server) == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0}
    finally:
        await server.stop()


@root_only
async def test_closed_folders_cost_one_capability_and_stay_closed(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    site = find_binaries().folder.parents[1]
    shutil.copytree(site / f"{WHEEL}.libs", closed / f"{WHEEL}.libs")
    programs = find_binaries().folder
    shutil.copytree(programs, closed / WHEEL / programs.name, ignore=shutil.ignore_patterns("include", "*.a"))
    (closed / WHEEL / "__init__.py").touch()
    monkeypatch.syspath_prepend(closed)
    assert find_binaries().folder.is_relative_to(closed)
    server = await start(closed / "data")
    try:
        read_search = 1 << 2  # CAP_DAC_READ_SEARCH
        assert capabilities(server) == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), read_search)
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept ()")
        assert mode(closed) == 0o700
        assert closed.stat().st_uid == 0
    finally:
        await server.stop()


@root_only
def test_without_capabilities_to_lend_it_says_what_to_do(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    poor = ["setpriv", "--bounding-set=-setpcap,-dac_read_search", "--inh-caps=-all"]
    ran = subprocess.run(
        [*poor, sys.executable, "-c", AS_NOBODY, str(closed / "data")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "store.folder_closed" in ran.stderr
    assert "move the project" in ran.stderr


def capabilities(server: EmbeddedPostgres) -> dict[str, int]:
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {name: int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
