"""How people write connectors, powers and statuses in files, and what to take where they leave them out."""

from __future__ import annotations

import math
import re
from typing import Final

from eletrovia.charging.location import ConnectorStandard, EvseStatus, PowerType

MAX_POWER_W: Final = 1_000_000
"""Above this a connector's power is a slip (often watts written as kilowatts)."""

DC_ONLY: Final = frozenset(
    {
        ConnectorStandard.CCS2,
        ConnectorStandard.CCS1,
        ConnectorStandard.CHADEMO,
        ConnectorStandard.GBT_DC,
    }
)
AC_ONLY: Final = frozenset(
    {
        ConnectorStandard.TYPE2,
        ConnectorStandard.TYPE1,
        ConnectorStandard.GBT_AC,
        ConnectorStandard.DOMESTIC,
    }
)

ONE_PHASE_MAX_W: Final = 16_100
"""70 A at 230 V, the most that IEC 62196-2 gives one phase; more is three phases, whatever was written."""

_LEVEL_1_W: Final = 2_000
_USUAL_W: Final = {PowerType.AC_1_PHASE: 7_400, PowerType.AC_3_PHASE: 11_000, PowerType.DC: 40_000}
"""Where nobody says. Low on purpose: a plan that charges faster than promised still holds its windows."""

_SPELLINGS: Final = {
    ConnectorStandard.CCS2: "ccs2 ccs ccstype2 combo combo2 iec62196t2combo iec621963configurationff",
    ConnectorStandard.CCS1: "ccs1 ccstype1 combo1 iec62196t1combo iec621963configurationee",
    ConnectorStandard.TYPE2: "type2 tipo2 mennekes iec62196t2 iec621962 iec621962type2 type2socketonly "
    "type2tetheredconnector",
    ConnectorStandard.TYPE1: "type1 tipo1 j1772 type1j1772 iec62196t1 saej1772 saej17722009",
    ConnectorStandard.CHADEMO: "chademo iec621963configurationaa",
    ConnectorStandard.GBT_AC: "gbtac gbtacgbt202342socket gbtacgbt202342tetheredcable",
    ConnectorStandard.GBT_DC: "gbtdc gbtdcgbt202343",
    ConnectorStandard.TESLA_S: "teslas teslamodelsx",
    ConnectorStandard.NACS: "nacs saej3400 teslasupercharger nacsteslasupercharger",
    ConnectorStandard.DOMESTIC: "domesticn domestic nbr14136 tomada",
}
_BY_SPELLING: Final = {
    spelling: standard for standard, spellings in _SPELLINGS.items() for spelling in spellings.split()
}
_POWER_TYPES: Final = {
    "ac1phase": PowerType.AC_1_PHASE,
    "acsinglephase": PowerType.AC_1_PHASE,
    "ac3phase": PowerType.AC_3_PHASE,
    "acthreephase": PowerType.AC_3_PHASE,
    "dc": PowerType.DC,
}
_STATUSES: Final = {status.value.casefold(): status for status in EvseStatus}


def _bare(written: str) -> str:
    return re.sub(r"[^a-z0-9]", "", written.casefold())


def connector_standard(written: str) -> ConnectorStandard | None:
    """``CCS2``, ``CCS (Type 2)``, ``IEC_62196_T2_COMBO`` as OCPI's connector; None when unknown."""
    return _BY_SPELLING.get(_bare(written))


def power_type_named(written: str) -> PowerType | None:
    """``DC``, ``AC_3_PHASE``, ``AC (Three-Phase)``; None when unknown."""
    return _POWER_TYPES.get(_bare(written))


def status_named(written: str) -> EvseStatus | None:
    """OCPI's status in any case; None when unknown."""
    return _STATUSES.get(_bare(written))


def power_type_of(
    standard: ConnectorStandard, said: PowerType | None, power_w: float | None = None
) -> PowerType:
    """What such a plug really carries: a CCS plug is DC and a Type 2 plug AC, whatever the file says."""
    if standard in DC_ONLY:
        return PowerType.DC
    if said is PowerType.DC:
        if standard not in AC_ONLY:
            return PowerType.DC
        said = None
    if power_w is not None and power_w > ONE_PHASE_MAX_W:
        return PowerType.AC_3_PHASE if standard in AC_ONLY or said is not None else PowerType.DC
    return said or PowerType.AC_1_PHASE


def usable_power_w(power_kw: float | None) -> int | None:
    """Kilowatts as whole watts; None when no connector has such a power."""
    if power_kw is None or not math.isfinite(power_kw):
        return None
    power_w = round(power_kw * 1000)
    return power_w if 0 < power_w <= MAX_POWER_W else None


def derived_power_w(
    power_type: PowerType, amps: float | None, volts: float | None, level: int | None = None
) -> int:
    """A connector's power where the file does not say it.

    Amps times volts when both could be a charger's (times √3 on three phases, where the voltage is between
    phases); else 2 kW at level 1; else what is usual: 7.4 kW on one phase, 11 kW on three, 40 kW DC.
    """
    if amps is not None and volts is not None and 1 <= amps <= 1_000 and 100 <= volts <= 1_500:
        power_w = amps * volts * (math.sqrt(3) if power_type is PowerType.AC_3_PHASE else 1)
        if power_w <= MAX_POWER_W:
            return round(power_w)
    if level == 1 and power_type is not PowerType.DC:
        return _LEVEL_1_W
    return _USUAL_W[power_type]
