"""One operator's alerts, put together from its settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Invalid
from eletrovia.base.ids import Ids
from eletrovia.bus.bus import Bus
from eletrovia.metering.alert import Channel
from eletrovia.metering.alerts import Alerts
from eletrovia.metering.alertwatch import AlertWatch
from eletrovia.metering.billahead import BillsAhead
from eletrovia.metering.delivery import Courier, Teller
from eletrovia.metering.deliverystore import DeliveryStore
from eletrovia.metering.mail import Mailer, SmtpUrl
from eletrovia.metering.telling import ByMail, ByMqtt, ByWebhook
from eletrovia.metering.watchstore import WatchStore
from eletrovia.metering.webhook import Allowed, Poster
from eletrovia.metering.webhookstore import WebhookStore
from eletrovia.runtime.config import AlertsSection, Config
from eletrovia.runtime.metrics import Tallies
from eletrovia.store.pool import Store


class Alerting:
    """Watching, telling and delivering inside an operator's server; ``running`` starts and stops them."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        bus: Bus,
        clock: Clock,
        ids: Ids,
        zone: ZoneInfo,
        registry: CollectorRegistry,
        bills: BillsAhead | None,
    ) -> None:
        """Raises: Invalid for a mail server that cannot be one."""
        settings = config.alerts
        allowed = Allowed(_listed(settings.webhook_hosts))
        self._poster = Poster(allowed)
        self._mailer = _mailer(settings, config.operator.name)
        tellers: dict[Channel, Teller] = {
            Channel.MQTT: ByMqtt(bus, clock, zone),
            Channel.WEBHOOK: ByWebhook(self._poster, WebhookStore(store), clock, zone),
        }
        if self._mailer is not None:
            tellers[Channel.EMAIL] = ByMail(
                self._mailer,
                clock,
                zone,
                staff=_listed(settings.staff_email),
                page_url=config.public_url,
            )
        self.courier = Courier(DeliveryStore(store, staff_language="pt-BR"), tellers, clock)
        Tallies(registry, "eletrovia_alert_deliveries", "Alerts on their way", self.courier.counts)
        self.alerts = Alerts(
            store,
            clock=clock,
            ids=ids,
            zone=zone,
            ways=tellers,
            staff_has_mail=bool(_listed(settings.staff_email)),
            allowed=allowed,
            poster=self._poster,
        )
        self.alerts.poke = self.courier.poke
        self.watch = AlertWatch(
            WatchStore(store, zone),
            self.alerts,
            clock=clock,
            zone=zone,
            bills=bills,
            silent_intervals=settings.silent_intervals,
            confidence=settings.bill_confidence,
        )

    def touched(self, meters: NDArray[np.int32]) -> None:
        """Usage of these meters changed."""
        self.watch.touched(meters.tolist())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work until the block ends; what was not delivered by then is after the next start."""
        workers = [
            asyncio.create_task(work)
            for work in (self.watch.run(), self.courier.run(), self.alerts.feed.run())
        ]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._poster.close()
            if self._mailer is not None:
                self._mailer.close()


def _mailer(settings: AlertsSection, sender_name: str) -> Mailer | None:
    if not settings.smtp_url:
        return None
    if "@" not in settings.mail_from:
        raise Invalid("config.mail_from_missing")
    return Mailer(SmtpUrl.parse(settings.smtp_url), sender=settings.mail_from, sender_name=sender_name)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
