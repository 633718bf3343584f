"""The yardstick of the readings: what PostgreSQL merges when nobody decodes, checks or answers."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.store.pool import Store

FLIGHT: Final = 10_000
_ROW: Final = np.dtype(
    [
        ("columns", ">i2"),
        *(
            field
            for name, kind in (("at", ">i8"), ("energy_wh", ">i8"), ("meter", ">i4"), ("source", ">i2"))
            for field in ((f"{name}_size", ">i4"), (name, kind))
        ),
    ]
)
_PG_EPOCH_US: Final = 946_684_800_000_000
_STAGE: Final = """
create temporary table if not exists raw_staged (
    at timestamptz not null, energy_wh bigint not null, meter integer not null, source smallint not null
) on commit delete rows
"""
_MERGE: Final = """
insert into reading (at, energy_wh, meter, source, estimated)
select at, energy_wh, meter, source, false from raw_staged on conflict do nothing
"""


def rows(meter: NDArray[np.int32], at_us: NDArray[np.int64], energy_wh: NDArray[np.int64]) -> bytes:
    """A whole binary COPY, in order of meter and time."""
    order = np.lexsort((at_us, meter))
    made = np.empty(len(meter), _ROW)
    made["columns"] = 4
    made["at_size"] = made["energy_wh_size"] = 8
    made["meter_size"], made["source_size"] = 4, 2
    made["at"], made["energy_wh"] = at_us[order] - _PG_EPOCH_US, energy_wh[order]
    made["meter"], made["source"] = meter[order], 0
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + made.tobytes() + b"\xff\xff"


async def merged_per_s(store: Store, batches: list[bytes], *, connections: int = 2) -> float:
    """Staged COPY and merge of ready-made batches of FLIGHT rows, as fast as it goes. Units: rows/s."""
    left = batches[::-1]

    async def worker() -> None:
        async with store.connection() as connection:
            await connection.execute(_STAGE)
            while left:
                batch = left.pop()
                async with connection.transaction():
                    async with connection.cursor().copy("copy raw_staged from stdin (format binary)") as copy:
                        await copy.write(batch)
                    await connection.execute(_MERGE)

    began_s = perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    return len(batches) * FLIGHT / (perf_counter() - began_s)
