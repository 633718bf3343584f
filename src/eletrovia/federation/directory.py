"""The operators we know: inviting, joining, changing credentials, revoking.

This process is the only writer of these tables; a revocation is in memory before it is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, Denied, EletroviaError, Invalid, NotFound
from eletrovia.base.ids import new_secret
from eletrovia.charging.location import split_operator_id
from eletrovia.federation import store as rows
from eletrovia.federation.doors import Doors, denied, sha256
from eletrovia.federation.handshake import Handshake, base_url, broker_at
from eletrovia.federation.store import InboundToken, Invitation, Peer, TokenKind
from eletrovia.federation.wire import VERSION, Card, Credentials, Greeting, OperatorStatus

if TYPE_CHECKING:
    from eletrovia.store.pool import Store

_log = structlog.get_logger(__name__)

_GRACE_S = 60.0  # how long a replaced token is still good: longer than any call in flight
_MOST_NAME_CHARS = 200
_OFFER_S = 60.0  # how long an offered token waits for the other side's answer


class Directory(Doors):
    """The operators of this operator's federation.

    Raises: Denied for whoever is unknown, revoked or late, always in the same words.
    """

    def __init__(self, store: Store, own: Card, clock: Clock, *, handshake: Handshake | None = None) -> None:
        split_operator_id(own.operator_id)
        self.own = own
        super().__init__(clock)
        self._store = store
        self._handshake = handshake or Handshake()
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read everything; once at the start."""
        async with self._written() as connection:
            await rows.forget_expired(connection, self._clock.now())

    @asynccontextmanager
    async def _written(self) -> AsyncIterator[rows.Connection]:
        """A transaction, after which memory is what the database says, whether it was committed or not."""
        async with self._writing:
            try:
                async with self._store.transaction() as connection:
                    yield connection
            finally:
                async with self._store.connection() as connection:
                    await self._read(connection)

    async def _read(self, connection: rows.Connection) -> None:
        self._peers = {peer.operator_id: peer for peer in await rows.peers(connection)}
        self._tokens = {token.token_sha256: token for token in await rows.tokens(connection)}
        invitations = await rows.open_invitations(connection, self._clock.now())
        self._invitations = {invitation.token_sha256: invitation for invitation in invitations}

    async def greeting(self, token: str) -> Greeting:
        """Our card, for partners, for those we offered a token, and for those we invited. Raises: Denied.

        A partner that shows a new token here has it, so the ones before it may end.
        """
        try:
            known = self._known(token, TokenKind.REST)
        except Denied:
            self._invitation(token)
            return Greeting(version=VERSION, operator=self.own)
        older = any(
            other.operator_id == known.operator_id
            and other.made_at < known.made_at
            and other.expires_at is None
            for other in self._tokens.values()
        )
        if older and known.expires_at is None:
            await self._settle(known.operator_id, known.made_at)
        return Greeting(version=VERSION, operator=self.own)

    # -- exchanging credentials -----------------------------------------------------------------------

    async def invite(self, valid_s: float, operator_id: str | None = None) -> str:
        """A registration token to hand over out of band; named, only that operator can use it.

        An operator that was revoked comes back by a named invitation only.
        """
        if not 0 < valid_s <= 30 * 86400:
            raise Invalid("invitation.validity_out_of_range", valid_s=valid_s, allowed="0 to 2592000")
        if operator_id is not None:
            split_operator_id(operator_id)
        token = new_secret()
        now = self._clock.now()
        invitation = Invitation(
            token_sha256=sha256(token),
            operator_id=operator_id,
            made_at=now,
            expires_at=now + timedelta(seconds=valid_s),
        )
        async with self._written() as connection:
            await rows.add_invitation(connection, invitation)
        return token

    async def join(self, url: str, registration_token: str) -> Peer:
        """Become partners with the operator at ``url`` that gave us ``registration_token``.

        Raises: Conflict when we are partners already; Denied when the token is not good there, or the other
        side is not who it says; Unavailable when it does not answer.
        """
        url = base_url(url)
        greeting = await self._handshake.greet(url, registration_token)
        card = Card(
            operator_id=greeting.operator.operator_id,
            name=greeting.operator.name,
            base_url=url,
            mqtt_url=greeting.operator.mqtt_url,
        )
        self._not_ourselves(card)
        broker_at(card.mqtt_url)
        known = self._peers.get(card.operator_id)
        if known is not None and known.status is OperatorStatus.ACTIVE:
            raise Conflict("operator.already_partner", operator_id=card.operator_id)
        return await self._exchange(card, registration_token, change=False)

    async def rotate(self, operator_id: str) -> Peer:
        """Change both sides' credentials; the old ones stay good for a minute, for calls in flight."""
        peer = self.partner(operator_id)
        assert peer.outbound_token is not None  # noqa: S101 - federation_operators_credentials_while_active
        card = Card(operator_id=operator_id, name=peer.name, base_url=peer.base_url, mqtt_url=peer.mqtt_url)
        return await self._exchange(card, peer.outbound_token, change=True)

    async def _exchange(self, card: Card, token: str, *, change: bool) -> Peer:
        offered, inbound = self._offer(card.operator_id, expires_in_s=_OFFER_S)
        hashes = [one.token_sha256 for one in inbound]
        async with self._written() as connection:
            await rows.add_invited(connection, card, self._clock.now())
            await rows.add_tokens(connection, inbound)
        try:
            theirs = await self._handshake.offer(card.base_url, token, offered, change=change)
            if theirs.operator.operator_id != card.operator_id:
                raise Denied("operator.not_who_it_says", operator_id=card.operator_id)
            await self._handshake.greet(card.base_url, theirs.token)
        except EletroviaError:
            async with self._written() as connection:
                await rows.drop_tokens(connection, hashes)
            raise
        return await self._activate(card, theirs, settle=hashes)

    async def accept(self, token: str, theirs: Credentials) -> Credentials:
        """The other half of ``join`` at the inviting side: check back, then answer with our half.

        Raises: Denied for a token that is not good, or a caller that is not who it says.
        """
        invitation = self._invitation(token)
        card = self._checked(theirs)
        known = self._peers.get(card.operator_id)
        if invitation.operator_id not in (None, card.operator_id):
            raise denied()
        if known is not None and invitation.operator_id is None:
            # A stranger with an open invitation must not take a known operator's place: the callback below
            # goes to an address of the stranger's choice.
            moved = known.status is OperatorStatus.ACTIVE and known.base_url != card.base_url
            if known.status is OperatorStatus.REVOKED or moved:
                raise denied()
        await self._check_back(card, theirs.token)
        return await self._answer(card, theirs, invitation=invitation.token_sha256)

    async def change(self, token: str, theirs: Credentials) -> Credentials:
        """The other half of ``rotate``."""
        operator_id = self.authenticate(token)
        card = self._checked(theirs)
        if card.operator_id != operator_id:
            raise denied()
        await self._check_back(card, theirs.token)
        return await self._answer(card, theirs, invitation=None)

    async def part(self, token: str) -> None:
        """The other side says that it is over: the same as revoking it."""
        await self._revoke(self.authenticate(token))

    async def revoke(self, operator_id: str) -> None:
        """From this moment on the operator gets nothing here; it is told so, if it listens.

        Raises: NotFound.
        """
        peer = self._peers.get(operator_id)
        if peer is None:
            raise NotFound("operator.unknown", operator_id=operator_id)
        await self._revoke(operator_id)
        if peer.outbound_token is not None:
            try:
                await self._handshake.part(peer.base_url, peer.outbound_token)
            except EletroviaError as error:
                _log.info("operator.not_told_of_revocation", operator_id=operator_id, error=str(error))

    # -- below the surface ----------------------------------------------------------------------------

    def _offer(self, operator_id: str, expires_in_s: float | None) -> tuple[Credentials, list[InboundToken]]:
        """New credentials for ``operator_id`` to present to us, and what we keep of them."""
        now = self._clock.now()
        expires_at = None if expires_in_s is None else now + timedelta(seconds=expires_in_s)
        secrets = {kind: new_secret() for kind in TokenKind}
        kept = [
            InboundToken(
                token_sha256=sha256(secret),
                operator_id=operator_id,
                kind=kind,
                made_at=now,
                expires_at=expires_at,
            )
            for kind, secret in secrets.items()
        ]
        offered = Credentials(
            operator=self.own, token=secrets[TokenKind.REST], mqtt_password=secrets[TokenKind.MQTT]
        )
        return offered, kept

    def _not_ourselves(self, card: Card) -> None:
        split_operator_id(card.operator_id)
        if card.operator_id == self.own.operator_id:
            raise Invalid("operator.is_ourselves", operator_id=card.operator_id)

    def _checked(self, theirs: Credentials) -> Card:
        self._not_ourselves(theirs.operator)
        base_url(theirs.operator.base_url)
        broker_at(theirs.operator.mqtt_url)
        if len(theirs.operator.name) > _MOST_NAME_CHARS:
            raise Invalid("operator.name_too_long", most=_MOST_NAME_CHARS)
        if min(len(theirs.token), len(theirs.mqtt_password)) < 32:
            raise Invalid("operator.secret_too_short", least=32)
        return theirs.operator

    async def _check_back(self, card: Card, token: str) -> None:
        greeting = await self._handshake.greet(card.base_url, token)
        if greeting.operator.operator_id != card.operator_id:
            raise Denied("operator.not_who_it_says", operator_id=card.operator_id)

    async def _answer(self, card: Card, theirs: Credentials, *, invitation: bytes | None) -> Credentials:
        ours, inbound = self._offer(card.operator_id, expires_in_s=None)
        async with self._written() as connection:
            now = self._clock.now()
            if invitation is not None and not await rows.use_invitation(
                connection, invitation, card.operator_id, now
            ):
                raise denied()
            await rows.activate(connection, self._peer(card, theirs, now))
            await rows.add_tokens(connection, inbound)
        self._tell(card.operator_id)
        return ours

    async def _activate(self, card: Card, theirs: Credentials, *, settle: list[bytes]) -> Peer:
        async with self._written() as connection:
            now = self._clock.now()
            await rows.activate(connection, self._peer(card, theirs, now))
            await rows.settle_tokens(connection, card.operator_id, settle, now + timedelta(seconds=_GRACE_S))
        self._tell(card.operator_id)
        return self._peers[card.operator_id]

    def _peer(self, card: Card, theirs: Credentials, now: datetime) -> Peer:
        return Peer(
            operator_id=card.operator_id,
            name=card.name,
            base_url=card.base_url,
            mqtt_url=card.mqtt_url,
            status=OperatorStatus.ACTIVE,
            since=now,
            outbound_token=theirs.token,
            outbound_mqtt_password=theirs.mqtt_password,
        )

    async def _settle(self, operator_id: str, made_at: datetime) -> None:
        newest = [
            token.token_sha256
            for token in self._tokens.values()
            if token.operator_id == operator_id and token.made_at >= made_at
        ]
        end = self._clock.now() + timedelta(seconds=_GRACE_S)
        async with self._written() as connection:
            await rows.settle_tokens(connection, operator_id, newest, end)

    async def _revoke(self, operator_id: str) -> None:
        self._shut(operator_id)
        async with self._written() as connection:
            self._shut(operator_id)  # a write that was under way may have read it back in
            await rows.revoke(connection, operator_id, self._clock.now())
        self._tell(operator_id)
