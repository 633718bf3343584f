"""kill -9 after every step of the protocol, of the home and of a partner: nothing told is ever untrue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eletrovia.booking.observer import Step

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME, PARTNER = "BR*MAN", "BR*SER"
HOME_STEPS = [Step.JOURNALED, Step.HOLD_TAKEN, Step.RECEIPTS_IN, Step.DECIDED, Step.TOLD, Step.DELIVERED]
PARTNER_STEPS = [Step.HOLD_TAKEN, Step.APPLIED]


@pytest.mark.parametrize(
    ("victim", "step"),
    [(HOME, step) for step in HOME_STEPS] + [(PARTNER, step) for step in PARTNER_STEPS],
)
async def test_killed_after_each_step(city: Any, victim: str, step: Step) -> None:
    await city.ready()
    before = city.city.fleet.pid(city.member(victim).name)
    armed = city.kill_after(victim, step.value)
    answer = await city.book(HOME)
    assert answer.status == 201, answer.body
    async with asyncio.timeout(20):
        while armed.exists() or city.city.fleet.pid(city.member(victim).name) == before:
            await asyncio.sleep(0.05)
    await city.ready()
    await city.check_invariants(settle_s=30)
    trip = answer.body
    standing = await city.ask(HOME, "GET", f"/api/v1/trips/{trip['id']}", token=await city.token(HOME))
    assert standing.body["state"] == trip["state"], "the driver was told what did not come true"


async def test_called_off_while_the_news_of_it_cannot_be_delivered(city: Any) -> None:
    """Cancelled at once, with a partner that dies of the confirmation: the windows are free in the end."""
    await city.ready()
    armed = city.kill_after(PARTNER, Step.APPLIED.value)
    trip = (await city.book(HOME)).body
    off = await city.ask(HOME, "DELETE", f"/api/v1/trips/{trip['id']}", token=await city.token(HOME))
    assert (off.status, off.body["state"]) == (200, "cancelled"), off.body
    async with asyncio.timeout(20):
        while armed.exists():
            await asyncio.sleep(0.05)
    await city.ready()
    await city.check_invariants(settle_s=30)
