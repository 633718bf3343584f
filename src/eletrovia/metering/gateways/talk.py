"""One connection that speaks in frames: read, check, commit, answer in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import epoch_s
from eletrovia.base.errors import Invalid
from eletrovia.metering.frame import HEAD_OCTETS, octets_wanted
from eletrovia.metering.gateways.batch import Batch, Verdict, answers, senders_of, unpacked
from eletrovia.metering.gateways.refusals import explained
from eletrovia.metering.reading import Source

if TYPE_CHECKING:
    from eletrovia.metering.gateways.tcp import TcpGateway

_log = structlog.get_logger(__name__)

READ_OCTETS: Final = 256 * 1024
_MOST_EXPLAINED: Final = 1_000


def cut(octets: bytearray) -> tuple[list[int], Invalid | None]:
    """Where each whole frame at the beginning of a stream ends; and what is wrong behind them."""
    ends: list[int] = []
    end = 0
    view = memoryview(octets)
    try:
        while end < len(view):
            wanted = octets_wanted(bytes(view[end : end + HEAD_OCTETS]))
            if wanted is None or end + wanted > len(view):
                break
            end += wanted
            ends.append(end)
    except Invalid as wrong:
        return ends, wrong
    finally:
        view.release()
    return ends, None


class FrameTalk:
    """Reads on while little enough is in flight; whatever the peer does, only this connection feels it."""

    def __init__(
        self, gateway: TcpGateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._in_flight = 0
        self._settling: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self._failure: BaseException | None = None
        # For each sender what is settled, and how many readings were refused since that was told.
        self._settled: dict[int, tuple[int, int]] = {}
        self._told: list[bytes] = []
        self._news = asyncio.Event()
        self._over = False

    async def run(self, first: bytes) -> None:
        """To the end of what the peer says. Raises: Invalid for anything that is no good frame of ours."""
        answering = asyncio.create_task(self._answer())
        try:
            try:
                await self._read(bytearray(first))
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or not self._gateway.stopping:
                    raise
                task.uncancel()
            finally:
                # What came before the end, or before something bad, is settled and answered all the same.
                while self._settling:
                    await asyncio.wait(self._settling)
                self._over = True
                self._news.set()
                await answering
        finally:
            for left in (*self._settling, answering):
                left.cancel()
        if self._failure is not None:
            raise self._failure

    async def _read(self, octets: bytearray) -> None:
        limits, loop = self._gateway.limits, asyncio.get_running_loop()
        until: float | None = None  # when the frame that has begun must be whole
        while True:
            ends, wrong = cut(octets)
            if ends:
                frames = np.frombuffer(octets[: ends[-1]], np.uint8)
                del octets[: ends[-1]]
                until = None
                await self._take(frames, np.array(ends, np.int64))
            if wrong is not None:
                self._gateway.counts.add(malformed=1)
                raise wrong
            await self._gateway.room()
            while self._in_flight >= limits.each_in_flight and self._failure is None:
                self._landed.clear()
                await self._landed.wait()
            if self._failure is not None:
                return
            if octets:
                until = until or loop.time() + limits.frame_s
            async with asyncio.timeout_at(until or loop.time() + limits.idle_s):
                more = await self._reader.read(READ_OCTETS)
            if not more:
                return
            octets += more

    async def _take(self, octets: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        gateway = self._gateway
        roster = gateway.intake.roster
        starts = np.r_[np.int64(0), ends[:-1]]
        for last_look in (False, True):
            batch, verdicts = unpacked(
                octets, starts, ends - starts, source=Source.TCP, roster=roster, seals=gateway.seals
            )
            strange = verdicts == Verdict.STRANGER
            if last_look or not strange.any():
                break
            await roster.known(senders_of(octets, starts[strange]))
        bad = np.flatnonzero(verdicts)
        if len(bad):  # the peer cannot be trusted from here on
            batch = batch.before(int(bad[0]))
        gateway.counts.add(frames=len(batch))
        if len(batch):
            gateway.proved()
            self._fly(batch)
        if len(bad):
            stranger = bool(strange[bad[0]])
            gateway.counts.add(unknown_sender=stranger, wrong_tag=not stranger)
            sender = int(senders_of(octets, starts[bad[:1]])[0])
            raise Invalid("frame.sender_unknown" if stranger else "frame.tag_wrong", sender=sender)

    def _fly(self, batch: Batch) -> None:
        weight = max(len(batch.readings), len(batch))
        self._in_flight += weight
        self._gateway.flies(weight)
        task = asyncio.create_task(self._settle(batch))
        self._settling.add(task)

        def landed(task: asyncio.Task[None]) -> None:
            self._settling.discard(task)
            self._in_flight -= weight
            self._gateway.flies(-weight)
            if not task.cancelled() and task.exception() is not None:
                self._failure = task.exception()
                self._writer.transport.abort()
            self._landed.set()

        task.add_done_callback(landed)

    async def _settle(self, batch: Batch) -> None:
        gateway = self._gateway
        fates = np.empty(0, np.int8)
        if len(batch.readings):
            fates = await gateway.intake.take_surely(batch.readings, sender=batch.senders)
        senders, upto = gateway.windows.settle(batch.rows["key"], batch.sequence, batch.backlog)
        refused = batch.refused(fates)
        since: dict[int, int] = {}
        if refused.any():
            for place in np.flatnonzero(refused).tolist():
                sender = int(batch.rows["key"][place])
                since[sender] = since.get(sender, 0) + int(refused[place])
            told = [octets for _, octets in explained(batch, fates, gateway.seals)]
            self._told += told[: max(0, _MOST_EXPLAINED - len(self._told))]
        for sender, number in zip(senders.tolist(), upto.tolist(), strict=True):
            _, before = self._settled.get(sender, (0, 0))
            self._settled[sender] = (number, before + since.get(sender, 0))
        self._news.set()

    async def _answer(self) -> None:
        """Tell what is settled. While the peer does not read, only the latest of each sender waits for it."""
        gateway = self._gateway
        while not self._over or self._settled:
            await self._news.wait()
            self._news.clear()
            settled, self._settled = self._settled, {}
            told, self._told = self._told, []
            if not settled:
                continue
            rows: NDArray[Any] = gateway.intake.roster.rows(np.array(list(settled), np.int64))
            numbers = np.array([number for number, _ in settled.values()], np.uint64)
            refused = np.array([since for _, since in settled.values()], np.int64)
            frames = answers(rows, numbers, refused, epoch_s(gateway.clock.now()))
            gateway.seals.sign(frames, rows)
            self._writer.write(b"".join(told) + frames.tobytes())
            try:
                async with asyncio.timeout(gateway.limits.unread_s):
                    await self._writer.drain()
            except TimeoutError:
                gateway.counts.add(stuck=1)
                _log.info("tcp.unread", peer=str(self._writer.get_extra_info("peername")))
                self._writer.transport.abort()
                return
            except ConnectionError:
                return  # whoever it was will ask again
            gateway.counts.add(answered=len(frames))
