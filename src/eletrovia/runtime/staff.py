"""What the staff of several servers on one machine do through the servers' own API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from eletrovia.base.errors import Unavailable
from eletrovia.runtime.cityfile import STAFF_FILE, Login


def staff_login(folder: Path) -> Login:
    """The account that a server gave its staff at its first start."""
    return msgspec.json.decode((folder / STAFF_FILE).read_bytes(), type=Login)


class Staff:
    """Signed in at every server, to introduce them to each other; what is done already stays.

    Shape: ``urls`` by operator id.
    """

    def __init__(self, urls: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self.urls = dict(urls)
        self._session = session
        self._tokens: dict[str, str] = {}

    async def sign_in(self, logins: Mapping[str, Login]) -> None:
        """Raises: Unavailable when a server does not let its staff in."""

        async def one(operator_id: str) -> None:
            tokens = await self.ask(operator_id, "POST", "/tokens", logins[operator_id])
            self._tokens[operator_id] = tokens["access_token"]

        await asyncio.gather(*map(one, self.urls))

    async def ask(self, operator_id: str, method: str, path: str, body: object = None) -> Any:
        """What a server answers to its staff. Raises: Unavailable when it refuses."""
        headers = {"Content-Type": "application/json"}
        if operator_id in self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens[operator_id]}"
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self.urls[operator_id]}/api/v1{path}"
        async with self._session.request(method, url, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 300:
                raise Unavailable(
                    "city.refused", url=url, status=response.status, answer=answer.decode()[:500]
                )
            return msgspec.json.decode(answer) if answer else None

    async def introduce_all(self) -> None:
        """Every two servers are partners."""
        for host, guest in combinations(self.urls, 2):
            await self._introduce(host, guest)

    async def _introduce(self, host: str, guest: str) -> None:
        """Credentials exchanged as between strangers: the host invites, the guest joins."""
        sheet = await self.ask(host, "GET", "/operators")
        partners = {
            one["operator_id"] for one in sheet["operators"] if one.get("status", "active") == "active"
        }
        if guest in partners:
            return
        invited = await self.ask(host, "POST", "/operators/invitations", {"operator_id": guest})
        token = invited["registration_token"]
        await self.ask(guest, "POST", "/operators", {"url": self.urls[host], "registration_token": token})

    async def until_all_are_seen(self, patience_s: float) -> None:
        """Waits until everybody has learned everybody's stations. Raises: TimeoutError."""

        async def one(operator_id: str) -> None:
            for other in self.urls:
                path = f"/stations?operator={other.replace('*', '%2A')}&limit=1"
                while not (await self.ask(operator_id, "GET", path))["stations"]:
                    await asyncio.sleep(0.1)

        async with asyncio.timeout(patience_s):
            await asyncio.gather(*map(one, self.urls))
