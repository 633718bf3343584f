"""Holds and decisions over REST, item by item, each checked against who sent it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from eletrovia.base.errors import Conflict, Denied, Invalid
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import AttemptKey, Outcome, Verdict
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.federation.wire import (
    HOLD,
    MAX_BATCH,
    MAX_BODY_OCTETS,
    Asked,
    Problem,
    encode,
    error_of,
    problem_of,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def posted(http, side, token: str, path: str, body: bytes) -> tuple[int, dict]:
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{side.url}/federation/v1{path}", data=body, headers=headers) as answer:
        return answer.status, msgspec.json.decode(await answer.read())


@pytest.fixture
def token(partners) -> str:
    """What Mandacaru shows at Carcará."""
    _, man = partners
    return man.directory.partner("BR*CAR").outbound_token


async def test_a_hold_goes_there_and_its_answer_comes_back(partners, request_of) -> None:
    car, man = partners
    request = request_of("BR*MAN")
    reply = await man.client.hold("BR*CAR", request)
    assert (reply.key, reply.outcome, reply.left_s) == (request.key, Outcome.HELD, 10)
    assert car.holds.taken == {request.key: request}
    refused = await man.client.hold("BR*CAR", request_of("BR*MAN", 2))
    assert (refused.outcome, refused.busy) == (Outcome.REFUSED, (request.window,))


async def test_what_comes_while_a_batch_is_away_leaves_together(partners, request_of) -> None:
    car, man = partners
    car.holds.pause_s = 0.05
    replies = await asyncio.gather(
        *(man.client.hold("BR*CAR", request_of("BR*MAN", n, hour=n)) for n in range(1200))
    )
    assert [reply.key.trip_id for reply in replies] == [f"trip_{n}" for n in range(1200)]
    assert sum(car.holds.batches) == 1200
    assert max(car.holds.batches) <= MAX_BATCH
    assert len(car.holds.batches) <= 5


async def test_one_bad_item_spoils_none_of_the_others(partners, request_of) -> None:
    _, man = partners
    requests = [
        request_of("BR*MAN", 1),
        request_of("BR*MAN", 2, evse_uid="cursed"),
        request_of("BR*MAN", 3, hour=2),
    ]
    first, cursed, third = await asyncio.gather(
        *(man.client.hold("BR*CAR", request) for request in requests), return_exceptions=True
    )
    assert first.outcome is third.outcome is Outcome.HELD
    assert isinstance(cursed, Conflict)
    assert cursed.code == "hold.key_reused"


async def test_malformed_items_are_answered_one_by_one(partners, http, token, request_of) -> None:
    car, _ = partners
    good = msgspec.to_builtins(request_of("BR*MAN"), enc_hook=str)
    too_long = {**good, "ttl_s": 601}
    body = msgspec.json.encode({"requests": [{}, good, too_long, 7]}, enc_hook=str)
    status, answer = await posted(http, car, token, "/holds", body)
    assert status == 200
    codes = [reply.get("problem", {}).get("code") for reply in answer["replies"]]
    assert codes == ["federation.item_malformed", None, "hold.ttl_out_of_range", "federation.item_malformed"]
    assert answer["replies"][1]["reply"]["outcome"] == "held"
    assert len(car.holds.taken) == 1


async def test_nobody_holds_in_another_homes_name(partners, http, token, request_of) -> None:
    car, _ = partners
    homes = ["BR*SER", "BR*MAN", "BR*CAR"]
    body = encode(Asked([request_of(home, hour, hour=hour) for hour, home in enumerate(homes)]))
    status, answer = await posted(http, car, token, "/holds", body)
    assert status == 200
    assert [reply.get("problem", {}).get("status") for reply in answer["replies"]] == [403, None, 403]
    assert [hold.home for hold in car.holds.taken.values()] == ["BR*MAN"]


async def test_nobody_proposes_cancels_or_arrives_in_anothers_name(partners, http, token, request_of) -> None:
    car, _ = partners
    key = AttemptKey("trip_1", 1)
    forged = {
        "/decisions/proposals": Proposal(key=key, verdict=Verdict.RELEASED, by="BR*SER"),
        "/cancellations": Cancellation(key=key, home="BR*SER", cancelled_at=NOON),
        "/arrivals": Arrival(key=request_of("BR*SER").key, home="BR*SER", arrived_at=NOON),
    }
    for path, item in forged.items():
        status, answer = await posted(http, car, token, path, encode(Asked([item])))
        assert status == 200
        assert answer["replies"][0]["problem"]["code"] == "federation.not_the_caller"
    assert car.decisions.stands == {}


async def test_only_the_home_of_a_hold_decides_over_it(partners, make_side, request_of) -> None:
    car, man = partners
    sertao = await make_side("BR*SER")
    await sertao.directory.join(car.url, await car.directory.invite(60))
    request = request_of("BR*MAN")
    await man.client.hold("BR*CAR", request)
    decision = Decision(key=request.key.attempt_key, verdict=Verdict.RELEASED, by="BR*SER", stops=(0,))
    with pytest.raises(Denied):
        await sertao.client.deliver("BR*CAR", decision)
    assert car.holds.applied == []
    await man.client.deliver("BR*CAR", decision)
    assert car.holds.applied == [decision]


async def test_the_first_proposal_stands_for_everybody(partners) -> None:
    car, man = partners
    key = AttemptKey("trip_1", 1)
    assert await man.client.read("BR*CAR", key) is None
    first = Decision(key=key, verdict=Verdict.CONFIRMED, by="BR*CAR")
    car.decisions.stands[key] = first
    told = await man.client.propose("BR*CAR", Proposal(key=key, verdict=Verdict.RELEASED, by="BR*MAN"))
    assert told == first
    assert await man.client.read("BR*CAR", key) == first


async def test_cancelling_and_arriving_are_told(partners, request_of) -> None:
    _, man = partners
    key = request_of("BR*MAN").key
    await man.client.cancel("BR*CAR", Cancellation(key=key.attempt_key, home="BR*MAN", cancelled_at=NOON))
    await man.client.arrive("BR*CAR", Arrival(key=key, home="BR*MAN", arrived_at=NOON))
    assert [(call.verb, call.outcome) for call in man.calls] == [("cancel", "ok"), ("arrive", "ok")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "federation.batch_malformed"),
        (b"{", 422, "federation.batch_malformed"),
        (b"[]", 422, "federation.batch_malformed"),
        (b'{"requests": 7}', 422, "federation.batch_malformed"),
        (b'{"requests": [' + b"{}," * MAX_BATCH + b"{}]}", 422, "federation.batch_too_long"),
        (b" " * (MAX_BODY_OCTETS + 1), 422, "body.too_large"),
        (b'{"requests": [' + b"[" * 100_000, 422, "federation.batch_malformed"),
    ],
    ids=["empty", "cut", "list", "number", "501", "1 MiB", "nested"],
)
async def test_what_is_no_batch_is_refused_whole(partners, http, token, body, status, code) -> None:
    car, _ = partners
    answered, problem = await posted(http, car, token, "/holds", body)
    assert (answered, problem["status"], problem["code"]) == (status, status, code)
    assert car.holds.batches == []


async def test_too_many_good_items_are_too_many(partners, http, token, request_of) -> None:
    car, _ = partners
    body = encode(Asked([request_of("BR*MAN", n, hour=n) for n in range(MAX_BATCH + 1)]))
    status, answer = await posted(http, car, token, "/holds", body)
    assert (status, answer["code"]) == (422, "federation.batch_too_long")
    assert car.holds.taken == {}


async def test_an_empty_batch_is_answered_with_nothing(partners, http, token) -> None:
    car, _ = partners
    assert await posted(http, car, token, "/holds", b'{"requests":[]}') == (200, {"replies": []})


async def test_only_post_is_for_batches(partners, http, token) -> None:
    car, _ = partners
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get(f"{car.url}/federation/v1/holds", headers=headers) as answer:
        assert answer.status == 422
        assert answer.content_type == "application/problem+json"


async def test_locations_come_in_pages(partners, http, token) -> None:
    car, man = partners
    for number in range(7):
        car.stations.add(f"L{number}", NOON.replace(minute=number))
    headers = {"Authorization": f"Bearer {token}"}
    url, pages, ids = f"{car.url}/federation/v1/locations?limit=3&date_from=2026-03-01T12:01:00Z", 0, []
    while url:
        async with http.get(url, headers=headers) as answer:
            assert answer.headers["X-Total-Count"] == "6"
            ids += [location["id"] for location in (await answer.json())["data"]]
            pages += 1
            url = answer.links["next"]["url"] if "next" in answer.links else None
    assert (pages, ids) == (2, ["L1", "L2", "L3", "L4", "L5", "L6"])
    assert await man.client.locations("BR*CAR") == list(car.stations.locations.values())


async def test_a_partner_does_not_slip_in_anothers_station(partners) -> None:
    car, man = partners
    car.stations.add("L1")
    stranger = msgspec.structs.replace(car.stations.locations["L1"], party_id="MAN", id="L2")
    car.stations.locations["L2"] = stranger
    assert [location.id for location in await man.client.locations("BR*CAR")] == ["L1"]


async def test_availability_is_whole_or_unchanged(partners) -> None:
    car, man = partners
    car.stations.add("L1")
    whole = await man.client.availability("BR*CAR")
    assert whole is not None
    assert [state.location_id for state in whole.states] == ["L1"]
    assert await man.client.availability("BR*CAR", whole.sequence) is None
    car.live.touch("L1")
    assert await man.client.availability("BR*CAR", whole.sequence) is not None


@pytest.mark.parametrize("kind", [Invalid, Denied, Conflict])
def test_an_error_is_the_same_after_its_journey(kind) -> None:
    error = kind("some.code", evse_id="E1")
    back = error_of(msgspec.json.decode(encode(problem_of(error)), type=Problem))
    assert (type(back), back.code, back.facts) == (kind, "some.code", {"evse_id": "E1"})


def test_a_fact_of_any_name_breaks_nothing() -> None:
    error = error_of(Problem(title="x", status=409, code="c", facts={"self": 1, "code": 2, "ok": 3}))
    assert error.facts == {"ok": 3}


def test_a_batch_decodes_the_same_fast_and_slow(request_of) -> None:
    requests = [request_of("BR*MAN", n) for n in range(3)]
    body = encode(Asked(requests))
    assert HOLD.decode(body) == HOLD._decode_one_by_one(body) == requests
