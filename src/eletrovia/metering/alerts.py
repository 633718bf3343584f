"""What is done with alerts: raised once, told by every way people chose, listed, acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from eletrovia.base.clock import Clock, epoch_s
from eletrovia.base.errors import Conflict, Invalid, NotFound, Overloaded, Unavailable
from eletrovia.base.ids import Ids, new_secret
from eletrovia.metering import alertstore, deliverystore
from eletrovia.metering.alert import (
    FOR_CUSTOMERS,
    Alert,
    AlertKind,
    Channel,
    Finding,
    News,
    Preferences,
    Told,
)
from eletrovia.metering.alertfeed import AlertFeed
from eletrovia.metering.alertstore import AlertStore, Audience
from eletrovia.metering.alertwords import Language, words_of
from eletrovia.metering.deliverystore import Pending
from eletrovia.metering.section import Kept
from eletrovia.metering.webhook import Allowed, Poster, Refused, Webhook, document
from eletrovia.metering.webhookstore import WebhookStore
from eletrovia.store.pool import Connection, Store

MOST_WEBHOOKS: Final = 5
_FADES_AFTER: Final = timedelta(days=3)
_TEST_REST_S: Final = 10.0
TOLD_WHEN_OVER: Final = (AlertKind.BILL, AlertKind.SILENT, AlertKind.OUTAGE, AlertKind.BLOCKED)
"""The end of these is news, too."""


class Alerts:
    """One utility's alerts.

    Shape: ``ways`` are the channels that are there: without an SMTP server no mail is ever due.
    """

    name = "alerts"
    """Its member in what is told to a customer who asks for everything."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        ids: Ids,
        zone: ZoneInfo,
        ways: Collection[Channel],
        staff_has_mail: bool,
        allowed: Allowed,
        poster: Poster,
        secret: Callable[[], str] = new_secret,
    ) -> None:
        self._store = store
        self._rows = AlertStore(store)
        self._webhooks = WebhookStore(store)
        self._clock = clock
        self._ids = ids
        self._zone = zone
        self._ways = frozenset(ways)
        self._staff_has_mail = staff_has_mail
        self._tested: dict[str, float] = {}
        self._allowed = allowed
        self._poster = poster
        self._secret = secret
        self.feed = AlertFeed(self._rows)
        self.poke: Callable[[], None] = lambda: None
        """Called when something is due to be delivered."""

    # -- raising and clearing -------------------------------------------------------------------------------

    async def tell(self, findings: Sequence[Finding]) -> int:
        """Raise what is new, escalate what became worse; how many pieces of news that were.

        The same finding again, here or in another process at the same moment, is no news.
        """
        told = 0
        for finding in await self._rows.not_standing(findings) if findings else ():
            async with self._store.transaction() as connection:
                now = self._clock.now()
                found = await AlertStore.add(connection, finding, self._ids.new("alert"), now)
                if found is not None:
                    alert_id, news = found
                    told += await self._write_down(connection, alert_id, news, finding, now)
        self._wake(told)
        return told

    async def over(
        self, kind: AlertKind, subjects: Sequence[str], facts: dict[str, Any] | None = None
    ) -> int:
        """The open alerts of that kind about these subjects are over; how many were open."""
        if not subjects:
            return 0
        async with self._store.transaction() as connection:
            now = self._clock.now()
            facts = {"until": now.isoformat(), **(facts or {})}
            cleared = await AlertStore.clear(connection, kind, subjects, facts, now)
            if kind in TOLD_WHEN_OVER:
                for alert_id, finding in cleared:
                    await self._write_down(connection, alert_id, News.CLEARED, finding, now)
        self._wake(len(cleared))
        return len(cleared)

    async def fade(self) -> None:
        """What was true of a day or a period that is past is no longer open."""
        now = self._clock.now()
        await self._rows.fade(now, now - _FADES_AFTER, now.astimezone(self._zone).date())

    async def _write_down(
        self, connection: Connection, alert_id: str, news: News, finding: Finding, now: datetime
    ) -> int:
        """News, and to whom it is due by which way and when, in the transaction that made it news."""
        news_id = await AlertStore.news(connection, alert_id, news, finding, now)
        if news_id is None:
            return 0
        pending: list[Pending] = []
        whom = [finding.customer_id] if finding.customer_id is not None else []
        for customer_id in [*whom, None] if finding.for_staff else whom:
            audience = await AlertStore.audience(connection, customer_id)
            if audience is not None:
                pending += self._pending(audience, finding.kind, now)
        await deliverystore.add(connection, alert_id, news_id, pending, now)
        return 1

    def _pending(self, audience: Audience, kind: AlertKind, now: datetime) -> list[Pending]:
        wanted = audience.preferences
        if kind not in wanted.kinds:
            return []
        due_at = wanted.due_at(kind, now, self._zone)
        lanes: list[tuple[Channel, str, str | None]] = []
        ways = self._ways & set(wanted.channels)
        has_mail = self._staff_has_mail if audience.customer_id is None else bool(audience.email)
        if Channel.EMAIL in ways and has_mail:
            lanes.append((Channel.EMAIL, "email", None))
        if Channel.MQTT in ways:
            lanes.append((Channel.MQTT, "mqtt", None))
        if Channel.WEBHOOK in ways:
            lanes += [(Channel.WEBHOOK, one, one) for one in audience.webhooks]
        return [
            Pending(
                channel=channel,
                lane=lane,
                customer_id=audience.customer_id,
                webhook_id=webhook_id,
                due_at=due_at,
            )
            for channel, lane, webhook_id in lanes
        ]

    def _wake(self, news: int) -> None:
        if news:
            self.feed.poke()
            self.poke()

    # -- reading --------------------------------------------------------------------------------------------

    async def alerts(
        self,
        customer_id: str | None,
        language: Language,
        *,
        open_only: bool = False,
        kind: AlertKind | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Alert]:
        """A customer's alerts, newest first; everybody's without one. Worded in ``language``."""
        found = await self._rows.alerts(
            customer_id=customer_id, open_only=open_only, kind=kind, before=before, limit=limit
        )
        return [self.worded(alert, language) for alert in found]

    async def acknowledge(
        self, alert_id: str, customer_id: str | None, account_id: str, language: Language
    ) -> Alert:
        """Somebody has seen it; who came first stays. Raises: NotFound, also for somebody else's."""
        if not await self._rows.acknowledge(alert_id, customer_id, account_id, self._clock.now()):
            raise NotFound("alert.unknown", alert_id=alert_id)
        alert = await self._rows.alert(alert_id, customer_id)
        if alert is None:
            raise NotFound("alert.unknown", alert_id=alert_id)
        return self.worded(alert, language)

    async def told_after(self, news_id: int, customer_id: str | None, *, limit: int = 1000) -> list[Told]:
        """News somebody may hear of that came after one they have."""
        return await self._rows.told_after(news_id, customer_id, limit)

    def worded(self, alert: Alert, language: Language) -> Alert:
        """With its sentences."""
        news = News.RAISED if alert.cleared_at is None else News.CLEARED
        words = words_of(
            alert.kind, alert.facts, news=news, language=language, zone=self._zone, now=self._clock.now()
        )
        return msgspec.structs.replace(alert, title=words.title, text=words.text)

    # -- preferences ----------------------------------------------------------------------------------------

    async def preferences(self, customer_id: str | None) -> Preferences:
        """A customer's, or the utility's own."""
        return await self._rows.preferences(customer_id)

    async def prefer(self, customer_id: str | None, preferences: Preferences) -> Preferences:
        """Raises: Invalid."""
        preferences.check()
        if customer_id is not None:
            for kind in (*preferences.kinds, *preferences.urgent):
                if kind not in FOR_CUSTOMERS:
                    raise Invalid("alert.kind_is_for_staff", kind=kind.value)
        await self._rows.keep_preferences(customer_id, preferences, self._clock.now())
        return preferences

    # -- webhooks -------------------------------------------------------------------------------------------

    async def webhooks(self, customer_id: str | None) -> list[Webhook]:
        return await self._webhooks.of(customer_id)

    async def put_webhook(self, customer_id: str | None, url: str) -> Webhook:
        """The webhook for that address; asked again it is the same one.

        Raises: Invalid for an address that is not https or not public; Conflict for too many.
        """
        webhook = Webhook(
            id=self._ids.new("hook"),
            customer_id=customer_id,
            url=self._allowed.check(url),
            secret=self._secret(),
            created_at=self._clock.now(),
        )
        kept = await self._webhooks.put(webhook, MOST_WEBHOOKS)
        if kept is None:
            raise Conflict("webhook.too_many", allowed=MOST_WEBHOOKS)
        return kept

    async def drop_webhook(self, customer_id: str | None, webhook_id: str) -> None:
        """Raises: NotFound, also for somebody else's."""
        webhook = await self._own_webhook(customer_id, webhook_id)
        await self._webhooks.drop(webhook.id)

    async def test_webhook(self, customer_id: str | None, webhook_id: str) -> None:
        """Post something harmless there now.

        Raises: NotFound; Overloaded for a second test at once; Unavailable with what went wrong.
        """
        webhook = await self._own_webhook(customer_id, webhook_id)
        self._not_too_soon(webhook.id)
        now = self._clock.now()
        body = document(
            id=0, kind="test", news="raised", level="notice", title="Eletrovia", text="", facts={}
        )
        try:
            await self._poster.post(webhook, body, delivery=f"test-{epoch_s(now)}", timestamp=epoch_s(now))
        except Refused as refused:
            await self._webhooks.failed(webhook.id, refused.problem, now)
            raise Unavailable("webhook.test_failed", problem=refused.problem) from None
        await self._webhooks.took(webhook.id, now)

    def _not_too_soon(self, webhook_id: str) -> None:
        """Nobody makes us knock at somebody's door all day long."""
        now_s = self._clock.monotonic()
        self._tested = {one: at_s for one, at_s in self._tested.items() if now_s - at_s < _TEST_REST_S}
        if webhook_id in self._tested:
            raise Overloaded("webhook.test_too_soon", retry_after_s=int(_TEST_REST_S))
        self._tested[webhook_id] = now_s

    async def _own_webhook(self, customer_id: str | None, webhook_id: str) -> Webhook:
        webhook = await self._webhooks.one(webhook_id)
        if webhook is None or webhook.customer_id != customer_id:
            raise NotFound("webhook.unknown", webhook_id=webhook_id)
        return webhook

    # -- telling and erasing all of a customer (section.Section) --------------------------------------------

    async def export(self, customer_id: str) -> Any:
        """All that is kept of a customer's alerts."""
        found: list[Alert] = []
        while True:
            before = found[-1].id if found else None
            page = await self._rows.alerts(
                customer_id=customer_id, open_only=False, kind=None, before=before, limit=500
            )
            found += page
            if len(page) < 500:
                break
        return {
            "alerts": found,
            "preferences": await self.preferences(customer_id),
            "webhooks": [one.url for one in await self.webhooks(customer_id)],
        }

    async def settle(self, customer_id: str) -> None:
        """Nothing of alerts has to be finished first."""

    async def erase(self, connection: Connection, customer_id: str, now: datetime) -> Sequence[Kept]:
        """Nothing stays."""
        await alertstore.erase(connection, customer_id)
        return ()


def may_hear(told: Told, customer_id: str | None) -> bool:
    """Whether news is somebody's business: their own; everything is the staff's."""
    return customer_id is None or (told.alert.customer_id == customer_id and told.alert.kind in FOR_CUSTOMERS)
