"""Every error as a problem document (RFC 9457): one table from kinds to statuses, sentences by language."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from eletrovia.api.sentences import sentence, title
from eletrovia.base.errors import EletroviaError, Invalid, NotFound, Unavailable
from eletrovia.people.account import Language

MEDIA_TYPE: Final = "application/problem+json"

STATUS_BY_KIND: Final = {
    "invalid": 422,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "overloaded": 429,
    "unavailable": 503,
}

# Where HTTP has a finer word than the error's kind.
STATUS_BY_CODE: Final = {
    "body.malformed": 400,
    "path.malformed": 400,
    "body.too_large": 413,
    "body.not_json": 415,
    "route.method_not_allowed": 405,
}

# Denied because nobody knows yet who asks, not because of who it is: 401, with a challenge.
UNKNOWN_WHO: Final = ("token.", "login.")

OUR_OWN: Final = ("store.", "bus.", "config.", "lane.")
"""Errors whose facts tell of this machine, its addresses and folders: for the log, not for whoever asks."""

RETRY_AFTER_S: Final = 1
"""Said with 429 and 503 where the error does not know better."""

_LITESTAR: Final = {400: "body.malformed", 401: "token.missing", 404: "route.unknown", 413: "body.too_large"}

_MISSING: Final = re.compile(r"Missing required (\w+) parameter '([^']+)'")

log = structlog.get_logger("eletrovia.api")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with our own members: ``code`` is stable and for programs, ``facts`` are what it is about."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    facts: dict[str, Any] = {}
    instance: str = ""
    incident: str = ""
    trip: Any = None
    """The trip as it stands, where a booking failed: it carries the alternatives."""


def status_of(error: EletroviaError) -> int:
    """The HTTP status for an error; 500 for a kind that nobody put into the table."""
    if (status := STATUS_BY_CODE.get(error.code)) is not None:
        return status
    if error.kind == "denied" and error.code.startswith(UNKNOWN_WHO):
        return 401
    return STATUS_BY_KIND.get(error.kind, 500)


@lru_cache(maxsize=256)
def language_of(accept_language: str) -> Language:
    """The language to answer in; English unless Portuguese is liked better."""
    likings = {"pt": 0.0, "en": 0.0}
    for choice in accept_language.lower().split(","):
        tag, _, weight = choice.partition(";q=")
        primary = tag.strip().partition("-")[0]
        try:
            liking = float(weight) if weight else 1.0
        except ValueError:
            liking = 0.0
        if primary in likings:
            likings[primary] = max(likings[primary], liking)
    return Language.PORTUGUESE if likings["pt"] > likings["en"] else Language.ENGLISH


def problem_response(
    request: Request[Any, Any, Any], error: EletroviaError, *, trip: object = None, incident: str = ""
) -> Response[bytes]:
    """``error`` as the answer to ``request``, in its language."""
    status = status_of(error)
    facts = error.facts
    if error.code.startswith(OUR_OWN):
        log.warning("part_failed", error=str(error), path=request.scope["path"])
        facts = {}
    language = language_of(request.headers.get("accept-language", "")[:200])
    problem = Problem(
        type=f"urn:eletrovia:problem:{error.code}",
        title=title(error.kind, status, language),
        status=status,
        detail=sentence(error.code, error.kind, facts, language),
        code=error.code,
        facts=facts,
        instance=request.scope["path"],
        incident=incident,
        trip=trip,
    )
    headers = {"content-language": language.value, "vary": "accept-language"}
    if status == 401:
        told = (
            ', error="invalid_token"'
            if error.code.startswith("token.") and error.code != "token.missing"
            else ""
        )
        headers["www-authenticate"] = f'Bearer realm="eletrovia"{told}'
    elif status in (429, 503):
        asked_s = error.facts.get("retry_after_s")  # a partner's fact may be anything, a header may not
        headers["retry-after"] = str(asked_s if isinstance(asked_s, int) else RETRY_AFTER_S)
    request.scope["state"]["problem"] = error.code
    return Response(
        # Facts may hold anything an error was given; what JSON has no word for is written out.
        msgspec.json.encode(problem, enc_hook=str),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def on_our_error(request: Request[Any, Any, Any], error: EletroviaError) -> Response[bytes]:
    """For errors of ours."""
    if status_of(error) == 500:
        return on_surprise(request, error)
    return problem_response(request, error)


def on_litestar_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """For what the framework refuses before any code of ours runs."""
    if error.status_code >= 500:
        return on_surprise(request, error)
    if isinstance(error, ValidationException):
        return problem_response(request, _misread(error))
    if error.status_code == 405:
        response = problem_response(
            request,
            Invalid("route.method_not_allowed", method=request.scope["method"], path=request.scope["path"]),
        )
        response.headers.update(error.headers or {})
        return response
    if error.status_code == 404:
        return problem_response(request, NotFound("route.unknown", path=request.scope["path"]))
    code = _LITESTAR.get(error.status_code, "request.refused")
    return problem_response(request, Invalid(code, reason=error.detail))


def on_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """For what nobody foresaw: an incident id for the asker, the whole story for the log."""
    incident: str = request.scope["state"].get("request_id", "")
    log.error("incident", incident=incident, path=request.scope["path"], exc_info=error)
    return problem_response(request, EletroviaError("internal", incident=incident), incident=incident)


def on_silence(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """For a database or partner that does not answer in time."""
    log.warning("no_answer", path=request.scope["path"], error=repr(error))
    return problem_response(request, Unavailable("part.silent"))


def _misread(error: ValidationException) -> EletroviaError:
    """A parameter of the wrong type or a missing one, as ours."""
    said = error.extra if isinstance(error.extra, list) else []
    if any(item.get("key") == "data" for item in said):
        return Invalid("body.missing")
    at = [
        {
            "field": item.get("key", ""),
            "in": str(getattr(item.get("source"), "value", item.get("source", ""))),
            "problem": item.get("message", ""),
        }
        for item in said
    ]
    if not at and (missing := _MISSING.search(error.detail)) is not None:
        return Invalid("parameter.missing", **{"in": missing.group(1), "field": missing.group(2)})
    if not at:
        return Invalid("parameter.invalid", field="", problem=error.detail)
    return Invalid("parameter.invalid", **at[0], all=at)
