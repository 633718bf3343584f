"""The stations known here: the same behaviour in memory and over PostgreSQL, and what a restart finds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from eletrovia.base.errors import Conflict, Invalid, NotFound, Unavailable
from eletrovia.base.geo import Point
from eletrovia.charging.demo import demo_network
from eletrovia.charging.draft import Skipped
from eletrovia.charging.geojson import write_geojson
from eletrovia.charging.intake import open_stations
from eletrovia.charging.location import (
    Connector,
    ConnectorStandard,
    Evse,
    EvseStatus,
    Location,
    PowerType,
    split_operator_id,
)
from eletrovia.charging.picture import Wanted, stands
from eletrovia.charging.stations import Stations
from eletrovia.charging.store import LocationStore
from eletrovia.charging.tariff import PriceComponent, Tariff, TariffDimension
from eletrovia.store.pool import Store

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
OURS, THEIRS = "BR*CAR", "BR*MAN"


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = BEGAN

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def pass_s(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


def evse(uid: str, operator_id: str = OURS, status: EvseStatus = EvseStatus.AVAILABLE, kw: int = 60) -> Evse:
    plug = Connector(
        id="1",
        standard=ConnectorStandard.CCS2,
        power_type=PowerType.DC,
        max_electric_power_w=kw * 1000,
        tariff_ids=("day", "night"),
    )
    return Evse(uid=uid, evse_id=f"{operator_id}*E{uid.replace('-', '*')}", status=status, connectors=(plug,))


def site(identifier: str, *evses: Evse, operator_id: str = OURS, lat: float = -8.0) -> Location:
    country_code, party_id = split_operator_id(operator_id)
    return Location(
        country_code=country_code,
        party_id=party_id,
        id=identifier,
        name=f"Posto {identifier}",
        city="São José",
        coordinates=Point(lat, -35.0),
        evses=evses or (evse(f"{identifier}-1", operator_id),),
        simulated=True,
        last_updated=BEGAN,
    )


def tariff(identifier: str, price: str) -> Tariff:
    return Tariff(
        id=identifier, components=(PriceComponent(type=TariffDimension.ENERGY, price=Decimal(price)),)
    )


def with_status(location: Location, status: EvseStatus) -> Location:
    evses = tuple(msgspec.structs.replace(one, status=status) for one in location.evses)
    return msgspec.structs.replace(location, evses=evses)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "postgresql"])
def stations(request: pytest.FixtureRequest, clock: HandClock) -> Stations:
    kept = request.getfixturevalue("store") if request.param == "postgresql" else None
    return Stations(OURS, clock, kept)


async def test_the_same_again_changes_nothing(stations: Stations, clock: HandClock) -> None:
    first = await stations.put_own([site("a"), site("b")])
    assert (first.inserted, first.updated, first.unchanged) == (2, 0, 0)
    version = stations.version
    clock.pass_s(60)
    later = [msgspec.structs.replace(one, last_updated=clock.now()) for one in (site("a"), site("b"))]
    again = await stations.put_own(later)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 2)
    assert stations.version == version
    assert stations.get(OURS, "a").last_updated == BEGAN


async def test_what_changed_is_stamped_so_that_partners_hear_of_it(
    stations: Stations, clock: HandClock
) -> None:
    await stations.put_own([site("a"), site("b")])
    version = stations.version
    now = clock.pass_s(60)
    changes = await stations.put_own([site("a", lat=-8.5), site("b")])
    assert (changes.updated, changes.unchanged) == (1, 1)
    assert stations.version > version
    page, total = stations.page(OURS, updated_since=now)
    assert [one.id for one in page] == ["a"]
    assert total == 1


async def test_an_evse_that_goes_stays_known_as_removed_and_can_come_back(stations: Stations) -> None:
    await stations.put_own([site("a", evse("a-1"), evse("a-2"))])
    keys = await stations.evse_keys()
    await stations.put_own([site("a", evse("a-1"))])
    assert stations.evse(OURS, "a-2")[1].status is EvseStatus.REMOVED
    await stations.put_own([site("a", evse("a-1"), evse("a-2"))])
    assert stations.evse(OURS, "a-2")[1].status is EvseStatus.AVAILABLE
    assert await stations.evse_keys() == keys
    assert len(set(keys.values())) == 2


async def test_a_status_is_news_once_and_moves_no_site(stations: Stations, clock: HandClock) -> None:
    await stations.put_own([site("a", evse("a-1"), evse("a-2"))])
    version, now = stations.version, clock.pass_s(5)
    assert await stations.set_status(OURS, "a-2", EvseStatus.CHARGING)
    assert not await stations.set_status(OURS, "a-2", EvseStatus.CHARGING)
    assert [one.status for one in stations.get(OURS, "a").evses] == [
        EvseStatus.AVAILABLE,
        EvseStatus.CHARGING,
    ]
    assert stations.get(OURS, "a").last_updated == now
    assert stations.version == version
    with pytest.raises(NotFound):
        await stations.set_status(OURS, "a-3", EvseStatus.CHARGING)


async def test_removing_hides_a_location_and_still_tells_partners(stations: Stations) -> None:
    await stations.put_own([site("a"), site("b")])
    await stations.remove("a")
    assert [one.id for one in stations.all()] == ["b"]
    assert stations.near(Point(-8.0, -35.0), 1) == [(stations.get(OURS, "b"), 0.0)]
    assert [(one.id, stands(one)) for one in await stations.own_locations()] == [("a", False), ("b", True)]
    await stations.put_own([site("a")])
    assert [one.id for one in stations.all()] == ["a", "b"]
    with pytest.raises(NotFound):
        await stations.remove("c")


async def test_a_partner_is_taken_at_its_word_but_for_what_cannot_stand(stations: Stations) -> None:
    foreign = site("z", operator_id="BR*SER")
    spaced = site("b", evse("b 1", THEIRS), operator_id=THEIRS)
    changes, skipped = await stations.put_partner(THEIRS, [site("a", operator_id=THEIRS), foreign, spaced])
    assert changes.inserted == 1
    assert {(one.reference, one.code) for one in skipped} == {
        ("z", "station.of_another_operator"),
        ("b", "evse.uid_malformed"),
    }
    assert [one.id for one in stations.all()] == ["a"]
    with pytest.raises(Invalid):
        await stations.put_partner(OURS, [])


async def test_what_a_partner_no_longer_names_is_gone(stations: Stations) -> None:
    a, b, c = (site(identifier, operator_id=THEIRS) for identifier in "abc")
    await stations.put_own([site("a")])
    await stations.put_partner(THEIRS, [a, b, c])
    unreadable = msgspec.structs.replace(c, evses=(evse("c 1", THEIRS),))
    await stations.put_partner(THEIRS, [a, unreadable])
    assert [(one.operator_id, one.id) for one in stations.all()] == [
        (OURS, "a"),
        (THEIRS, "a"),
        (THEIRS, "c"),
    ]
    await stations.put_partner(THEIRS, [b], whole=False)
    assert [one.id for one in stations.all(THEIRS)] == ["a", "b", "c"]


async def test_a_pull_repairs_a_partner_status_that_was_missed(stations: Stations) -> None:
    told = site("a", operator_id=THEIRS)
    await stations.put_partner(THEIRS, [told])
    await stations.set_status(THEIRS, "a-1", EvseStatus.CHARGING)
    await stations.put_partner(THEIRS, [told])
    assert stations.evse(THEIRS, "a-1")[1].status is EvseStatus.AVAILABLE


async def test_own_locations_must_be_ours_and_plain(stations: Stations) -> None:
    await stations.put_own([site("a")])
    for bad, code in (
        (site("b", operator_id=THEIRS), "station.of_another_operator"),
        (site("b/c"), "location.id_malformed"),
        (site("b", evse("b#1")), "evse.uid_malformed"),
        (site("b", evse("b-1", THEIRS)), "evse.id_malformed"),
        (msgspec.structs.replace(site("b"), evses=()), "station.no_connections"),
    ):
        with pytest.raises(Invalid) as caught:
            await stations.put_own([site("c"), bad])
        assert caught.value.code == code
    assert [one.id for one in stations.all()] == ["a"]


async def test_tariffs_are_found_from_a_connector(stations: Stations) -> None:
    await stations.put_own([site("a")], [tariff("night", "1.10")])
    plug = stations.get(OURS, "a").evses[0].connectors[0]
    found = stations.tariff(OURS, plug)
    assert found is not None
    assert found.quote(10_000, 0) == Decimal("11.00")
    await stations.put_tariff(tariff("day", "2.00"))
    assert stations.tariff(OURS, plug) == tariff("day", "2.00")
    assert stations.tariff(THEIRS, plug) is None


async def test_searches_over_the_demo_network(stations: Stations) -> None:
    for operator_id in (OURS, THEIRS, "BR*SER"):
        locations, tariffs = demo_network(operator_id)
        if operator_id == OURS:
            await stations.put_own(locations, tariffs)
        else:
            await stations.put_partner(operator_id, locations, tariffs)
    maceio = Point(-9.66583, -35.73528)
    both = stations.near(maceio, 2)
    assert {(one.operator_id, one.city) for one, _ in both} == {(OURS, "Maceió"), (THEIRS, "Maceió")}
    assert [away for _, away in both] == sorted(away for _, away in both)
    chademo = Wanted(connector=ConnectorStandard.CHADEMO, operator_id=THEIRS)
    nearest, _ = stations.near(maceio, 500, 1, chademo)[0]
    assert nearest.city == "São Miguel dos Campos"
    fast = stations.find(Wanted(connector=ConnectorStandard.CCS2, min_power_w=180_000))
    assert {one.city for one in fast} == {"Maceió", "Feira de Santana"}
    assert [one.id for one in stations.find(Wanted(text="sao joao pessoa"))] == []
    assert [one.id for one in stations.find(Wanted(text="JOAO pessoa"), limit=1)] == ["joao-pessoa"]
    found = await stations.search(
        near=maceio,
        radius_km=40,
        connector=ConnectorStandard.CCS2,
        min_power_w=100_000,
        operator_id=None,
        text="",
        limit=10,
    )
    assert {one.id for one, _ in found} == {"maceio", "messias", "rio-largo"}


async def test_an_import_twice_updates_and_never_duplicates(stations: Stations) -> None:
    locations, _ = demo_network(OURS)
    heard: list[tuple[int, int]] = []

    async def take(data: bytes) -> dict[str, int]:
        file = open_stations(data, country_code="BR", party_id="CAR", now=BEGAN)
        report = await stations.take_in(file, lambda done, total: heard.append((done, total)))
        names = ("read", "taken", "inserted", "updated", "unchanged")
        return {name: getattr(report, name) for name in names if getattr(report, name)}

    data = json.loads(write_geojson(locations))
    n = len(locations)
    assert await take(json.dumps(data).encode()) == {"read": n, "taken": n, "inserted": n}
    data["features"][3]["properties"]["name"] = "another"
    assert await take(json.dumps(data).encode()) == {"read": n, "taken": n, "updated": 1, "unchanged": n - 1}
    assert len(list(stations.all())) == n
    assert heard[-1] == (n, n)


async def test_a_restart_finds_everything_but_what_partners_must_tell_anew(
    store: Store, clock: HandClock
) -> None:
    before = await Stations.open(OURS, clock, store)
    await before.put_own([site("a", evse("a-1"), evse("a-2")), site("b")], [tariff("day", "2.00")])
    await before.put_partner(THEIRS, [site("a", operator_id=THEIRS)], [tariff("day", "3.00")])
    clock.pass_s(60)
    await before.set_status(OURS, "a-2", EvseStatus.OUTOFORDER)
    await before.set_status(THEIRS, "a-1", EvseStatus.CHARGING)
    await before.remove("b")
    after = await Stations.open(OURS, clock, store)
    assert after.page(OURS) == before.page(OURS)
    assert after.evse(THEIRS, "a-1")[1].status is EvseStatus.AVAILABLE
    assert after.tariffs_of(OURS) == before.tariffs_of(OURS)
    assert after.tariffs_of(THEIRS) == before.tariffs_of(THEIRS)
    assert await after.evse_keys() == await before.evse_keys()


async def test_an_import_does_not_undo_a_live_status_unless_its_source_says_so(
    store: Store, clock: HandClock
) -> None:
    stations = await Stations.open(OURS, clock, store)
    await stations.put_own([site("a")])
    await stations.set_status(OURS, "a-1", EvseStatus.CHARGING)
    await stations.put_own([site("a", lat=-8.1)])
    assert stations.evse(OURS, "a-1")[1].status is EvseStatus.CHARGING
    await stations.put_own([with_status(site("a"), EvseStatus.INOPERATIVE)])
    assert stations.evse(OURS, "a-1")[1].status is EvseStatus.INOPERATIVE


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a")])
async def test_an_evse_may_move_but_not_stand_twice(
    store: Store, clock: HandClock, old: str, new: str
) -> None:
    stations = await Stations.open(OURS, clock, store)
    await stations.put_own([site(old, evse(f"{old}-1"), evse("roving")), site(new)])
    keys = await stations.evse_keys()
    with pytest.raises(Conflict) as caught:
        await stations.put_own([site(new, evse(f"{new}-1"), evse("roving"))])
    assert caught.value.code == "evse.at_another_location"
    await stations.put_own([site(old, evse(f"{old}-1")), site(new, evse(f"{new}-1"), evse("roving"))])
    again = await Stations.open(OURS, clock, store)
    for picture in (stations, again):
        location, moved = picture.evse(OURS, "roving")
        assert (location.id, moved.status) == (new, EvseStatus.AVAILABLE)
    assert await stations.evse_keys() == keys


async def test_a_printed_id_is_free_again_only_when_its_evse_is_gone(store: Store, clock: HandClock) -> None:
    stations = await Stations.open(OURS, clock, store)
    await stations.put_own([site("a")])
    heir = msgspec.structs.replace(evse("new"), evse_id=evse("a-1").evse_id)
    with pytest.raises(Conflict) as caught:
        await stations.put_own([site("b", heir)])
    assert caught.value.code == "evse.id_taken"
    await stations.put_own([site("a", heir)])
    assert stations.evse(OURS, "new")[1].status is EvseStatus.AVAILABLE


async def test_one_location_that_cannot_be_kept_costs_no_other(store: Store, clock: HandClock) -> None:
    stations = await Stations.open(OURS, clock, store)
    await stations.put_own([site("a", evse("taken"))])
    thief = site("b", evse("taken"))
    nul = msgspec.structs.replace(site("c"), name="\0")
    data = write_geojson([thief, nul, site("d")])
    file = open_stations(data, country_code="BR", party_id="CAR", now=BEGAN)
    report = await stations.take_in(file)
    assert (report.read, report.taken, report.inserted) == (3, 1, 1)
    assert {code: reason.examples[0].reference for code, reason in report.skipped.items()} == {
        "evse.at_another_location": "b",
        "document.nul": "c",
    }


async def test_after_an_outcome_nobody_knows_memory_is_read_anew(database_url: str, clock: HandClock) -> None:
    kept = await Store.open(database_url)
    stations = await Stations.open(OURS, clock, kept)
    await stations.put_own([site("a")])
    async with await Store.open(database_url) as elsewhere:
        # As if this had been ours, and its answer lost with the connection.
        await (await Stations.open(OURS, clock, elsewhere)).put_own([site("b")])
        await kept.close()
        with pytest.raises(Unavailable):
            await stations.put_own([site("b")])
        stations._store = LocationStore(elsewhere)
        assert (await stations.put_own([site("b")])).unchanged == 1
        assert [one.id for one in stations.all()] == ["a", "b"]


async def test_many_at_once_leave_memory_and_database_alike(store: Store, clock: HandClock) -> None:
    first, second = await Stations.open(OURS, clock, store), await Stations.open(OURS, clock, store)
    names = [f"s{number}" for number in range(20)]
    await first.put_own([site(name) for name in names])
    await second.load()

    def put(stations: Stations, order: Callable[[list[str]], list[str]], lat: float) -> list[Location]:
        return [site(name, lat=lat) for name in order(names)]

    await asyncio.gather(
        *(first.put_own(put(first, list, -7 - turn / 10)) for turn in range(5)),
        *(second.put_own(put(second, lambda one: one[::-1], -5 - turn / 10)) for turn in range(5)),
        *(first.set_status(OURS, f"{name}-1", EvseStatus.CHARGING) for name in names),
    )
    found = await Stations.open(OURS, clock, store)
    assert {one.coordinates.lat for one in found.all()} in ({-7.4}, {-5.4})
    assert all(one.evses[0].status is EvseStatus.CHARGING for one in found.all())
    assert isinstance(await first.evse_keys(), dict)


async def test_the_same_import_by_many_at_once_is_taken_once(store: Store) -> None:
    kept = LocationStore(store)
    changes = await asyncio.gather(
        *(kept.put_locations([site(f"s{number}") for number in range(20)], own=True) for _ in range(8))
    )
    assert sorted(one.inserted for one in changes) == [0] * 7 + [20]
    assert sorted(one.unchanged for one in changes) == [0] + [20] * 7
    assert sorted((await kept.evse_keys(OURS)).values()) == list(range(1, 21))


def test_skipped_is_told_in_json() -> None:
    assert json.loads(msgspec.json.encode(Skipped(reference="line 2", code="x.y", facts={"line": 2}))) == {
        "reference": "line 2",
        "code": "x.y",
        "facts": {"line": 2},
        "part": False,
    }


async def test_offers_counts_what_a_plan_must_know() -> None:
    """A new tariff, and an EVSE that cannot be booked any more, are news to whoever plans."""
    from eletrovia.base.clock import SystemClock

    stations = Stations("BR*CAR", SystemClock())
    locations, tariffs = demo_network("BR*CAR")
    await stations.put_own(locations, tariffs)
    evse = locations[0].evses[0]
    version, offers = stations.version, stations.offers
    await stations.put_own([], tariffs)
    assert stations.offers == offers
    await stations.set_status("BR*CAR", evse.uid, EvseStatus.CHARGING)
    assert stations.offers == offers
    await stations.set_status("BR*CAR", evse.uid, EvseStatus.OUTOFORDER)
    assert stations.offers == offers + 1
    dearer = msgspec.structs.replace(tariffs[0], components=tariffs[0].components * 2)
    await stations.put_own([], [dearer])
    assert stations.offers == offers + 2
    assert stations.version == version


async def test_a_partners_live_status_is_heard() -> None:
    from eletrovia.base.clock import SystemClock

    stations = Stations("BR*CAR", SystemClock())
    locations, tariffs = demo_network("BR*MAN")
    await stations.put_partner("BR*MAN", locations, tariffs)
    location, offers = locations[0], stations.offers
    uid = location.evses[0].uid
    stations.hear_statuses("BR*MAN", location.id, {uid: EvseStatus.OUTOFORDER, "unknown": EvseStatus.BLOCKED})
    assert stations.evse("BR*MAN", uid)[1].status is EvseStatus.OUTOFORDER
    assert stations.offers == offers + 1
    stations.hear_statuses("BR*MAN", "nowhere", {uid: EvseStatus.AVAILABLE})
    assert stations.evse("BR*MAN", uid)[1].status is EvseStatus.OUTOFORDER
