"""Passwords: hashed with argon2id, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from eletrovia.base.errors import Overloaded

# OWASP's second choice for argon2id: 19 MiB, two passes, one lane. About 15 ms of one core.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2


class Passwords:
    """Hashes and checks passwords; every check costs the same, also for an account that is not there.

    Raises: Overloaded when more than ``waiting_max`` are in line already.
    """

    def __init__(self, *, at_once: int = 2, waiting_max: int = 256) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._turn = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._waiting_max = waiting_max
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """What is stored of ``password``: salt, costs and hash in one text."""
        async with self._in_line():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` is the one that ``stored`` came from; None stands for no such account."""
        async with self._in_line():
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether ``stored`` was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    @asynccontextmanager
    async def _in_line(self) -> AsyncIterator[None]:
        if self._waiting >= self._waiting_max:
            raise Overloaded("login.busy", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1
