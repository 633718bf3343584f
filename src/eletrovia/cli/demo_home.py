"""The demo's home: a meter with more than a year behind it, its bills, and what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from eletrovia.base.clock import Clock
from eletrovia.base.errors import NotFound
from eletrovia.cli.devices import devices
from eletrovia.cli.numbers import money, number
from eletrovia.cli.server import Server, pause, segment
from eletrovia.cli.terminal import Terminal
from eletrovia.runtime.citymeters import AREA, HOME, HOMES, HOMES_NAME, SEED
from eletrovia.sim.household import Households

TARIFF: Final = "cariri-b1-branca"
_MUNICIPALITY: Final = "vila-cariri"
_MONTHS: Final = 13
"""Of history before this one: twelve to bill, and one more to compare the last of them with."""
_BILLED: Final = 12
_STREET_HISTORY: Final = timedelta(days=2)
_ROWS_AT_ONCE: Final = 10_000
_PATIENCE_S: Final = 30.0
_HOUR: Final = timedelta(hours=1)
_BARS: Final = "▁▂▃▄▅▆▇█"

Stopped = Callable[[], bool]


class DemoHome:
    """A home of the demo driver's, as the utility's staff and the driver see it over HTTP."""

    def __init__(self, terminal: Terminal, clock: Clock, staff: Server, driver: Server) -> None:
        self._terminal = terminal
        self._staff = staff
        self._driver = driver
        self._zone = ZoneInfo(terminal.config.metering.time_zone)
        self._now = clock.now()
        self._clock = clock
        self._months = list(_months_before(self._now.astimezone(self._zone).date(), _MONTHS))
        self._since = datetime.combine(self._months[0], datetime.min.time(), self._zone).astimezone(UTC)

    def settle(self, stopped: Stopped) -> bool:
        """The home as if it had been there for a year; what stands stays. False when stopped before."""
        steps = (self._register, self._move_in, self._agree, self._tell_readings, self._await_usage)
        for step in steps:
            if stopped():
                return False
            step()
        for month in self._unbilled():
            if stopped():
                return False
            self._staff.post("/invoices", dict[str, Any], {"month": month, "usage_point_ids": [HOME]})
        return not stopped()

    def show(self, folder: Path) -> None:
        """Now, the last bill, the bill on paper, and an alert where there is one."""
        terminal = self._terminal
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        rows.add_row(terminal.text("demo.now"), self._use_now())
        if (bill := self._last_bill()) is not None:
            rows.add_row(terminal.text("demo.bill"), self._bill_told(bill))
            rows.add_row(terminal.text("demo.year"), _year(bill["invoice"]["history"]))
            rows.add_row(terminal.text("demo.paper"), str(self._written(bill["invoice"], folder)))
        found = self._driver.get("/alerts", dict[str, Any], signed_in=True, open="true", limit=1)
        for alert in found["alerts"]:
            rows.add_row(terminal.text("demo.alert"), Text(str(alert["title"]), style="yellow"))
        terminal.show(
            Text(terminal.text("demo.home", home=HOME, area=AREA, months=_MONTHS), style="bold"), rows
        )

    # -- what is done once ---------------------------------------------------------------------------------

    def _register(self) -> None:
        """All homes of the street: their meters' keys are then in the book that the street reads."""
        wanted = [
            {
                "id": f"{HOMES_NAME}-{place}",
                "area": AREA,
                # What was told of the past is an hour apart: more would be a gap.
                "interval_s": 3600,
                "from_at": (self._now - _STREET_HISTORY if place else self._since).isoformat(),
            }
            for place in range(HOMES)
        ]
        devices(self._terminal, self._staff, wanted, renewing=True, quiet=True)

    def _move_in(self) -> None:
        try:
            sheet = self._driver.get("/customers/me", dict[str, Any], signed_in=True)
        except NotFound:
            account = self._driver.get("/drivers/me", dict[str, Any], signed_in=True)
            new = {name: account[name] for name in ("name", "email")} | {
                "account_id": account["id"],
                "address": f"Rua das Demonstrações 100\n{AREA}",
                "language": self._terminal.language.value,
            }
            sheet = {"customer": self._staff.post("/customers", dict[str, Any], new), "stays": []}
        if not any(stay["usage_point_id"] == HOME for stay in sheet["stays"]):
            body = {"customer_id": sheet["customer"]["id"], "from_at": self._since.isoformat()}
            self._staff.ask("PUT", f"/meters/{HOME}/customer", body=body)

    def _agree(self) -> None:
        told = self._staff.get(f"/usage-points/{HOME}/contracts", dict[str, Any], signed_in=True)
        if not told["contracts"]:
            terms = {
                "valid_from": self._months[0].isoformat(),
                "tariff_id": TARIFF,
                "phases": 2,
                "municipality": _MUNICIPALITY,
            }
            self._staff.ask("PUT", f"/usage-points/{HOME}/contract", body=terms)

    def _tell_readings(self) -> None:
        """What its register showed at every full hour since the last reading, and what it shows now.

        The rest of the street only its last days: enough to draw them.
        """
        since = self._known_until() or self._since
        until = self._now.replace(second=0, microsecond=0)
        street_since = max(since, self._now - _STREET_HISTORY)
        rows = _rows(1, since, street_since) + _rows(HOMES, street_since, until)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            self._staff.post("/readings", dict[str, Any], {"rows": rows[start : start + _ROWS_AT_ONCE]})
        self._told_until = until

    def _known_until(self) -> datetime | None:
        """When it was heard last, as far as usage was worked out."""
        for resolution, days in (("reading", 2), ("day", 32 * _MONTHS)):
            slots = self._usage(resolution, self._now - timedelta(days=days))["slots"]
            if slots:
                last = slots[-1]["ends_at"] if resolution == "reading" else slots[-1]["starts_at"]
                return datetime.fromisoformat(last)
        return None

    def _await_usage(self) -> None:
        """Usage is worked out beside the readings' way in, a moment later."""
        by_s = self._clock.monotonic() + _PATIENCE_S
        home = Households(SEED, 1)
        first_wh, last_wh = (int(home.registers_wh(at)[0]) for at in (self._since, self._told_until))
        while self._clock.monotonic() < by_s:
            if self._usage("month", self._since)["energy_wh"] >= last_wh - first_wh:
                return
            pause(0.05)

    def _unbilled(self) -> list[str]:
        """Whole months of the last year that no invoice is there for, oldest first."""
        told = self._driver.get("/invoices", dict[str, Any], signed_in=True, limit=100)
        billed = {one["month"] for one in told["invoices"] if one["usage_point_id"] == HOME}
        return [f"{month:%Y-%m}" for month in self._months[-_BILLED:] if month.isoformat() not in billed]

    # -- what is shown -------------------------------------------------------------------------------------

    def _usage(self, resolution: str, since: datetime) -> dict[str, Any]:
        told: dict[str, Any] = self._driver.get(
            f"/meters/{HOME}/usage", dict[str, Any], signed_in=True,
            resolution=resolution, **{"from": since.isoformat(timespec="seconds")},
        )  # fmt: skip
        return told

    def _use_now(self) -> str:
        midnight = self._now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        slots = self._usage("reading", self._now - 2 * _HOUR)["slots"]
        kwh = {
            "today": self._usage("hour", midnight)["energy_wh"],
            "month": self._usage("day", midnight.replace(day=1))["energy_wh"],
        }
        language = self._terminal.language
        facts = {name: number(energy_wh / 1000, language, 1) for name, energy_wh in kwh.items()}
        watts = _mean_w(slots[-1]) if slots else 0
        return self._terminal.text("demo.use", watts=number(watts, language), **facts)

    def _last_bill(self) -> dict[str, Any] | None:
        newest = self._driver.get("/invoices", dict[str, Any], signed_in=True, limit=1)["invoices"]
        if not newest:
            return None
        return self._driver.get(f"/invoices/{segment(newest[0]['id'])}", dict[str, Any], signed_in=True)

    def _bill_told(self, bill: dict[str, Any]) -> str:
        invoice, language = bill["invoice"], self._terminal.language
        return self._terminal.text(
            "demo.bill_told",
            number=invoice["number"],
            month=invoice["month"][:7],
            kwh=number(invoice["history"][-1]["energy_wh"] / 1000, language),
            amount=money(Decimal(invoice["to_pay"]), invoice["bill"]["currency"], language),
            due=invoice["due_on"],
            tariff=invoice["tariff_name"],
        )

    def _written(self, invoice: dict[str, Any], folder: Path) -> Path:
        """The bill as a PDF; one that was written stands, as the bill does."""
        file = folder / f"{HOME.lower()}-{invoice['month'][:7]}-{self._terminal.language.value}.pdf"
        if not file.exists():
            query = {"language": self._terminal.language.value}
            answer = self._driver.ask("GET", f"/invoices/{segment(invoice['id'])}/pdf", query=query)
            file.write_bytes(answer.body)
        return file


