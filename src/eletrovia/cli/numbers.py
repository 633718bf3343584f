"""Numbers as people write them, in English and in Brazilian Portuguese."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from eletrovia.base.money import cents
from eletrovia.people.account import Language

_SIGNS: Final = {"BRL": "R$", "EUR": "€", "USD": "US$"}
_TO_PORTUGUESE: Final = str.maketrans(",.", ".,")


def number(value: float | Decimal, language: Language, places: int = 0) -> str:
    """``1,234.5`` or ``1.234,5``."""
    written = f"{value:,.{places}f}"
    return written.translate(_TO_PORTUGUESE) if language is Language.PORTUGUESE else written


def money(amount: Decimal, currency: str, language: Language) -> str:
    """``R$ 1.234,50``."""
    return f"{_SIGNS.get(currency, currency)} {number(cents(amount), language, 2)}"


def percent(share: float) -> str:
    """A share of one as whole percents."""
    return f"{round(share * 100)}%"


def duration(minutes: int) -> str:
    """``2 h 05`` or ``45 min``."""
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02}" if hours else f"{rest} min"
