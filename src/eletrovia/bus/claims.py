"""NATS's signed tokens, as far as the callout needs them: read the server's question, sign our answer.

Source: ADR-26 of NATS (auth callout) and its JWT version 2: ``{"typ": "JWT", "alg": "ed25519-nkey"}``, the
issuer's public nkey in ``iss``, an ed25519 signature over the first two parts.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec
import nacl.exceptions
import nacl.signing
import nkeys

from eletrovia.base.clock import epoch_s
from eletrovia.base.errors import Denied
from eletrovia.base.ids import new_secret

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_SERVER_PREFIX = "N"


class ConnectOptions(msgspec.Struct, frozen=True):
    """What a client said of itself when it knocked."""

    user: str = ""
    password: str = msgspec.field(name="pass", default="")
    auth_token: str = ""


class ClientFacts(msgspec.Struct, frozen=True):
    """What the broker knows of a client that knocked.

    Shape: ``type`` is ``nats``, ``mqtt`` or ``websocket``… as the broker words it.
    """

    host: str = ""
    id: int = 0
    kind: str = ""
    type: str = ""
    mqtt_id: str = ""


class ServerFacts(msgspec.Struct, frozen=True):
    id: str
    name: str = ""


class Question(msgspec.Struct, frozen=True):
    """May this client come in, and what may it do?"""

    server_id: ServerFacts
    user_nkey: str
    client_info: ClientFacts
    connect_opts: ConnectOptions


class _Body(msgspec.Struct, frozen=True):
    iss: str
    nats: Question


def _pack(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _unpack(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def sign(claims: dict[str, Any], seed: str) -> str:
    """A token of these claims, signed by the seed's key, which is written in as issuer."""
    pair = nkeys.from_seed(seed.encode())
    body = {**claims, "iss": bytes(pair.public_key).decode()}
    signed = f"{_pack(msgspec.json.encode(_HEADER))}.{_pack(msgspec.json.encode(body))}"
    return f"{signed}.{_pack(bytes(pair.sign(signed.encode())))}"


def read_question(token: bytes) -> Question:
    """The question in a token that a NATS server signed.

    Raises: Denied ``bus.question_unsigned`` when it is anything else.
    """
    try:
        head, body, signature = token.decode("ascii").split(".")
        told = msgspec.json.decode(_unpack(body), type=_Body)
        if not told.iss.startswith(_SERVER_PREFIX):
            raise ValueError("not signed by a server")
        raw = base64.b32decode(told.iss + "=" * (-len(told.iss) % 8))
        # An nkey is one prefix octet, 32 of key, two of checksum.
        nacl.signing.VerifyKey(raw[1:33]).verify(f"{head}.{body}".encode(), _unpack(signature))
    except (ValueError, binascii.Error, msgspec.DecodeError, nacl.exceptions.CryptoError) as problem:
        raise Denied("bus.question_unsigned", reason=str(problem)) from problem
    return told.nats


def _allow(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    # To NATS an empty list means everything, so nothing has to be said as a subject nobody uses.
    return {"allow": list(subjects) or ["$ELETROVIA.nothing"]}


def answer_yes(
    question: Question,
    *,
    name: str,
    publish: tuple[str, ...],
    subscribe: tuple[str, ...],
    account: str,
    seed: str,
    now: datetime,
    lifetime_s: int | None,
) -> bytes:
    """The token that lets the client in as ``name`` with these rights, until ``lifetime_s`` have passed."""
    user: dict[str, Any] = {
        "jti": new_secret(16),
        "iat": epoch_s(now),
        "sub": question.user_nkey,
        "aud": account,
        "name": name,
        "nats": {
            "pub": _allow(publish),
            "sub": _allow(subscribe),
            "subs": -1,
            "data": -1,
            "payload": -1,
            "type": "user",
            "version": 2,
        },
    }
    if lifetime_s is not None:
        user["exp"] = epoch_s(now) + lifetime_s
    return _answer(question, {"jwt": sign(user, seed)}, seed, now)


def answer_no(question: Question, reason: str, *, seed: str, now: datetime) -> bytes:
    """The token that turns the client away; the reason goes to the broker's log only."""
    return _answer(question, {"error": reason}, seed, now)


def _answer(question: Question, body: dict[str, str], seed: str, now: datetime) -> bytes:
    claims = {
        "jti": new_secret(16),
        "iat": epoch_s(now),
        "sub": question.user_nkey,
        "aud": question.server_id.id,
        "nats": {**body, "type": "authorization_response", "version": 2},
    }
    return sign(claims, seed).encode()
