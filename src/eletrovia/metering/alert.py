"""Alerts: what somebody should hear of, when, by which way, and what makes two of them the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from eletrovia.metering.quiet import QuietHours, zone_named


class AlertKind(StrEnum):
    EXCESS = "excess"
    """More than this household uses at such hours."""
    BILL = "bill"
    """The period's bill is going to be another than the ones before."""
    SILENT = "silent"
    """A meter that has not been heard for too long."""
    OUTAGE = "outage"
    """A whole area's meters, or all of them, fell silent together."""
    REGISTER = "register"
    """Readings that a person has to look at."""
    BLOCKED = "blocked"
    """The supply is cut off; cleared, it is on again."""


class Level(IntEnum):
    NOTICE = 1
    WARNING = 2
    URGENT = 3


class News(StrEnum):
    """What there is to tell of an alert; each at most once, ``ESCALATED`` once a level."""

    RAISED = "raised"
    ESCALATED = "escalated"
    CLEARED = "cleared"


class Channel(StrEnum):
    """Ways to tell somebody. On the page everything is, always."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    MQTT = "mqtt"


FOR_CUSTOMERS: Final = (AlertKind.EXCESS, AlertKind.BILL, AlertKind.SILENT, AlertKind.BLOCKED)

COOL_DOWN: Final[dict[AlertKind, timedelta]] = {
    AlertKind.EXCESS: timedelta(hours=20),
    AlertKind.BILL: timedelta(days=5),
    AlertKind.SILENT: timedelta(hours=6),
    AlertKind.OUTAGE: timedelta(minutes=30),
    AlertKind.REGISTER: timedelta(hours=24),
    AlertKind.BLOCKED: timedelta(0),
}
"""How long after an alert nothing else of its kind is raised about the same subject. A meter that fails every
quarter of an hour is one alert a day; a supply cut off and put on again is told every time."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule has found. The same ``kind``, ``subject`` and ``period`` is the same alert, for ever.

    Shape:  ``facts`` are JSON values, which ``alertwords`` makes sentences of; without a customer it is for
            staff alone.
    """

    kind: AlertKind
    subject: str
    period: str
    level: Level
    facts: dict[str, Any]
    customer_id: str | None = None
    for_staff: bool = False
    usage_point_id: str | None = None
    meter: int | None = None
    cool_down: timedelta | None = None
    """Another than the kind's own."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it stands. ``text`` and ``advice`` are in the reader's language."""

    id: str
    kind: AlertKind
    level: Level
    period: str
    facts: dict[str, Any]
    customer_id: str | None
    usage_point_id: str | None
    raised_at: datetime
    cleared_at: datetime | None = None
    acknowledged_at: datetime | None = None
    title: str = ""
    text: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news of an alert. ``id`` grows; whoever follows names the last one they have."""

    id: int
    news: News
    told_at: datetime
    level: Level
    facts: dict[str, Any]
    alert: Alert
    for_staff: bool


class Preferences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts somebody wants to be sent, and how. Units: ``bill_share`` 0.2 is 20 % more or less."""

    kinds: tuple[AlertKind, ...] = (AlertKind.EXCESS, AlertKind.BILL, AlertKind.BLOCKED)
    channels: tuple[Channel, ...] = (Channel.EMAIL, Channel.WEBHOOK, Channel.MQTT)
    bill_share: Annotated[float, Meta(ge=0.05, le=5)] = 0.2
    quiet_hours: QuietHours | None = None
    urgent: tuple[AlertKind, ...] = ()
    """Kinds that are told in quiet hours all the same."""

    def check(self) -> None:
        """Raises: Invalid for quiet hours in a zone nobody knows."""
        if self.quiet_hours is not None and self.quiet_hours.zone:
            zone_named(self.quiet_hours.zone)

    def due_at(self, kind: AlertKind, now: datetime, zone: ZoneInfo) -> datetime:
        """When to tell of something that was found now. ``zone`` is the utility's."""
        quiet = self.quiet_hours
        if quiet is None or kind in self.urgent:
            return now
        return quiet.over(now, zone_named(quiet.zone) if quiet.zone else zone)


STAFF_PREFERENCES: Final = Preferences(
    kinds=(AlertKind.SILENT, AlertKind.OUTAGE, AlertKind.REGISTER),
)
"""What the utility itself hears of until its staff say otherwise."""
