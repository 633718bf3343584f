"""The course's datagrams are sent once: nothing that passes may cost one."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Unavailable
from eletrovia.classroom.meter_tally import Tally
from eletrovia.classroom.meter_udp import MetersOverUdp
from eletrovia.metering.intake import Intake
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.store.pool import Store

DATAGRAM = b'{"matricula": 13456789, "consumo_atual": 12, "data_hora": "01-05-2023 10:00:00"}'


async def stored(store: Store) -> list[tuple[object, ...]]:
    async with store.connection() as connection:
        rows = await connection.execute("select m.id, energy_wh from reading join meter m on key = meter")
        return await rows.fetchall()


async def test_a_statement_that_was_cancelled_is_said_again(store: Store, database_url: str) -> None:
    clock = SystemClock()
    intake = Intake(ReadingStore(store, clock), await Roster.open(store, clock), clock)
    meters = MetersOverUdp(Tally("udp"))
    told, bad = meters.decode([DATAGRAM])
    assert not bad
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("lock table meter in access exclusive mode")
        taking = asyncio.create_task(meters.take(told, intake))
        cancelled = False
        async with asyncio.timeout(10), store.connection() as admin:
            while not cancelled:
                found = await admin.execute(
                    "select bool_or(pg_cancel_backend(pid)) from pg_stat_activity"
                    " where wait_event_type = 'Lock' and datname = current_database()"
                )
                cancelled = bool((await found.fetchall())[0][0])
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await taking
    assert await stored(store) == [("uefs-b-13456789", 12_000)]
    await intake.close()
    with pytest.raises(Unavailable):
        await meters.take(told, intake)
