"""Readings over HTTP: a real server on a loopback port, a real PostgreSQL behind it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import re
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Router
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from eletrovia.api.desks import OperatorCard
from eletrovia.api.posted import READINGS_MAX_OCTETS, Posted, answer, unpacked
from eletrovia.api.readings_app import create_readings_app
from eletrovia.api.routes.readings import meter_readings
from eletrovia.api.sentences import SENTENCES
from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import EletroviaError, Invalid, Overloaded, Unavailable
from eletrovia.base.ids import Ids, new_secret
from eletrovia.metering.access import Access
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.login import DeviceLogin
from eletrovia.metering.intake import Intake
from eletrovia.metering.reading import Fate, Readings
from eletrovia.metering.readinglog import ReadingLog
from eletrovia.metering.readingstore import ReadingStore
from eletrovia.metering.roster import Roster
from eletrovia.people.account import Who
from eletrovia.people.people import People
from eletrovia.people.token import AccessTokens
from eletrovia.store.pool import Store

NOW = datetime(2026, 3, 31, 12, 0, 0, tzinfo=UTC)
TEN = 1774951200  # 2026-03-31T10:00:00Z
KEYS = DeviceKeys(b"k" * 32)


class StoppedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


class Sink:
    """PostgreSQL, or what stands for its troubles."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self.trouble: EletroviaError | None = None

    async def merge(self, readings: Readings) -> NDArray[np.int8]:
        if self.trouble is not None:
            raise self.trouble
        return await self._store.merge(readings)


