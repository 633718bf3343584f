"""The federation's tables: operators, tokens that open our doors, invitations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import class_row

from eletrovia.federation.wire import Card, OperatorStatus

Connection = psycopg.AsyncConnection[Any]


class TokenKind(StrEnum):
    """What a token opens: our REST API, or our broker."""

    REST = "rest"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An operator we know, with what we present to it. The secrets stay out of any log."""

    operator_id: str
    name: str
    base_url: str
    mqtt_url: str
    status: OperatorStatus
    since: datetime
    outbound_token: str | None = field(default=None, repr=False)
    outbound_mqtt_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", OperatorStatus(self.status))


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundToken:
    """The hash of what an operator presents to us."""

    token_sha256: bytes
    operator_id: str
    kind: TokenKind
    made_at: datetime
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", TokenKind(self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A registration token's hash; with an operator id, only that operator may use it."""

    token_sha256: bytes
    operator_id: str | None
    made_at: datetime
    expires_at: datetime


async def peers(connection: Connection) -> list[Peer]:
    async with connection.cursor(row_factory=class_row(Peer)) as cursor:
        await cursor.execute(
            "SELECT operator_id, name, base_url, mqtt_url, status, since, outbound_token,"
            " outbound_mqtt_password FROM federation_operators ORDER BY operator_id"
        )
        return await cursor.fetchall()


async def tokens(connection: Connection) -> list[InboundToken]:
    async with connection.cursor(row_factory=class_row(InboundToken)) as cursor:
        await cursor.execute(
            "SELECT token_sha256, operator_id, kind, made_at, expires_at FROM federation_tokens"
        )
        return await cursor.fetchall()


async def open_invitations(connection: Connection, now: datetime) -> list[Invitation]:
    async with connection.cursor(row_factory=class_row(Invitation)) as cursor:
        await cursor.execute(
            "SELECT token_sha256, operator_id, made_at, expires_at FROM federation_invitations"
            " WHERE used_at IS NULL AND expires_at > %s",
            (now,),
        )
        return await cursor.fetchall()


async def add_invitation(connection: Connection, invitation: Invitation) -> None:
    await connection.execute(
        "INSERT INTO federation_invitations (token_sha256, operator_id, made_at, expires_at)"
        " VALUES (%s, %s, %s, %s)",
        (invitation.token_sha256, invitation.operator_id, invitation.made_at, invitation.expires_at),
    )


async def use_invitation(connection: Connection, token_sha256: bytes, by: str, now: datetime) -> bool:
    """Whether the invitation was still good; from now on it is not. Of two users at once, one gets it."""
    cursor = await connection.execute(
        "UPDATE federation_invitations SET used_at = %(now)s, used_by = %(by)s"
        " WHERE token_sha256 = %(token)s AND used_at IS NULL AND expires_at > %(now)s"
        " AND (operator_id IS NULL OR operator_id = %(by)s)",
        {"now": now, "by": by, "token": token_sha256},
    )
    return cursor.rowcount == 1


async def add_invited(connection: Connection, card: Card, now: datetime) -> None:
    """The operator as one we are about to exchange credentials with; an active one stays as it is."""
    await connection.execute(
        "INSERT INTO federation_operators (operator_id, name, base_url, mqtt_url, status, since)"
        " VALUES (%s, %s, %s, %s, 'invited', %s)"
        " ON CONFLICT ON CONSTRAINT federation_operators_pkey DO UPDATE"
        " SET name = EXCLUDED.name, base_url = EXCLUDED.base_url, mqtt_url = EXCLUDED.mqtt_url,"
        " status = 'invited', since = EXCLUDED.since"
        " WHERE federation_operators.status <> 'active'",
        (card.operator_id, card.name, card.base_url, card.mqtt_url, now),
    )


async def activate(connection: Connection, peer: Peer) -> None:
    """The operator with the credentials it gave us; ``since`` stays that of the first time while active."""
    await connection.execute(
        "INSERT INTO federation_operators (operator_id, name, base_url, mqtt_url, status, since,"
        " outbound_token, outbound_mqtt_password) VALUES (%s, %s, %s, %s, 'active', %s, %s, %s)"
        " ON CONFLICT ON CONSTRAINT federation_operators_pkey DO UPDATE"
        " SET name = EXCLUDED.name, base_url = EXCLUDED.base_url, mqtt_url = EXCLUDED.mqtt_url,"
        " status = 'active', since = CASE WHEN federation_operators.status = 'active'"
        " THEN federation_operators.since ELSE EXCLUDED.since END,"
        " outbound_token = EXCLUDED.outbound_token,"
        " outbound_mqtt_password = EXCLUDED.outbound_mqtt_password",
        (
            peer.operator_id,
            peer.name,
            peer.base_url,
            peer.mqtt_url,
            peer.since,
            peer.outbound_token,
            peer.outbound_mqtt_password,
        ),
    )


async def add_tokens(connection: Connection, added: list[InboundToken]) -> None:
    for token in added:
        await connection.execute(
            "INSERT INTO federation_tokens (token_sha256, operator_id, kind, made_at, expires_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            (token.token_sha256, token.operator_id, token.kind, token.made_at, token.expires_at),
        )


async def settle_tokens(
    connection: Connection, operator_id: str, kept: list[bytes], old_expire_at: datetime
) -> None:
    """``kept`` are good for good; every other token of the operator ends by ``old_expire_at``."""
    await connection.execute(
        "UPDATE federation_tokens SET expires_at = CASE WHEN token_sha256 = ANY(%(kept)s) THEN NULL"
        " ELSE least(coalesce(expires_at, %(end)s), %(end)s) END WHERE operator_id = %(operator)s",
        {"kept": kept, "end": old_expire_at, "operator": operator_id},
    )


async def drop_tokens(connection: Connection, dropped: list[bytes]) -> None:
    await connection.execute("DELETE FROM federation_tokens WHERE token_sha256 = ANY(%s)", (dropped,))


async def revoke(connection: Connection, operator_id: str, now: datetime) -> bool:
    """Whether there was such an operator; nothing of its credentials, or of ours there, stays behind."""
    cursor = await connection.execute(
        "UPDATE federation_operators SET status = 'revoked', since = %s, outbound_token = NULL,"
        " outbound_mqtt_password = NULL WHERE operator_id = %s AND status <> 'revoked'",
        (now, operator_id),
    )
    await connection.execute("DELETE FROM federation_tokens WHERE operator_id = %s", (operator_id,))
    return cursor.rowcount == 1


async def forget_expired(connection: Connection, now: datetime) -> None:
    """Drop what can never be used again."""
    await connection.execute("DELETE FROM federation_tokens WHERE expires_at <= %s", (now,))
    await connection.execute(
        "DELETE FROM federation_invitations WHERE used_at IS NULL AND expires_at <= %s", (now,)
    )
