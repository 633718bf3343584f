"""The lane: order, one answer each, company without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from eletrovia.base.errors import Conflict, EletroviaError, Overloaded, Unavailable
from eletrovia.base.lane import Lane


class Road:
    """A flush that doubles its items, once the gate is open, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.away = 0
        self.most_away = 0

    async def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        self.away += 1
        self.most_away = max(self.most_away, self.away)
        await self.gate.wait()
        self.away -= 1
        return [Conflict("test.odd", item=item) if item % 2 else item * 2 for item in items]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_items_that_come_while_a_batch_is_away_leave_together_in_order() -> None:
    road = Road()
    lane = Lane(road, most=3)
    answers = [lane.put(0)]
    await turns()
    answers += [lane.put(item) for item in (2, 4, 6, 8)]
    await turns()
    assert road.batches == [[0]]
    road.gate.set()
    assert await asyncio.gather(*answers) == [0, 4, 8, 12, 16]
    assert road.batches == [[0], [2, 4, 6], [8]]
    assert (lane.batches, lane.items, lane.waiting) == (3, 5, 0)


async def test_items_put_in_one_turn_of_the_loop_share_the_first_batch() -> None:
    road = Road()
    road.gate.set()
    lane = Lane(road)
    await asyncio.gather(*(lane.put(item) for item in (0, 2, 4)))
    assert road.batches == [[0, 2, 4]]


async def test_an_error_among_the_answers_reaches_only_its_putter() -> None:
    road = Road()
    road.gate.set()
    lane = Lane(road)
    told = await asyncio.gather(*(lane.put(item) for item in (0, 1, 2)), return_exceptions=True)
    assert told[0] == 0
    assert told[2] == 4
    assert isinstance(told[1], Conflict)
    assert told[1].facts == {"item": 1}


async def test_a_flush_that_fails_fails_its_batch_and_no_other() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        if 1 in items:
            raise Unavailable("test.down")
        return items

    lane = Lane(flush, most=2)
    told = await asyncio.gather(*(lane.put(item) for item in (0, 1, 2, 3)), return_exceptions=True)
    assert [getattr(answer, "code", answer) for answer in told] == ["test.down", "test.down", 2, 3]


async def test_a_wrong_number_of_answers_is_nobodys_result() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    lane: Lane[int, int] = Lane(flush)
    told = await asyncio.gather(lane.put(1), lane.put(2), return_exceptions=True)
    assert [type(answer) for answer in told] == [EletroviaError, EletroviaError]


async def test_a_cancelled_putter_takes_its_waiting_item_along_and_breaks_nothing() -> None:
    road = Road()
    lane = Lane(road)
    away = asyncio.ensure_future(lane.put(0))
    await turns()
    gone, stays = lane.put(2), lane.put(4)
    away.cancel()
    gone.cancel()
    road.gate.set()
    assert await stays == 8
    assert road.batches == [[0], [4]]


async def test_a_full_lane_says_so_at_once() -> None:
    road = Road()
    lane = Lane(road, room=2)
    first = lane.put(0)
    await turns()
    kept = [lane.put(2), lane.put(4)]
    with pytest.raises(Overloaded) as caught:
        await lane.put(6)
    assert caught.value.code == "lane.full"
    road.gate.set()
    assert await asyncio.gather(first, *kept) == [0, 4, 8]


async def test_only_so_many_batches_are_away_at_once() -> None:
    road = Road()
    lane = Lane(road, most=1, in_flight=2)
    answers = []
    for item in (0, 2, 4, 6):
        answers.append(lane.put(item))
        await turns()
    assert (road.away, lane.waiting) == (2, 2)
    road.gate.set()
    assert await asyncio.gather(*answers) == [0, 4, 8, 12]
    assert road.most_away == 2


async def test_closing_answers_what_was_put_and_takes_nothing_more() -> None:
    road = Road()
    lane = Lane(road, most=1)
    answers = [lane.put(item) for item in (0, 2, 4)]
    closing = asyncio.ensure_future(lane.close())
    await turns()
    assert not closing.done()
    with pytest.raises(Unavailable):
        await lane.put(6)
    road.gate.set()
    await closing
    assert [answer.result() for answer in answers] == [0, 4, 8]


@pytest.mark.parametrize("turns_before", [0, 1, 5])
async def test_nobody_waits_for_ever_when_the_flight_itself_is_cancelled(turns_before: int) -> None:
    road = Road()
    lane = Lane(road, most=1)
    answers = [lane.put(0), lane.put(2)]
    await turns(turns_before)
    for flight in asyncio.all_tasks() - {asyncio.current_task()}:
        flight.cancel()
    done, _ = await asyncio.wait(answers, timeout=10)
    assert [answer.cancelled() for answer in done] == [True, True]


async def test_no_item_is_left_behind_at_any_moment_of_a_flights_end() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        return items

    lane: Lane[int, int] = Lane(flush, most=4)

    async def putter(naps: int) -> None:
        for item in range(200):
            for _ in range((item * naps) % 5):  # every distance to the end of the flight before
                await asyncio.sleep(0)
            assert await lane.put(item) == item

    async with asyncio.timeout(20):
        await asyncio.gather(*(putter(naps) for naps in range(1, 8)))
    assert lane.items == 7 * 200


def test_a_lane_without_room_is_refused() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        return items

    with pytest.raises(ValueError, match="at least one"):
        Lane(flush, most=0)
