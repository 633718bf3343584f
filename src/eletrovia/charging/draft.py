"""What a file says of a site before it is a Location: whose it will be, what was left out and why, ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.charging.location import (
    Connector,
    ConnectorStandard,
    Evse,
    EvseStatus,
    PowerType,
    split_operator_id,
)

MAX_TEXT: Final = 255
MAX_EVSES: Final = 200
"""More EVSEs than this on one line or connection is a slip."""

_LOCATION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}")
_EVSE_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVSE_ID: Final = re.compile(r"[A-Z]{2}\*[A-Z0-9]{3}\*E[A-Za-z0-9*]{1,40}")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The operator that the stations of a file will belong to, and the moment they are read."""

    country_code: str
    party_id: str
    now: datetime

    def __post_init__(self) -> None:
        split_operator_id(self.operator_id)

    @property
    def operator_id(self) -> str:
        return f"{self.country_code}*{self.party_id}"


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a file that was not taken.

    ``reference`` finds it there (``line 7``, ``feature 12``, ``ocm-460911``); ``code`` is stable;
    ``part`` says that only a piece of a station was left out, and the station itself was taken.
    """

    reference: str
    code: str
    facts: dict[str, Any] = {}
    part: bool = False


def clean_text(written: str | None, limit: int = MAX_TEXT) -> str:
    """One line without control characters, at most ``limit`` long."""
    if not written:
        return ""
    return " ".join("".join(ch if ch.isprintable() else " " for ch in written).split())[:limit].rstrip()


def checked_location_id(identifier: str) -> str:
    """Raises: Invalid unless it is 1 to 36 letters, digits, ``_`` and ``-``."""
    if _LOCATION_ID.fullmatch(identifier) is None:
        raise Invalid("location.id_malformed", id=identifier[:80], expected="1 to 36 of A-Z a-z 0-9 _ -")
    return identifier


def check_evse(owner: Owner, evse: Evse) -> None:
    """Raises: Invalid when the EVSE cannot stand in a topic, or carries another operator's id."""
    if _EVSE_UID.fullmatch(evse.uid) is None:
        raise Invalid("evse.uid_malformed", uid=evse.uid[:80], expected="1 to 64 of A-Z a-z 0-9 _ -")
    expected = f"{owner.operator_id}*E0001"
    if _EVSE_ID.fullmatch(evse.evse_id) is None or not evse.evse_id.startswith(f"{owner.operator_id}*E"):
        raise Invalid("evse.id_malformed", evse_id=evse.evse_id[:80], expected=expected)
    if not evse.connectors:
        raise Invalid("evse.no_connectors", uid=evse.uid)
    for connector in evse.connectors:
        if not connector.max_electric_power_w > 0:
            raise Invalid("connector.power_missing", uid=evse.uid, connector=connector.id[:80])


def evse_id(owner: Owner, *parts: str) -> str:
    """``BR*CAR*EJOAO*PESSOA*1``: an eMI3 id of letters, digits and stars from plain ids."""
    tail = "*".join(re.sub(r"[^A-Z0-9]+", "*", part.upper()).strip("*") for part in parts)
    return f"{owner.operator_id}*E{tail}"


class Bay(msgspec.Struct, frozen=True, kw_only=True):
    """One or more equal places to charge, as a line of a table tells them.

    ``uid`` and ``evse_id`` are empty unless the file gives them; lines that share a uid are connectors
    of one EVSE.
    """

    standard: ConnectorStandard
    power_type: PowerType
    power_w: int
    quantity: int = 1
    status: EvseStatus = EvseStatus.AVAILABLE
    uid: str = ""
    evse_id: str = ""
    tariff_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.quantity <= MAX_EVSES:
            raise Invalid(
                "connector.quantity_out_of_range", quantity=self.quantity, allowed=f"1 to {MAX_EVSES}"
            )
        if self.quantity > 1 and (self.uid or self.evse_id):
            raise Invalid("connector.one_id_for_many", uid=self.uid, quantity=self.quantity)

    def connector(self, identifier: str) -> Connector:
        return Connector(
            id=identifier,
            standard=self.standard,
            power_type=self.power_type,
            max_electric_power_w=self.power_w,
            tariff_ids=self.tariff_ids,
        )


def evses_of(owner: Owner, location_id: str, bays: Iterable[Bay]) -> tuple[Evse, ...]:
    """The EVSEs of a site, numbered in the file's order where it names no uid: ``joao-pessoa-1``.

    A file that will change gives uids of its own, or its numbers move with its lines.
    """
    bays = list(bays)
    named = {bay.uid for bay in bays}
    evses: dict[str, Evse] = {}
    number = 0
    for bay in bays:
        if bay.uid in evses:
            known = evses[bay.uid]
            connector = bay.connector(str(len(known.connectors) + 1))
            evses[bay.uid] = msgspec.structs.replace(known, connectors=(*known.connectors, connector))
            continue
        for _ in range(bay.quantity):
            uid = bay.uid
            if not uid:
                number += 1
                while f"{location_id}-{number}" in named:
                    number += 1
                uid = f"{location_id}-{number}"
            evses[uid] = Evse(
                uid=uid,
                evse_id=bay.evse_id or evse_id(owner, uid),
                status=bay.status,
                connectors=(bay.connector("1"),),
            )
    return tuple(evses.values())
