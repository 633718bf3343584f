"""Devices for the simulated meters: registered with a running utility as its staff, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from eletrovia.base.errors import Conflict, Invalid
from eletrovia.cli.terminal import Terminal

if TYPE_CHECKING:
    from eletrovia.cli.server import Server
    from eletrovia.sim.device import Device

BOOK_FILE: Final = "simulated-meters.json"
_AT_ONCE: Final = 1_000


class _Registered(msgspec.Struct):
    id: str
    number: int
    device_key: str


class _Problem(msgspec.Struct):
    code: str
    facts: dict[str, Any] = {}


class _Item(msgspec.Struct):
    index: int
    registered: _Registered | None = None
    problem: _Problem | None = None


class _Answer(msgspec.Struct):
    items: list[_Item]


def devices(
    terminal: Terminal,
    server: Server,
    wanted: Sequence[dict[str, Any]],
    *,
    renewing: bool = False,
    quiet: bool = False,
) -> list[Device]:
    """What these meters (``NewMeter`` as JSON) need to speak; those not known yet are registered.

    Shape: with ``renewing`` one that the utility knows and we do not is given a new key.
    Raises: Conflict for such a one without: its key is told only once.
    """
    from eletrovia.cli.server import segment
    from eletrovia.sim.device import DeviceBook

    book = DeviceBook(terminal.data_dir / BOOK_FILE, server.url)
    missing = set(book.missing(one["id"] for one in wanted))
    new = [one for one in wanted if one["id"] in missing]
    if new and not quiet:
        terminal.say("simulate.registering", count=len(new), url=server.url)
    for start in range(0, len(new), _AT_ONCE):
        answer = server.post("/meters", _Answer, {"meters": new[start : start + _AT_ONCE]})
        fresh = [one.registered for one in answer.items if one.registered is not None]
        book.keep(map(_device, fresh))
        for one in answer.items:
            if one.problem is None:
                continue
            meter_id = new[start + one.index]["id"]
            if one.problem.code != "meter.taken":
                raise Invalid(one.problem.code, **one.problem.facts)
            if not renewing:
                raise Conflict("simulation.key_unknown", meter_id=meter_id)
            book.keep([_device(server.post(f"/meters/{segment(meter_id)}/key", _Registered, None))])
    return book.of(one["id"] for one in wanted)


def _device(told: _Registered) -> Device:
    from eletrovia.sim.device import Device

    return Device(told.id, told.number, bytes.fromhex(told.device_key))


def place(terminal: Terminal, to: str | None, host: str, port: int, setting: str) -> tuple[str, int]:
    """Where to speak to: what was asked for, else what the settings say. Raises: Invalid."""
    if to is None:
        if not port:
            raise Invalid("simulation.port_needed", setting=setting)
        return host, port
    name, colon, number = to.rpartition(":")
    if not colon:
        return to, port or _needed(setting)
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65_536:
        raise Invalid("simulation.place_malformed", to=to)
    return name.strip("[]") or host, int(number)


def gateway_place(terminal: Terminal, to: str | None, over: str) -> tuple[str, int]:
    """Where compact frames go over ``udp`` or ``tcp``: as ``place``, else to the running city's gateway."""
    from eletrovia.cli.city import City, read_city

    settings = terminal.config
    port: int = getattr(settings.metering, f"{over}_port")
    gateway = (read_city(terminal.data_dir) or City()).gateway
    if not port and gateway is not None:
        port = gateway.udp if over == "udp" else gateway.tcp
    return place(terminal, to, settings.http.host, port, f"metering.{over}_port")


def _needed(setting: str) -> int:
    raise Invalid("simulation.port_needed", setting=setting)
