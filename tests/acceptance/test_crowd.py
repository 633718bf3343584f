"""Many drivers at once at three homes: everyone is answered, and every ledger agrees."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from eletrovia.booking.hold import Ticket

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATORS = ["BR*CAR", "BR*MAN", "BR*SER"]
WAYS = [
    ("João Pessoa", "Feira de Santana"),
    ("Feira de Santana", "João Pessoa"),
    ("Recife", "Salvador"),
    ("Maceió", "Feira de Santana"),
]
DRIVERS = 100


async def test_a_hundred_drivers_at_once(city: Any) -> None:
    tokens = {operator_id: await city.token(operator_id) for operator_id in OPERATORS}

    async def drive(number: int) -> Any:
        home = OPERATORS[number % 3]
        origin, destination = WAYS[number % len(WAYS)]
        body = {"origin": origin, "destination": destination, "soc": 0.6}
        return await city.book(home, body, token=tokens[home], patience_s=120)

    answers = await asyncio.gather(*(drive(number) for number in range(DRIVERS)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {201, 409}, statuses
    # There is room for many on the road at once, and nobody may be turned away without a reason.
    assert statuses[201] >= DRIVERS // 2, [a.body for a in answers if a.status == 409][:2]
    assert all(answer.body["code"] for answer in answers if answer.status == 409)
    counted = await city.check_invariants(settle_s=30)
    assert counted["trips"] == DRIVERS
    assert counted["decisions"] >= DRIVERS


async def test_no_older_trip_yielded_to_a_younger_undecided_one(city: Any) -> None:
    """Every refusal that an owner gave says who stood in the way, and was written down by the home."""
    refusals = 0
    for operator_id in OPERATORS:
        for trip, asked_at, refusal in await city.sql(
            operator_id,
            """select refusal.trip_id, trip.asked_at, refusal.document
               from refusal join trip on trip.id = refusal.trip_id""",
        ):
            refusals += 1
            if refusal.get("blocker") and refusal.get("blocker_state") == "held":
                blocker = msgspec.convert(refusal["blocker"], Ticket, strict=False)
                if refusal["reason"] == "taken":
                    assert blocker < Ticket(asked_at, trip), refusal
    assert refusals > 0, "a hundred drivers on four ways must have met"
