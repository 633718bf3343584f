"""The people's tables: account, refresh_family, refresh_token."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import tuple_row

from eletrovia.base.errors import Conflict
from eletrovia.people.account import Account, Language, Role

Connection = AsyncConnection[Any]

_ACCOUNT: Final = "id, email, name, role, language, created_at"


def _account(row: tuple[Any, ...]) -> Account:
    return Account(
        id=row[0],
        email=row[1],
        name=row[2],
        role=Role(row[3]),
        language=Language(row[4]),
        created_at=row[5],
    )


async def _one(conn: Connection, sql: str, params: tuple[object, ...]) -> tuple[Any, ...] | None:
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql, params)
        return await cursor.fetchone()


async def add_account(conn: Connection, account: Account, password_hash: str) -> None:
    """Raises: Conflict when the address has an account already."""
    try:
        await conn.execute(
            "INSERT INTO account (id, email, name, role, language, created_at, password_hash)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                account.id,
                account.email,
                account.name,
                account.role.value,
                account.language.value,
                account.created_at,
                password_hash,
            ),
        )
    except UniqueViolation as taken:
        if taken.diag.constraint_name == "account_email_key":
            raise Conflict("account.email_taken", email=account.email) from None
        raise


async def account_by_id(conn: Connection, account_id: str) -> Account | None:
    row = await _one(conn, f"SELECT {_ACCOUNT} FROM account WHERE id = %s", (account_id,))  # noqa: S608
    return None if row is None else _account(row)


async def account_by_email(conn: Connection, email: str) -> tuple[Account, str] | None:
    """The account and its password's hash."""
    row = await _one(
        conn,
        f"SELECT {_ACCOUNT}, password_hash FROM account WHERE email = %s",  # noqa: S608
        (email,),
    )
    return None if row is None else (_account(row), row[6])


async def set_role(conn: Connection, email: str, role: Role) -> Account | None:
    row = await _one(
        conn,
        f"UPDATE account SET role = %s WHERE email = %s RETURNING {_ACCOUNT}",  # noqa: S608
        (role.value, email),
    )
    return None if row is None else _account(row)


async def set_password_hash(conn: Connection, account_id: str, password_hash: str) -> None:
    await conn.execute("UPDATE account SET password_hash = %s WHERE id = %s", (password_hash, account_id))


async def add_family(conn: Connection, family_id: str, account_id: str, created_at: datetime) -> None:
    await conn.execute(
        "INSERT INTO refresh_family (id, account_id, created_at) VALUES (%s, %s, %s)",
        (family_id, account_id, created_at),
    )


async def add_token(
    conn: Connection, token_sha256: bytes, family_id: str, issued_at: datetime, expires_at: datetime
) -> None:
    await conn.execute(
        "INSERT INTO refresh_token (token_sha256, family_id, issued_at, expires_at) VALUES (%s, %s, %s, %s)",
        (token_sha256, family_id, issued_at, expires_at),
    )


async def use_token(conn: Connection, token_sha256: bytes, used_at: datetime) -> tuple[str, Account] | None:
    """Marks a token used and gives its family and account; None when it is unknown, used, over or revoked.

    Locks: the token's row; of two that come at once, the second finds it used.
    """
    columns = ", ".join(f"account.{name}" for name in _ACCOUNT.split(", "))
    row = await _one(
        conn,
        f"UPDATE refresh_token SET used_at = %s"  # noqa: S608
        f" FROM refresh_family JOIN account ON account.id = refresh_family.account_id"
        f" WHERE token_sha256 = %s AND used_at IS NULL AND expires_at > %s"
        f" AND refresh_family.id = refresh_token.family_id AND revoked_at IS NULL"
        f" RETURNING refresh_family.id, {columns}",
        (used_at, token_sha256, used_at),
    )
    return None if row is None else (row[0], _account(row[1:]))


async def family_of(conn: Connection, token_sha256: bytes) -> tuple[str, bool] | None:
    """A token's family, and whether the token was used already."""
    row = await _one(
        conn,
        "SELECT family_id, used_at IS NOT NULL FROM refresh_token WHERE token_sha256 = %s",
        (token_sha256,),
    )
    return None if row is None else (row[0], row[1])


async def revoke_family(conn: Connection, family_id: str, revoked_at: datetime, reason: str) -> None:
    await conn.execute(
        "UPDATE refresh_family SET revoked_at = %s, reason = %s WHERE id = %s AND revoked_at IS NULL",
        (revoked_at, reason, family_id),
    )


async def revoke_families_of(conn: Connection, account_id: str, revoked_at: datetime, reason: str) -> None:
    await conn.execute(
        "UPDATE refresh_family SET revoked_at = %s, reason = %s WHERE account_id = %s AND revoked_at IS NULL",
        (revoked_at, reason, account_id),
    )


async def forget_families_before(conn: Connection, moment: datetime) -> int:
    """Removes families of which every token was over by then."""
    cursor = await conn.execute(
        "DELETE FROM refresh_family WHERE NOT EXISTS"
        " (SELECT 1 FROM refresh_token WHERE family_id = refresh_family.id AND expires_at >= %s)",
        (moment,),
    )
    return cursor.rowcount
