"""PostgreSQL for where alerts are posted to."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from eletrovia.metering.webhook import Webhook
from eletrovia.store.pool import Store

_COLUMNS: Final = "id, customer_id, url, secret, created_at, answered_at, failing_since, problem"
_PUT: Final = f"""
insert into alert_webhook (id, customer_id, url, secret, created_at)
select %(id)s, %(customer)s, %(url)s, %(secret)s, %(now)s
where (select count(*) from alert_webhook where customer_id is not distinct from %(customer)s) < %(most)s
on conflict on constraint alert_webhook_once do update set url = excluded.url
returning {_COLUMNS}
"""  # noqa: S608


class WebhookStore:
    """Reads and writes webhooks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, webhook: Webhook, most: int) -> Webhook | None:
        """The webhook that stands for this address; None where they have too many already."""
        # One connection at a time: as many of us as there are would wait for each other's second one.
        found = await self.of_url(webhook.customer_id, webhook.url)
        if found is not None:
            return found
        async with self._store.connection() as connection:
            rows = await connection.execute(
                _PUT,
                {
                    "id": webhook.id,
                    "customer": webhook.customer_id,
                    "url": webhook.url,
                    "secret": webhook.secret,
                    "now": webhook.created_at,
                    "most": most,
                },
            )
            row = await rows.fetchone()
        return None if row is None else _webhook(row)

    async def of_url(self, customer_id: str | None, url: str) -> Webhook | None:
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"select {_COLUMNS} from alert_webhook"  # noqa: S608
                " where customer_id is not distinct from %s and url = %s",
                (customer_id, url),
            )
            row = await rows.fetchone()
        return None if row is None else _webhook(row)

    async def of(self, customer_id: str | None) -> list[Webhook]:
        """A customer's, or the utility's; oldest first."""
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"select {_COLUMNS} from alert_webhook"  # noqa: S608
                " where customer_id is not distinct from %s order by created_at, id",
                (customer_id,),
            )
            return [_webhook(row) for row in await rows.fetchall()]

    async def one(self, webhook_id: str) -> Webhook | None:
        async with self._store.connection() as connection:
            rows = await connection.execute(
                f"select {_COLUMNS} from alert_webhook where id = %s",  # noqa: S608
                (webhook_id,),
            )
            row = await rows.fetchone()
        return None if row is None else _webhook(row)

    async def drop(self, webhook_id: str) -> None:
        """It goes, and what waits for it."""
        async with self._store.connection() as connection:
            await connection.execute("delete from alert_webhook where id = %s", (webhook_id,))

    async def took(self, webhook_id: str, now: datetime) -> None:
        """It answered."""
        async with self._store.connection() as connection:
            await connection.execute(
                "update alert_webhook set answered_at = %s, failing_since = null, problem = null"
                " where id = %s",
                (now, webhook_id),
            )

    async def failed(self, webhook_id: str, problem: str, now: datetime) -> None:
        async with self._store.connection() as connection:
            await connection.execute(
                "update alert_webhook set failing_since = coalesce(failing_since, %s), problem = %s"
                " where id = %s",
                (now, problem, webhook_id),
            )


def _webhook(row: tuple[Any, ...]) -> Webhook:
    return Webhook(
        id=row[0],
        customer_id=row[1],
        url=row[2],
        secret=row[3],
        created_at=row[4],
        answered_at=row[5],
        failing_since=row[6],
        problem=row[7],
    )
