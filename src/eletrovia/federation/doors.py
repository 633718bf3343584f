"""Who is there, and who may come in: the directory's memory.

Everything that is asked on the hot path is answered here, without a wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied
from eletrovia.charging.location import plain
from eletrovia.federation.store import InboundToken, Invitation, Peer, TokenKind
from eletrovia.federation.wire import OperatorStatus


def sha256(token: str) -> bytes:
    """What is kept of a token of 256 random bits: no salt is needed, nobody guesses one."""
    return hashlib.sha256(token.encode()).digest()


def denied() -> Denied:
    """One wording for all: nobody learns from it whether they were ever known."""
    return Denied("federation.denied")


class Doors:
    """Operators, their tokens and open invitations, as of the last write."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._peers: dict[str, Peer] = {}
        self._tokens: dict[bytes, InboundToken] = {}
        self._invitations: dict[bytes, Invitation] = {}
        self._watchers: list[Callable[[str], None]] = []

    # -- who is there ---------------------------------------------------------------------------------

    def cards(self) -> list[Peer]:
        """Every operator we know or knew, by id; without their secrets when shown."""
        return [self._peers[operator_id] for operator_id in sorted(self._peers)]

    def active(self) -> list[Peer]:
        """The partners."""
        return [peer for peer in self.cards() if peer.status is OperatorStatus.ACTIVE]

    def partner(self, operator_id: str) -> Peer:
        """The partner, with what we present to it. Raises: Denied when it is none, or none any more."""
        peer = self._peers.get(operator_id)
        if peer is None or peer.status is not OperatorStatus.ACTIVE:
            raise Denied("operator.not_a_partner", operator_id=operator_id)
        return peer

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call ``changed(operator_id)`` whenever an operator becomes a partner, changes, or is revoked."""
        self._watchers.append(changed)

    def _tell(self, operator_id: str) -> None:
        for changed in self._watchers:
            changed(operator_id)

    # -- who may come in ------------------------------------------------------------------------------

    def authenticate(self, token: str) -> str:
        """The partner whose token this is. Raises: Denied."""
        known = self._known(token, TokenKind.REST)
        if self._peers[known.operator_id].status is not OperatorStatus.ACTIVE:
            raise denied()
        return known.operator_id

    def mqtt_password_ok(self, username: str, password: str) -> bool:
        """Whether ``username`` (``BR-CAR``) is a partner with this password at our broker."""
        try:
            known = self._known(password, TokenKind.MQTT)
        except Denied:
            return False
        peer = self._peers[known.operator_id]
        return peer.status is OperatorStatus.ACTIVE and plain(peer.operator_id) == username

    def _known(self, token: str, kind: TokenKind) -> InboundToken:
        known = self._tokens.get(sha256(token))
        if known is None or known.kind is not kind or known.operator_id not in self._peers:
            raise denied()
        if known.expires_at is not None and known.expires_at <= self._clock.now():
            raise denied()
        return known

    def check_invitation(self, token: str) -> None:
        """Raises: Denied unless ``token`` is an invitation of ours that is still open."""
        self._invitation(token)

    def _invitation(self, token: str) -> Invitation:
        invitation = self._invitations.get(sha256(token))
        if invitation is None or invitation.expires_at <= self._clock.now():
            raise denied()
        return invitation

    def _shut(self, operator_id: str) -> None:
        """Nothing the operator holds opens anything from here on."""
        self._tokens = {key: token for key, token in self._tokens.items() if token.operator_id != operator_id}
