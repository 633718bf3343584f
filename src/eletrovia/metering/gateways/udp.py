"""Datagrams: one thread drains the socket, decodes and checks; the loop commits, then answers.

The thread takes no turn with anybody but for Python's lock, and most of its work is done without it. What it
cannot keep up with waits in the kernel's buffer, and what finds no room there is counted as dropped.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock, epoch_s
from eletrovia.base.errors import Conflict, Unavailable
from eletrovia.metering.frame import ANSWER_OCTETS, MAGIC
from eletrovia.metering.gateways.batch import Batch, Verdict, answers, packed, senders_of, unpacked
from eletrovia.metering.gateways.counts import Counts
from eletrovia.metering.gateways.dialect import Dialect
from eletrovia.metering.gateways.mailbox import (
    SLOT_OCTETS,
    SLOTS,
    Mailbox,
    dropped_by_kernel,
    mailbox_on,
    widened,
)
from eletrovia.metering.gateways.refusals import explained
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.gateways.window import Windows
from eletrovia.metering.intake import Intake
from eletrovia.metering.reading import Source

_log = structlog.get_logger(__name__)

_OURS: Final = MAGIC[0]
_REST_S: Final = 0.01
_LOOK_S: Final = 0.1
_MOST_STRANGERS: Final = 64
_LAST_ROUNDS: Final = 200


class UdpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait for the database before the rest waits in the kernel.

    Units: ``waiting`` in readings, a datagram of none being one; ``buffer_octets`` is asked of the kernel.
    """

    waiting: int = 500_000
    buffer_octets: int = 128 << 20
    close_s: float = 10.0


