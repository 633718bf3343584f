"""The ways to tell somebody of an alert: by mail, to a webhook, over MQTT."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from eletrovia.base.clock import Clock, epoch_s
from eletrovia.base.errors import EletroviaError
from eletrovia.bus.bus import Bus
from eletrovia.metering.alertwords import Language, Words, words_of
from eletrovia.metering.delivery import Undelivered
from eletrovia.metering.deliverystore import Delivery
from eletrovia.metering.mail import Mail, Mailer, MailRefused
from eletrovia.metering.webhook import Poster, Refused, document
from eletrovia.metering.webhookstore import WebhookStore

STAFF_TOPIC = "staff/alerts"


class ByMail:
    """To the customer's address, in their language; to the staff's addresses from the settings."""

    def __init__(
        self, mailer: Mailer, clock: Clock, zone: ZoneInfo, *, staff: Sequence[str], page_url: str
    ) -> None:
        self._mailer = mailer
        self._clock = clock
        self._zone = zone
        self._staff = tuple(staff)
        self._page_url = page_url

    async def tell(self, delivery: Delivery) -> None:
        """Raises: Undelivered."""
        to = self._staff if delivery.customer_id is None else (delivery.email,)
        addresses = tuple(one for one in to if one)
        if not addresses:
            raise Undelivered("mail.no_address", for_good=True)
        language = language_of(delivery)
        words = told(delivery, self._zone, self._clock)
        text = f"{words.text}\n\n{self._page_url}\n"
        mail = Mail(
            id=f"alert-{delivery.news_id}-{delivery.customer_id or 'staff'}",
            to=addresses,
            subject=words.title,
            text=text,
            html=_html(words, self._page_url, language),
            written_at=delivery.told_at.astimezone(self._zone),
        )
        try:
            await self._mailer.send(mail)
        except MailRefused as refused:
            raise Undelivered(
                refused.problem, for_good=refused.for_good, all_of_them=refused.all_of_them
            ) from None


class ByWebhook:
    """Posted, signed."""

    def __init__(self, poster: Poster, webhooks: WebhookStore, clock: Clock, zone: ZoneInfo) -> None:
        self._poster = poster
        self._webhooks = webhooks
        self._clock = clock
        self._zone = zone

    async def tell(self, delivery: Delivery) -> None:
        """Raises: Undelivered."""
        webhook = await self._webhooks.one(delivery.webhook_id or "")
        if webhook is None:
            raise Undelivered("webhook.unknown", for_good=True)
        now = self._clock.now()
        try:
            await self._poster.post(
                webhook,
                body_of(delivery, self._zone, self._clock),
                delivery=f"{delivery.news_id}-{webhook.id}",
                timestamp=epoch_s(now),
            )
        except Refused as refused:
            await self._webhooks.failed(webhook.id, refused.problem, now)
            raise Undelivered(refused.problem, for_good=refused.for_good, all_of_them=True) from None
        if webhook.failing_since is not None or webhook.answered_at is None:
            await self._webhooks.took(webhook.id, now)


class ByMqtt:
    """On ``customers/{id}/alerts``, the staff's on ``staff/alerts``."""

    def __init__(self, bus: Bus, clock: Clock, zone: ZoneInfo) -> None:
        self._bus = bus
        self._clock = clock
        self._zone = zone

    async def tell(self, delivery: Delivery) -> None:
        """Returns when the broker has it. Raises: Undelivered."""
        topic = STAFF_TOPIC if delivery.customer_id is None else f"customers/{delivery.customer_id}/alerts"
        if not self._bus.connected:  # it would be kept and sent later, and by then we had tried again
            raise Undelivered("mqtt.unreachable", all_of_them=True)
        try:
            await self._bus.publish(topic, body_of(delivery, self._zone, self._clock))
            await self._bus.flush()
        except EletroviaError as failure:
            raise Undelivered(failure.code, all_of_them=True) from None


def body_of(delivery: Delivery, zone: ZoneInfo, clock: Clock) -> bytes:
    """The document that webhooks and MQTT carry."""
    words = told(delivery, zone, clock)
    return document(
        id=delivery.news_id,
        alert_id=delivery.alert_id,
        kind=delivery.kind.value,
        news=delivery.news.value,
        level=delivery.level.name.lower(),
        title=words.title,
        text=words.text,
        usage_point_id=delivery.usage_point_id,
        facts=delivery.facts,
        raised_at=delivery.raised_at,
        told_at=delivery.told_at,
    )


def told(delivery: Delivery, zone: ZoneInfo, clock: Clock) -> Words:
    """A delivery's sentences, as of now."""
    return words_of(
        delivery.kind,
        delivery.facts,
        news=delivery.news,
        language=language_of(delivery),
        zone=zone,
        now=clock.now(),
    )


def language_of(delivery: Delivery) -> Language:
    return "en" if delivery.language == "en" else "pt-BR"


def _html(words: Words, page_url: str, language: str) -> str:
    paragraphs = "".join(f"<p>{escape(one)}</p>" for one in words.text.split("\n") if one)
    link: Any = escape(page_url, quote=True)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"></head>'
        '<body style="font-family:sans-serif;max-width:36em;margin:1em auto;color:#222">'
        f'<h1 style="font-size:1.3em">{escape(words.title)}</h1>{paragraphs}'
        f'<p><a href="{link}">{link}</a></p></body></html>'
    )
