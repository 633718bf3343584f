"""Watching: who used too much, whose bill will be another, who is silent, cut off, or needs a look."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import structlog

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError
from eletrovia.metering.alert import AlertKind, Finding, Level
from eletrovia.metering.alerts import Alerts
from eletrovia.metering.billahead import (
    Ahead,
    BillsAhead,
    HomeBills,
    HourlyUse,
    as_facts,
    is_early,
    is_over,
    variation,
)
from eletrovia.metering.excess import NEEDED_DAYS, Excess, Floats, Usual, excesses, usual
from eletrovia.metering.excess import as_facts as excess_facts
from eletrovia.metering.forecast import forecast
from eletrovia.metering.silence import Tally
from eletrovia.metering.watchstore import Home, WatchStore

_log = structlog.get_logger(__name__)

DEFAULT_SHARE: Final = 0.2
_DAY: Final = timedelta(days=1)
_HISTORY: Final = 200  # days that a forecast is made and tried on
_PIECE: Final = 100  # homes looked at together
_METERS: Final = 10_000
_MOST_WAITING: Final = 200_000
_MOST_KEPT: Final = 50_000
_MOST_MARKED: Final = 1_000


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often things are looked at, in seconds."""

    usage_s: float = 5.0
    meters_s: float = 5.0
    silence_s: float = 60.0
    round_s: float = 86_400.0
    """All homes: forecasts, and what was missed."""
    rest_s: float = 1.0
    """Between two pieces of a round, so that it takes a part of one core."""


