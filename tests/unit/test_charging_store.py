"""The tables of the stations: what the database itself refuses, and pages that partners turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.charging.demo import demo_network
from eletrovia.charging.location import EvseStatus, Location
from eletrovia.charging.store import LocationStore
from eletrovia.store.pool import Store

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OURS = "BR*CAR"


@pytest.fixture
def own() -> tuple[Location, ...]:
    return demo_network(OURS)[0]


async def test_pages_meet_without_a_gap_or_an_overlap(store: Store, own: tuple[Location, ...]) -> None:
    kept = LocationStore(store)
    await kept.put_locations(own, own=True)
    await kept.put_locations(demo_network("BR*MAN")[0], own=False)
    pages = [await kept.locations(OURS, limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 6, 0]
    assert [one for page in pages for one in page] == sorted(own, key=lambda one: one.id)
    assert [one async for one in kept.everything()] == await kept.locations()


async def test_news_is_what_was_updated_since(store: Store, own: tuple[Location, ...]) -> None:
    kept = LocationStore(store)
    await kept.put_locations(own, own=True)
    later = BEGAN + timedelta(hours=1)
    assert await kept.locations(OURS, updated_since=later) == []
    uid = own[5].evses[0].uid
    statuses = [(uid, EvseStatus.BLOCKED), (uid, EvseStatus.CHARGING), ("nowhere", EvseStatus.CHARGING)]
    assert await kept.set_statuses(OURS, statuses, later) == 1
    assert await kept.set_statuses(OURS, statuses, later) == 0
    (news,) = await kept.locations(OURS, updated_since=later)
    assert (news.id, news.evses[0].status, news.last_updated) == (own[5].id, EvseStatus.CHARGING, later)
    assert await kept.location(OURS, own[5].id) == news
    assert await kept.location(OURS, "nowhere") is None


async def test_keys_are_small_and_stay_when_locations_go(store: Store, own: tuple[Location, ...]) -> None:
    kept = LocationStore(store)
    await kept.put_locations(own, own=True)
    keys = await kept.evse_keys(OURS)
    assert sorted(keys.values()) == list(range(1, len(keys) + 1))
    gone = await kept.remove(OURS, [own[0].id, own[0].id, "nowhere"], BEGAN)
    assert [one.id for one in gone] == [own[0].id]
    assert await kept.remove(OURS, [own[0].id], BEGAN) == []
    await kept.put_locations(own, own=True)
    assert await kept.evse_keys(OURS) == keys


async def test_a_batch_is_taken_whole_or_not_at_all(store: Store, own: tuple[Location, ...]) -> None:
    kept = LocationStore(store)
    twice = msgspec.structs.replace(own[1], evses=own[0].evses)
    with pytest.raises(Conflict) as caught:
        await kept.put_locations([own[2], own[0], twice], own=True)
    assert caught.value.code == "evse.claimed_twice"
    odd = msgspec.structs.replace(own[0], id="not plain")
    with pytest.raises(Invalid) as refused:
        await kept.put_locations([own[2], odd], own=True)
    assert refused.value.code == "location.id_malformed"
    assert await kept.locations() == []


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("DELETE FROM location", "evse_at_location"),
        ("UPDATE location SET id = 'other' WHERE id = 'maceio'", "location_document_is_its_own"),
        (
            """UPDATE location SET operator_id = 'br*CAR', document = document || '{"country_code": "br"}'""",
            "location_operator_id_shape",
        ),
        ("UPDATE evse SET uid = 'one'", "evse_uid_once"),
        ("UPDATE evse SET uid = 'a/b' WHERE uid = 'maceio-1'", "evse_uid_plain"),
        ("UPDATE evse SET status = 'BUSY'", "evse_status_known"),
        ("UPDATE evse SET evse_id = 'BR*CAR*E1'", "evse_id_once"),
        ("UPDATE evse SET location_id = 'nowhere'", "evse_at_location"),
    ],
)
async def test_the_database_itself_refuses(
    store: Store, own: tuple[Location, ...], statement: str, constraint: str
) -> None:
    await LocationStore(store).put_locations(own, own=True)
    with pytest.raises(psycopg.IntegrityError) as caught:
        async with store.transaction() as connection:
            await connection.execute(statement.encode())
    assert caught.value.diag.constraint_name == constraint
