"""A bill by the rules as docs/decisions/0010 tells them, slowly: a day, a minute and a fraction at a time.

It shares no code with the product: tariffs are plain dictionaries, holidays come from the computus, and usage
is looked at step by step. Amounts are fractions until a line is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

DAY = timedelta(days=1)
Spec = dict[str, Any]


def easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian computus)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e, f = b // 4, b % 4, (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def day_off(day: date) -> bool:
    """Weekends, Brazil's national holidays, Carnival Tuesday and Corpus Christi."""
    fixed = {(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25)}
    if day.year >= 2024:
        fixed.add((11, 20))
    moved = {easter(day.year) + timedelta(days=n) for n in (-47, -2, 60)}
    return day.weekday() >= 5 or (day.month, day.day) in fixed or day in moved


def cent(amount: Fraction) -> Fraction:
    """Half up, to the cent."""
    return Fraction((amount * 100 + Fraction(1, 2)).__floor__(), 100)


def entry(entries: list[Spec], day: date) -> Spec:
    """The entry that holds on ``day``; it carries its place in the list."""
    (found,) = [
        one | {"n": n}
        for n, one in enumerate(entries)
        if one["from"] <= day and (one.get("until") is None or day < one["until"])
    ]
    return found


def band(bands: list[Spec], kwh: Fraction) -> Spec:
    """The first band that reaches so far."""
    for one in bands:
        if one.get("up_to_kwh") is None or kwh <= Fraction(one["up_to_kwh"]):
            return one
    raise AssertionError("no band")


def window_name(plan: Spec, moment: datetime, zone: tzinfo) -> str:
    """The window a moment lies in, by the clock on the wall."""
    there = moment.astimezone(zone)
    if day_off(there.date()):
        return str(plan["rest"])
    now = there.hour * 60 + there.minute
    for one in plan["window"]:
        begins = one["from"].hour * 60 + one["from"].minute
        ends = (one["until"].hour * 60 + one["until"].minute) or 1440
        if begins <= now < ends:
            return str(one["name"])
    return str(plan["rest"])


