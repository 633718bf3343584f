"""What operators say to each other over REST: version 1 of ``/federation/v1``.

Every POST carries a batch, ``{"requests": [...]}``, and is answered item by item, in order:
``{"replies": [{"reply": ...} | {"problem": ...} | {}]}``; ``{}`` is "done" where there is nothing to say.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec

from eletrovia.base.errors import (
    Conflict,
    Denied,
    EletroviaError,
    Invalid,
    NotFound,
    Overloaded,
    Unavailable,
)
from eletrovia.booking.decision import Decision, Proposal
from eletrovia.booking.hold import HoldReply, HoldRequest
from eletrovia.booking.partner import Arrival, Cancellation
from eletrovia.charging.location import Location

VERSION: Final = "1.0"
PREFIX: Final = "/federation/v1"
MAX_BATCH: Final = 500
MAX_BODY_OCTETS: Final = 1 << 20

UNREADABLE: Final = (msgspec.MsgspecError, EletroviaError, ValueError, RecursionError)
"""What a decoder raises for octets that are not what was agreed on: our own structs' checks included."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")

STATUS_BY_KIND: Final = {
    "invalid": 422,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "overloaded": 429,
    "unavailable": 503,
}
_KIND_BY_STATUS: Final[dict[int, type[EletroviaError]]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    429: Overloaded,
    503: Unavailable,
}


_CODE: Final = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,2}")
_OURS_ALONE: Final = ("token.", "login.", "store.", "bus.", "config.", "lane.", "internal")
_MOST_FACTS_OCTETS: Final = 1 << 14


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error on its way to another operator: a problem document (RFC 9457), whole or for one item."""

    title: str
    status: int
    code: str
    facts: dict[str, Any] = {}


def problem_of(error: EletroviaError) -> Problem:
    """``error`` as it travels."""
    not_let_in = error.code == "federation.denied"
    status = 401 if not_let_in else STATUS_BY_KIND.get(error.kind, 500)
    return Problem(title=error.kind, status=status, code=error.code, facts=error.facts)


def error_of(problem: Problem) -> EletroviaError:
    """The error that ``problem`` was; a status nobody agreed on counts as no answer.

    It goes on to drivers, so it may be neither as long as a partner likes nor look like one of our own.
    """
    kind = _KIND_BY_STATUS.get(problem.status, Unavailable)
    if _CODE.fullmatch(problem.code) is None or problem.code.startswith(_OURS_ALONE):
        return kind("operator.refused")
    facts = {k: v for k, v in problem.facts.items() if k not in ("self", "code")}
    return kind(problem.code, **(facts if len(encode(facts)) <= _MOST_FACTS_OCTETS else {}))


class Asked(msgspec.Struct, Generic[Item], frozen=True):
    """A batch on its way there, at most ``MAX_BATCH`` items."""

    requests: list[Item]


class Reply(msgspec.Struct, Generic[Answer], frozen=True, omit_defaults=True):
    """The answer to one item."""

    reply: Answer | None = None
    problem: Problem | None = None


class Answered(msgspec.Struct, Generic[Answer], frozen=True):
    """A batch on its way back, in the order of the requests."""

    replies: list[Reply[Answer]]


class Verb(Generic[Item, Answer]):
    """One kind of batch: where it is sent and what its items and answers are."""

    def __init__(self, name: str, path: str, item: type[Item], answer: type[Answer] | None) -> None:
        self.name = name
        self.path = path
        self.item = item
        self.answers = answer is not None
        self.asked: msgspec.json.Decoder[Asked[Item]] = msgspec.json.Decoder(Asked[item])  # type: ignore[valid-type]
        self.one: msgspec.json.Decoder[Item] = msgspec.json.Decoder(item)
        answered = Answered[answer] if answer is not None else Answered[msgspec.Raw]  # type: ignore[valid-type]
        self.answered: msgspec.json.Decoder[Answered[Answer]] = msgspec.json.Decoder(answered)

    def decode(self, body: bytes) -> list[Item | EletroviaError]:
        """The items of a batch; one that is malformed stands as its own error.

        Raises: Invalid when it is no batch at all, or one too long.
        """
        items: list[Item | EletroviaError]
        try:
            items = [*self.asked.decode(body).requests]
        except UNREADABLE:
            items = self._decode_one_by_one(body)
        if len(items) > MAX_BATCH:
            raise Invalid("federation.batch_too_long", items=len(items), allowed=MAX_BATCH)
        return items

    def _decode_one_by_one(self, body: bytes) -> list[Item | EletroviaError]:
        try:
            raws = _RAW_BATCH.decode(body).requests
        except UNREADABLE as error:
            raise Invalid("federation.batch_malformed", detail=str(error)) from None
        if len(raws) > MAX_BATCH:
            raise Invalid("federation.batch_too_long", items=len(raws), allowed=MAX_BATCH)
        items: list[Item | EletroviaError] = []
        for raw in raws:
            try:
                items.append(self.one.decode(raw))
            except EletroviaError as error:
                items.append(error)
            except UNREADABLE as error:
                items.append(Invalid("federation.item_malformed", detail=str(error)))
        return items


_RAW_BATCH: Final = msgspec.json.Decoder(Asked[msgspec.Raw])

HOLD: Final = Verb("hold", "/holds", HoldRequest, HoldReply)
PROPOSE: Final = Verb("propose", "/decisions/proposals", Proposal, Decision)
DELIVER: Final[Verb[Decision, None]] = Verb("deliver", "/decisions", Decision, None)
CANCEL: Final[Verb[Cancellation, None]] = Verb("cancel", "/cancellations", Cancellation, None)
ARRIVE: Final[Verb[Arrival, None]] = Verb("arrive", "/arrivals", Arrival, None)


class OperatorStatus(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    REVOKED = "revoked"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Who an operator is and where it answers. ``mqtt_url`` is ``mqtt://host:port`` or ``mqtts://…``."""

    operator_id: str
    name: str
    base_url: str
    mqtt_url: str


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``GET /operators``: the protocol's version and the card of whoever answers."""

    version: str
    operator: Card


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """One side's half of an exchange: what the *other* side shall present from now on."""

    operator: Card
    token: str
    mqtt_password: str

    def __repr__(self) -> str:
        return f"Credentials(operator={self.operator.operator_id!r}, secrets not shown)"


class Page(msgspec.Struct, frozen=True):
    """Part of the list of locations; ``total`` counts all that matched."""

    data: list[Location]
    total: int


_encoder: Final = msgspec.json.Encoder(enc_hook=str)


def encode(message: object) -> bytes:
    """JSON; a fact that JSON has no word for is told as text."""
    return _encoder.encode(message)
