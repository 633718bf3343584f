"""Prices of one utility: its tariff book, in its time zone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from eletrovia.base.errors import NotFound
from eletrovia.metering import pricing
from eletrovia.metering.bill import Bill, Measured, Terms
from eletrovia.metering.contract import Days
from eletrovia.metering.tariff import TariffBook


class Prices:
    """Says where a period has to be cut, and what it costs; the book is asked for anew each time."""

    def __init__(self, book: Callable[[], TariffBook], zone: ZoneInfo) -> None:
        self._book = book
        self.zone = zone

    def edges(self, terms: Terms, days: Days) -> list[datetime]:
        """The moments at which the register must be known. Raises: NotFound."""
        return pricing.edges(terms, self._book(), days.starts_on, days.ends_on, self.zone)

    def bill(self, terms: Terms, days: Days, measured: Sequence[Measured]) -> Bill:
        """What the days cost. Raises: NotFound."""
        return pricing.bill(terms, self._book(), self.zone, days.starts_on, days.ends_on, measured)

    def name(self, terms: Terms) -> str:
        """What the tariff is called. Raises: NotFound."""
        return self._book().tariff_for(terms.tariff_id, low_income=terms.low_income).name

    def check(self, terms: Terms) -> None:
        """Raises: NotFound for a tariff or a municipality that the book has not."""
        book = self._book()
        book.tariff_for(terms.tariff_id, low_income=terms.low_income)
        if terms.municipality and terms.municipality not in book.lighting:
            raise NotFound("lighting.unknown", municipality=terms.municipality)

    def midnight(self, day: date) -> datetime:
        """The moment a day begins."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)
