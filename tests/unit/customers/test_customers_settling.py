"""What a person read at a swap comes in, whatever becomes of one try."""

from __future__ import annotations

import asyncio
from typing import Any

from eletrovia.metering import meters
from eletrovia.metering.meter import NewMeter


async def test_a_try_that_was_cancelled_is_not_the_last(utility: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(meters, "_SETTLE_S", 0.01)
    await utility.meters.register([NewMeter(id="home")])
    settling = asyncio.create_task(utility.meters.run())
    try:
        async with utility.store.transaction() as holder:
            await holder.execute("lock table fitting in access exclusive mode")
            cancelled = False
            async with asyncio.timeout(10):
                while not cancelled:
                    found = await utility.rows(
                        "select bool_or(pg_cancel_backend(pid)) from pg_stat_activity"
                        " where wait_event_type = 'Lock' and datname = current_database()"
                    )
                    cancelled = bool(found[0][0])
                    await asyncio.sleep(0.01)
            await holder.execute("update fitting set readings_due = true")
        async with asyncio.timeout(10):
            while not await utility.rows("select from reading"):
                assert not settling.done()
                await asyncio.sleep(0.01)
    finally:
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
