"""Who is connected to the broker right now, and how to end that."""

from __future__ import annotations

import msgspec

from eletrovia.base.errors import Unavailable
from eletrovia.bus.layout import INTERNAL_USERS
from eletrovia.bus.line import Line

_QUIET_S = 0.15  # servers of a cluster answer one by one; this long without another is all of them
_PAGE = 1024
_PAGES = 1024
_SWEEPS = 20


class Connection(msgspec.Struct, frozen=True):
    """One client's connection."""

    cid: int
    authorized_user: str = ""
    account: str = ""
    mqtt_client: str = ""


class _Page(msgspec.Struct, frozen=True):
    server_id: str
    total: int = 0
    connections: list[Connection] = []


class _Answer(msgspec.Struct, frozen=True):
    data: _Page


class Connections:
    """The broker's own list, over its system account."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @classmethod
    async def connect(cls, system_url: str) -> Connections:
        """Raises: Denied, Unavailable as ``Line.connect``."""
        return cls(await Line.connect(system_url, name="eletrovia connections"))

    async def close(self) -> None:
        await self._line.close()

    async def listed(self, **only: str) -> list[tuple[str, Connection]]:
        """(server id, connection) of everybody who is in, ours excepted; ``user=…`` or ``mqtt_client=…``.

        Raises: Unavailable.
        """
        found: list[tuple[str, Connection]] = []
        for page in range(_PAGES):
            asked = msgspec.json.encode({"auth": True, "limit": _PAGE, "offset": page * _PAGE, **only})
            told = await self._line.ask_all("$SYS.REQ.SERVER.PING.CONNZ", asked, quiet_s=_QUIET_S)
            pages = [msgspec.json.decode(answer, type=_Answer).data for answer in told]
            found += [(part.server_id, one) for part in pages for one in part.connections]
            if all(len(part.connections) < _PAGE for part in pages):
                break
        # Whoever still waits at the door is listed too, under the name it claims and without an account.
        return [
            (server, one)
            for server, one in found
            if one.account and one.authorized_user not in INTERNAL_USERS
        ]

    async def names(self) -> dict[str, set[str]]:
        """The names that are in, each with its MQTT client ids.

        Raises: Unavailable.
        """
        told: dict[str, set[str]] = {}
        for _, one in await self.listed():
            told.setdefault(one.authorized_user, set()).update({one.mqtt_client} - {""})
        return told

    async def close_all_of(self, name: str) -> int:
        """Closes every connection of ``name``, also one that was being let in while we looked.

        Raises: Unavailable, also when it comes back again and again.
        """
        closed: set[tuple[str, int]] = set()
        for sweep in range(_SWEEPS):
            found = [(server, one.cid) for server, one in await self.listed(user=name)]
            for server, cid in found:
                order = msgspec.json.encode({"cid": cid})
                # The broker obeys only who waits for its answer.
                await self._line.ask_all(f"$SYS.REQ.SERVER.{server}.KICK", order, quiet_s=0)
            closed.update(found)
            # Listing takes longer than letting in, so whoever was at the door shows in the second look.
            if sweep and not found:
                return len(closed)
        raise Unavailable("bus.expel_failed", name=name)
