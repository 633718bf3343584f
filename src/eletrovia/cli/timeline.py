"""The drawn timeline of a trip: its parts as rows, beneath them the whole to scale with the battery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from eletrovia.booking.trip import Itinerary
from eletrovia.cli.numbers import duration, money, number, percent
from eletrovia.cli.parts import Kind, Part, parts_of, totals_of
from eletrovia.cli.sentences import sentence
from eletrovia.cli.zone import clock_time, zone_name
from eletrovia.people.account import Language

STYLES: Final = {Kind.DRIVE: "blue", Kind.WAIT: "yellow", Kind.CHARGE: "green"}
# Different shapes, so that a terminal without colours tells them apart too.
MARKS: Final = {Kind.DRIVE: "━", Kind.WAIT: "┄", Kind.CHARGE: "▓"}
_ASCII_MARKS: Final = {Kind.DRIVE: "-", Kind.WAIT: ".", Kind.CHARGE: "#"}
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_ASCII_EIGHTHS: Final = "    .:::#"
_CURVE_ROWS: Final = 5
_MARGIN: Final = 6
_MIN_WIDTH: Final = 20


class Timeline:
    """An itinerary as rich draws it, at whatever width there is."""

    def __init__(self, itinerary: Itinerary, *, language: Language, zone: tzinfo) -> None:
        self._itinerary = itinerary
        self._language = language
        self._zone = zone
        self._parts = parts_of(itinerary)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        width = max(options.max_width - _MARGIN - 1, _MIN_WIDTH)
        columns = columns_of(self._parts, width)
        yield self._head()
        yield self._rows(plain)
        yield Text()
        yield from self._curve(columns, plain)
        yield self._bar(columns, plain)
        yield self._axis(width)
        yield self._legend(plain)
        yield Text()
        yield self._totals()

    # -- words ----------------------------------------------------------------------------------------

    def _say(self, key: str, **facts: object) -> str:
        return sentence(key, self._language, facts)

    def _clock(self, moment: datetime) -> str:
        return clock_time(moment, self._zone, since=self._itinerary.departs_at)

    def _day(self, moment: datetime) -> str:
        local = moment.astimezone(self._zone)
        return (
            f"{local:%d/%m/%Y %H:%M}" if self._language is Language.PORTUGUESE else f"{local:%Y-%m-%d %H:%M}"
        )

    def _head(self) -> RenderableType:
        trip = self._itinerary
        title = Text(f"{trip.origin.name} → {trip.destination.name}", style="bold")
        told = self._say("timeline.head", car=trip.vehicle_name, departs=self._day(trip.departs_at))
        return Group(title, Text(f"{told} ({zone_name(self._zone, trip.departs_at)})", style="dim"))

    def _rows(self, plain: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1), expand=True, header_style="dim")
        table.add_column(self._say("timeline.at"), no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("", ratio=1, overflow="fold")
        table.add_column(self._say("timeline.for"), justify="right", no_wrap=True)
        table.add_column(self._say("timeline.battery"), justify="right", no_wrap=True)
        table.add_column(self._say("timeline.price"), justify="right", no_wrap=True)
        for part in self._parts:
            table.add_row(
                self._clock(part.starts_at),
                self._mark(part, plain),
                self._what(part),
                duration(part.minutes),
                percent(part.soc_before)
                if part.kind is Kind.WAIT
                else f"{percent(part.soc_before)} → {percent(part.soc_after)}",
                money(part.stop.price, self._itinerary.currency, self._language)
                if part.kind is Kind.CHARGE and part.stop
                else "",
            )
        table.add_row(
            self._clock(self._itinerary.arrives_at),
            "",
            Text(self._say("timeline.arrive", place=self._itinerary.destination.name), style="bold"),
            "",
            percent(self._itinerary.arrival_soc),
            "",
        )
        return table

    def _mark(self, part: Part, plain: bool) -> Text:
        mark = (_ASCII_MARKS if plain else MARKS)[part.kind]
        return Text(str(part.number) if part.kind is Kind.CHARGE else mark * 2, style=STYLES[part.kind])

    def _what(self, part: Part) -> RenderableType:
        stop = part.stop
        if part.kind is Kind.DRIVE or stop is None:
            to = stop.city or stop.location_name if stop is not None else self._itinerary.destination.name
            return Text(self._say("timeline.drive", km=number(part.km, self._language), to=to))
        if part.kind is Kind.WAIT:
            return Text(self._say("timeline.wait", station=stop.location_name))
        where = stop.location_name
        if stop.city and stop.city not in where:
            where += f", {stop.city}"
        told = self._say(
            "timeline.charge", kwh=number(stop.energy_wh / 1000, self._language, 1), station=where
        )
        facts = [stop.operator_id, stop.evse_id, f"{number(stop.power_w / 1000, self._language)} kW"]
        if stop.simulated:
            facts.append(self._say("timeline.simulated"))
        return Group(Text(told), Text(" · ".join(facts), style="dim"))

    # -- drawing --------------------------------------------------------------------------------------

    def _curve(self, columns: list[Part], plain: bool) -> Iterator[Text]:
        width = len(columns)
        numbers = [" "] * width
        seen: set[int] = set()
        for column, part in enumerate(columns):
            if part.kind is Kind.CHARGE and part.number not in seen:
                seen.add(part.number)
                for place, digit in enumerate(str(part.number)):
                    if column + place < width:
                        numbers[column + place] = digit
        yield Text(" " * _MARGIN + "".join(numbers).rstrip(), style="bold")
        socs = [self._soc_at((column + 0.5) / width) for column in range(width)]
        glyphs = _ASCII_EIGHTHS if plain else _EIGHTHS
        for row in reversed(range(_CURVE_ROWS)):
            label = percent((row + 1) / _CURVE_ROWS)
            line = Text(f"{label:>{_MARGIN - 2}} ", style="dim")
            line.append("|" if plain else "┤")
            for soc, part in zip(socs, columns, strict=True):
                filled = round(soc * _CURVE_ROWS * 8) - row * 8
                line.append(glyphs[min(max(filled, 0), 8)], style=STYLES[part.kind])
            yield line

    def _soc_at(self, share: float) -> float:
        """The battery when ``share`` of the trip's time is over."""
        start, end = self._itinerary.departs_at, self._itinerary.arrives_at
        at = start + (end - start) * share
        for part in self._parts:
            if at < part.ends_at:
                done = (at - part.starts_at) / (part.ends_at - part.starts_at)
                return part.soc_before + done * (part.soc_after - part.soc_before)
        return self._itinerary.arrival_soc

    def _bar(self, columns: list[Part], plain: bool) -> Text:
        line = Text(" " * _MARGIN)
        for part in columns:
            line.append((_ASCII_MARKS if plain else MARKS)[part.kind], style=STYLES[part.kind])
        return line

    def _axis(self, width: int) -> Text:
        """Times of day beneath the bar, as many as fit without touching; the first and the last always."""
        start, end = self._itinerary.departs_at, self._itinerary.arrives_at
        line = [" "] * width
        last = self._clock(end)
        labels = [(0, self._clock(start)), (width - len(last), last)]
        every = next((hours for hours in (1, 2, 3, 4, 6, 12, 24) if self._hours() / hours * 8 <= width), 24)
        tick = int(start.timestamp() // 3600 + 1) * 3600
        while tick < end.timestamp():
            local = datetime.fromtimestamp(tick, self._zone)
            if local.hour % every == 0:
                share = (tick - start.timestamp()) / (end - start).total_seconds()
                labels.append((int(share * width), f"{local:%H}h"))
            tick += 3600
        for column, label in labels:
            free = line[max(column - 1, 0) : column + len(label) + 1]
            if column >= 0 and column + len(label) <= width and not "".join(free).strip():
                line[column : column + len(label)] = label
        return Text(" " * _MARGIN + "".join(line).rstrip(), style="dim")

    def _hours(self) -> float:
        return (self._itinerary.arrives_at - self._itinerary.departs_at).total_seconds() / 3600

    def _legend(self, plain: bool) -> Text:
        line = Text(" " * _MARGIN)
        for kind, mark in (_ASCII_MARKS if plain else MARKS).items():
            line.append(mark * 2, style=STYLES[kind]).append(f" {self._say(f'timeline.legend.{kind}')}   ")
        line.append(
            self._say("timeline.legend.reserve", reserve=percent(self._itinerary.reserve_soc)), style="dim"
        )
        return line

    def _totals(self) -> Text:
        trip, totals = self._itinerary, totals_of(self._itinerary, self._parts)
        facts = [
            f"{number(totals.km, self._language)} km",
            f"{self._say('timeline.driving')} {duration(totals.drive_minutes)}",
            f"{self._say('timeline.waiting')} {duration(totals.wait_minutes)}",
            f"{self._say('timeline.charging')} {duration(totals.charge_minutes)}"
            f" ({number(totals.energy_wh / 1000, self._language, 1)} kWh)",
            f"{self._say('timeline.arrival')} {self._day(trip.arrives_at)}",
        ]
        told = Text(" · ".join(facts) + " · ")
        return told.append(money(trip.price, trip.currency, self._language), style="bold")


def columns_of(parts: list[Part], width: int) -> list[Part]:
    """Which part each column of a bar shows: by time, but no wait or charge vanishes while there is room."""
    start = parts[0].starts_at
    length = parts[-1].ends_at - start
    if not length:
        return [parts[0]] * width
    ends = [round((part.ends_at - start) / length * width) for part in parts]
    widths = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    for kind in (Kind.CHARGE, Kind.WAIT):
        for lost in (at for at, part in enumerate(parts) if part.kind is kind and widths[at] == 0):
            # The nearest part that can spare a column gives it, so the bar stays true to a column or two.
            near = sorted(range(len(parts)), key=lambda at: abs(at - lost))
            donor = next((at for at in near if widths[at] > 1), None)
            if donor is not None:
                widths[donor] -= 1
                widths[lost] = 1
    return [part for part, many in zip(parts, widths, strict=True) for _ in range(many)]