class UdpGateway:
    """Signed frames, and other dialects, on one UDP port."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        intake: Intake,
        seals: Seals,
        clock: Clock,
        dialects: Mapping[int, Dialect],
        limits: UdpLimits,
    ) -> None:
        self.counts = Counts()
        self._sock = sock
        self._mailbox: Mailbox = mailbox_on(sock)
        self._intake = intake
        self._seals = seals
        self._clock = clock
        self._dialects = dict(dialects)
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._windows = Windows()
        self._tasks: set[asyncio.Task[None]] = set()
        self._given = 0  # by the draining thread
        self._done = 0  # by the loop
        self._room = threading.Event()
        self._stop = threading.Event()
        self._asking = False
        self._kernel_dropped = 0
        self._answering = ThreadPoolExecutor(1, "udp-answers")
        self._thread = threading.Thread(target=self._drain, name="udp-drain", daemon=True)

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        intake: Intake,
        seals: Seals,
        clock: Clock,
        dialects: Mapping[int, Dialect] | None = None,
        limits: UdpLimits | None = None,
        shared: bool = False,
    ) -> UdpGateway:
        """Listen, and drain from then on.

        ``dialects`` are by first octet. With ``shared``, other processes may listen on the same port.
        Raises: Conflict where the port is taken.
        """
        limits = limits or UdpLimits()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise Conflict("gateway.port_taken", host=host, port=port, reason=error.strerror) from error
        got = widened(sock, limits.buffer_octets)
        if got < limits.buffer_octets:
            _log.warning(
                "udp.buffer_small",
                octets=got,
                wanted=limits.buffer_octets,
                do=f"sysctl -w net.core.rmem_max={limits.buffer_octets}",
            )
        self = cls(sock, intake=intake, seals=seals, clock=clock, dialects=dialects or {}, limits=limits)
        self._thread.start()
        return self

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    @property
    def waiting(self) -> int:
        """Readings taken in and not answered yet; a datagram of none, or of another dialect's, is one."""
        return self._given - self._done

    async def close(self) -> None:
        """Take in what has arrived, answer it where the database lets us, and end."""
        self._stop.set()
        self._room.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # what the thread handed over last
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._limits.close_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._answering.shutdown()
        self._sock.close()

    # -- in the draining thread -----------------------------------------------------------------------

    def _drain(self) -> None:
        while not self._stop.is_set():
            while self.waiting >= self._limits.waiting and not self._stop.is_set():
                self._room.clear()
                self._room.wait(_LOOK_S)
            count = self._round(_LOOK_S)
            # A round costs the same for one as for a hundred: a moment's rest lets them gather.
            if count < SLOTS // 2:
                self._stop.wait(_REST_S)
        for _ in range(_LAST_ROUNDS):
            if not self._round(0):
                break

    def _round(self, timeout_s: float) -> int:
        count = self._mailbox.receive(timeout_s)
        told = dropped_by_kernel(self._sock)
        if count or told != self._kernel_dropped:
            self.counts.add(datagrams=count, kernel_dropped=(told - self._kernel_dropped) % 2**32)
            self._kernel_dropped = told
        if count:
            try:
                self._sort_out(count)
            except Exception:
                _log.exception("udp.stumbled", datagrams=count)
        return count

    def _sort_out(self, count: int) -> None:
        starts = np.arange(count, dtype=np.int64) * SLOT_OCTETS
        lengths = self._mailbox.lengths[:count]
        first = np.where(lengths > 0, self._mailbox.octets[starts], 0)
        ours = np.flatnonzero(first == _OURS)
        others = count - len(ours)
        for octet, dialect in self._dialects.items():
            slots = np.flatnonzero(first == octet)
            others -= len(slots)
            if len(slots):
                self._understand(dialect, slots)
        self.counts.add(malformed=others)
        if len(ours):
            octets = self._mailbox.octets
            batch, strange = self._checked(octets, ours, starts[ours], lengths[ours])
            weight = max(len(batch), len(batch.readings))
            self._hand_over(weight, self._settle(batch, self._mailbox.addresses(batch.place)))
            if len(strange):
                self._ask_about(strange)

    def _understand(self, dialect: Dialect, slots: NDArray[np.int64]) -> None:
        octets, lengths = self._mailbox.octets, self._mailbox.lengths
        spans = zip((slots * SLOT_OCTETS).tolist(), lengths[slots].tolist(), strict=True)
        said, senseless = dialect.decode([octets[start : start + long].tobytes() for start, long in spans])
        self.counts.add(malformed=senseless, other_datagrams=len(slots) - senseless)
        self._hand_over(len(slots), self._take_other(dialect, said))

    def _checked(
        self,
        octets: NDArray[np.uint8],
        slots: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> tuple[Batch, NDArray[np.int64]]:
        """The good ones, with ``place`` their slot; and the slots of those whose sender nobody knows."""
        batch, verdicts = unpacked(
            octets, starts, lengths, source=Source.UDP, roster=self._intake.roster, seals=self._seals
        )
        self.counts.add(
            frames=len(batch),
            malformed=int((verdicts == Verdict.MALFORMED).sum()),
            wrong_tag=int((verdicts == Verdict.WRONG_TAG).sum()),
        )
        return msgspec.structs.replace(batch, place=slots[batch.place]), slots[verdicts == Verdict.STRANGER]

    def _ask_about(self, slots: NDArray[np.int64]) -> None:
        """They may be new: a few at a time wait for another look at the table, the rest will repeat."""
        asked = slots[:_MOST_STRANGERS] if not self._asking else slots[:0]
        self.counts.add(unknown_sender=len(slots) - len(asked))
        if len(asked):
            self._asking = True
            octets = self._mailbox.octets.reshape(SLOTS, SLOT_OCTETS)[asked].reshape(-1)
            lengths, addresses = self._mailbox.lengths[asked], self._mailbox.addresses(asked)
            self._hand_over(len(asked), self._look_again(octets, lengths, addresses))

    def _hand_over(self, weight: int, work: Coroutine[Any, Any, None]) -> None:
        self._given += weight
        self._loop.call_soon_threadsafe(self._start, weight, work)

    # -- in the loop ----------------------------------------------------------------------------------

    def _start(self, weight: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._done += weight
            self._room.set()
            failure = None if task.cancelled() else task.exception()
            if isinstance(failure, Unavailable):
                _log.warning("udp.unanswered", readings=weight, reason=str(failure))
            elif failure is not None:
                _log.error("udp.unanswered", readings=weight, exc_info=failure)

        task.add_done_callback(ended)

    async def _take_other(self, dialect: Dialect, said: Any) -> None:
        await dialect.take(said, self._intake)

    async def _look_again(
        self, octets: NDArray[np.uint8], lengths: NDArray[np.int64], addresses: NDArray[Any]
    ) -> None:
        slots = np.arange(len(lengths))
        try:
            await self._intake.roster.known(senders_of(octets, slots * SLOT_OCTETS))
        finally:
            self._asking = False
        batch, strange = self._checked(octets, slots, slots * SLOT_OCTETS, lengths)
        self.counts.add(unknown_sender=len(strange))
        await self._settle(batch, addresses[batch.place])

    async def _settle(self, batch: Batch, addresses: NDArray[Any]) -> None:
        """Commit, and only then answer."""
        if not len(batch):
            return
        fates = np.empty(0, np.int8)
        if len(batch.readings):
            fates = await self._intake.take_surely(batch.readings, sender=batch.senders)
        keys = batch.rows["key"]
        senders, settled = self._windows.settle(keys, batch.sequence, batch.backlog)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(keys[order]) != 0])
        refused = batch.refused(fates)
        per_sender = np.add.reduceat(refused[order], starts)
        last = order[np.r_[starts[1:], len(order)] - 1]  # where each sender was heard last
        rows = self._intake.roster.rows(senders.astype(np.int64))
        frames = answers(rows, settled, per_sender, epoch_s(self._clock.now()))
        told = explained(batch, fates, self._seals) if refused.any() else []
        await self._loop.run_in_executor(
            self._answering, self._answer, frames, rows, addresses[last], told, addresses
        )

    # -- in the answering thread ----------------------------------------------------------------------

    def _answer(
        self,
        frames: NDArray[np.uint8],
        rows: NDArray[Any],
        addresses: NDArray[Any],
        told: list[tuple[int, bytes]],
        all_addresses: NDArray[Any],
    ) -> None:
        for place, octets in told:  # first, so that who reads the answer knows already
            datagram = np.frombuffer(octets, np.uint8).reshape(1, -1)
            self._mailbox.send(datagram, all_addresses[place : place + 1])
        self._seals.sign(frames, rows)
        sent = 0
        for many, where in packed(frames, addresses):
            went = self._mailbox.send(many, where)
            sent += went * many.shape[1] // ANSWER_OCTETS
        self.counts.add(answered=sent, answers_lost=len(frames) - sent)
