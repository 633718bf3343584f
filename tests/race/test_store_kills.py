"""kill -9, of us and of PostgreSQL: found again, brought back, and nothing that was committed is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from eletrovia.base.errors import Conflict, EletroviaError, Unavailable
from eletrovia.base.lane import Lane
from eletrovia.store.account import account_of
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.pool import Store
from eletrovia.store.postmaster import read_postmaster, runs_on

# Another process of ours: starts the server, commits a row, says so, and stays.
OWNER = """
import asyncio, sys
from pathlib import Path
from eletrovia.store.embedded import EmbeddedPostgres
from eletrovia.store.pool import Store

async def main():
    server = await EmbeddedPostgres.start(Path(sys.argv[1]))
    async with await Store.open(server.url) as store:
        async with store.transaction() as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (number bigint PRIMARY KEY)")
            await connection.execute("INSERT INTO kept SELECT count(*) FROM kept")
        print(server.pid, flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
async def owner(home: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The other process, at the head of a process group of its own, and the number of its server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(home), stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    yield process, int(await process.stdout.readline())
    if process.returncode is None:
        process.kill()
    await process.wait()
    standing = read_postmaster(home / "cluster")
    if standing and runs_on(standing.pid, home / "cluster"):
        os.kill(standing.pid, signal.SIGINT)


async def rows(server: EmbeddedPostgres) -> int:
    async with await Store.open(server.url) as store, store.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM kept")).fetchone()
    assert row is not None
    return int(row[0])


async def gone(pid: int, home: Path) -> None:
    async with asyncio.timeout(20):
        while runs_on(pid, home / "cluster"):
            await asyncio.sleep(0.01)


Owner = tuple[asyncio.subprocess.Process, int]


async def test_a_server_left_by_a_killed_process_is_adopted(home: Path, owner: Owner) -> None:
    process, pid = owner
    with pytest.raises(Conflict) as caught:
        await EmbeddedPostgres.start(home)
    assert caught.value.code == "store.in_use"
    assert caught.value.facts["holder_pid"] == process.pid
    process.kill()
    await process.wait()
    server = await EmbeddedPostgres.start(home)
    assert (server.adopted, server.pid, await rows(server)) == (True, pid, 1)
    await server.stop()
    assert not runs_on(pid, home / "cluster")


async def test_ctrl_c_in_the_terminal_reaches_us_and_not_postgres(home: Path, owner: Owner) -> None:
    process, pid = owner
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: to everyone in the group
    await process.wait()
    assert runs_on(pid, home / "cluster")
    server = await EmbeddedPostgres.start(home)
    assert (server.adopted, await rows(server)) == (True, 1)
    await server.stop()


async def test_a_stop_cut_short_is_waited_out_then_started_again(home: Path, owner: Owner) -> None:
    process, pid = owner
    os.kill(pid, signal.SIGINT)
    process.kill()
    await process.wait()
    server = await EmbeddedPostgres.start(home)
    assert not server.adopted
    assert await rows(server) == 1
    await server.stop()


@pytest.mark.parametrize("number", ["free", "taken"])
async def test_both_killed_the_server_comes_back_from_its_log(home: Path, owner: Owner, number: str) -> None:
    process, pid = owner
    process.kill()
    os.kill(pid, signal.SIGKILL)
    await process.wait()
    await gone(pid, home)
    if number == "taken":  # by another process of the same user, as after a reboot
        command, how = account_of(None).command(["sleep", "60"])
        with subprocess.Popen(command, **how) as other:  # noqa: ASYNC220 - it only has to be there
            pid_file = home / "cluster" / "postmaster.pid"
            pid_file.write_text(pid_file.read_text().replace(f"{pid}\n", f"{other.pid}\n", 1))
            server = await EmbeddedPostgres.start(home)
            assert other.poll() is None
            other.kill()
    else:
        server = await EmbeddedPostgres.start(home)
    assert not server.adopted
    assert await rows(server) == 1
    await server.stop()


async def test_a_child_still_at_work_for_the_dead_does_not_block_the_living(home: Path) -> None:
    server = await EmbeddedPostgres.start(home, revive=False)
    busy = await psycopg.AsyncConnection.connect(server.url, autocommit=True)
    work = asyncio.create_task(busy.execute("SELECT count(*) FROM generate_series(1, 1000000000000) n"))
    await asyncio.sleep(0.2)
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert not work.done()  # the child has not noticed
    await server.stop()
    async with asyncio.timeout(60):
        server = await EmbeddedPostgres.start(home)
    await server.stop()
    with pytest.raises(psycopg.OperationalError):
        await work
    await busy.close()


def kill_whole(postmaster: int) -> None:
    """The server with all its children, as when its container is killed."""
    family = [postmaster]
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{postmaster}\n" in status.read_text():
                family.append(int(status.parent.name))
    assert len(family) > 3
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Load:
    """Writers through a lane that note what they were told is committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0
        self.told: set[int] = set()
        self.failed = 0

    async def _insert(self, numbers: list[int]) -> list[int | Exception]:
        async with self._store.transaction() as connection:
            await connection.execute(
                "INSERT INTO kept SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING", (numbers,)
            )
        return list(numbers)

    async def run(self, until: asyncio.Event) -> None:
        async with Lane(self._insert, most=16, in_flight=4) as lane:

            async def writer() -> None:
                while not until.is_set():
                    self._next += 1
                    number = self._next
                    try:
                        self.told.add(await lane.put(number))
                    except Unavailable:
                        self.failed += 1
                        await asyncio.sleep(0.01)

            await asyncio.gather(*(writer() for _ in range(32)))

    async def more(self, count: int) -> None:
        goal = len(self.told) + count
        async with asyncio.timeout(60):
            while len(self.told) < goal:
                await asyncio.sleep(0.005)


async def told_but_lost(home: Path, kills: int, **settings: str) -> int:
    """How many rows the writers were told of that are not there, after so many kill -9 in full load."""
    server = await EmbeddedPostgres.start(home, settings=settings)
    store = await Store.open(server.url)
    async with store.connection() as connection:
        await connection.execute("CREATE TABLE kept (number bigint PRIMARY KEY)")
    async with await Store.open(server.admin_url) as admin, admin.connection() as connection:
        await connection.execute("CHECKPOINT")  # the table itself stands, whatever becomes of its rows
    load, until = Load(store), asyncio.Event()
    running = asyncio.create_task(load.run(until))
    try:
        for _ in range(kills):
            await load.more(300)
            killed = server.pid
            kill_whole(killed)
            await load.more(300)
            assert server.pid != killed
    finally:
        until.set()
        await running
    async with store.connection() as connection:
        found = {number for (number,) in await (await connection.execute("SELECT * FROM kept")).fetchall()}
    await store.close()
    await server.stop()
    return len(load.told - found)


async def test_nothing_told_is_lost_by_kill_9_in_full_load(home: Path) -> None:
    assert await told_but_lost(home, kills=3) == 0


async def test_canary_the_same_load_sees_a_commit_that_did_not_wait_for_its_log(home: Path) -> None:
    lost = await told_but_lost(home, kills=1, synchronous_commit="off", wal_writer_delay="10s")
    assert lost > 0


async def test_an_error_of_the_callers_is_not_taken_for_a_lost_server(store: Store) -> None:
    async def dawdle() -> None:
        async with store.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 10")
            await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(psycopg.errors.QueryCanceled):
        await dawdle()


async def test_killed_in_the_middle_of_the_very_first_start_the_next_one_works(home: Path) -> None:
    for delay_s in (0.02, 0.1, 0.2, 0.35):  # counted from its lock: mostly within initdb
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OWNER, str(home), stdout=subprocess.DEVNULL
        )
        async with asyncio.timeout(60):
            while holder(home) != str(process.pid):
                await asyncio.sleep(0.005)
        await asyncio.sleep(delay_s)
        process.kill()
        await process.wait()
    server = await EmbeddedPostgres.start(home)
    async with await Store.open(server.url) as store, store.connection() as connection:
        await connection.execute("SELECT 1")
    await server.stop()
    await asyncio.sleep(1)  # an initdb whose parent was killed writes on for a while, into nowhere
    await (await EmbeddedPostgres.start(home)).stop()
    assert not [name for name in os.listdir(home) if name.startswith(("unfinished", "pwfile"))]


def holder(home: Path) -> str:
    try:
        return (home / "lock").read_text().strip()
    except FileNotFoundError:
        return ""


async def test_two_processes_that_start_at_once_one_gets_it(home: Path) -> None:
    async def one() -> EmbeddedPostgres | EletroviaError:
        try:
            return await EmbeddedPostgres.start(home)
        except EletroviaError as refused:
            return refused

    outcomes = await asyncio.gather(*(one() for _ in range(4)))
    servers = [outcome for outcome in outcomes if isinstance(outcome, EmbeddedPostgres)]
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, EletroviaError)]
    for server in servers:
        await server.stop()
    assert (len(servers), codes) == (1, ["store.in_use"] * 3)
