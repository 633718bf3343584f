"""What other operators must still be told, told for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from eletrovia.base.errors import EletroviaError, Unavailable
from eletrovia.booking.decision import Decision
from eletrovia.booking.hold import AttemptKey
from eletrovia.booking.ledger import Delivery, HomeLedger
from eletrovia.booking.observer import Observer, Step, Unwatched
from eletrovia.booking.partner import Partner

_log = structlog.get_logger(__name__)

_MANY = 20_000  # with so many under way, a look for those that were missed can wait
_AT_ONCE = 64  # deliveries under way to one operator; the rest wait their turn


class Outbox:
    """Delivers decisions and cancellations; the list of what is due lives in the ledger.

    A delivery that fails is repeated with growing pauses, up to ``slowest_s``, and never given up.
    """

    def __init__(
        self,
        ledger: HomeLedger,
        partner: Partner,
        *,
        observer: Observer | None = None,
        slowest_s: float = 5.0,
    ) -> None:
        self._ledger = ledger
        self._partner = partner
        self._observer = observer or Unwatched()
        self._slowest_s = slowest_s
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._under_way: dict[tuple[str, type, AttemptKey], asyncio.Task[None]] = {}

    async def recover(self) -> None:
        """Everything that the ledger says is still to be told: after a start, and now and then.

        A push is missed where the ledger's answer was lost on its way, or whoever waited for it gave up.
        """
        if len(self._under_way) < _MANY:
            self.push(await self._ledger.deliveries())

    def push(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver soon; the ledger has them already, so nothing is lost if we are."""
        for delivery in deliveries:
            place = (delivery.operator_id, type(delivery.body), delivery.body.key)
            if place in self._under_way:
                continue
            task = asyncio.create_task(self._deliver(delivery), name=delivery.body.key.trip_id)
            self._under_way[place] = task
            task.add_done_callback(partial(self._over, place))

    def _over(self, place: tuple[str, type, AttemptKey], _: asyncio.Task[None]) -> None:
        del self._under_way[place]

    async def told(self, trip_id: str, *, wait_s: float) -> bool:
        """Whether everybody has heard what there is to say of the trip, after at most ``wait_s``."""
        due = [task for task in self._under_way.values() if task.get_name() == trip_id]
        if due:
            _, due_still = await asyncio.wait(due, timeout=wait_s)
            return not due_still
        return True

    async def _deliver(self, delivery: Delivery) -> None:
        gate = self._gates.setdefault(delivery.operator_id, asyncio.Semaphore(_AT_ONCE))
        pause_s = 0.1
        while True:
            try:
                async with gate:
                    await self._tell(delivery)
                    self._observer.passed(Step.DELIVERED)
                    await self._ledger.delivered(delivery)
                return
            except Unavailable:
                pass
            except EletroviaError as error:
                # Refused for a reason, such as revoked credentials: people may mend it, so we go on asking.
                _log.warning("outbox.refused", operator_id=delivery.operator_id, error=str(error))
                pause_s = self._slowest_s
            except Exception:  # whatever it was, what is due stays due
                _log.exception("outbox.failed", operator_id=delivery.operator_id)
                pause_s = self._slowest_s
            await asyncio.sleep(pause_s)
            pause_s = min(self._slowest_s, pause_s * 2)

    async def _tell(self, delivery: Delivery) -> None:
        if isinstance(delivery.body, Decision):
            await self._partner.deliver(delivery.operator_id, delivery.body)
        else:
            await self._partner.cancel(delivery.operator_id, delivery.body)

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
