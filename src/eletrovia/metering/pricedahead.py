"""What a period is going to cost, by the very prices its invoice will be made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np

from eletrovia.metering.bill import Measured
from eletrovia.metering.billahead import HomeBills, HourlyUse
from eletrovia.metering.contract import Contract, Days, contract_on
from eletrovia.metering.metered import metered
from eletrovia.metering.prices import Prices
from eletrovia.metering.standing import Standing, month_holding, period
from eletrovia.metering.standingstore import StandingStore
from eletrovia.metering.usage import UsageBook
from eletrovia.store.pool import Store

_DAY: Final = timedelta(days=1)


class PricedAhead:
    """Forecasts priced by contracts as they stand."""

    def __init__(self, store: Store, prices: Prices, usage: UsageBook) -> None:
        self._stands = StandingStore(store, prices.zone.key)
        self._prices = prices
        self._usage = usage

    async def of(self, usage_point_ids: Sequence[str], today: date) -> Mapping[str, HomeBills]:
        """The billing of those that have a contract."""
        found: dict[str, HomeBills] = {}
        for point, standing in (await self._stands.standings(usage_point_ids, today)).items():
            days = _period_with(standing.contracts, today)
            contract = None if days is None else contract_on(standing.contracts, days.starts_on)
            if days is not None and contract is not None:
                found[point] = _StandingBills(standing, contract, days, self._prices, self._usage)
        return found


class _StandingBills:
    def __init__(
        self, standing: Standing, contract: Contract, days: Days, prices: Prices, usage: UsageBook
    ) -> None:
        self._standing = standing
        self._contract = contract
        self._days = days
        self._prices = prices
        self._usage = usage

    @property
    def period(self) -> Days:
        return self._days

    async def month_ago(self) -> Decimal | None:
        return await self._was(self._days.starts_on - _DAY)

    async def year_ago(self) -> Decimal | None:
        middle = self._days.starts_on + self._days.count // 2 * _DAY
        return await self._was(middle - 365 * _DAY)

    def will_be(self, use: HourlyUse) -> tuple[Decimal, str]:
        terms = self._contract.terms
        edges = self._prices.edges(terms, self._days)
        # How much was counted by each hour's end, and from there by each edge, on straight lines.
        midnights = [
            self._prices.midnight(use.first + place * _DAY).timestamp()
            for place in range(len(use.days_wh) + 1)
        ]
        ends = [np.linspace(a, b, 25)[1:] for a, b in pairwise(midnights)]
        moments = np.concatenate([midnights[:1], *ends])
        register = np.concatenate([[0.0], np.cumsum(use.days_wh)])
        at_edges = np.interp([edge.timestamp() for edge in edges], moments, register).round().astype(int)
        stretches = [
            Measured(starts_at=a, ends_at=b, energy_wh=int(after - before))
            for (a, b), (before, after) in zip(pairwise(edges), pairwise(at_edges), strict=True)
        ]
        bill = self._prices.bill(terms, self._days, stretches)
        return bill.total, bill.currency

    async def _was(self, day: date) -> Decimal | None:
        """By the invoice, where there is one, else by what was measured.

        Only of periods in which the same customer lived there all the time: others' bills are not theirs.
        """
        days = _period_with(self._standing.contracts, day)
        if days is None or not self._is_theirs(days):
            return None
        for earlier in self._standing.earlier:
            if earlier.days == days:
                return earlier.charged
        contract = contract_on(self._standing.contracts, days.starts_on)
        if contract is None:
            return None
        edges = self._prices.edges(contract.terms, days)
        counted = await metered(self._usage, self._standing.fittings, edges)
        whole = counted.meters and counted.meters[0].opening.measured and not counted.doubtful
        if not whole or counted.energy_wh == 0:
            return None
        return self._prices.bill(contract.terms, days, counted.stretches).total

    def _is_theirs(self, days: Days) -> bool:
        now = next((stay for stay in self._standing.stays if stay.until_on is None), None)
        return now is not None and now.from_on <= days.starts_on


def _period_with(contracts: Sequence[Contract], day: date) -> Days | None:
    days = period(contracts, month_holding(contracts, day))
    return days if days is not None and days.starts_on <= day < days.ends_on else None
