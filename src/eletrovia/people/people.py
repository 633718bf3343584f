"""What people can do about their accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Denied, NotFound
from eletrovia.base.ids import Ids, new_secret
from eletrovia.people import store as tables
from eletrovia.people.account import (
    PASSWORD_MAX,
    Account,
    Language,
    Role,
    Who,
    check_password,
    tidy_email,
    tidy_name,
)
from eletrovia.people.password import Passwords
from eletrovia.people.throttle import Throttle
from eletrovia.people.token import ACCESS_TTL, REFRESH_TTL, AccessTokens, TokenPair, fingerprint

if TYPE_CHECKING:
    from eletrovia.store.pool import Store


class People:
    """The accounts of one operator's drivers and staff, and their tokens."""

    def __init__(
        self,
        store: Store,
        access: AccessTokens,
        *,
        clock: Clock,
        ids: Ids,
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._store = store
        self._access = access
        self._clock = clock
        self._ids = ids
        self._passwords = passwords or Passwords()
        self._throttle = throttle or Throttle(clock)

    async def register(
        self, *, email: str, password: str, name: str, language: Language = Language.ENGLISH
    ) -> Account:
        """A new driver. Raises: Invalid; Conflict ``account.email_taken``."""
        email = tidy_email(email)
        check_password(password, email)
        account = Account(
            id=self._ids.new("acct"),
            email=email,
            name=tidy_name(name),
            role=Role.DRIVER,
            language=language,
            created_at=self._clock.now(),
        )
        password_hash = await self._passwords.hash(password)
        async with self._store.transaction() as conn:
            await tables.add_account(conn, account, password_hash)
        return account

    async def log_in(self, *, email: str, password: str) -> TokenPair:
        """Tokens for the right password.

        Raises: Denied ``login.wrong``, be it the address or the password; Overloaded.
        """
        email = email.replace("\0", "").strip().lower()[:320]
        self._throttle.count(email)
        async with self._store.connection() as conn:
            known = await tables.account_by_email(conn, email)
        account, stored = known if known is not None else (None, None)
        right = await self._passwords.matches(stored, password[: PASSWORD_MAX + 1])
        if not right or account is None or stored is None:
            raise Denied("login.wrong")
        self._throttle.forget(email)
        anew = await self._passwords.hash(password) if self._passwords.is_outdated(stored) else None
        family_id = self._ids.new("fam")
        async with self._store.transaction() as conn:
            if anew is not None:
                await tables.set_password_hash(conn, account.id, anew)
            await tables.add_family(conn, family_id, account.id, self._clock.now())
            return await self._pair(conn, account, family_id)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """New tokens for an unused refresh token, which is used up by it.

        A used one shown again means that two have it: every token of that log-in ends.
        Raises: Denied ``token.refresh_unknown``, ``token.refresh_reused``.
        """
        shown = fingerprint(refresh_token)
        now = self._clock.now()
        async with self._store.transaction() as conn:
            found = await tables.use_token(conn, shown, now)
            if found is not None:
                family_id, account = found
                return await self._pair(conn, account, family_id)
            # The refusal is raised after the commit, or the revocation would be rolled back with it.
            family = await tables.family_of(conn, shown)
            reused = family is not None and family[1]
            if family is not None and reused:
                await tables.revoke_family(conn, family[0], now, "reused")
        raise Denied("token.refresh_reused" if reused else "token.refresh_unknown")

    async def log_out(self, refresh_token: str) -> None:
        """Ends the log-in that ``refresh_token`` belongs to; an unknown one is no error.

        Access tokens already given stay good for at most 15 minutes: they are checked without asking anybody.
        """
        async with self._store.transaction() as conn:
            family = await tables.family_of(conn, fingerprint(refresh_token))
            if family is not None:
                await tables.revoke_family(conn, family[0], self._clock.now(), "logged_out")

    async def log_out_everywhere(self, account_id: str) -> None:
        """Ends every log-in of an account."""
        async with self._store.transaction() as conn:
            await tables.revoke_families_of(conn, account_id, self._clock.now(), "logged_out")

    def authenticate(self, access_token: str) -> Who:
        """Whose token it is. Raises: Denied ``token.unknown``, ``token.expired``."""
        return self._access.read(access_token)

    async def account(self, account_id: str) -> Account:
        """Raises: NotFound."""
        async with self._store.connection() as conn:
            account = await tables.account_by_id(conn, account_id)
        if account is None:
            raise NotFound("account.unknown", account_id=account_id)
        return account

    async def confirm(self, account_id: str, password: str) -> None:
        """Lets through whoever knows the account's password, before what cannot be undone.

        Raises: Denied ``login.wrong``; NotFound; Overloaded.
        """
        account = await self.account(account_id)
        self._throttle.count(account.email)
        async with self._store.connection() as conn:
            known = await tables.account_by_email(conn, account.email)
        stored = known[1] if known is not None else None
        if not await self._passwords.matches(stored, password[: PASSWORD_MAX + 1]) or stored is None:
            raise Denied("login.wrong")
        self._throttle.forget(account.email)

    async def make_staff(self, email: str) -> Account:
        """Makes an account staff; its next tokens say so. Raises: NotFound."""
        return await self._set_role(email, Role.STAFF)

    async def make_driver(self, email: str) -> Account:
        """Takes staff rights back and ends the account's log-ins. Raises: NotFound."""
        account = await self._set_role(email, Role.DRIVER)
        await self.log_out_everywhere(account.id)
        return account

    async def forget_expired(self) -> int:
        """Removes log-ins of which every token is over; to be called now and then."""
        async with self._store.transaction() as conn:
            return await tables.forget_families_before(conn, self._clock.now())

    async def _set_role(self, email: str, role: Role) -> Account:
        email = tidy_email(email)
        async with self._store.transaction() as conn:
            account = await tables.set_role(conn, email, role)
        if account is None:
            raise NotFound("account.unknown", email=email)
        return account

    async def _pair(self, conn: tables.Connection, account: Account, family_id: str) -> TokenPair:
        now = self._clock.now()
        refresh_token = new_secret()
        await tables.add_token(conn, fingerprint(refresh_token), family_id, now, now + REFRESH_TTL)
        return TokenPair(
            access_token=self._access.sign(Who(account.id, account.role)),
            refresh_token=refresh_token,
            expires_in=int(ACCESS_TTL.total_seconds()),
            account_id=account.id,
            role=account.role,
        )
