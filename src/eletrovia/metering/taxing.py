"""Taxes inside the price: how much a price grows by them, and how much of a bill they are.

Source: por dentro with ICMS outside the base of PIS and COFINS (STF, Tema 69 of general repercussion):
        price = tariff / ((1 − PIS − COFINS) × (1 − ICMS)).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from eletrovia.base.money import cents
from eletrovia.metering.bill import BillLine, TaxShare
from eletrovia.metering.priced import Levy


class Taxed(Struct, frozen=True, kw_only=True):
    """A line of a bill with the taxes that are in it."""

    line: BillLine
    levies: tuple[Levy, ...]


def with_taxes(tariff: Fraction, levies: Sequence[Levy]) -> Fraction:
    """The price with taxes inside, exactly."""
    outer = sum((Fraction(levy.share) for levy in levies if levy.outer), Fraction(0))
    inner = sum((Fraction(levy.share) for levy in levies if not levy.outer), Fraction(0))
    return tariff / ((1 - inner) * (1 - outer))


def tax_shares(taxed: Sequence[Taxed]) -> tuple[TaxShare, ...]:
    """How much of the lines each tax is, at each of its rates.

    Each share is rounded once, on the sum of what it lies on, so that anybody can check it: base × rate. What
    is left after all of them is the tariff's, so everything adds up to the lines. Where the base of a
    contribution holds only part of a tax, the running sum of that tax decides where its last cent falls.
    """
    gross: dict[tuple[Levy, ...], Decimal] = {}
    for one in taxed:
        gross[one.levies] = gross.get(one.levies, Decimal(0)) + one.line.amount
    net = dict(gross)
    rows: dict[Levy, TaxShare] = {}
    for outer in (True, False):
        base_of = dict(gross) if outer else dict(net)
        for levies, base in base_of.items():
            for levy in (levy for levy in levies if levy.outer is outer):
                before = rows.get(levy)
                all_bases = base + (before.base if before else 0)
                amount = cents(all_bases * levy.share)
                if outer:
                    net[levies] -= amount - (before.amount if before else 0)
                rows[levy] = TaxShare(name=levy.name, rate=levy.share, base=all_bases, amount=amount)
    return tuple(rows.values())
