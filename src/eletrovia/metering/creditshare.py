"""Which invoices give back what a period was charged too much: those that charged it, latest first."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from eletrovia.metering.draft import Difference
from eletrovia.metering.standing import Earlier


class CreditShare(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note that a difference needs. Shape: ``on`` is the invoice that it is about."""

    difference: Difference
    on: Earlier
    amount: Decimal


def shares_of(differences: Sequence[Difference], mine: Sequence[Earlier]) -> list[CreditShare]:
    """Every credit note that the differences need, none more than is left of its invoice.

    A period may have been charged by its own invoice and by lines of later ones; ``mine`` are the customer's.
    """
    by_id = {one.id: one for one in mine}
    room = {one.id: one.room for one in mine}
    found: list[CreditShare] = []
    for difference in differences:
        left = -difference.amount
        for id_ in (*difference.earlier.carried_by, difference.earlier.id):
            amount = min(left, room.get(id_, Decimal(0)))
            if amount > 0:
                found.append(CreditShare(difference=difference, on=by_id[id_], amount=amount))
                room[id_] -= amount
                left -= amount
    return found
