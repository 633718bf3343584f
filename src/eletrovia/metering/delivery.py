"""Delivery: what there is to tell leaves by every way, for as long as it takes, each receiver by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol

import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.alert import Channel
from eletrovia.metering.deliverystore import Delivery, DeliveryStore

_log = structlog.get_logger(__name__)

LEASE_S: Final = 60.0
"""So long a process has for what it took; every way of telling is bounded well below it."""
EACH: Final = 4
"""Deliveries to one receiver that are begun at once, in one process."""
MOST: Final = 128
"""And under way to all."""
MOST_FAILING: Final = 64
"""To receivers that failed last time."""
_LOOK_S: Final = 2.0  # others write news, too
_FIRST_REST_S: Final = 5.0
_LONGEST_REST_S: Final = {Channel.WEBHOOK: 3600.0, Channel.EMAIL: 60.0, Channel.MQTT: 60.0}
"""A mail server or a broker is everybody's: its return is not waited for longer."""
GIVE_UP_AFTER: Final = timedelta(hours=24)


class Undelivered(Exception):
    """It did not arrive. ``for_good``: and never will; ``all_of_them``: its receiver takes nothing at all."""

    def __init__(self, problem: str, *, for_good: bool = False, all_of_them: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.for_good = for_good
        self.all_of_them = all_of_them


class Teller(Protocol):
    """One way to tell somebody."""

    async def tell(self, delivery: Delivery) -> None:
        """Returns when the receiver has it; telling twice must do no harm. Raises: Undelivered."""
        ...


class Courier:
    """Delivers what the outbox holds; several processes may, each row is one's at a time.

    A process that dies between telling and writing it down tells once more: the next takes its rows when the
    lease is over. A receiver that fails is left alone longer and longer, with all that waits for it; what did
    not arrive within a day is given up. Others never wait for it.
    """

    def __init__(
        self,
        store: DeliveryStore,
        tellers: Mapping[Channel, Teller],
        clock: Clock,
        *,
        lease_s: float = LEASE_S,
        first_rest_s: float = _FIRST_REST_S,
        look_s: float = _LOOK_S,
        give_up_after: timedelta = GIVE_UP_AFTER,
    ) -> None:
        self._store = store
        self._tellers = tellers
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._first_rest_s = first_rest_s
        self._look_s = look_s
        self._give_up_after = give_up_after
        self._under_way: dict[asyncio.Task[None], tuple[str, bool]] = {}
        self._wake = asyncio.Event()
        self.counts: Counter[str] = Counter()
        """``sent``, ``failed``, ``given_up``."""

    def poke(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is told again by whoever comes next."""
        try:
            while True:
                try:
                    await self._round()
                except EletroviaError as gone:
                    _log.warning("alerts.outbox_unreachable", reason=str(gone))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _round(self) -> None:
        """Take what is due, as long as there is something and there are hands.

        Receivers that fail have hands of their own: a thousand dead ones keep nobody else waiting.
        """
        for failing, hands, each in ((False, MOST, EACH), (True, MOST_FAILING, 1)):
            while (free := hands - sum(one[1] is failing for one in self._under_way.values())) > 0:
                lanes = Counter(lane for lane, _ in self._under_way.values())
                busy = {lane for lane, count in lanes.items() if count >= each}
                now = self._clock.now()
                due = await self._store.claim(
                    now, now + self._lease, busy=busy, each=each, most=free, failing=failing
                )
                if not due:
                    break
                for delivery in due:
                    task = asyncio.create_task(self._deliver(delivery))
                    self._under_way[task] = (delivery.lane, failing)
                    task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._wake.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.warning("alerts.delivery_not_written_down", reason=str(failure))

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            teller = self._tellers.get(delivery.channel)
            if teller is None:
                raise Undelivered("alert.no_such_way", for_good=True)
            async with asyncio.timeout(self._lease.total_seconds() / 2):
                await teller.tell(delivery)
        except TimeoutError:
            await self._failed(delivery, Undelivered("alert.no_answer", all_of_them=True))
        except Undelivered as failure:
            await self._failed(delivery, failure)
        except EletroviaError as failure:
            await self._failed(delivery, Undelivered(failure.code))
        except Exception as surprise:  # whatever it was, what is due stays due
            _log.exception("alerts.delivery_failed", delivery=delivery.id)
            await self._failed(delivery, Undelivered(type(surprise).__name__))
        else:
            self.counts["sent"] += 1
            await self._write_down(delivery)

    async def _write_down(self, delivery: Delivery) -> None:
        """That it was sent: as long as the lease lasts, or it would be sent again."""
        for _ in range(int(self._lease.total_seconds() / 2)):
            try:
                await self._store.sent(delivery.id, self._clock.now())
                return
            except EletroviaError as gone:
                _log.warning("alerts.outbox_unreachable", reason=str(gone))
            await asyncio.sleep(1.0)

    async def _failed(self, delivery: Delivery, failure: Undelivered) -> None:
        now = self._clock.now()
        longest_s = _LONGEST_REST_S[delivery.channel]
        rest_s = min(self._first_rest_s * 3 ** min(delivery.tries - 1, 20), longest_s)
        if failure.for_good or now + timedelta(seconds=rest_s) > delivery.first_at + self._give_up_after:
            await self._store.give_up(delivery.id, failure.problem, now)
            self.counts["given_up"] += 1
            return
        until = now + timedelta(seconds=rest_s)
        await self._store.rest(delivery.id, until, failure.problem, lane_down=failure.all_of_them)
        self.counts["failed"] += 1
