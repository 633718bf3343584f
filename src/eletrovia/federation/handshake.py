"""The calls of a credentials exchange, as OCPI has them: card, offer, change, farewell."""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from eletrovia.base.errors import Denied, EletroviaError, Invalid, Unavailable
from eletrovia.federation.wire import PREFIX, UNREADABLE, Credentials, Greeting, Problem, encode, error_of

_URL = re.compile(
    r"https?://[A-Za-z0-9._-]+(:\d{1,5})?(/[A-Za-z0-9._/-]*)?|https?://\[[0-9a-f:.]+\](:\d{1,5})?"
)
_MOST_OCTETS = 1 << 16

Message = TypeVar("Message")


def base_url(url: str) -> str:
    """``url`` without its last slash. Raises: Invalid when operators cannot be reached at such a thing."""
    if _URL.fullmatch(url) is None:
        raise Invalid("operator.url_malformed", url=url, expected="http(s)://host[:port]")
    return url.rstrip("/")


def broker_at(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken, of ``mqtt(s)://host:port``. Raises: Invalid."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    secure = parts.scheme == "mqtts"
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.username is not None:
        raise Invalid("operator.mqtt_url_malformed", url=url, expected="mqtt(s)://host:port")
    return parts.hostname, port or (8883 if secure else 1883), secure


async def whole(response: aiohttp.ClientResponse, most_octets: int) -> bytes:
    """The body of an answer. Raises: Unavailable when it is longer than any we would believe."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_octets:
            raise Unavailable("operator.answer_too_long", url=str(response.url), allowed_octets=most_octets)
    return bytes(body)


class Handshake:
    """Asks operators for their cards and changes credentials with them.

    Raises: Unavailable when no answer came; Denied when the token is not good there; what the other side
    answered otherwise.
    """

    def __init__(self, timeout_s: float = 5.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def greet(self, url: str, token: str) -> Greeting:
        """Whoever answers at ``url`` and knows ``token``."""
        return await self._ask("GET", f"{url}{PREFIX}/operators", token, None, Greeting)

    async def offer(self, url: str, token: str, ours: Credentials, *, change: bool = False) -> Credentials:
        """Their half for ours; ``change`` where both already have credentials."""
        method = "PUT" if change else "POST"
        return await self._ask(method, f"{url}{PREFIX}/credentials", token, ours, Credentials)

    async def part(self, url: str, token: str) -> None:
        """Tell them that it is over."""
        await self._ask("DELETE", f"{url}{PREFIX}/credentials", token, None, None)

    async def _ask(
        self, method: str, url: str, token: str, message: object | None, answer: type[Message] | None
    ) -> Message:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if message is None else encode(message)
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.request(method, url, data=data, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
                body = await whole(response, _MOST_OCTETS)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # ValueError: an address or a token that looked well and cannot be sent after all.
            raise Unavailable("operator.unreachable", url=url, reason=type(error).__name__) from error
        if status == 401:
            raise Denied("federation.denied", url=url)
        if not 200 <= status < 300:
            raise self._problem(url, status, body)
        if answer is None:
            return None  # type: ignore[return-value]  # only for part(), which ignores it
        try:
            return msgspec.json.decode(body, type=answer)
        except UNREADABLE as error:
            raise Unavailable("operator.answer_malformed", url=url, detail=str(error)) from None

    @staticmethod
    def _problem(url: str, status: int, body: bytes) -> EletroviaError:
        try:
            return error_of(msgspec.json.decode(body, type=Problem))
        except UNREADABLE:
            return Unavailable("operator.unreachable", url=url, status=status)
