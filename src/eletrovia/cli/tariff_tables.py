"""How tariffs look on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eletrovia.cli.numbers import number
from eletrovia.cli.terminal import Terminal
from eletrovia.metering.billwords import flag_said, window_said
from eletrovia.metering.tariff import ALL_DAY
from eletrovia.metering.tariffday import HomeTariffs, TariffDay, WindowShown

_BARS: Final = "▁▂▃▄▅▆▇█"
_HALF_HOURS: Final = 48
_COLOURS: Final = ("green", "yellow", "red", "magenta")
"""From the cheapest price of the day to the dearest."""
_FLAG_STYLES: Final = {"green": "green", "yellow": "yellow", "red1": "red", "red2": "bold red"}


def list_of(terminal: Terminal, known: HomeTariffs) -> Table:
    """All tariffs by name."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "name", "distributor", "kind"):
        table.add_column(terminal.text(f"column.{name}"))
    for tariff in known.tariffs:
        invented = f" {terminal.text('tariffs.fictional')}" if tariff.fictional else ""
        table.add_row(
            tariff.id, tariff.name, f"{tariff.distributor}{invented}", terminal.text(f"tariffs.{tariff.kind}")
        )
    return table


def day_of(terminal: Terminal, day: TariffDay) -> Iterator[RenderableType]:
    """One day of a tariff, drawn."""
    invented = f" {terminal.text('tariffs.fictional')}" if day.fictional else ""
    kind = ""
    if day.working_day is not None:
        kind = ", " + terminal.text("tariffs.working_day" if day.working_day else "tariffs.day_off")
    yield Text(f"{day.name} · {day.distributor}{invented} · {day.on:%Y-%m-%d}{kind}", style="bold")
    if len({window.name for window in day.windows}) > 1:
        yield Text("".join(f"{hour:<6}" for hour in range(0, 24, 3)) + "24", style="dim")
        yield _strip(day)
    yield _prices(terminal, day)
    yield from _rest(terminal, day)
    yield Text(terminal.text("tariffs.sources", sources="; ".join(day.sources)), style="dim")


def _strip(day: TariffDay) -> Text:
    """Half an hour a letter, as high and as warm as it is dear."""
    ranks = sorted({_price(window) for window in day.windows})
    most = ranks[-1] or Decimal(1)
    strip = Text()
    for half_hour in range(_HALF_HOURS):
        at = time(half_hour // 2, half_hour % 2 * 30)
        window = next(one for one in reversed(day.windows) if one.starts_at <= at)
        price = _price(window)
        style = _COLOURS[min(ranks.index(price), len(_COLOURS) - 1)]
        strip.append(_BARS[int(price / most * (len(_BARS) - 1))], style=style)
    return strip


def _price(window: WindowShown) -> Decimal:
    return window.prices[0].with_taxes


def _prices(terminal: Terminal, day: TariffDay) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column(terminal.text("column.when"))
    for name in ("before_taxes", "with_taxes"):
        table.add_column(terminal.text(f"column.{name}", currency=day.currency), justify="right")
    shown: dict[str, list[WindowShown]] = {}
    for window in day.windows:
        shown.setdefault(window.name, []).append(window)
    for name, windows in shown.items():
        hours = ", ".join(f"{one.starts_at:%H:%M}–{_end(one.ends_at)}" for one in windows)
        said = terminal.text("tariffs.all_day") if name == ALL_DAY else window_said(name, terminal.language)
        for price in windows[0].prices:
            tier = ""
            if price.up_to_kwh is not None:
                tier = f" ≤ {number(price.up_to_kwh, terminal.language)} kWh"
            elif price.above_kwh:
                tier = f" > {number(price.above_kwh, terminal.language)} kWh"
            table.add_row(
                said + tier,
                hours,
                number(price.before_taxes, terminal.language, 5),
                number(price.with_taxes, terminal.language, 5),
            )
    if day.flag is not None:
        table.add_row(
            Text(flag_said(day.flag.colour, terminal.language), style=_FLAG_STYLES.get(day.flag.colour, "")),
            "",
            "+" + number(day.flag.before_taxes, terminal.language, 5),
            "+" + number(day.flag.with_taxes, terminal.language, 5),
        )
    return table


def _rest(terminal: Terminal, day: TariffDay) -> Iterator[Text]:
    if day.taxes:
        taxes = ", ".join(f"{tax.name} {_percent(terminal, tax.share)}" for tax in day.taxes)
        use = number(day.use_kwh, terminal.language)
        yield Text(terminal.text("tariffs.taxes", taxes=taxes, use=use))
    if day.minimum_kwh:
        least = " · ".join(number(kwh, terminal.language) for kwh in day.minimum_kwh)
        yield Text(terminal.text("tariffs.minimum", kwh=least))
    for step in day.discount:
        if step.share:
            up_to = "" if step.up_to_kwh is None else f" ≤ {number(step.up_to_kwh, terminal.language)} kWh"
            yield Text(terminal.text("tariffs.discount", share=_percent(terminal, step.share), up_to=up_to))


def _percent(terminal: Terminal, share: Decimal) -> str:
    places = max(0, -(share * 100).normalize().as_tuple().exponent)  # type: ignore[operator]
    return number(share * 100, terminal.language, places) + "%"


def _end(clock: time) -> str:
    return "24:00" if clock == time() else f"{clock:%H:%M}"
