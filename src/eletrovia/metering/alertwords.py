"""Alerts in words: what was noticed, and what to do about it, in English and in Portuguese."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from eletrovia.metering.alert import AlertKind, News

Language = Literal["en", "pt-BR"]


class Words(msgspec.Struct, frozen=True):
    """A line, and some sentences: the last one says what to do."""

    title: str
    text: str


_Both = tuple[str, str]

_TITLES: Final[dict[str, _Both]] = {
    "excess.hours": ("More electricity than usual", "Mais energia que o normal"),
    "excess.day": (
        "A day with much more electricity than usual",
        "Um dia com muito mais energia que o normal",
    ),
    "excess.base": ("Something is on all the time", "Algo está ligado o tempo todo"),
    "bill.up": ("Your bill is going to be {percent} higher", "Sua conta vai ficar {percent} mais alta"),
    "bill.down": ("Your bill is going to be {percent} lower", "Sua conta vai ficar {percent} mais baixa"),
    "bill.over": ("Your bill is back to normal", "Sua conta voltou ao normal"),
    "silent": ("Meter {meter_id} is silent", "O medidor {meter_id} está em silêncio"),
    "silent.over": ("Meter {meter_id} is heard again", "O medidor {meter_id} voltou a responder"),
    "outage": ("{area}: {silent} meters fell silent", "{area}: {silent} medidores em silêncio"),
    "outage.over": ("{area}: meters are heard again", "{area}: os medidores voltaram a responder"),
    "register": ("Readings of meter {meter_id} need a look", "Leituras do medidor {meter_id} pedem atenção"),
    "blocked": ("Your electricity has been cut off", "O fornecimento de energia foi suspenso"),
    "blocked.over": ("Your electricity is back on", "O fornecimento de energia foi religado"),
}

_TEXTS: Final[dict[str, _Both]] = {
    "excess.hours": (
        "{day} between {from_hour} and {until_hour} h you used {used} kWh{times}.\n"
        "Is a heater, an oven or an air conditioner still on?",
        "{day}, entre {from_hour} h e {until_hour} h, você usou {used} kWh{times}.\n"
        "Será que um aquecedor, forno ou ar-condicionado ficou ligado?",
    ),
    "excess.day": (
        "{day} you used {used} kWh{times}.\n"
        "If that was not meant, look for what stayed on: a heater, an air conditioner, a pump.",
        "{day} você usou {used} kWh{times}.\n"
        "Se não foi de propósito, veja o que ficou ligado: aquecedor, ar-condicionado, bomba.",
    ),
    "excess.base": (
        "Even in the quietest hours your home has drawn {used_w} W for two days; {usual_w} W is usual. "
        "That is about {month_kwh} kWh more a month.\n"
        "Switch off what you do not need, one thing after the other, and watch the live page: a fridge "
        "whose door leaks, a pump, or a fault in the wiring shows there.",
        "Mesmo nas horas mais calmas sua casa consome {used_w} W há dois dias; o normal é {usual_w} W. "
        "São cerca de {month_kwh} kWh a mais por mês.\n"
        "Desligue um aparelho de cada vez e acompanhe a página ao vivo: uma geladeira que não veda, "
        "uma bomba ou uma fuga na fiação aparecem ali.",
    ),
    "bill.up": (
        "We expect about {expected} for the period until {ends_on} ({low} to {high}).{month}{year}\n"
        "There are {days_left} days left to use less: showers, air conditioning and ovens count most.",
        "Prevemos cerca de {expected} no período até {ends_on} (de {low} a {high}).{month}{year}\n"
        "Faltam {days_left} dias para economizar: chuveiro, ar-condicionado e forno pesam mais.",
    ),
    "bill.down": (
        "We expect about {expected} for the period until {ends_on} ({low} to {high}).{month}{year}\n"
        "Nothing needs to be done. If nobody is away, check that every circuit works.",
        "Prevemos cerca de {expected} no período até {ends_on} (de {low} a {high}).{month}{year}\n"
        "Nada a fazer. Se ninguém está viajando, veja se todos os circuitos funcionam.",
    ),
    "bill.over": (
        "By now we expect the period until {ends_on} to cost about as much as before.\n"
        "Nothing needs to be done.",
        "Agora prevemos que o período até {ends_on} custará mais ou menos o mesmo de antes.\nNada a fazer.",
    ),
    "silent": (
        "It was last heard on {last_at}; it should be heard every {interval}.\n"
        "Check its power and its network; usage in between will be estimated.",
        "Foi ouvido pela última vez em {last_at}; deveria enviar a cada {interval}.\n"
        "Verifique a alimentação e a rede; o consumo nesse intervalo será estimado.",
    ),
    "silent.over": (
        "It was silent from {last_at} to {until}.\nNothing needs to be done.",
        "Ficou em silêncio de {last_at} a {until}.\nNada a fazer.",
    ),
    "outage": (
        "{silent} of {meters} meters were last heard around {since}.\n"
        "An interruption of supply, a concentrator or the network: look there first, not at single meters.",
        "{silent} de {meters} medidores foram ouvidos pela última vez por volta de {since}.\n"
        "Falta de energia, concentrador ou rede: olhe primeiro aí, não em cada medidor.",
    ),
    "outage.over": (
        "The silence that began around {since} is over since {until}.\nNothing needs to be done.",
        "O silêncio que começou por volta de {since} acabou em {until}.\nNada a fazer.",
    ),
    "register": (
        "Marked since {since}: {marks}. Bills over it wait until somebody decides.\n"
        "Accept or exclude the readings, or have the meter looked at.",
        "Marcado desde {since}: {marks}. As contas desse período esperam por uma decisão.\n"
        "Aceite ou exclua as leituras, ou mande verificar o medidor.",
    ),
    "blocked": (
        "The supply at {usage_point_id} (meter {meter_id}) was cut off on {since}.\n"
        "Please get in touch with us; if this is a mistake we will put it right.",
        "O fornecimento em {usage_point_id} (medidor {meter_id}) foi suspenso em {since}.\n"
        "Entre em contato conosco; se for um engano, nós corrigimos.",
    ),
    "blocked.over": (
        "The supply at {usage_point_id} (meter {meter_id}) is on again since {until}.\n"
        "If something does not work, check the main breaker.",
        "O fornecimento em {usage_point_id} (medidor {meter_id}) foi religado em {until}.\n"
        "Se algo não funcionar, verifique o disjuntor geral.",
    ),
}

_MARKS: Final[dict[str, _Both]] = {
    "backwards": ("a register that went back", "registrador que voltou atrás"),
    "jump": ("a jump no fuse allows", "salto que nenhum disjuntor permite"),
    "conflict": ("two values for one moment", "dois valores para o mesmo instante"),
}
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MESES: Final = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho",
    "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
)  # fmt: skip


def words_of(
    kind: AlertKind,
    facts: Mapping[str, Any],
    *,
    news: News,
    language: Language,
    zone: ZoneInfo,
    now: datetime,
) -> Words:
    """What to say of an alert. ``zone`` is where its days and hours are counted."""
    key = _key(kind, facts, news)
    place = 0 if language == "en" else 1
    filled = {
        name: value for name, value in _filling(kind, facts, language, zone, now).items() if value is not None
    }
    title = _TITLES[key][place].format_map(_Known(filled))
    text = _TEXTS[key][place].format_map(_Known(filled))
    if news is News.ESCALATED:
        title = ("It got worse: ", "Piorou: ")[place] + title[0].lower() + title[1:]
    return Words(title, text)


class _Known(dict[str, str]):
    """Facts that are not there are left out: never an error instead of an alert."""

    def __missing__(self, name: str) -> str:
        return "?"


def _key(kind: AlertKind, facts: Mapping[str, Any], news: News) -> str:
    if kind is AlertKind.EXCESS:
        return f"excess.{facts.get('pattern', 'day')}"
    if news is News.CLEARED and f"{kind}.over" in _TITLES:
        return f"{kind}.over"
    if kind is AlertKind.BILL:
        return "bill.up" if facts.get("up") else "bill.down"
    return kind.value


def _filling(
    kind: AlertKind, facts: Mapping[str, Any], language: Language, zone: ZoneInfo, now: datetime
) -> dict[str, str | None]:
    told: dict[str, str | None] = {
        name: str(value)
        for name, value in facts.items()
        if isinstance(value, (str, int)) and not isinstance(value, bool)
    }
    for name in ("last_at", "since", "until"):
        if name in facts:
            told[name] = _moment(datetime.fromisoformat(facts[name]), language, zone, now)
    english = language == "en"
    match kind:
        case AlertKind.EXCESS:
            used, usual = float(facts["used_wh"]), float(facts["usual_wh"])
            told |= {
                "day": _day(date.fromisoformat(facts["day"]), language, now.astimezone(zone).date()),
                "used": _number(used / 1000, 1, language),
                "times": _times(used, usual, language),
                "used_w": _number(used, 0, language),
                "usual_w": _number(usual, 0, language),
                "month_kwh": _number((used - usual) * 0.72, 0, language),
            }
        case AlertKind.BILL:
            currency = str(facts["currency"])
            for name in ("expected", "low", "high"):
                told[name] = money(Decimal(facts[name]), currency, language)
            told["percent"] = _number(abs(float(facts["share"])) * 100, 0, language) + " %"
            told["ends_on"] = _date(date.fromisoformat(facts["ends_on"]), language)
            told |= {"month": "", "year": ""}
            if facts.get("month_ago"):
                was = money(Decimal(facts["month_ago"]), currency, language)
                told["month"] = f" Last month it was {was}." if english else f" No mês passado foi {was}."
            if facts.get("year_ago"):
                was = money(Decimal(facts["year_ago"]), currency, language)
                told["year"] = f" A year ago it was {was}." if english else f" Há um ano foi {was}."
        case AlertKind.OUTAGE:
            told["area"] = str(facts["area"]) or ("Everywhere" if english else "Em toda parte")
        case AlertKind.REGISTER:
            named = [_MARKS.get(one, (one, one))[0 if english else 1] for one in facts.get("kinds", ())]
            told["marks"] = ", ".join(named)
        case AlertKind.SILENT:
            told["interval"] = _span(int(facts["interval_s"]))
        case AlertKind.BLOCKED:
            pass
    return told


def money(amount: Decimal, currency: str, language: Language) -> str:
    """``R$ 1.234,50`` in Portuguese; ``R$ 1,234.50`` in English."""
    sign = {"BRL": "R$"}.get(currency, currency)
    plain = f"{amount:,.2f}"
    return f"{sign} {plain if language == 'en' else plain.translate(_COMMAS)}"


_COMMAS: Final = str.maketrans(",.", ".,")


def _number(value: float, places: int, language: Language) -> str:
    plain = f"{value:,.{places}f}"
    return plain if language == "en" else plain.translate(_COMMAS)


def _times(used: float, usual: float, language: Language) -> str:
    if usual < 0.05 * used:
        return ""
    times, was = _number(used / usual, 1, language), _number(usual / 1000, 1, language)
    if language == "en":
        return f", {times} times your usual {was}"
    return f", {times} vezes o seu normal de {was}"


def _day(day: date, language: Language, today: date) -> str:
    match (today - day).days:
        case 0:
            return "Today" if language == "en" else "Hoje"
        case 1:
            return "Yesterday" if language == "en" else "Ontem"
    return f"On {_date(day, language)}" if language == "en" else f"Em {_date(day, language)}"


def _date(day: date, language: Language) -> str:
    if language == "en":
        return f"{day.day} {_MONTHS[day.month - 1]}"
    return f"{day.day} de {_MESES[day.month - 1]}"


def _moment(at: datetime, language: Language, zone: ZoneInfo, now: datetime) -> str:
    local = at.astimezone(zone)
    year = "" if local.year == now.astimezone(zone).year else f" {local.year}"
    return f"{_date(local.date(), language)}{year}, {local:%H:%M}"


def _span(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"
