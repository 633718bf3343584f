"""Usage over HTTP: every route as nobody, as somebody else, as who lives there, as staff; and live."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from litestar import Router

from eletrovia.api import streams
from eletrovia.api.body import StrictBody
from eletrovia.api.routes.areas import areas
from eletrovia.api.routes.retention import retention
from eletrovia.api.routes.usage import usage
from eletrovia.metering.access import Access, Sight
from eletrovia.metering.areas import FEWEST, Areas
from eletrovia.metering.hours import hours_of
from eletrovia.metering.live import Live
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.retention import Retention
from eletrovia.metering.tally import Pace, Tally
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.usagequery import UsageQuery
from eletrovia.metering.verdicts import Verdicts
from eletrovia.people.account import Who
from eletrovia.store.pool import Store

ZONE = ZoneInfo("America/Recife")
MIDNIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)  # of 2026-03-02 there
PEOPLE = ("nobody", "stranger", "owner", "staff")


class House:
    """Six meters in Bessa, the first one with an owner, and one alone in Tambaú; a day of quarter hours."""

    def __init__(self, operator: Any, store: Store) -> None:
        self.operator = operator
        self.store = store
        self.who: dict[str, dict[str, str]] = {"nobody": {}}
        clock, hours, query = operator.clock, hours_of(ZONE), UsageQuery(store)
        self.sink = ReadingStore(store, clock)
        self.live = Live(query, clock, b"thistest")
        self.tally = Tally(store, clock, hours, audience=self.live, pace=Pace(look_s=0.02))
        self.access = Access(store)
        book = StoredUsage(store, hours)
        verdicts = Verdicts(store, clock, hint=self.tally.hint)
        operator.app.register(
            Router(
                "/api/v1",
                dto=StrictBody,
                return_dto=None,
                route_handlers=[
                    usage(book, self.live, verdicts, hours, self._sight, operator.people, clock),
                    areas(Areas(query, self.live, hours), hours, operator.people, clock),
                    retention(Retention(store, clock, 0), operator.people),
                ],
            )
        )

    async def _sight(self, who: Who, meter_id: str) -> Sight:
        return await self.access.sight(who.account_id, meter_id, is_staff=who.is_staff)

    async def open(self) -> House:
        for who in ("stranger", "owner"):
            self.who[who] = await self.operator.driver(f"{who}@example.org")
        self.who["staff"] = await self.operator.driver("staff@example.org", staff=True)
        owner = self.operator.people.authenticate(self.who["owner"]["Authorization"].removeprefix("Bearer "))
        async with self.store.connection() as connection:
            await connection.execute(
                "insert into meter (id, registered_at) select 'm' || n, now() from generate_series(1, 7) n;"
                "insert into usage_point (id, area, created_at)"
                " select id, case id when 'm7' then 'Tambaú' else 'Bessa' end, now() from meter;"
                "insert into fitting (usage_point_id, meter, from_at, start_wh)"
                " select id, key, '2020-01-01+00', 0 from meter;"
            )
            await connection.execute(
                "insert into customer (id, account_id, name, language, created_at)"
                " values ('cust_1', %s, 'Owner', 'en', now())",
                (owner.account_id,),
            )
            # The owner moved in at nine in the morning.
            await connection.execute(
                "insert into occupancy (usage_point_id, customer_id, from_at) values ('m1', 'cust_1', %s)",
                (MIDNIGHT + timedelta(hours=9),),
            )
        for meter in range(1, 8):
            await self.tell(
                meter, [(MIDNIGHT + timedelta(minutes=15 * n), 100 * n * meter) for n in range(97)]
            )
        await self.tally.catch_up()
        return self

    async def tell(self, meter: int, values: list[tuple[datetime, int]]) -> None:
        readings = [Reading(meter=meter, at=at, energy_wh=energy_wh) for at, energy_wh in values]
        await self.sink.merge(Readings.of(Source.HTTP, readings))

    async def ask(self, who: str, method: str, path: str, **options: Any) -> tuple[int, Any]:
        status, body, _ = await self.operator.ask(method, f"/api/v1{path}", headers=self.who[who], **options)
        return status, body

    @contextlib.asynccontextmanager
    async def events(self, who: str, path: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """What a line tells, as it tells it."""
        url = f"{self.operator.url}/api/v1{path}"
        async with self.operator.client.get(url, headers=self.who[who]) as response:
            assert response.status == 200

            async def told() -> AsyncIterator[dict[str, Any]]:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        yield json.loads(line[6:])

            yield told()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.tally.run()), asyncio.create_task(self.live.run())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def house(operator: Any, store: Store) -> House:
    return await House(operator, store).open()


DAY = "from=2026-03-02&until=2026-03-03"
VERDICT = {"verdict": "accept", "note": "seen"}
# Method, path, body, and the statuses for: nobody, a stranger, the owner of m1, staff.
ROUTES: list[tuple[str, str, Any, tuple[int, int, int, int]]] = [
    ("GET", f"/meters/m1/usage?{DAY}", None, (401, 404, 200, 200)),
    ("GET", f"/meters/m2/usage?{DAY}", None, (401, 404, 404, 200)),
    ("GET", "/meters/nowhere/usage", None, (401, 404, 404, 404)),
    ("GET", f"/meters/m1/usage?{DAY}&resolution=week", None, (401, 422, 422, 422)),
    ("GET", "/meters/m1/usage?from=yesterday", None, (401, 404, 422, 422)),
    ("GET", "/meters/m1/usage?from=2026-03-03&until=2026-03-02", None, (401, 404, 422, 422)),
    ("GET", "/meters/m1/usage?from=2026-03-02T00:00:00", None, (401, 404, 422, 422)),
    ("GET", "/meters/m1/usage?from=2001-01-01", None, (401, 404, 200, 422)),
    ("GET", f"/meters/m1/marks?{DAY}", None, (401, 404, 200, 200)),
    ("POST", "/meters/m1/marks/2026-03-02T12:00:00Z/verdict", VERDICT, (401, 403, 403, 404)),
    ("POST", "/meters/m1/marks/noon/verdict", VERDICT, (401, 403, 403, 422)),
    ("GET", "/marks", None, (401, 403, 403, 200)),
    ("GET", "/areas", None, (401, 200, 200, 200)),
    ("GET", f"/areas/Bessa/usage?{DAY}", None, (401, 200, 200, 200)),
    ("GET", f"/areas/Bessa/usage?{DAY}&resolution=month", None, (401, 422, 422, 422)),
    ("GET", f"/areas/Tambaú/usage?{DAY}", None, (401, 403, 403, 200)),
    ("GET", "/areas/Tambaú/live", None, (401, 403, 403, 200)),
    ("GET", "/areas/Cabo/usage", None, (401, 404, 404, 404)),
    ("GET", "/areas/Cabo/live", None, (401, 404, 404, 404)),
    ("GET", f"/usage?{DAY}", None, (401, 200, 200, 200)),
    ("GET", "/meters/m2/live", None, (401, 404, 404, 200)),
    ("GET", "/retention", None, (401, 403, 403, 200)),
    ("POST", "/retention", None, (401, 403, 403, 200)),
]


async def test_who_may_see_what(house: House) -> None:
    for method, path, body, statuses in ROUTES:
        for who, wanted in zip(PEOPLE, statuses, strict=True):
            if path.split("?")[0].endswith("/live") and wanted == 200:
                async with house.events(who, path):
                    continue
            status, answer = await house.ask(who, method, path, **({} if body is None else {"json": body}))
            assert status == wanted, (who, method, path, answer)
            if status in (403, 404, 422):
                assert answer["detail"], answer


async def test_a_meter_in_every_resolution(house: House) -> None:
    for resolution, slots in (("reading", 96), ("hour", 24), ("day", 1), ("month", 1)):
        _, told = await house.ask("staff", "GET", f"/meters/m2/usage?{DAY}&resolution={resolution}")
        assert (len(told["slots"]), told["energy_wh"], told["estimated_wh"]) == (slots, 19_200, 0), resolution
        assert told["time_zone"] == "America/Recife"
    assert told["slots"][0]["starts_at"] == "2026-03-01T03:00:00Z"
    _, told = await house.ask("staff", "GET", f"/meters/m2/usage?{DAY}&resolution=hour")
    first = told["slots"][0]
    assert (first["starts_at"], first["ends_at"]) == ("2026-03-02T03:00:00Z", "2026-03-02T04:00:00Z")
    assert (first["energy_wh"], first["estimated_wh"]) == (800, 0)


async def test_who_moves_in_sees_nothing_of_the_time_before(house: House) -> None:
    _, told = await house.ask("owner", "GET", f"/meters/m1/usage?{DAY}&resolution=hour")
    assert told["slots"][0]["starts_at"] == "2026-03-02T12:00:00Z"
    assert len(told["slots"]) == 15
    _, told = await house.ask("owner", "GET", f"/meters/m1/usage?{DAY}&resolution=day")
    assert told["slots"] == []


async def test_an_area_is_the_sum_of_its_meters_and_the_city_of_its_areas(house: House) -> None:
    _, bessa = await house.ask("owner", "GET", f"/areas/Bessa/usage?{DAY}")
    assert [slot["energy_wh"] for slot in bessa["slots"]] == [400 * 21] * 24
    assert {slot["meters"] for slot in bessa["slots"]} == {6}
    _, city = await house.ask("owner", "GET", f"/usage?{DAY}&resolution=day")
    assert [(slot["energy_wh"], slot["meters"]) for slot in city["slots"]] == [(9600 * 28, 7)]
    _, listed = await house.ask("owner", "GET", "/areas")
    assert [(area["name"], area["usage_points"]) for area in listed] == [("Bessa", 6), ("Tambaú", 1)]


async def test_hours_known_of_few_meters_are_for_staff_only(house: House) -> None:
    later = MIDNIGHT + timedelta(hours=25)
    for meter in range(1, FEWEST):
        await house.tell(meter, [(later, 10_000 * meter)])
    await house.tally.catch_up()
    for who, slots in (("owner", 0), ("staff", 1)):
        _, told = await house.ask(
            who, "GET", "/areas/Bessa/usage?from=2026-03-03&until=2026-03-03T01:00:00-03:00"
        )
        assert len(told["slots"]) == slots, who


async def test_a_slip_is_found_decided_about_and_worked_out_again(house: House) -> None:
    at = MIDNIGHT + timedelta(hours=12, minutes=7)
    await house.tell(2, [(at, 5)])
    await house.tally.catch_up()
    _, waiting = await house.ask("staff", "GET", "/marks")
    # Down, and up again by more than the fuse lets through in eight minutes.
    assert [(mark["meter_id"], mark["kind"]) for mark in waiting] == [("m2", "backwards")]
    _, wrong = await house.ask("staff", "GET", f"/meters/m2/usage?{DAY}&resolution=day")
    path = "/meters/m2/marks/2026-03-02T15:07:00Z/verdict"
    for note, status in (("", 422), ("x" * 1001, 422), ("read wrongly", 200), ("read wrongly", 200)):
        got, answer = await house.ask("staff", "POST", path, json={"verdict": "exclude", "note": note})
        assert got == status, answer
    await house.tally.catch_up()
    _, right = await house.ask("staff", "GET", f"/meters/m2/usage?{DAY}&resolution=day")
    assert right["energy_wh"] == 19_200 != wrong["energy_wh"]
    assert (await house.ask("staff", "GET", "/marks"))[1] == []
    _, all_marks = await house.ask("staff", "GET", "/marks?open=false")
    stand = [mark for mark in all_marks if not mark["cleared_at"]]
    assert [(mark["kind"], mark["verdict"], mark["needs_a_look"]) for mark in stand] == [
        ("backwards", "exclude", False)
    ]


async def test_live(house: House) -> None:
    async with (
        asyncio.timeout(10),
        house.at_work(),
        house.events("owner", "/meters/m1/live") as told,
        house.events("stranger", "/usage/live") as city,
    ):
        first = await anext(told)
        assert (first["energy_wh"], first["power_w"]) == (9600, 400)
        now = house.operator.clock.now().replace(microsecond=0)
        for meter in range(1, 8):
            await house.tell(meter, [(now - timedelta(minutes=1), 50_000), (now, 50_010)])
        assert (await anext(told))["power_w"] == 600
        while (total := await anext(city))["meters"] < 7:
            pass
        assert total["power_w"] == 7 * 600
    for who, shown in (("stranger", [6, None]), ("staff", [6, 1])):
        _, listed = await house.ask(who, "GET", "/areas")
        assert [area.get("now", {}).get("meters") for area in listed] == shown


async def test_a_line_ends_when_they_move_out_however_much_there_is_to_tell(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.2)
    async with asyncio.timeout(10), house.at_work(), house.events("owner", "/meters/m1/live") as told:
        await anext(told)
        async with house.store.connection() as connection:
            await connection.execute("update occupancy set until_at = now() where usage_point_id = 'm1'")

        async def never_silent() -> None:
            at = house.operator.clock.now()
            for n in range(1000):
                await house.tell(1, [(at + timedelta(milliseconds=n), 50_000 + n)])
                await asyncio.sleep(0.05)

        talking = asyncio.create_task(never_silent())
        heard = [one async for one in told]
        assert not talking.done()
        talking.cancel()
        assert heard, "there was something to tell all the time"


async def test_who_moves_in_does_not_hear_the_last_word_of_those_before(house: House) -> None:
    async with house.store.connection() as connection:
        await connection.execute(
            "update occupancy set from_at = %s where usage_point_id = 'm1'", (MIDNIGHT + timedelta(hours=25),)
        )
    async with asyncio.timeout(10), house.at_work(), house.events("owner", "/meters/m1/live") as told:
        at = house.operator.clock.now().replace(microsecond=0)
        telling = asyncio.create_task(house.tell(1, [(at, 50_000)]))
        assert (await anext(told))["energy_wh"] == 50_000
        await telling
