"""Ports that a set of servers is going to open: named, shown, and checked before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from eletrovia.base.errors import Conflict

Transport = Literal["tcp", "udp"]


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """One port: the setting that chooses it, who listens there, and what is spoken."""

    key: str
    port: int
    who: str
    spoken: str
    transport: Transport = "tcp"


_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_LISTENS: Final = {"tcp": "0A", "udp": "07"}
"""As /proc/net writes the state of a socket that listens."""


def check_doors(doors: Iterable[Door], host: str) -> None:
    """Raises: Conflict ``classroom.port_taken`` naming the first one that cannot be opened, and by whom."""
    for door in doors:
        problem = why_taken(host, door.port, door.transport)
        if problem:
            raise Conflict(
                "classroom.port_taken",
                port=door.port,
                who=door.who,
                spoken=door.spoken,
                key=door.key,
                by=listener_on(door.port, door.transport) or problem,
            )


def why_taken(host: str, port: int, transport: Transport = "tcp") -> str:
    """Why a port cannot be opened; empty when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, _KINDS[transport]) as probe:
            if transport == "tcp":  # on UDP it would let two listen at once
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or "?"
    return ""


def check_unique(doors: Iterable[Door]) -> None:
    """Raises: Conflict ``classroom.port_twice`` when two doors share a port."""
    seen: dict[tuple[str, int], Door] = {}
    for door in doors:
        place = (door.transport, door.port)
        if place in seen:
            raise Conflict("classroom.port_twice", port=door.port, key=door.key, other=seen[place].key)
        seen[place] = door


def listener_on(port: int, transport: Transport = "tcp") -> str:
    """``python3 (pid 42)`` for who listens on a port, as far as this machine tells; else empty."""
    inodes = set()
    listens = _LISTENS[transport]
    for table in (transport, f"{transport}6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == listens and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(handle.readlink()) in inodes for handle in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return ""
