"""A sender's half of our compact format: numbers its frames, keeps them until settled, repeats them.

Simulated meters and tests speak through it; ``docs/metering-frame.md`` has the rules that it keeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from numpy.typing import NDArray

from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.metering.frame import (
    ANSWER_START_OCTETS,
    DATAGRAM_READINGS,
    MOST_BACKLOG,
    Acknowledgement,
    Refusal,
    answer_octets,
    opened,
    readings_frame,
    records_of,
)
from eletrovia.metering.reading import Fate, Reading

_LEAST_ANSWER_OCTETS: Final = 32


class Rests(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for an answer before a frame is sent again: longer and longer. Units: seconds."""

    first_s: float = 0.5
    most_s: float = 30.0
    repeat: int = 64
    """Frames sent again at once, at most."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A frame is settled; ``refused`` are places in it with the reason, as far as they were told."""

    sequence: int
    refused: tuple[tuple[int, Fate], ...] = ()


class Link(Protocol):
    """The way to a gateway, shared by any number of senders."""

    def attach(self, sender: Sender) -> None:
        """Answers for this sender's key go to it from now on."""
        ...

    def detach(self, sender: Sender) -> None:
        """No more of them."""
        ...

    def carry(self, octets: bytes) -> None:
        """Send a frame, if that is possible now; nobody promises that it arrives."""
        ...

    @property
    def is_sure(self) -> bool:
        """Whether what was carried arrives unless the link breaks: then only a new one, or a long silence,
        calls for repeats.
        """
        ...


class _Held:
    """A frame that is not settled yet."""

    __slots__ = ("outcome", "records", "refused")

    def __init__(self, records: NDArray[Any], outcome: asyncio.Future[Outcome]) -> None:
        self.records = records
        self.outcome = outcome
        self.refused: tuple[tuple[int, Fate], ...] = ()


class Sender:
    """One meter, or a concentrator: whatever it was given arrives once, however often it must be sent.

    ``first_sequence`` must be above every number that this key ever used: a clock's microseconds will do.
    ``on_cut_off`` hears when the gateway says that the meter is cut off, or connected again.
    """

    def __init__(
        self,
        meter: int,
        key: bytes,
        link: Link,
        *,
        first_sequence: int,
        chance: random.Random,
        window: int = 64,
        rests: Rests | None = None,
        on_cut_off: Callable[[bool], None] | None = None,
    ) -> None:
        if not 0 < window <= MOST_BACKLOG + 1:
            raise ValueError("a window of 1 to 1,024 frames")
        self.meter = meter
        self.cut_off = False
        self.now_s: int | None = None
        """The gateway's clock at its last answer."""
        self.refused = 0
        self.repeated = 0
        self._key = key
        self._link = link
        self._next = first_sequence
        self._chance = chance
        self._window = window
        self._rests = rests or Rests()
        self._rest_s = self._rests.first_s
        self._on_cut_off = on_cut_off
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._room: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        link.attach(self)

    @property
    def unsettled(self) -> int:
        """Frames that are sent and not settled."""
        return len(self._held)

    async def send(self, readings: Sequence[Reading] | NDArray[Any]) -> list[Outcome]:
        """Send readings and wait until all are settled: committed, or refused for good.

        Shape: ``Reading``s, or an array of ``frame.RECORD``.
        Raises: Invalid for what the format has no room for; Unavailable when the sender is closed meanwhile.
        """
        records = records_of(readings) if isinstance(readings, Sequence) else readings
        pieces = range(0, len(records), DATAGRAM_READINGS)
        return [
            await outcome
            for outcome in [await self.post(records[start : start + DATAGRAM_READINGS]) for start in pieces]
        ]

    async def post(self, records: NDArray[Any]) -> asyncio.Future[Outcome]:
        """Send one frame as soon as the window has room; what comes of it is told later.

        No records ask for an answer only: what time it is, and whether the meter is cut off.
        """
        loop = asyncio.get_running_loop()
        while len(self._held) >= self._window or self._is_too_far_ahead():
            waiting: asyncio.Future[None] = loop.create_future()
            self._room.append(waiting)
            await waiting
        sequence, self._next = self._next, self._next + 1
        outcome: asyncio.Future[Outcome] = loop.create_future()
        self._held[sequence] = _Held(records, outcome)
        self._carry(sequence, len(self._held) - 1)
        if self._timer is None:
            self._set_timer()
        return outcome

    def close(self) -> None:
        """Forget what is not settled."""
        self._link.detach(self)
        if self._timer is not None:
            self._timer.cancel()
        for held in self._held.values():
            if not held.outcome.done():
                held.outcome.set_exception(Unavailable("sender.closed"))
                held.outcome.exception()  # whoever does not wait for it need not hear of it
        for waiting in self._room:
            if not waiting.done():
                waiting.set_exception(Unavailable("sender.closed"))

    # -- what the link tells ---------------------------------------------------------------------------

    def heard(self, octets: bytes) -> None:
        """Something came for this sender; anything that is no answer of its gateway is nothing."""
        try:
            frame = opened(octets, lambda sender: self._key if sender == self.meter else None)
        except Invalid:
            return
        if isinstance(frame, Refusal) and frame.sequence in self._held:
            self._held[frame.sequence].refused = frame.items
        elif isinstance(frame, Acknowledgement):
            self._acknowledged(frame)

    def link_is_new(self) -> None:
        """The link broke and is there again: all that is not settled goes out once more."""
        self._rest_s = self._rests.first_s
        self._repeat(len(self._held))

    # -- the window ------------------------------------------------------------------------------------

    def _acknowledged(self, frame: Acknowledgement) -> None:
        # Any other is no answer to what is held now: an old one, perhaps kept and sent again by a stranger.
        if not self._held or not next(iter(self._held)) <= frame.sequence < self._next:
            return
        self.now_s = frame.now_s
        if frame.cut_off != self.cut_off:
            self.cut_off = frame.cut_off
            if self._on_cut_off is not None:
                self._on_cut_off(frame.cut_off)
        self.refused += frame.refused
        while self._held and next(iter(self._held)) <= frame.sequence:
            sequence, held = self._held.popitem(last=False)
            if not held.outcome.done():
                held.outcome.set_result(Outcome(sequence=sequence, refused=held.refused))
        self._rest_s = self._rests.first_s
        self._set_timer()
        for _ in range(self._window - len(self._held)):
            if not self._room:
                break
            waiting = self._room.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def _is_too_far_ahead(self) -> bool:
        return bool(self._held) and self._next - next(iter(self._held)) > MOST_BACKLOG

    def _carry(self, sequence: int, before: int) -> None:
        records = self._held[sequence].records
        # Signed anew each time: how many are held before it is said as of now.
        frame = readings_frame(
            self._key, sender=self.meter, sequence=sequence, backlog=before, records=records
        )
        self._link.carry(frame)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held:
            # Each a little different, or a thousand meters would come back all at once.
            rest_s = self._rest_s * self._chance.uniform(0.75, 1.25)
            self._timer = asyncio.get_running_loop().call_later(rest_s, self._waited_in_vain)

    def _waited_in_vain(self) -> None:
        self._timer = None
        if not self._link.is_sure or self._rest_s >= self._rests.most_s:
            self._repeat(self._rests.repeat)
        self._rest_s = min(2 * self._rest_s, self._rests.most_s)
        self._set_timer()

    def _repeat(self, most: int) -> None:
        for before, sequence in enumerate(list(self._held)[:most]):
            self.repeated += 1
            self._carry(sequence, before)


