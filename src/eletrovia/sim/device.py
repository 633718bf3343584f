"""Simulated devices and what a utility gave them, kept in a private file between runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.private import write_private


class Device(msgspec.Struct, frozen=True):
    """A device's id, its number in compact frames, and its key."""

    id: str
    number: int
    key: bytes


class DeviceBook:
    """Devices by their utility and id. Raises: Invalid for a file that is none of ours."""

    def __init__(self, file: Path, utility: str) -> None:
        self._file = file
        self._utility = utility
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, Device]])
        except FileNotFoundError:
            kept = {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as problem:
            raise Invalid("simulation.book_unreadable", file=str(file), reason=str(problem)) from None
        self._all = kept
        self._ours = self._all.setdefault(utility, {})

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Those that are not in it."""
        return [id_ for id_ in ids if id_ not in self._ours]

    def of(self, ids: Iterable[str]) -> list[Device]:
        """These devices, all of which are in it."""
        return [self._ours[id_] for id_ in ids]

    def keep(self, devices: Iterable[Device]) -> None:
        """Write these down too."""
        self._ours.update({device.id: device for device in devices})
        write_private(self._file, msgspec.json.encode(self._all))
