"""Prints fresh secrets for compose.yaml, as lines of an .env file.

make compose-secrets
docker run --rm -i eletrovia python - < deploy/compose_secrets.py > .env      # without a .venv
"""

from __future__ import annotations

import secrets

import nkeys

OPERATORS = ("CAR", "MAN", "SER")


def password() -> str:
    """A secret that a URL, a shell and NATS's configuration take as it is."""
    return "s" + secrets.token_hex(24)


def main() -> None:
    print("# Made by deploy/compose_secrets.py. Keep it out of every repository, and keep a copy elsewhere.")
    for operator in OPERATORS:
        for name in ("DB", "BUS", "CALLOUT", "SYSTEM"):
            print(f"{operator}_{name}_PASSWORD={password()}")
        seed = bytes(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT))
        print(f"{operator}_CALLOUT_SEED={seed.decode()}")
        print(f"{operator}_CALLOUT_ISSUER={bytes(nkeys.from_seed(seed).public_key).decode()}")


if __name__ == "__main__":
    main()
