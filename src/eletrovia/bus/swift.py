"""The quick way in and out of a NATS connection, for what comes by the hundred thousand a second.

nats-py keeps the connection: greeting, passwords, TLS, pings. But it spends ten times longer on a
message than this does (three patterns, a header parsed line by line, a queue, a task), so its parser is
replaced by one that takes the messages of some subscriptions out of the stream whole, and leaves it all else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, MAX_CONTROL_LINE_SIZE, Parser

Taker = Callable[[str, bytes], None]
"""Takes a subject and a payload; it must not wait."""

_END: Final = b"\r\n"
_M, _H = b"MH"
_PIECE_OCTETS: Final = 256 << 10


class SwiftParser(Parser):
    """Hands messages of chosen subscriptions to their takers, and the rest of the stream to nats-py."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._takers: dict[bytes, Taker] = {}

    @classmethod
    def of(cls, client: Client) -> SwiftParser:
        """The connection's own; put in now where it has none yet."""
        before = client._ps
        if isinstance(before, cls):
            return before
        made = cls(client)
        made.buf, made.state, made.msg_arg = before.buf, before.state, before.msg_arg
        made.needed, made.header_needed = before.needed, before.header_needed
        client._ps = made
        return made

    def take(self, subscription: Subscription, taker: Taker) -> None:
        """Messages of this subscription go to ``taker`` from now on."""
        self._takers[b"%d" % subscription._id] = taker

    def reset(self) -> None:
        """Forget what came of a connection that has ended."""
        super().reset()
        self._rest = b""

    async def parse(self, data: bytes = b"") -> None:
        """Read on."""
        if self.buf or self.state != AWAITING_CONTROL_LINE:
            # In the middle of a message since before it was ours.
            await super().parse(data)
            return
        stream = self._rest + data if self._rest else bytes(data)
        at, end = 0, len(stream)
        takers = self._takers
        try:
            while at < end:
                line_end = stream.find(_END, at)
                if line_end < 0:
                    if end - at > MAX_CONTROL_LINE_SIZE:
                        raise ProtocolError("line too long")
                    break
                body = frame_end = line_end + 2
                kind = stream[at]
                if kind in (_M, _H):
                    # MSG subject sid [reply] octets; HMSG subject sid [reply] octets-of-headers octets
                    words = stream[at:line_end].split()
                    frame_end += int(words[-1]) + 2
                    if frame_end > end:
                        break
                    taker = takers.get(words[2])
                    if taker is not None:
                        if kind == _H:
                            body += int(words[-2])
                        taker(words[1].decode(), stream[body : frame_end - 2])
                        at = frame_end
                        continue
                await super().parse(stream[at:frame_end])
                at = frame_end
        except (ValueError, IndexError) as problem:
            raise ProtocolError(f"malformed frame: {problem}") from problem
        finally:
            self._rest = stream[at:]


async def send_all(client: Client, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish many, in a few writes.

    Raises: what ``Client.publish`` does when the connection breaks.
    """
    pieces: list[bytes] = []
    octets = 0
    for subject, payload in messages:
        if len(payload) > client.max_payload:
            await client.publish(subject, payload)  # it knows how to refuse
            continue
        piece = b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload)
        pieces.append(piece)
        octets += len(piece)
        if octets > _PIECE_OCTETS:
            await _write(client, b"".join(pieces))
            pieces, octets = [], 0
    if pieces:
        await _write(client, b"".join(pieces))


async def _write(client: Client, commands: bytes) -> None:
    await client._send_command(commands)
    await client._flush_pending()