def _months_before(today: date, count: int) -> Iterator[date]:
    """The first days of so many whole months before this one, oldest first."""
    for back in range(count, 0, -1):
        place = today.year * 12 + today.month - 1 - back
        yield date(place // 12, place % 12 + 1, 1)


def _rows(count: int, since: datetime, until: datetime) -> list[tuple[str, int, int, int]]:
    """What so many homes' registers show at each full hour from ``since`` on, and at ``until``."""
    homes = Households(SEED, count)
    rows = []
    for at in (*_full_hours(since, until), until):
        at_s, registers, power = int(at.timestamp()), homes.registers_wh(at), homes.power_w(at)
        rows += [
            (f"{HOMES_NAME}-{place}", at_s, int(registers[place]), int(power[place]))
            for place in range(count)
        ]
    return rows


def _full_hours(since: datetime, until: datetime) -> Iterator[datetime]:
    at = since.replace(minute=0, second=0, microsecond=0)
    at = at if at == since else at + _HOUR
    while at < until:
        yield at
        at += _HOUR


def _mean_w(slot: dict[str, Any]) -> float:
    lasted = datetime.fromisoformat(slot["ends_at"]) - datetime.fromisoformat(slot["starts_at"])
    return float(slot["energy_wh"] * 3600 / max(1.0, lasted.total_seconds()))


def _year(history: list[dict[str, Any]]) -> Text:
    """A bar for each month, with the first and the last one named."""
    most = max(use["energy_wh"] for use in history) or 1
    bars = "".join(_BARS[round(use["energy_wh"] * (len(_BARS) - 1) / most)] for use in history)
    return Text.assemble(
        (history[0]["month"][:7] + " ", "dim"), (bars, "cyan"), (" " + history[-1]["month"][:7], "dim")
    )
