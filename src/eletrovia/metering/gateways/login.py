"""How a device proves who it is: its meter id, with its key in hexadecimal as the password."""

from __future__ import annotations

import re
from typing import Final

from eletrovia.base.errors import Denied
from eletrovia.bus.callout import Grant
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.gateways.report import METER_ID
from eletrovia.metering.meterstore import STATES
from eletrovia.metering.roster import Roster

_ID: Final = re.compile(METER_ID)
_REMOVED: Final = STATES["removed"]
_GRANT: Final = re.compile(r"meter-(\d+)-(\d+)")

_OWN_ROOT: Final = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*|[0-9][A-Za-z0-9_-]*")
"""Ids that may be the first level of a topic: with a digit, which none of our own topics begins with."""


class DeviceLogin:
    """Knows devices by their keys, over HTTP and MQTT alike."""

    def __init__(self, roster: Roster, keys: DeviceKeys) -> None:
        self._roster = roster
        self._keys = keys

    async def meter(self, device_id: str, shown: str) -> int:
        """The meter's or concentrator's key. Raises: Denied ``login.device_unknown``."""
        if not _ID.fullmatch(device_id) or len(shown) > 200 or not shown.isascii():
            raise Denied("login.device_unknown")
        key = int((await self._roster.resolve([device_id]))[0])
        row = self._roster.one(key)
        if row is None or int(row["state"]) == _REMOVED:
            raise Denied("login.device_unknown")
        if not self._keys.matches(key, int(row["epoch"]), shown):
            raise Denied("login.device_unknown")
        return key

    async def grant(self, device_id: str, shown: str) -> Grant | None:
        """What a device may do at our broker: tell its own readings, hear the answers. None for strangers."""
        try:
            key = await self.meter(device_id, shown)
        except Denied:
            return None
        row = self._roster.one(key)
        epoch = int(row["epoch"]) if row is not None else 0
        # What Tasmota and Shelly say and hear by themselves: a forbidden word would end the connection.
        publish = [f"meters.{device_id}.reading"]
        publish += [f"{root}.{device_id}.>" for root in ("tele", "stat", "shellies")]
        subscribe = [f"meters.{device_id}.ack", f"meters.{device_id}.command"]
        subscribe += [f"{root}.{device_id}.>" for root in ("cmnd", "shellies")]
        if _OWN_ROOT.fullmatch(device_id):
            publish.append(f"{device_id}.>")
            subscribe.append(f"{device_id}.>")
        return Grant(name=name_at_broker(key, epoch), publish=tuple(publish), subscribe=tuple(subscribe))

    async def still_good(self, name: str) -> bool:
        """Whether a device that the broker knows under this name has the right secret; True for others."""
        match = _GRANT.fullmatch(name)
        if match is None:
            return True
        row = self._roster.one(int(match[1]))
        return row is not None and int(row["state"]) != _REMOVED and int(row["epoch"]) == int(match[2])


def name_at_broker(key: int, epoch: int) -> str:
    """Whom to expel when that secret is no longer good."""
    return f"meter-{key}-{epoch}"