class Gateway:
    """A gateway's HTTP server; meters M1 to M9, M2 behind the concentrator C1."""

    def __init__(self, store: Store, roster: Roster, http: aiohttp.ClientSession) -> None:
        clock = StoppedClock()
        self.store = store
        self.http = http
        self.roster = roster
        self.sink = Sink(ReadingStore(store, clock))
        self.intake = Intake(self.sink, roster, clock)
        self.people = People(
            store,
            AccessTokens(new_secret(48).encode(), "BR*CAR", SystemClock()),
            clock=SystemClock(),
            ids=Ids(clock),
        )
        self.app = create_readings_app(
            intake=self.intake,
            roster=roster,
            devices=DeviceLogin(roster, KEYS),
            operator=OperatorCard(operator_id="BR*CAR", name="Carcará", url=""),
            clock=clock,
            ids=Ids(clock),
            registry=CollectorRegistry(),
            people=self.people,
        )
        access = Access(store)

        async def may_see(who: Who, meter_id: str) -> Any:
            return await access.sight(who.account_id, meter_id, is_staff=who.is_staff)

        self.app.register(
            Router("/api/v1", route_handlers=[meter_readings(ReadingLog(store), may_see, self.people, clock)])
        )
        self.url = ""
        self.staff = ""

    def device(self, id_: str, key: str | None = None) -> str:
        number = self.roster._keys[id_]
        shown = KEYS.of(number, 0).hex() if key is None else key
        return "Basic " + base64.b64encode(f"{id_}:{shown}".encode()).decode()

    async def ask(
        self, method: str, path: str, body: Any = None, *, by: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        told = {"Authorization": self.staff if by is None else by, "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method,
            self.url + path,
            data=content,
            headers={name: value for name, value in told.items() if value},
        ) as response:
            return response.status, msgspec.json.decode(await response.read())

    async def post(self, body: Any, **more: str) -> tuple[int, Any]:
        return await self.ask("POST", "/api/v1/readings", body, **more)

    async def rows(self) -> list[tuple[object, ...]]:
        async with self.store.connection() as connection:
            found = await connection.execute(
                "select id, energy_wh, power_w, estimated "
                "from reading join meter on key = meter order by id, at"
            )
            return await found.fetchall()


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Gateway]:
    async with store.connection() as connection:
        await connection.execute(
            "insert into meter (id, registered_at) select 'M' || n, %s from generate_series(1, 9) n", (NOW,)
        )
        await connection.execute(
            "insert into meter (id, registered_at, kind) values ('C1', %s, 'concentrator')", (NOW,)
        )
        await connection.execute(
            "update meter set via = (select key from meter where id = 'C1') where id = 'M2'"
        )
    async with aiohttp.ClientSession() as http:
        made = Gateway(store, await Roster.open(store, SystemClock()), http)
        await made.roster.resolve(["C1", *(f"M{number}" for number in range(1, 10))])
        await made.people.register(email="staff@example.org", password="a long sentence", name="Staff")
        await made.people.make_staff("staff@example.org")
        pair = await made.people.log_in(email="staff@example.org", password="a long sentence")
        made.staff = f"Bearer {pair.access_token}"
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(made.app, log_config=None, lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield made
        server.should_exit = True
        await serving
        listener.close()
        await made.intake.close()


async def test_one_reading_is_new_then_the_same_then_another(gateway: Gateway) -> None:
    one = {"meter": "M1", "at": "2026-03-31T07:00:00-03:00", "energy_wh": 100, "power_w": 42}
    empty = {"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0}
    assert await gateway.post(one) == (201, empty | {"stored": 1, "items": [{"status": "stored"}]})
    assert await gateway.post(one) == (200, empty | {"duplicate": 1, "items": [{"status": "duplicate"}]})
    assert await gateway.post(one | {"energy_wh": 101}) == (
        200,
        empty | {"conflict": 1, "items": [{"status": "conflict"}]},
    )
    assert await gateway.rows() == [("M1", 100, 42, False)]


async def test_a_batch_is_answered_item_by_item_in_every_shape(gateway: Gateway) -> None:
    status, told = await gateway.post(
        {
            "readings": [
                {"meter": "M1", "at": TEN, "energy_wh": 1},
                {"meter": "M1", "at": TEN, "energy_wh": 1},
                {"meter": "M1", "at": TEN, "energy_wh": 2},
                {"meter": "M2", "at": "2026-03-31T10:00:00.25Z", "energy_kwh": "1.2345", "estimated": True},
                {"meter": "nobody", "at": TEN, "energy_wh": 1},
                {"meter": "M3", "at": TEN * 2, "energy_wh": 1},
                {"meter": "M3", "at": 9, "energy_wh": 1},
                {"meter": "M3", "at": TEN, "energy_wh": -1},
            ]
        }
    )
    assert status == 200
    assert [(one["status"], one.get("why")) for one in told["items"]] == [
        ("stored", None),
        ("duplicate", None),
        ("conflict", None),
        ("stored", None),
        ("refused", "unknown_meter"),
        ("refused", "from_the_future"),
        ("refused", "too_old"),
        ("refused", "impossible"),
    ]
    assert (told["stored"], told["duplicate"], told["conflict"], told["refused"]) == (2, 1, 1, 4)
    status, told = await gateway.post(
        {"rows": [["M4", TEN, 4], ["M5", TEN, 5, 60], ["M6", TEN, 6, None, True]]}
    )
    assert (status, told["stored"]) == (200, 3)
    assert await gateway.rows() == [
        ("M1", 1, None, False),
        ("M2", 1234, None, True),
        ("M4", 4, None, False),
        ("M5", 5, 60, False),
        ("M6", 6, None, True),
    ]


async def test_a_device_speaks_of_itself_and_a_concentrator_of_those_behind_it(gateway: Gateway) -> None:
    assert (await gateway.post({"at": TEN, "energy_wh": 1}, by=gateway.device("M1")))[0] == 201
    status, told = await gateway.post(
        {"rows": [["M1", TEN, 1], ["M2", TEN, 2], ["M3", TEN, 3]]}, by=gateway.device("C1")
    )
    assert status == 200
    assert [one.get("why", one["status"]) for one in told["items"]] == [
        "not_its_meter",
        "stored",
        "not_its_meter",
    ]
    status, told = await gateway.post(
        {"readings": [{"at": TEN + 1, "energy_wh": 1}, {"meter": "M2", "at": TEN + 2, "energy_wh": 2}]},
        by=gateway.device("M2"),
    )
    assert (status, told["stored"]) == (200, 2)
    assert len(await gateway.rows()) == 4


async def test_nobody_else_may_and_is_told_so(gateway: Gateway) -> None:
    await gateway.people.register(email="d@example.org", password="a long sentence", name="Driver")
    pair = await gateway.people.log_in(email="d@example.org", password="a long sentence")
    one = {"meter": "M1", "at": TEN, "energy_wh": 1}
    for by, expected in (
        ("", (401, "token.missing")),
        ("Bearer ", (401, "token.missing")),
        ("Bearer x.y.z", (401, "token.unknown")),
        (f"Bearer {pair.access_token}", (403, "account.not_staff")),
        ("Basic !!!", (401, "login.device_unknown")),
        ("Basic " + base64.b64encode(b"M1").decode(), (401, "login.device_unknown")),
        (gateway.device("M1", "00" * 32), (401, "login.device_unknown")),
        (gateway.device("M1", KEYS.of(gateway.roster._keys["M1"], 1).hex()), (401, "login.device_unknown")),
    ):
        status, problem = await gateway.post(one, by=by)
        assert (status, problem["code"]) == expected, by
    assert (await gateway.post(one, by=gateway.device("M1")))[0] == 201
    assert len(await gateway.rows()) == 1


async def test_a_single_reading_that_is_refused_is_a_problem_with_its_reason(gateway: Gateway) -> None:
    for one, expected in (
        ({"meter": "nobody", "at": TEN, "energy_wh": 1}, (404, "reading.unknown_meter")),
        ({"meter": "M1", "at": TEN * 2, "energy_wh": 1}, (422, "reading.from_the_future")),
        ({"meter": "M1", "at": 9, "energy_wh": 1}, (422, "reading.too_old")),
        ({"meter": "M1", "at": TEN, "energy_wh": 10**15}, (422, "reading.impossible")),
    ):
        status, problem = await gateway.post(one)
        assert (status, problem["code"]) == expected
        assert problem["detail"] == SENTENCES[problem["code"]][0].format(meter_id="nobody", at=one["at"])
    assert (await gateway.post({"meter": "M3", "at": TEN, "energy_wh": 1}, by=gateway.device("M1")))[0] == 403


MALFORMED: list[tuple[Any, tuple[int, str], str]] = [
    (b"{", (400, "body.malformed"), ""),
    (b"", (400, "body.malformed"), ""),
    (b"\xff\xfe", (400, "body.malformed"), ""),
    ([], (422, "body.wrong_type"), "$"),
    (
        {"readings": [{"meter": "M1", "at": TEN, "energy_wh": "1"}]},
        (422, "body.wrong_type"),
        "readings[0].energy_wh",
    ),
    (
        {"readings": [{"meter": "M 1", "at": TEN, "energy_wh": 1}]},
        (422, "body.wrong_type"),
        "readings[0].meter",
    ),
    ({"readings": [{"meter": "M1", "at": TEN, "wh": 1}]}, (422, "body.unknown_field"), "readings[0].wh"),
    ({"rows": [["M1", TEN]]}, (422, "body.wrong_type"), "rows[0]"),
    ({"meter": "M1", "at": TEN, "energy_wh": 1, "rows": []}, (422, "reading.muddled"), ""),
    ({"rows": [["M1", TEN, 1], ["M1", "noon", 1]]}, (422, "reading.at_malformed"), "1"),
    ({"rows": [["M1", "2026-03-31T10:00:00", 1]]}, (422, "reading.time_zone_missing"), "0"),
    ({"readings": [{"meter": "M1", "at": TEN}]}, (422, "reading.energy_missing"), "0"),
    ({"meter": "M1", "at": TEN, "energy_wh": 1, "energy_kwh": 1}, (422, "reading.energy_twice"), "0"),
    ({}, (422, "reading.at_malformed"), "0"),
    ({"at": TEN, "energy_wh": 1}, (422, "reading.meter_missing"), "0"),
]


async def test_what_is_malformed_is_told_with_its_place_and_changes_nothing(gateway: Gateway) -> None:
    for body, expected, where in MALFORMED:
        status, problem = await gateway.post(body)
        assert (status, problem["code"]) == expected, body
        facts = problem.get("facts", {})
        assert not where or where in (str(facts.get("place")), facts.get("field")), body
        for language in ("en", "pt-BR"):
            _, problem = await gateway.post(body, Accept_Language=language)
            assert not re.search(r"\{[a-z]", problem["detail"]), problem
    assert not await gateway.rows()


async def test_a_body_may_be_packed_and_may_be_large_but_not_without_end(gateway: Gateway) -> None:
    rows = [["M1", TEN - number, 10_000 - number] for number in range(10_000)]
    body = msgspec.json.encode({"rows": rows})
    status, told = await gateway.post(gzip.compress(body), Content_Encoding="gzip")
    assert (status, told["stored"]) == (200, 10_000)
    assert len(told["items"]) == 10_000
    status, told = await gateway.post(body)
    assert (status, told["duplicate"]) == (200, 10_000)
    for body, headers, expected in (
        (msgspec.json.encode({"rows": [*rows, ["M1", 1, 1]]}), {}, (422, "body.too_many_items")),
        (b" " * (READINGS_MAX_OCTETS + 1), {}, (413, "body.too_large")),
        (
            gzip.compress(b" " * (READINGS_MAX_OCTETS + 1)),
            {"Content_Encoding": "gzip"},
            (422, "body.readings_too_large"),
        ),
        (gzip.compress(b"{}")[:-5], {"Content_Encoding": "gzip"}, (400, "body.malformed")),
        (b"{}", {"Content_Encoding": "gzip"}, (400, "body.malformed")),
        (b"{}", {"Content_Encoding": "br"}, (422, "body.encoding_unknown")),
    ):
        status, problem = await gateway.post(body, **headers)
        assert (status, problem["code"]) == expected


async def test_a_full_server_and_a_lost_database_are_told_and_bear_a_repetition(gateway: Gateway) -> None:
    one = {"meter": "M1", "at": TEN, "energy_wh": 1}
    gateway.sink.trouble = Overloaded("intake.full", waiting=5)
    assert (await gateway.post(one))[0] == 429
    gateway.sink.trouble = Unavailable("store.unreachable")
    assert (await gateway.post(one))[0] == 503
    gateway.sink.trouble = None
    assert (await gateway.post(one))[0] == 201


async def test_a_meters_readings_are_listed_with_their_conflicts_a_page_at_a_time(gateway: Gateway) -> None:
    await gateway.post({"rows": [["M1", TEN + 60 * number, number] for number in range(5)]})
    await gateway.post({"meter": "M1", "at": TEN + 60, "energy_wh": 77})
    await gateway.post(
        {"meter": "M1", "at": TEN + 600, "energy_kwh": 1.5005, "estimated": True, "power_w": 3}
    )
    path = "/api/v1/meters/M1/readings?from=2026-03-31T07:00:00-03:00&until=2026-03-31T11:00:00Z&limit="
    status, page = await gateway.ask("GET", path + "3")
    assert status == 200
    assert [one["energy_wh"] for one in page["readings"]] == [0, 1, 2]
    assert page["readings"][1]["conflicts"] == [
        {"energy_wh": 77, "source": "http", "arrived_at": "2026-03-31T12:00:00Z"}
    ]
    assert page["next"] == "2026-03-31T10:03:00Z"
    status, page = await gateway.ask("GET", f"/api/v1/meters/M1/readings?from={page['next']}&limit=3")
    assert [one["energy_wh"] for one in page["readings"]] == [3, 4, 1500]
    assert page["next"] is None
    assert page["readings"][2] == {
        "at": "2026-03-31T10:10:00Z",
        "energy_wh": 1500,
        "source": "http",
        "estimated": True,
        "power_w": 3,
        "sent_kwh": 1.5005,
        "conflicts": [],
    }
    assert (await gateway.ask("GET", "/api/v1/meters/M1/readings"))[1]["readings"][0]["energy_wh"] == 0
    for query, code in (
        ("from=yesterday", "parameter.invalid"),
        ("from=2026-03-31T10:00:00", "reading.time_zone_missing"),
        ("limit=0", "parameter.invalid"),
        ("from=2026-03-31T10:00:00Z&until=2026-03-31T10:00:00Z", "window.empty"),
    ):
        status, problem = await gateway.ask("GET", f"/api/v1/meters/M1/readings?{query}")
        assert (status, problem["code"]) == (422, code), query
    assert (await gateway.ask("GET", "/api/v1/meters/nobody/readings"))[0] == 404
    assert (await gateway.ask("GET", "/api/v1/meters/M1/readings", by=""))[0] == 401


async def test_somebody_elses_meter_is_not_found(gateway: Gateway) -> None:
    await gateway.people.register(email="d@example.org", password="a long sentence", name="Driver")
    pair = await gateway.people.log_in(email="d@example.org", password="a long sentence")
    status, _ = await gateway.ask("GET", "/api/v1/meters/M1/readings", by=f"Bearer {pair.access_token}")
    assert status == 404


# -- the body alone -----------------------------------------------------------------------------------------

VALUE = st.one_of(st.integers(), st.floats(), st.text(max_size=8), st.booleans(), st.none())
ITEM = st.dictionaries(
    st.sampled_from(["meter", "at", "energy_wh", "energy_kwh", "power_w", "estimated", "seq", "x"]), VALUE
)
BODY = st.one_of(
    ITEM,
    st.builds(lambda items: {"readings": items}, st.lists(ITEM, max_size=3)),
    st.builds(lambda rows: {"rows": rows}, st.lists(st.lists(VALUE, max_size=6), max_size=3)),
    VALUE,
).map(msgspec.json.encode)


@given(st.one_of(BODY, st.binary(max_size=80)))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_body_does_more_than_to_be_refused(body: bytes) -> None:
    with contextlib.suppress(Invalid):
        Posted(body)


@given(st.binary(max_size=200))
def test_no_packed_body_does_more_than_to_be_refused(body: bytes) -> None:
    with contextlib.suppress(Invalid):
        unpacked(b"\x1f\x8b\x08\x00" + body, "gzip")


@given(st.lists(st.sampled_from(list(Fate))))
def test_the_answer_is_json_with_one_status_each(fates: list[Fate]) -> None:
    told = msgspec.json.decode(answer(np.array(fates, np.int8)))
    assert len(told["items"]) == len(fates)
    for fate, item in zip(fates, told["items"], strict=True):
        settled = fate <= Fate.CONFLICT
        assert item == (
            {"status": fate.name.lower()} if settled else {"status": "refused", "why": fate.name.lower()}
        )
    assert sum(told[name] for name in ("stored", "duplicate", "conflict", "refused")) == len(fates)