class OracleBill:
    """``register(moment)`` is what the meter shows, in Wh; it is asked every ``step``."""

    def __init__(
        self,
        spec: Spec,
        zone: tzinfo,
        starts_on: date,
        ends_on: date,
        register: Callable[[datetime], int],
        *,
        step: timedelta,
        phases: int,
    ) -> None:
        self.spec, self.zone, self.phases = spec, zone, phases
        self.days = [starts_on + n * DAY for n in range((ends_on - starts_on).days)]
        first = datetime(starts_on.year, starts_on.month, starts_on.day, tzinfo=zone).astimezone(tz=UTC)
        last = datetime(ends_on.year, ends_on.month, ends_on.day, tzinfo=zone).astimezone(tz=UTC)
        self.used = register(last) - register(first)
        self.billed = max(self.used, self._least())
        # (kind, key, window) -> Wh, in the order of days; a key changes when a record does
        self.energy: list[tuple[Any, str, bool, date, int]] = []
        if spec["kind"] == "windows":
            self._walk(first, last, register, step)
        else:
            for day, wh in zip(self.days, self._per_day(self.billed), strict=True):
                self.energy.append((day, "all", False, day, wh))
        self.lines: list[tuple[str, Fraction, Fraction]] = []
        self.groups: dict[tuple[Any, ...], Fraction] = {}
        self._price()
        self._lighting()
        self.total = sum((amount for _, _, amount in self.lines), Fraction(0))
        self.taxes = self._taxes()

    def _least(self) -> int:
        if "minimum" not in self.spec:
            return 0
        discount = self._discount(self.days[-1])
        free = None if discount is None else discount.get("no_minimum_up_to_kwh")
        if free is not None and self.used <= Fraction(free) * 1000:
            return 0
        one = entry(self.spec["minimum"], self.days[-1])
        return int(one[{1: "one", 2: "two", 3: "three"}[self.phases]]) * 1000

    def _discount(self, day: date) -> Spec | None:
        return entry(self.spec["discount"], day) if "discount" in self.spec else None

    def _per_day(self, wh: int) -> list[int]:
        count = len(self.days)
        return [wh * (n + 1) // count - wh * n // count for n in range(count)]

    def _walk(
        self, first: datetime, last: datetime, register: Callable[[datetime], int], step: timedelta
    ) -> None:
        at = first
        while at < last:
            day = at.astimezone(self.zone).date()
            wh = register(min(at + step, last)) - register(at)
            plan = entry(self.spec["hours"], day)
            self.energy.append((day, window_name(plan, at, self.zone), False, day, wh))
            at += step
        for day, wh in zip(self.days, self._per_day(self.billed - self.used), strict=True):
            self.energy.append((day, self.spec["minimum_window"], True, day, wh))

    def _tax_key(self, day: date) -> tuple[Any, ...]:
        return tuple((tax["name"], entry(tax["rate"], day)["n"]) for tax in self.spec["taxes"])

    def _levies(self, day: date) -> tuple[tuple[str, str, Fraction], ...]:
        levies = []
        for tax in self.spec["taxes"]:
            rate = entry(tax["rate"], day)
            if "bands" in rate:
                rate = band(rate["bands"], Fraction(self.used, 1000))
            levies.append((tax["name"], tax["base"], Fraction(rate["share"])))
        return tuple(levies)

    def _steps(self, wh: int, limits: list[Fraction]) -> list[tuple[Fraction, int]]:
        """Parts of ``wh`` between limits on the whole of what is billed, each with an amount inside it."""
        parts, given = [], 0
        for limit in [*sorted(set(limits)), None]:
            if limit is None or limit * 1000 >= self.billed:
                reach = wh
            else:
                reach = (wh * limit * 1000 / self.billed).__floor__()
            parts.append((limit if limit is not None else Fraction(10**12), reach - given))
            given = reach
        return parts

    def _stretches(self, key: Callable[[date], Any]) -> list[list[date]]:
        found: list[list[date]] = []
        for day in self.days:
            if found and key(found[-1][-1]) == key(day):
                found[-1].append(day)
            else:
                found.append([day])
        return found

    def _line(self, kind: str, wh: int, price: Fraction, off: Fraction, day: date) -> None:
        levies = self._levies(day)
        net = 1 - sum((share for _, base, share in levies if base == "net"), Fraction(0))
        gross = 1 - sum((share for _, base, share in levies if base == "price"), Fraction(0))
        amount = cent(Fraction(wh, 1000) * price * (1 - off) / (net * gross))
        if wh:
            self.lines.append((kind, Fraction(wh, 1000), amount))
        self.groups[levies] = self.groups.get(levies, Fraction(0)) + amount

    def _off(self, rule: Spec | None, reach: Fraction) -> Fraction:
        return Fraction(0) if rule is None else Fraction(band(rule["step"], reach)["share"])

    def _price(self) -> None:
        prices, flags = self.spec["prices"], self.spec.get("flags")

        def n(day: date, name: str) -> Any:
            return entry(self.spec[name], day)["n"] if name in self.spec else None

        for days in self._stretches(lambda d: (n(d, "prices"), n(d, "discount"), self._tax_key(d))):
            price, rule = entry(prices, days[0]), self._discount(days[0])
            limits = [
                Fraction(one["up_to_kwh"]) for one in (rule or {"step": []})["step"] if "up_to_kwh" in one
            ]
            if self.spec["kind"] == "tiers" and self.spec["tiers"] == "marginal":
                limits += [Fraction(one["up_to_kwh"]) for one in price["tiers"] if "up_to_kwh" in one]
            inside = [one for one in self.energy if days[0] <= one[0] <= days[-1]]
            for window, extra in dict.fromkeys((one[1], one[2]) for one in inside):
                wh = sum(one[4] for one in inside if (one[1], one[2]) == (window, extra))
                for reach, part in self._steps(wh, limits):
                    kind = "minimum" if extra or (window == "all" and self.billed > self.used) else "energy"
                    if window != "all":
                        unit = price["windows"][window]
                    elif self.spec["kind"] == "flat":
                        unit = price
                    elif self.spec["tiers"] == "whole":
                        unit = band(price["tiers"], Fraction(self.billed, 1000))
                    else:
                        unit = band(price["tiers"], reach)
                    self._line(kind, part, Fraction(unit["kwh"]), self._off(rule, reach), days[0])
        if flags is None:
            return

        def flag_rule(day: date) -> Spec | None:
            rule = self._discount(day)
            return rule if rule is not None and rule.get("flags", True) else None

        def flag(day: date) -> Spec:
            colour = entry(flags["held"], day)["colour"]
            return entry([one for one in flags["value"] if one["colour"] == colour], day)

        for days in self._stretches(
            lambda d: (flag(d)["colour"], flag(d)["n"], flag_rule(d) and n(d, "discount"), self._tax_key(d))
        ):
            if not Fraction(flag(days[0])["kwh"]):
                continue
            rule = flag_rule(days[0])
            limits = [
                Fraction(one["up_to_kwh"]) for one in (rule or {"step": []})["step"] if "up_to_kwh" in one
            ]
            wh = sum(one[4] for one in self.energy if days[0] <= one[0] <= days[-1])
            for reach, part in self._steps(wh, limits):
                self._line("flag", part, Fraction(flag(days[0])["kwh"]), self._off(rule, reach), days[0])

    def _lighting(self) -> None:
        if "lighting" not in self.spec:
            return
        energy = sum((amount for _, _, amount in self.lines), Fraction(0))
        rate = entry(self.spec["lighting"], self.days[-1])
        chosen = band(rate["bands"], Fraction(self.used, 1000)) if "bands" in rate else rate
        if "amount" in chosen:
            amount = cent(Fraction(chosen["amount"]))
        else:
            amount = cent(Fraction(chosen["share"]) * Fraction(rate.get("of", energy)))
        self.lines.append(("lighting", Fraction(0), amount))

    def _taxes(self) -> dict[tuple[str, Fraction], tuple[Fraction, Fraction]]:
        """(name, share) -> (base, amount)."""
        rows: dict[tuple[str, Fraction], tuple[Fraction, Fraction]] = {}
        left = dict(self.groups)
        for level in ("price", "net"):
            bases = dict(left)
            for levies, base in bases.items():
                for name, on, share in levies:
                    if on != level:
                        continue
                    had_base, had = rows.get((name, share), (Fraction(0), Fraction(0)))
                    rows[name, share] = (had_base + base, cent((had_base + base) * share))
                    left[levies] -= rows[name, share][1] - had
        return rows


def spelled(value: Fraction) -> Decimal:
    """A fraction that is a number of cents."""
    assert value * 100 == int(value * 100)
    return Decimal(int(value * 100)).scaleb(-2)
