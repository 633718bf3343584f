"""Contracts: on which terms a usage point is billed from which day, and in which periods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from eletrovia.base.errors import Invalid
from eletrovia.metering.bill import Terms

_DAY: Final = timedelta(days=1)
_MIDDLE: Final = 15


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a usage point from a day on, until the next contract begins.

    Units: ``reading_day`` is the day of the month on which a billing period begins; an invoice is due
           ``due_days`` days after it is issued.
    """

    usage_point_id: str
    valid_from: date
    terms: Terms
    reading_day: Annotated[int, Meta(ge=1, le=28)] = 1
    due_days: Annotated[int, Meta(ge=1, le=90)] = 10


class Days(msgspec.Struct, frozen=True, order=True):
    """The days ``[starts_on, ends_on)``. Raises: Invalid when there is none."""

    starts_on: date
    ends_on: date

    def __post_init__(self) -> None:
        if self.ends_on <= self.starts_on:
            raise Invalid("invoice.period_empty", starts_on=str(self.starts_on), ends_on=str(self.ends_on))

    @property
    def count(self) -> int:
        return (self.ends_on - self.starts_on).days

    def overlaps(self, other: Days) -> bool:
        """Whether a day is in both."""
        return self.starts_on < other.ends_on and other.starts_on < self.ends_on


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """Who lived there from which day until which; ``until_on`` None is still there."""

    customer_id: str
    from_on: date
    until_on: date | None = None


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Days with one customer and one contract: what one invoice can be about."""

    days: Days
    contract: Contract
    customer_id: str


def period_of(month: date, reading_day: int) -> Days:
    """The billing period called after a month: the one with most of its days in it.

    A period begins on the reading day: until the 15th in that very month, later ones in the month before.
    """
    first = month.replace(day=1)
    if reading_day > _MIDDLE:
        first = (first - _DAY).replace(day=1)
    after = (first + 32 * _DAY).replace(day=1)
    return Days(first.replace(day=reading_day), after.replace(day=reading_day))


def month_of(starts_on: date) -> date:
    """The first of the month that a period is called after, by the day it begins on."""
    first = starts_on.replace(day=1)
    return first if starts_on.day <= _MIDDLE else (first + 32 * _DAY).replace(day=1)


def contract_on(contracts: Sequence[Contract], day: date) -> Contract | None:
    """The contract that holds on ``day``."""
    begun = [contract for contract in contracts if contract.valid_from <= day]
    return max(begun, key=lambda contract: contract.valid_from, default=None)


def pieces(
    days: Days, contracts: Sequence[Contract], stays: Sequence[Stay], billed: Sequence[Days]
) -> list[Piece]:
    """``days`` without what is billed already, cut wherever the customer or the contract changes.

    Days without a contract or without a customer are in none: nobody can be billed for them.
    """
    edges = {days.starts_on, days.ends_on}
    edges |= {contract.valid_from for contract in contracts}
    for lived in stays:
        edges |= {lived.from_on, lived.until_on or days.ends_on}
    for done in billed:
        edges |= {done.starts_on, done.ends_on}
    inside = sorted(edge for edge in edges if days.starts_on <= edge <= days.ends_on)
    found: list[Piece] = []
    for starts_on, ends_on in pairwise(inside):
        contract = contract_on(contracts, starts_on)
        stay = next((one for one in stays if _lives_there(one, starts_on)), None)
        if contract is None or stay is None:
            continue
        if any(done.starts_on <= starts_on < done.ends_on for done in billed):
            continue
        last = found[-1] if found else None
        if last is not None and last.days.ends_on == starts_on and _same(last, contract, stay):
            found[-1] = msgspec.structs.replace(last, days=Days(last.days.starts_on, ends_on))
        else:
            found.append(
                Piece(days=Days(starts_on, ends_on), contract=contract, customer_id=stay.customer_id)
            )
    return found


def _lives_there(stay: Stay, day: date) -> bool:
    return stay.from_on <= day and (stay.until_on is None or day < stay.until_on)


def _same(piece: Piece, contract: Contract, stay: Stay) -> bool:
    return piece.contract.valid_from == contract.valid_from and piece.customer_id == stay.customer_id
