"""The 2023 course's meters over UDP: one JSON a datagram, read many at a time.

A registration number is eight digits. JSON's integers have no leading zero, so ``3241897`` in a datagram is
the number ``03241897`` of whoever asks by HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eletrovia.classroom.meter_moment import day_first
from eletrovia.classroom.meter_patience import patiently
from eletrovia.classroom.meter_tally import Tally
from eletrovia.metering.intake import Intake
from eletrovia.metering.reading import MOST_ENERGY_WH, Readings, Source, epoch_us

WH_PER_UNIT: Final = 1000
"""The course never named its unit; taken as kWh, whole numbers come back as they were."""

_MOST_UNITS: Final = MOST_ENERGY_WH // WH_PER_UNIT
_DIGITS: Final = 8

ACCOUNTS: Final = {
    "amancio123": "13456789",
    "jose254": "90825789",
    "otavio02": "09812389",
    "junior04": "03241897",
}
"""Users at start, with their registration numbers."""

FIRST_OCTET: Final = ord("{")
_NUMBERS: Final = frozenset(ACCOUNTS.values())


class _Datagram(msgspec.Struct, gc=False):
    matricula: Annotated[int, msgspec.Meta(ge=10**6, lt=10**_DIGITS)]
    consumo_atual: Annotated[int, msgspec.Meta(ge=0, le=_MOST_UNITS)]
    data_hora: str


_decode: Final = msgspec.json.Decoder(_Datagram).decode


class Datagrams:
    """What many datagrams say, in the order they came. ``bad`` holds those that say nothing."""

    __slots__ = ("at_us", "bad", "numbers", "units")

    def __init__(self, datagrams: Sequence[bytes]) -> None:
        self.numbers: list[int] = []
        self.units: list[int] = []
        self.at_us: list[int] = []
        self.bad: list[bytes] = []
        for octets in datagrams:
            try:
                told = _decode(octets)
                at_us = epoch_us(day_first(told.data_hora))
            except (msgspec.MsgspecError, ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
                self.bad.append(octets)
                continue
            self.numbers.append(told.matricula)
            self.units.append(told.consumo_atual)
            self.at_us.append(at_us)


def meter_id_of(number: int) -> str:
    """The meter of a datagram's ``matricula``."""
    return f"uefs-b-{number:0{_DIGITS}}"


def meter_id_asked(number: str) -> str | None:
    """The meter of a number as people write it; None for what is no number of anybody.

    A leading zero counts: seven digits are not the number of an account that begins with one. Of a meter that
    has no account nobody knows whether its number has the zero; it is found by either.
    """
    if not (number.isascii() and number.isdigit()) or number in ("", "0" * len(number)):
        return None
    if len(number) == _DIGITS - 1 and f"0{number}" not in _NUMBERS:
        return meter_id_of(int(number))
    return f"uefs-b-{number}" if len(number) == _DIGITS else None


def units_of(energy_wh: int) -> int:
    """A register in the course's unit."""
    return energy_wh // WH_PER_UNIT


def is_account(username: str, number: str) -> bool:
    """Whether this user, this number, or, with both given, the two of them together are registered."""
    if username:
        return username in ACCOUNTS and number in ("", ACCOUNTS[username])
    return number in _NUMBERS


class MetersOverUdp:
    """A dialect of the UDP gateway. A meter never seen is taken in, without a customer."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._in_turn = asyncio.Lock()

    def decode(self, datagrams: Sequence[bytes]) -> tuple[Datagrams, int]:
        """What these say, and how many of them say nothing that makes sense."""
        told = Datagrams(datagrams)
        self._tally.heard += len(datagrams)
        if told.bad:
            self._tally.unreadable(told.bad[-1], len(told.bad))
        return told, len(told.bad)

    async def take(self, told: Datagrams, intake: Intake) -> None:
        """Store what they say, however long the database is away.

        Raises: Unavailable once the intake is closed.
        """
        if not told.numbers:
            return
        # In the order they came: of two values for one second, the first is the one that counts.
        async with self._in_turn:
            readings = await patiently(lambda: _readings(told, intake))
            self._tally.settled(await patiently(lambda: intake.take(readings)))


async def _readings(told: Datagrams, intake: Intake) -> Readings:
    ids = {number: meter_id_of(number) for number in set(told.numbers)}
    keys = await intake.roster.keys_taking_in(ids.values())
    by_number = {number: keys[id_] for number, id_ in ids.items()}
    meters: NDArray[np.int32] = np.array([by_number[number] for number in told.numbers], np.int32)
    energy_wh = np.array(told.units, np.int64) * WH_PER_UNIT
    return Readings(Source.CLASSROOM_UDP, meters, np.array(told.at_us, np.int64), energy_wh)
