"""A bill's lines in words: (English, Português). Each line says what, for which days, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from eletrovia.metering.bill import BillLine

PORTUGUESE: Final = "pt-BR"

Pair = tuple[str, str]

LABELS: Final[dict[str, Pair]] = {
    "energy": ("Energy, {days}", "Energia, {days}"),
    "energy.window": ("{window}, {days}", "{window}, {days}"),
    "energy.step": ("Energy {step}, {days}", "Energia {step}, {days}"),
    "energy.discount": (
        "Energy {step}, {discount} off, {days}",
        "Energia {step}, {discount} de desconto, {days}",
    ),
    "minimum": (
        "Minimum of {least_kwh} kWh ({used_kwh} used), {days}",
        "Mínimo de {least_kwh} kWh (consumo de {used_kwh}), {days}",
    ),
    "minimum.extra": (
        "Up to the minimum of {least_kwh} kWh ({used_kwh} used), {days}",
        "Complemento até o mínimo de {least_kwh} kWh (consumo de {used_kwh}), {days}",
    ),
    "flag": ("{flag}, {days}", "{flag}, {days}"),
    "flag.discount": (
        "{flag} {step}, {discount} off, {days}",
        "{flag} {step}, {discount} de desconto, {days}",
    ),
    "lighting": ("Public lighting, {municipality}", "Iluminação pública, {municipality}"),
    "lighting.share": (
        "Public lighting, {municipality}: {share} of {of}",
        "Iluminação pública, {municipality}: {share} de {of}",
    ),
    "credit": ("Credit: {note}", "Crédito: {note}"),
    "late": ("Use of invoice {number}, {days}", "Consumo da fatura {number}, {days}"),
}
WINDOWS: Final[dict[str, Pair]] = {
    "peak": ("Peak hours", "Ponta"),
    "intermediate": ("Shoulder hours", "Intermediário"),
    "off_peak": ("Off-peak hours", "Fora de ponta"),
}
FLAGS: Final[dict[str, Pair]] = {
    "green": ("Green flag", "Bandeira verde"),
    "yellow": ("Yellow flag", "Bandeira amarela"),
    "red1": ("Red flag 1", "Bandeira vermelha 1"),
    "red2": ("Red flag 2", "Bandeira vermelha 2"),
}
_STEPS: Final[dict[str, Pair]] = {
    "up_to": ("up to {up_to} kWh", "até {up_to} kWh"),
    "between": ("from {above} to {up_to} kWh", "de {above} a {up_to} kWh"),
    "above": ("above {above} kWh", "acima de {above} kWh"),
}
_MONTHS: Final[tuple[Pair, ...]] = (
    ("January", "janeiro"),
    ("February", "fevereiro"),
    ("March", "março"),
    ("April", "abril"),
    ("May", "maio"),
    ("June", "junho"),
    ("July", "julho"),
    ("August", "agosto"),
    ("September", "setembro"),
    ("October", "outubro"),
    ("November", "novembro"),
    ("December", "dezembro"),
)
_TO_PORTUGUESE: Final = str.maketrans(",.", ".,")


class _Told(dict[str, str]):
    """Facts for a label; one that is not there is nothing."""

    def __missing__(self, key: str) -> str:
        return ""


def said(line: BillLine, language: str) -> str:
    """The line in words, in ``en`` or ``pt-BR``; a label that nobody wrote words for stands for itself."""
    side = int(language == PORTUGUESE)
    label = LABELS.get(line.label)
    return line.label if label is None else label[side].format_map(_told(line.facts, side))


def window_said(name: str, language: str) -> str:
    """A window's name in words, or as it is."""
    return WINDOWS.get(name, (name, name))[int(language == PORTUGUESE)]


def flag_said(colour: str, language: str) -> str:
    """A flag's name in words, or as it is."""
    return FLAGS.get(colour, (colour, colour))[int(language == PORTUGUESE)]


def _told(facts: Mapping[str, Any], side: int) -> _Told:
    told = _Told({name: str(value) for name, value in facts.items()})
    if "starts_on" in facts and "ends_on" in facts:
        last = _day(facts["ends_on"]) - timedelta(days=1)
        told["days"] = _days(_day(facts["starts_on"]), last, side)
    for name in ("used_kwh", "least_kwh"):
        if name in facts:
            told[name] = _number(facts[name], side)
    for name in ("discount", "share"):
        if name in facts:
            told[name] = _number(Decimal(str(facts[name])) * 100, side) + "%"
    if "of" in facts:
        told["of"] = _number(facts["of"], side)
    if "window" in facts:
        told["window"] = WINDOWS.get(told["window"], (told["window"],) * 2)[side]
    if "flag" in facts:
        told["flag"] = FLAGS.get(told["flag"], (told["flag"],) * 2)[side]
    if "above_kwh" in facts:
        above, up_to = Decimal(str(facts["above_kwh"])), facts.get("up_to_kwh")
        kind = "above" if up_to is None else "between" if above else "up_to"
        shown = {"above": _number(above, side), "up_to": "" if up_to is None else _number(up_to, side)}
        told["step"] = _STEPS[kind][side].format_map(shown)
    return told


def _day(value: Any) -> date:
    """A day as the bill has it, or as it comes back out of JSON."""
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _days(first: date, last: date, side: int) -> str:
    """``1–30 September`` or ``1 a 30 de setembro``, with years only where they differ."""
    month = _MONTHS[last.month - 1][side]
    of = ("", "de ")[side]
    if first == last:
        return f"{first.day} {of}{month}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}{('–', ' a ')[side]}{last.day} {of}{month}"
    years = (f" {of}{first.year}", f" {of}{last.year}") if first.year != last.year else ("", "")
    between = (" – ", " a ")[side]
    begun = f"{first.day} {of}{_MONTHS[first.month - 1][side]}{years[0]}"
    return f"{begun}{between}{last.day} {of}{month}{years[1]}"


def _number(value: Any, side: int) -> str:
    """Digits that mean something, grouped as the language groups them."""
    plain = f"{Decimal(str(value)):,f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain.translate(_TO_PORTUGUESE) if side else plain
