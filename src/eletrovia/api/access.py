"""Around every request: an id, a line in the log, a measurement. Plain ASGI, so it costs little."""

from __future__ import annotations

import re
from typing import Any, Final, cast

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram

from eletrovia.base.clock import Clock
from eletrovia.base.ids import Ids

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_QUIET: Final = frozenset({"/healthz", "/metrics"})
_UNMATCHED: Final = "unmatched"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

_NUL: Final = msgspec.json.encode(
    {
        "type": "urn:eletrovia:problem:path.malformed",
        "title": "Invalid request",
        "status": 400,
        "detail": "The address holds a NUL character.",
        "code": "path.malformed",
    }
)

log = structlog.get_logger("eletrovia.access")


class HttpMetrics:
    """Counts and times requests by route, never by full path: the number of series is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "eletrovia_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "eletrovia_http_request_seconds",
            "Time from a request's head to its answer's end.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        # Finding a child by its labels takes a lock and builds strings; once per route is enough.
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def saw(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            children = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(method, route),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)


class AccessLog:
    """Gives each request an id and tells, when it is over: method, path, status, ms, who. Never a token."""

    def __init__(self, app: ASGIApp, *, clock: Clock, ids: Ids, metrics: HttpMetrics) -> None:
        self._app = app
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started_s = self._clock.monotonic()
        request_id = self._request_id(scope)
        id_header = (b"x-request-id", request_id.encode())
        # A dict of our own: the server hands the same one to every request.
        state = scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], id_header]
            await send(message)

        try:
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                await _refuse(cast(Send, tagged))
            else:
                await self._app(scope, receive, cast(Send, tagged))
        finally:
            seconds = self._clock.monotonic() - started_s
            path = scope["path"]
            method = scope["method"] if status != 405 else "other"
            self._metrics.saw(method, str(scope.get("path_template", _UNMATCHED)), status, seconds)
            tell = log.debug if path in _QUIET else log.info
            tell(
                "request",
                method=scope["method"],
                path=path[:200],
                status=status,
                ms=round(seconds * 1000, 2),
                who=state.get("who"),
                problem=state.get("problem"),
                request_id=request_id,
            )

    def _request_id(self, scope: HTTPScope) -> str:
        """The caller's own id where it is a plain one, so that a trace goes on; else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return value.decode()
        return self._ids.new("req")


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(_NUL)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": _NUL, "more_body": False})