class UdpLink(asyncio.DatagramProtocol):
    """One socket for any number of senders."""

    is_sure = False

    def __init__(self) -> None:
        self._senders: dict[int, Sender] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> UdpLink:
        """To the gateway at this address."""
        _, self = await asyncio.get_running_loop().create_datagram_endpoint(cls, remote_addr=(host, port))
        return self

    def close(self) -> None:
        """Shut the socket."""
        if self._transport is not None:
            self._transport.close()

    def attach(self, sender: Sender) -> None:
        self._senders[sender.meter] = sender

    def detach(self, sender: Sender) -> None:
        self._senders.pop(sender.meter, None)

    def carry(self, octets: bytes) -> None:
        if self._transport is not None:
            with contextlib.suppress(OSError):  # it comes again
                self._transport.sendto(octets)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a datagram endpoint's

    def datagram_received(self, data: bytes, addr: Any) -> None:
        start = 0
        with contextlib.suppress(Invalid):  # whoever sent that was no gateway of ours
            while len(data) - start >= ANSWER_START_OCTETS:
                end = start + answer_octets(data[start : start + ANSWER_START_OCTETS])
                _deal(self._senders, data[start:end])
                start = end

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there now; it comes again."""


class TcpLink:
    """One connection for any number of senders, made anew whenever it breaks."""

    is_sure = True

    def __init__(self, host: str, port: int, *, chance: random.Random, rests: Rests | None = None) -> None:
        self._host = host
        self._port = port
        self._chance = chance
        self._rests = rests or Rests()
        self._senders: dict[int, Sender] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, host: str, port: int, *, chance: random.Random, rests: Rests | None = None
    ) -> TcpLink:
        """To the gateway at this address, whether it is there yet or not."""
        self = cls(host, port, chance=chance, rests=rests)
        self._task = asyncio.create_task(self._keep())
        return self

    async def close(self) -> None:
        """End the connection, and make no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def attach(self, sender: Sender) -> None:
        self._senders[sender.meter] = sender

    def detach(self, sender: Sender) -> None:
        self._senders.pop(sender.meter, None)

    def carry(self, octets: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(octets)

    async def _keep(self) -> None:
        rest_s = self._rests.first_s
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(self._host, self._port)
                for sender in list(self._senders.values()):
                    sender.link_is_new()
                while True:
                    _deal(self._senders, await _one(reader))
                    rest_s = self._rests.first_s
            except (OSError, EOFError, Invalid):
                pass
            finally:
                if self._writer is not None:
                    self._writer.transport.abort()
                    self._writer = None
            await asyncio.sleep(rest_s * self._chance.uniform(0.75, 1.25))
            rest_s = min(2 * rest_s, self._rests.most_s)


def _deal(senders: dict[int, Sender], octets: bytes) -> None:
    sender = senders.get(int.from_bytes(octets[4:8], "big")) if len(octets) >= _LEAST_ANSWER_OCTETS else None
    if sender is not None:
        sender.heard(octets)


async def _one(reader: asyncio.StreamReader) -> bytes:
    """The next answer. Raises: Invalid for what none begins with; EOFError at the end."""
    head = await reader.readexactly(ANSWER_START_OCTETS)
    return head + await reader.readexactly(answer_octets(head) - len(head))