class AlertWatch:
    """Finds what ``Alerts`` tells. Any number of processes may watch: what they find twice is told once.

    What waits to be looked at is in memory only: what is lost with a process is found by the daily round, at
    the latest.
    """

    def __init__(
        self,
        rows: WatchStore,
        alerts: Alerts,
        *,
        clock: Clock,
        zone: ZoneInfo,
        bills: BillsAhead | None = None,
        silent_intervals: float = 4.0,
        confidence: float = 0.8,
        pace: Pace | None = None,
    ) -> None:
        self._rows = rows
        self._alerts = alerts
        self._clock = clock
        self._zone = zone
        self._bills = bills
        self._silent_intervals = silent_intervals
        self._confidence = confidence
        self._pace = pace or Pace()
        self._touched: dict[int, None] = {}
        self._usual: OrderedDict[tuple[str, date], Usual | None] = OrderedDict()
        self._known: OrderedDict[str, tuple[date, int]] = OrderedDict()

    def touched(self, meters: Collection[int]) -> None:
        """Usage of these meters changed: they are looked at soon. Too many are left to the round."""
        if len(self._touched) < _MOST_WAITING:
            self._touched.update(dict.fromkeys(meters))

    async def run(self) -> None:
        """Until cancelled."""
        pace = self._pace
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_on(self.look_at_usage, pace.usage_s))
            tasks.create_task(self._keep_on(self.look_at_meters, pace.meters_s))
            tasks.create_task(self._keep_on(self.look_at_marks, pace.silence_s))
            tasks.create_task(self._keep_on(self.look_for_silence, min(pace.silence_s, 10.0)))
            tasks.create_task(self._keep_on(self._go_round, pace.rest_s))

    async def _keep_on(self, look: Callable[[], Awaitable[Any]], every_s: float) -> None:
        while True:
            try:
                await look()
            except EletroviaError as gone:
                _log.warning("alerts.look_failed", look=look.__name__, reason=str(gone))
            except Exception:  # one look that fails must not end the others
                _log.exception("alerts.look_failed", look=look.__name__)
            await asyncio.sleep(every_s)

    # -- usage ----------------------------------------------------------------------------------------------

    async def look_at_usage(self) -> int:
        """Homes whose meters were touched since the last look; how much there was to tell."""
        told = 0
        while self._touched:
            meters = [self._touched.popitem()[0] for _ in range(min(_PIECE, len(self._touched)))]
            began_s = self._clock.monotonic()
            told += await self._look_at_homes(await self._rows.homes_of(meters))
            # As long again for everybody else in this process; those who wait meanwhile come together.
            await asyncio.sleep(min(self._clock.monotonic() - began_s, 1.0))
        return told

    async def _look_at_homes(self, homes: Sequence[Home]) -> int:
        if not homes:
            return 0
        today = self._today()
        recent = await self._rows.days(homes, today - 2 * _DAY, today + _DAY)
        findings: list[Finding] = []
        for home in homes:
            days = recent[home.usage_point_id]
            hours = _surely_known(days.hours)
            if not self._is_news(home.usage_point_id, today, hours):
                continue
            for place in (1, 2):
                day = days.first + place * _DAY
                if np.isnan(hours[place]).all():
                    continue
                expected = await self._usual_of(home, day)
                if expected is not None:
                    found = excesses(expected, hours[place], hours[place - 1])
                    findings += [_excess_finding(home, one) for one in found]
        return await self._alerts.tell(findings)

    def _is_news(self, usage_point_id: str, today: date, hours: Floats) -> bool:
        """Whether more hours are known than at the last look."""
        known = (today, int(np.count_nonzero(~np.isnan(hours))))
        if self._known.get(usage_point_id) == known:
            return False
        self._known[usage_point_id] = known
        while len(self._known) > _MOST_WAITING:
            self._known.popitem(last=False)
        return True

    async def _usual_of(self, home: Home, day: date) -> Usual | None:
        """What is usual there on that day: worked out once, from more than a year of hours."""
        point = home.usage_point_id
        if (point, day) not in self._usual:
            read = await self._rows.days([home], day - NEEDED_DAYS * _DAY, day + _DAY)
            for one in (day, day + _DAY):  # yesterday is asked for before today
                if (point, one) not in self._usual and one <= self._today():
                    self._usual[point, one] = usual(read[point], one)
            while len(self._usual) > _MOST_KEPT:
                self._usual.popitem(last=False)
        self._usual.move_to_end((point, day))
        return self._usual[point, day]

    # -- bills ----------------------------------------------------------------------------------------------

    async def _go_round(self) -> None:
        """A piece of the daily round."""
        every = timedelta(seconds=self._pace.round_s)
        homes = await self._rows.piece_of_round("homes", self._clock.now(), every, _PIECE)
        if homes:
            await self._look_at_homes(homes)
            await self.look_at_bills(homes)

    async def look_at_bills(self, homes: Sequence[Home]) -> int:
        """Forecast the bills of these homes; how much there was to tell."""
        if self._bills is None or not homes:
            return 0
        today = self._today()
        bills = await self._bills.of([home.usage_point_id for home in homes], today)
        shares = await self._rows.shares([home.customer_id for home in homes])
        told = 0
        for home in homes:
            own = bills.get(home.usage_point_id)
            # The first bill, of a part of a period, is like no other.
            if own is None or is_early(own.period, today) or self._moved_in(home) > own.period.starts_on:
                continue
            try:
                share = shares.get(home.customer_id, DEFAULT_SHARE)
                told += await self._look_at_bill(own, home, share, today)
            except EletroviaError as failure:  # e.g. a tariff that ended: this home's trouble alone
                _log.warning("alerts.no_forecast", usage_point=home.usage_point_id, reason=str(failure))
        return told

    async def _look_at_bill(self, bills: HomeBills, home: Home, share: float, today: date) -> int:
        point, period = home.usage_point_id, bills.period
        history = await self._rows.days([home], today - _HISTORY * _DAY, today)
        coming = forecast(
            history[point], period.starts_on, period.ends_on, today, confidence=self._confidence
        )
        if coming is None:
            return 0

        def cost(times: float) -> tuple[Decimal, str]:
            whole = np.concatenate([coming.known, coming.rest * times])
            return bills.will_be(HourlyUse(first=period.starts_on, days_wh=whole))

        (expected, currency), (low, _), (high, _) = cost(1.0), cost(coming.low), cost(coming.high)
        ahead = Ahead(
            period=period,
            today=today,
            expected=expected,
            low=low,
            high=high,
            currency=currency,
            month_ago=await bills.month_ago(),
            year_ago=await bills.year_ago(),
        )
        subject = f"point:{point}:{period.starts_on.isoformat()}"
        found = variation(ahead, share)
        if found is None:
            if not is_over(ahead, share):
                return 0
            return await self._alerts.over(AlertKind.BILL, [subject])
        return await self._alerts.tell(
            [
                Finding(
                    kind=AlertKind.BILL,
                    subject=subject,
                    # Dearer and cheaper are two things: the one may come after the other.
                    period=f"{period.starts_on.isoformat()} {'up' if found.up else 'down'}",
                    level=found.level,
                    facts=as_facts(ahead, found),
                    customer_id=home.customer_id,
                    usage_point_id=point,
                )
            ]
        )

    # -- meters ---------------------------------------------------------------------------------------------

    async def look_for_silence(self) -> int:
        """Once a minute, one process goes through all meters; how much there was to tell."""
        now = self._clock.now()
        if not await self._rows.begin_round("silence", now, timedelta(seconds=self._pace.silence_s)):
            return 0
        tally = Tally(now, intervals=self._silent_intervals)
        after: int | None = 0
        while after is not None:
            areas, silent, after = await self._rows.heard(after, now, self._silent_intervals, _METERS)
            for area, meters in areas.items():
                tally.count(area, meters)
            tally.add(silent)
        findings = tally.findings()
        ongoing = {one.subject for one in findings if one.kind is AlertKind.OUTAGE}
        ended = [one for one in await self._rows.open_outages() if one not in ongoing]
        told = await self._alerts.over(AlertKind.OUTAGE, ended)
        told += await self._alerts.over(
            AlertKind.SILENT, await self._rows.heard_again(now, self._silent_intervals)
        )
        return told + await self._alerts.tell(findings)

    async def look_at_meters(self) -> int:
        """Who was cut off or put on again; how much there was to tell."""
        told = await self._alerts.over(AlertKind.BLOCKED, await self._rows.on_again())
        now = self._clock.now()
        findings = [
            Finding(
                kind=AlertKind.BLOCKED,
                subject=f"meter:{one.meter}",
                period=one.change,
                level=Level.URGENT,
                facts={
                    "meter_id": one.meter_id,
                    "usage_point_id": one.usage_point_id,
                    "since": now.isoformat(),
                },
                customer_id=one.customer_id,
                usage_point_id=one.usage_point_id,
                meter=one.meter,
            )
            for one in await self._rows.cut_off()
        ]
        return told + await self._alerts.tell(findings)

    async def look_at_marks(self) -> int:
        """Whose readings wait for a person; how much there was to tell."""
        await self._alerts.fade()
        await self._alerts.over(AlertKind.REGISTER, await self._rows.looked_at())
        findings = [
            Finding(
                kind=AlertKind.REGISTER,
                subject=f"meter:{one.meter}",
                period=one.since.isoformat(),
                level=Level.WARNING,
                facts={
                    "meter_id": one.meter_id,
                    "since": one.since.isoformat(),
                    "kinds": one.kinds,
                    "count": one.count,
                },
                for_staff=True,
                meter=one.meter,
            )
            for one in await self._rows.marked(_MOST_MARKED)
        ]
        return await self._alerts.tell(findings)

    def _moved_in(self, home: Home) -> date:
        return home.since.astimezone(self._zone).date()

    def _today(self) -> date:
        return self._clock.now().astimezone(self._zone).date()


def _surely_known(hours: Floats) -> Floats:
    """Without the last hour that anything is known of: more of it may be to come."""
    flat = hours.reshape(-1).copy()
    known = np.flatnonzero(~np.isnan(flat))
    if len(known):
        flat[known[-1]] = np.nan
    return flat.reshape(hours.shape)


def _excess_finding(home: Home, found: Excess) -> Finding:
    base = found.pattern == "base"
    return Finding(
        kind=AlertKind.EXCESS,
        # A base that stays high is told once a week; hours and days that are too much, once a day.
        subject=f"point:{home.usage_point_id}" + (":base" if base else ""),
        period=found.day.isoformat(),
        level=Level.NOTICE if found.pattern == "hours" else Level.WARNING,
        facts=excess_facts(found),
        customer_id=home.customer_id,
        usage_point_id=home.usage_point_id,
        cool_down=timedelta(days=7) if base else None,
    )
