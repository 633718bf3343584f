"""A running server, spoken to over its HTTP API as any client would."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import threading
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import (
    Conflict,
    Denied,
    EletroviaError,
    Invalid,
    NotFound,
    Overloaded,
    Unavailable,
)
from eletrovia.base.private import write_private
from eletrovia.people.account import Language
from eletrovia.runtime.cityfile import Login

T = TypeVar("T")

TOKENS_FILE: Final = "cli-tokens.json"
_TIMEOUT_S: Final = 30.0
_ANSWER_MAX_OCTETS: Final = 64 << 20
_SLACK_S: Final = 30  # an access token about to end is as good as none
_BY_STATUS: Final[dict[int, type[EletroviaError]]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    429: Overloaded,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


class Tokens(msgspec.Struct, frozen=True):
    """What a log-in gave; ``expires_at`` is in seconds since 1970."""

    access_token: str
    refresh_token: str
    expires_at: float


class Pair(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    expires_in: int


class Answer(msgspec.Struct, frozen=True):
    """A status with the octets that came with it."""

    status: int
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body as ``kind``. Raises: Unavailable when it is something else."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, EletroviaError) as error:
            raise Unavailable("server.answer_malformed", reason=str(error)) from None


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the token to who knows whom."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Server:
    """One operator's server. Logs in when a call needs it, and keeps the tokens in a private file."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        language: Language = Language.ENGLISH,
        login: Login | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid("server.url_malformed", url=url, expected="http://127.0.0.1:8001")
        self._clock = clock
        self._language = language
        self._login = login
        self._file = None if data_dir is None else data_dir / TOKENS_FILE
        self._memory: dict[str, Tokens] = {}
        self._opener: OpenerDirector = (
            # A proxy for the outside world knows nothing of this machine's own servers.
            build_opener(ProxyHandler({}), _NoRedirect)
            if _is_local(parts.hostname)
            else build_opener(_NoRedirect)
        )

    # -- calls ----------------------------------------------------------------------------------------

    def get(self, path: str, kind: type[T], *, signed_in: bool = False, **query: Any) -> T:
        return self.ask("GET", path, query=query, signed_in=signed_in).read(kind)

    def post(self, path: str, kind: type[T], body: Any) -> T:
        return self.ask("POST", path, body=body).read(kind)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        signed_in: bool = True,
        timeout_s: float = _TIMEOUT_S,
    ) -> Answer:
        """One request, logged in where that is needed; a token that has just ended is renewed once.

        Raises: the error that the server tells, its sentence as a note; Unavailable when it is silent.
        """
        told = {name: value for name, value in (query or {}).items() if value is not None}
        address = f"/api/v1{path}" + (f"?{urlencode(told)}" if told else "")
        content = None if body is None else msgspec.json.encode(body)
        more = dict(headers or {})
        if signed_in:
            more["Authorization"] = f"Bearer {self._access_token()}"
        try:
            return self._send(method, address, content, more, timeout_s)
        except Denied as refused:
            if not signed_in or not refused.code.startswith("token."):
                raise
        more["Authorization"] = f"Bearer {self._access_token(anew=True)}"
        return self._send(method, address, content, more, timeout_s)

    def answers(self, timeout_s: float = 2.0) -> bool:
        """Whether somebody listens there."""
        try:
            self._send("GET", "/healthz", None, {}, timeout_s)
        except Unavailable as silent:
            return silent.code != "server.no_answer"
        except EletroviaError:
            return True
        return True

    # -- below the surface ----------------------------------------------------------------------------

    def _send(
        self, method: str, address: str, content: bytes | None, headers: dict[str, str], timeout_s: float
    ) -> Answer:
        request = Request(self.url + address, data=content, method=method)  # noqa: S310 - scheme is checked
        request.add_header("Accept", "application/json, application/problem+json")
        request.add_header("Accept-Language", self._language.value)
        request.add_header("User-Agent", "eletrovia-cli")
        if content is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_unredirected_header(name, value)
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                return Answer(response.status, response.read(_ANSWER_MAX_OCTETS))
        except HTTPError as refused:
            with refused:
                raise error_of(refused.code, refused.read(_ANSWER_MAX_OCTETS), self.url) from None
        except (URLError, TimeoutError, ssl.SSLError, ConnectionError, http.client.HTTPException) as silent:
            reason = getattr(silent, "reason", silent)
            told = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise Unavailable("server.no_answer", url=self.url, reason=told) from None

    def _access_token(self, *, anew: bool = False) -> str:
        now = self._clock.now().timestamp()
        kept = self._kept().get(self._key())
        if kept is not None:
            if not anew and kept.expires_at - _SLACK_S > now:
                return kept.access_token
            try:
                return self._take({"refresh_token": kept.refresh_token})
            except Denied:
                self._keep(None)
        if self._login is None:
            self._send("GET", "/healthz", None, {}, _TIMEOUT_S)  # a server that is down is the better news
            raise Denied("login.needed", url=self.url)
        return self._take({"email": self._login.email, "password": self._login.password})

    def _take(self, body: dict[str, str]) -> str:
        pair = self._send("POST", "/api/v1/tokens", msgspec.json.encode(body), {}, _TIMEOUT_S).read(Pair)
        expires_at = self._clock.now().timestamp() + pair.expires_in
        self._keep(Tokens(pair.access_token, pair.refresh_token, expires_at))
        return pair.access_token

    def _key(self) -> str:
        return f"{self.url} {self._login.email if self._login else ''}"

    def _kept(self) -> dict[str, Tokens]:
        if self._file is None:
            return self._memory
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Tokens])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _keep(self, tokens: Tokens | None) -> None:
        kept = {key: value for key, value in self._kept().items() if key != self._key()}
        if tokens is not None:
            kept[self._key()] = tokens
        self._memory = kept
        if self._file is not None:
            try:
                write_private(self._file, msgspec.json.encode(kept))
            except OSError:
                self._file = None  # a folder that cannot be written: log in each time


def error_of(status: int, body: bytes, url: str) -> EletroviaError:
    """The error that a problem document tells, its ``detail`` a note, its ``trip`` among the facts."""
    kind = _BY_STATUS.get(status, Invalid if 400 <= status < 500 else Unavailable)
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
        code = str(problem["code"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return kind("server.refused", url=url, status=status)
    facts = problem.get("facts")
    error = kind(code)
    error.facts = dict(facts) if isinstance(facts, dict) else {}
    if problem.get("trip") is not None:
        error.facts["trip"] = problem["trip"]
    if isinstance(problem.get("detail"), str):
        error.add_note(problem["detail"])
    if status >= 500 and status not in _BY_STATUS:
        error.facts["incident"] = problem.get("incident", "")
    return error


def segment(text: str) -> str:
    """``text`` as one piece of a path."""
    return quote(text, safe="")


def pause(seconds: float) -> None:
    """Wait; Ctrl-C ends it."""
    threading.Event().wait(seconds)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
