"""Plain HTTP/1.1 on a port that it shares with meters: requests out of octets, answers into octets."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import httptools
import msgspec

from eletrovia.base.errors import Invalid

MOST_OCTETS: Final = 65_536
"""Of one request, its head included."""

_OPEN: Final = b"Access-Control-Allow-Origin: *\r\n"
_PREFLIGHT: Final = (
    b"Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: *, Content-Type, Authorization\r\n"
    b"Access-Control-Max-Age: 86400\r\n"
)
_METHODS: Final = tuple(
    f"{method} ".encode()
    for method in ("GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE")
)


class PlainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request; ``lasting`` when more may come on the same connection."""

    method: str
    path: str
    body: bytes
    lasting: bool


def may_be_http(start: bytes) -> bool | None:
    """Whether a connection that begins so speaks HTTP; None while too little came to tell."""
    if any(start.startswith(method) for method in _METHODS):
        return True
    return None if any(method.startswith(start) for method in _METHODS) else False


class Requests:
    """Cuts a stream into requests; where the stream is cut in pieces makes no difference."""

    def __init__(self) -> None:
        self.wants_continue = False
        """Whether the sender of a long body waits for a word before it sends it."""
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[PlainRequest] = []
        self._octets = 0
        self._began()

    def feed(self, octets: bytes) -> list[PlainRequest]:
        """The requests that are complete now. Raises: Invalid for what is no HTTP, or too much of it."""
        self._octets += len(octets)
        try:
            self._parser.feed_data(octets)
        except httptools.HttpParserUpgrade:
            raise Invalid("classroom.no_http") from None
        except httptools.HttpParserError:
            raise Invalid("classroom.no_http") from None
        if self._octets > MOST_OCTETS and not self._complete:
            raise Invalid("classroom.request_too_long")
        complete, self._complete = self._complete, []
        return complete

    # -- what the parser calls -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._began()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.wants_continue = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path = unquote(self._url.decode("latin-1").partition("?")[0])
        self._complete.append(
            PlainRequest(
                method=self._parser.get_method().decode("ascii"),
                path=path.rstrip("/") or "/",
                body=bytes(self._body),
                lasting=self._parser.should_keep_alive(),
            )
        )
        self._octets = 0
        self.wants_continue = False

    def _began(self) -> None:
        self._url = bytearray()
        self._body = bytearray()


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_HTTP: Final = b"HTTP/1.1 400 Bad Request\r\n" + _OPEN + b"Connection: close\r\nContent-Length: 0\r\n\r\n"


def answered(request: PlainRequest, body: bytes) -> bytes:
    """The whole answer to ``request``: always 200, open to every page."""
    head = b"HTTP/1.1 200 OK\r\n" + _OPEN
    if request.method == "OPTIONS":
        head += _PREFLIGHT
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    head += b"Connection: keep-alive\r\n\r\n" if request.lasting else b"Connection: close\r\n\r\n"
    return head if request.method == "HEAD" else head + body
