"""The server's hot path: one batch from raw octets to raw octets.

A batch is decoded once, checked item by item against who sent it, handed on whole, and answered item by
item. It is a bare ASGI handler: between the socket and the keeper of holds nothing is parsed twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar, cast

import structlog
from litestar.types import HTTPScope, Receive, Scope, Send

from eletrovia.base.errors import Denied, EletroviaError, Invalid
from eletrovia.federation.wire import (
    MAX_BODY_OCTETS,
    Answered,
    Problem,
    Reply,
    Verb,
    encode,
    problem_of,
)

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_BEARER: Final = b"Bearer "
_JSON: Final = [(b"content-type", b"application/json")]
_DENIED: Final = [
    (b"content-type", b"application/problem+json"),
    (b"www-authenticate", b'Bearer realm="federation"'),
]
_PROBLEM: Final = [(b"content-type", b"application/problem+json")]
_INTERNAL: Final = Problem(title="internal", status=500, code="internal")


class Batches(Generic[Item, Answer]):
    """Answers the batches of one verb.

    ``said_by`` names the operator that an item claims to come from; None where the item does not say.
    """

    def __init__(
        self,
        verb: Verb[Item, Answer],
        authenticate: Callable[[str], str],
        handle: Callable[[str, Sequence[Item]], Awaitable[Sequence[Answer | EletroviaError]]],
        said_by: Callable[[Item], str] | None = None,
    ) -> None:
        self._verb = verb
        self._authenticate = authenticate
        self._handle = handle
        self._said_by = said_by

    async def answer(self, caller: str, body: bytes) -> bytes:
        """The replies to ``body``, as octets. Raises: Invalid for what is no batch."""
        items = self._verb.decode(body)
        said_by = self._said_by
        good: list[Item] = []
        for number, item in enumerate(items):
            if isinstance(item, EletroviaError):
                continue
            if said_by is not None and said_by(item) != caller:
                items[number] = Denied("federation.not_the_caller", said=said_by(item))
                continue
            good.append(item)
        answers = iter(await self._handle(caller, good)) if good else iter(())
        replies: list[Reply[Answer]] = []
        for item in items:
            reply = item if isinstance(item, EletroviaError) else next(answers)
            if isinstance(reply, EletroviaError):
                replies.append(Reply(problem=problem_of(reply)))
            else:
                replies.append(Reply(reply=reply))
        return encode(Answered(replies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request from its first octet to its last."""
        request = cast(HTTPScope, scope)  # Litestar gives a handler mounted at a path nothing else
        try:
            caller = self._authenticate(bearer(request["headers"]))
        except Denied as error:
            await _send(send, 401, _DENIED, encode(problem_of(error)))
            return
        try:
            if request["method"] != "POST":
                raise Invalid("federation.post_only")
            body = await self.answer(caller, await _body(receive))
        except EletroviaError as error:
            problem = problem_of(error)
            await _send(send, problem.status, _PROBLEM, encode(problem))
        except Exception:
            _log.exception("federation.batch_failed", verb=self._verb.name, caller=caller)
            await _send(send, 500, _PROBLEM, encode(_INTERNAL))
        else:
            await _send(send, 200, _JSON, body)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The bearer token, or nothing at all, which no door knows."""
    for name, value in headers:
        if name == b"authorization" and value.startswith(_BEARER):
            return value[len(_BEARER) :].decode("latin-1")
    return ""


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] != "http.request":
        raise Invalid("federation.body_missing")
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    octets = len(body)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Invalid("federation.body_missing")
        parts.append(message.get("body", b""))
        octets += len(parts[-1])
        if octets > MAX_BODY_OCTETS:
            raise Invalid("body.too_large", allowed_octets=MAX_BODY_OCTETS)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
