"""What only this operator's own broker and server know: made once, at run time, in the data folder."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import nkeys

from eletrovia.base.errors import Unavailable
from eletrovia.base.ids import new_secret
from eletrovia.base.private import write_private


class BusSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Passwords of the three internal users, and the key that signs what clients may do.

    Shape: ``issuer_seed`` is an account's nkey seed (``SA…``).
    """

    city_password: str
    callout_password: str
    system_password: str
    issuer_seed: str


def keep_secrets(path: Path) -> BusSecrets:
    """The secrets at ``path``, made there if there are none yet.

    Raises: Unavailable ``bus.secrets_unreadable``: never overwritten, clients may hold to them.
    """
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=BusSecrets)
        except (OSError, msgspec.DecodeError) as problem:
            raise Unavailable("bus.secrets_unreadable", path=str(path), reason=str(problem)) from problem
    seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT)
    made = BusSecrets(
        city_password=new_secret(),
        callout_password=new_secret(),
        system_password=new_secret(),
        issuer_seed=bytes(seed).decode(),
    )
    write_private(path, msgspec.json.encode(made).decode())
    return made


def public_key(seed: str) -> str:
    """The public nkey (``A…``) of an account's seed."""
    return bytes(nkeys.from_seed(seed.encode()).public_key).decode()
