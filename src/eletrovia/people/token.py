"""Access tokens, signed and short-lived, and refresh tokens, opaque and stored as a hash only."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

import jwt
import msgspec

from eletrovia.base.clock import Clock, epoch_s
from eletrovia.base.errors import Denied, Invalid
from eletrovia.people.account import Role, Who

ACCESS_TTL: Final = timedelta(minutes=15)
REFRESH_TTL: Final = timedelta(days=30)
SECRET_MIN: Final = 32  # octets: RFC 7518 §3.2 asks for a key as long as the hash
TOKEN_MAX: Final = 2048  # characters; ours are under 300
_SEEN_MAX: Final = 4096
_CLAIMS: Final = ["sub", "role", "iss", "aud", "iat", "exp"]


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver gets at log-in. Named as in RFC 6749 §5.1."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a kind of token, not one
    expires_in: int
    account_id: str
    role: Role


def fingerprint(refresh_token: str) -> bytes:
    """What is stored of a refresh token. It has 256 bits of chance, so a plain hash is enough."""
    return hashlib.sha256(refresh_token.encode()).digest()


class AccessTokens:
    """Signs and reads the access tokens of one operator; it is both issuer and audience.

    Raises: Invalid for a secret that is too short.
    """

    def __init__(self, secret: bytes, operator_id: str, clock: Clock) -> None:
        if len(secret) < SECRET_MIN:
            raise Invalid("token.secret_too_short", length=len(secret), min_length=SECRET_MIN)
        self._secret = secret
        self._operator_id = operator_id
        self._clock = clock
        self._seen: dict[str, tuple[Who, int]] = {}

    def sign(self, who: Who) -> str:
        """A token for ``who``, good for 15 minutes here and nowhere else."""
        now_s = epoch_s(self._clock.now())
        claims = {
            "sub": who.account_id,
            "role": who.role.value,
            "iss": self._operator_id,
            "aud": self._operator_id,
            "iat": now_s,
            "exp": now_s + int(ACCESS_TTL.total_seconds()),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, token: str) -> Who:
        """Whom ``token`` was signed for. Raises: Denied, also when it is over."""
        now_s = epoch_s(self._clock.now())
        known = self._seen.get(token)
        if known is None:
            known = self._verified(token)
            # A driver shows the same token many times; the signature is worked out once. Only good ones
            # are remembered, and never past their end, so nothing is trusted that was not checked.
            if len(self._seen) >= _SEEN_MAX:
                self._seen.clear()
            self._seen[token] = known
        who, expires_s = known
        if now_s >= expires_s:
            self._seen.pop(token, None)
            raise Denied("token.expired")
        return who

    def _verified(self, token: str) -> tuple[Who, int]:
        if len(token) > TOKEN_MAX:
            raise Denied("token.unknown")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],  # named here, never taken from the token: no "none", no other kind
                audience=self._operator_id,
                issuer=self._operator_id,
                # Time is ours to check: the clock is handed in.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            return Who(str(claims["sub"]), Role(claims["role"])), int(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise Denied("token.unknown") from None
