"""A charging site as OCPI 2.2.1 names it: Location, its EVSEs, their connectors.

Where OCPI writes coordinates and powers as strings, we keep numbers; the names are OCPI's.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.geo import Point


class ConnectorStandard(StrEnum):
    """OCPI's ConnectorType, as far as stations in our sources have them."""

    CCS2 = "IEC_62196_T2_COMBO"
    CCS1 = "IEC_62196_T1_COMBO"
    TYPE2 = "IEC_62196_T2"
    TYPE1 = "IEC_62196_T1"
    CHADEMO = "CHADEMO"
    GBT_AC = "GBT_AC"
    GBT_DC = "GBT_DC"
    TESLA_S = "TESLA_S"
    NACS = "SAE_J3400"
    DOMESTIC = "DOMESTIC_N"  # NBR 14136, the Brazilian socket


class PowerType(StrEnum):
    AC_1_PHASE = "AC_1_PHASE"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class EvseStatus(StrEnum):
    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


BOOKABLE = frozenset({EvseStatus.AVAILABLE, EvseStatus.CHARGING, EvseStatus.RESERVED, EvseStatus.BLOCKED})
"""What a later window can be booked on: a status says how it is now, not how it will be then."""


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    standard: ConnectorStandard
    power_type: PowerType
    max_electric_power_w: int
    tariff_ids: tuple[str, ...] = ()


class Evse(msgspec.Struct, frozen=True, kw_only=True):
    """One place to charge one car at a time. ``evse_id`` is eMI3: ``BR*CAR*E0001``."""

    uid: str
    evse_id: str
    status: EvseStatus = EvseStatus.AVAILABLE
    connectors: tuple[Connector, ...]


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """One site of one operator. ``simulated`` says that no such station stands there."""

    country_code: str
    party_id: str
    id: str
    name: str
    city: str
    country: str = "BRA"
    address: str = ""
    state: str = ""
    coordinates: Point
    evses: tuple[Evse, ...]
    time_zone: str = "America/Sao_Paulo"
    attribution: str = ""
    simulated: bool = False
    last_updated: datetime

    @property
    def operator_id(self) -> str:
        """``BR*CAR``."""
        return f"{self.country_code}*{self.party_id}"


_OPERATOR_ID = re.compile(r"([A-Z]{2})\*([A-Z0-9]{3})")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def split_operator_id(operator_id: str) -> tuple[str, str]:
    """``BR*CAR`` as country code and party id. Raises: Invalid."""
    match = _OPERATOR_ID.fullmatch(operator_id)
    if match is None:
        raise Invalid("operator.id_malformed", operator_id=operator_id, expected="BR*CAR")
    return match.group(1), match.group(2)


def plain(identifier: str) -> str:
    """An OCPI or eMI3 id as it may stand in an MQTT topic: ``BR*CAR`` as ``BR-CAR``.

    Raises: Invalid when what remains is not letters, digits, ``_`` and ``-``.
    """
    written = identifier.replace("*", "-")
    if _PLAIN_ID.fullmatch(written) is None:
        raise Invalid("id.not_plain", id=identifier)
    return written
