"""What the OpenAPI document says of every route alike: problems, security, examples."""

from __future__ import annotations

from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, SecurityRequirement

from eletrovia.api.auth import SCHEME
from eletrovia.api.problems import MEDIA_TYPE, Problem

SIGNED_IN: Final[list[SecurityRequirement]] = [{SCHEME: []}]

_SAID: Final = {
    400: "The body is not JSON, or the address holds what none may.",
    401: "No access token, or not a good one: log in.",
    403: "Known, but not allowed.",
    404: "No such thing, or none that you may know of.",
    409: "Something that stands already forbids it.",
    413: "The body is larger than 1 MB.",
    422: "Readable, but it cannot be right; `code` and `facts` say what.",
    429: "Too much at once; `Retry-After` says when to come back.",
    500: "A fault of ours; `incident` is in our log too.",
    503: "A part that is needed does not answer now.",
}

_ALWAYS: Final = (400, 500, 503)
_BODY: Final = (413, 422)


def problems(*statuses: int, body: bool = False, signed_in: bool = False) -> dict[int, ResponseSpec]:
    """The problem documents that a route may answer with, beside those that any may."""
    every = {*statuses, *_ALWAYS, *(_BODY if body else ()), *((401,) if signed_in else ())}
    return {
        status: ResponseSpec(
            data_container=Problem, description=_SAID[status], media_type=MEDIA_TYPE, generate_examples=False
        )
        for status in sorted(every)
    }


def example(summary: str, value: Any) -> list[Example]:
    """One example, as a list, as Litestar wants it."""
    return [Example(summary=summary, value=value)]
