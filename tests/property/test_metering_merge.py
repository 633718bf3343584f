"""Whatever is sent, in whatever order and however split: each moment counts once, and nothing is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eletrovia.base.clock import SystemClock
from eletrovia.metering.reading import Fate, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.store.pool import Store

START_US = int(datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC).timestamp()) * 1_000_000

Sent = tuple[int, int, int]  # meter, second, value
batches = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 2)), max_size=12), max_size=6
)


def readings(batch: list[Sent]) -> Readings:
    columns = np.array(batch, np.int64).reshape(-1, 3)
    return Readings(
        Source.TCP, columns[:, 0].astype(np.int32), START_US + columns[:, 1] * 1_000_000, columns[:, 2].copy()
    )


@given(sent=batches, together=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_first_value_counts_and_every_other_is_kept(
    database_url: str, sent: list[list[Sent]], together: bool
) -> None:
    asyncio.run(_check(database_url, sent, together))


async def _check(url: str, sent: list[list[Sent]], together: bool) -> None:
    async with await Store.open(url) as store:
        async with store.connection() as connection:
            await connection.execute("delete from reading; delete from reading_conflict")
        sinks = [ReadingStore(store, SystemClock()) for _ in range(2)]
        merges = [sinks[place % 2].merge(readings(batch)) for place, batch in enumerate(sent)]
        answers = await asyncio.gather(*merges) if together else [await merge for merge in merges]
        async with store.connection() as connection:
            found = await connection.execute(
                "select meter, (extract(epoch from at) * 1000000)::bigint, energy_wh from reading"
            )
            stands = {
                (meter, (at - START_US) // 1_000_000): value for meter, at, value in await found.fetchall()
            }
            found = await connection.execute(
                "select meter, (extract(epoch from at) * 1000000)::bigint, energy_wh from reading_conflict"
            )
            rivals = {
                (meter, (at - START_US) // 1_000_000, value) for meter, at, value in await found.fetchall()
            }
    everything = [one for batch in sent for one in batch]
    fates = [Fate(fate) for answer in answers for fate in answer.tolist()]
    assert set(stands) == {(meter, second) for meter, second, _ in everything}
    assert rivals == {one for one in everything if stands[one[:2]] != one[2]}
    assert fates.count(Fate.STORED) == len(stands), "each moment is stored by exactly one"
    for one, fate in zip(everything, fates, strict=True):
        assert (fate is Fate.CONFLICT) == (stands[one[:2]] != one[2])
    if not together:
        first: dict[tuple[int, int], int] = {}
        for one in everything:
            first.setdefault(one[:2], one[2])
        assert stands == first


def test_columns_of_different_lengths_are_no_readings() -> None:
    with pytest.raises(ValueError, match="lengths"):
        Readings(Source.TCP, np.zeros(2, np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64))
