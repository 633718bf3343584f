"""What customers do: claim a meter, move in and out, say who they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, Invalid, NotFound, Overloaded
from eletrovia.base.ids import Ids
from eletrovia.metering.access import unknown
from eletrovia.metering.customer import (
    Claimant,
    Customer,
    CustomerChanges,
    MoveIn,
    NewCustomer,
    Stay,
    tidy_address,
    tidy_email,
    tidy_name,
    tidy_tax_id,
)
from eletrovia.metering.customerstore import CustomerStore
from eletrovia.metering.meter import claim_code_sha256, past_moment
from eletrovia.store.pool import Store

TRIES: Final = 10
TRIES_SPAN: Final = timedelta(minutes=15)


class Customers:
    """One utility's customers."""

    def __init__(self, store: Store, *, clock: Clock, ids: Ids) -> None:
        self._rows = CustomerStore(store)
        self._clock = clock
        self._ids = ids

    async def claim(self, claimant: Claimant, meter_id: str, code: str) -> Stay:
        """The usage point where a meter hangs is the claimant's from now on; they become a customer by it.

        What was counted before is not theirs to see. Claiming again what is theirs changes nothing.
        Raises: NotFound ``meter.claim_refused``, be it the meter or the code; Conflict ``meter.claimed``
                to whoever shows the right code too late; Overloaded after too many tries.
        """
        now = self._clock.now()
        tries, since = await self._rows.count_try(claimant.account_id, now, now - TRIES_SPAN)
        if tries > TRIES:
            wait_s = int((since + TRIES_SPAN - now).total_seconds()) + 1
            raise Overloaded("meter.claim_too_many_tries", tries=TRIES, retry_after_s=wait_s)
        # Counted before the look, so that many at once are not one; and not forgotten after a right code, or
        # whoever has a meter of their own could guess at others for ever.
        try:
            customer_id, usage_point_id = await self._rows.claim(
                claimant, self._ids.new("cust"), meter_id, claim_code_sha256(code), now
            )
        except Conflict:
            await self._rows.give_try_back(claimant.account_id)
            raise
        await self._rows.give_try_back(claimant.account_id)
        return (await self._stay_now(usage_point_id, customer_id)) or _gone(usage_point_id)

    # -- who they are --------------------------------------------------------------------------------------

    async def add(self, new: NewCustomer) -> Customer:
        """Raises: Invalid; Conflict for an account that is a customer already."""
        customer = Customer(
            id=self._ids.new("cust"),
            account_id=new.account_id,
            name=tidy_name(new.name),
            tax_id=tidy_tax_id(new.tax_id or ""),
            email=tidy_email(new.email or ""),
            address=tidy_address(new.address),
            language=new.language,
            created_at=self._clock.now(),
        )
        await self._rows.add(customer)
        return customer

    async def customer(self, customer_id: str) -> Customer:
        """Raises: NotFound."""
        customer = await self._rows.customer(customer_id)
        if customer is None:
            raise NotFound("customer.unknown", customer_id=customer_id)
        return customer

    async def of_account(self, account_id: str) -> Customer:
        """The customer whose account this is. Raises: NotFound."""
        customer_id = await self._rows.customer_id_of(account_id)
        if customer_id is None:
            raise NotFound("customer.none_yet")
        return await self.customer(customer_id)

    async def customers(self, *, words: str = "", after: str = "", limit: int = 100) -> list[Customer]:
        """A page of customers by id; ``words`` are of a name, or a whole id, e-mail address or tax number."""
        words = words.strip()
        try:
            tax_id = tidy_tax_id(words)
        except Invalid:
            tax_id = None
        return await self._rows.customers(words=words or None, tax_id=tax_id, after=after, limit=limit)

    async def change(self, customer_id: str, changes: CustomerChanges) -> Customer:
        """Raises: Invalid; NotFound; Conflict for a customer who was erased."""
        columns: dict[str, str | None] = {}
        if changes.name is not None:
            columns["name"] = tidy_name(changes.name)
        if changes.tax_id is not None:
            columns["tax_id"] = tidy_tax_id(changes.tax_id)
        if changes.email is not None:
            columns["email"] = tidy_email(changes.email)
        if changes.address is not None:
            columns["address"] = tidy_address(changes.address)
        if changes.language is not None:
            columns["language"] = changes.language
        if not await self._rows.change(customer_id, columns):
            await self.customer(customer_id)
            raise Conflict("customer.erased")
        return await self.customer(customer_id)

    # -- where they live -----------------------------------------------------------------------------------

    async def stays(self, customer_id: str) -> list[Stay]:
        """Everywhere a customer lives or lived, oldest first."""
        return await self._rows.stays_of(customer_id)

    async def stays_in(self, usage_point_id: str) -> list[Stay]:
        """Everybody who lives or lived at a usage point, oldest first."""
        return await self._rows.stays_in(usage_point_id)

    async def move_in(self, usage_point_id: str, asked: MoveIn) -> Stay:
        """Staff says who lives there, without a code.

        Raises: Invalid; NotFound; Conflict ``usage_point.occupied``.
        """
        now = self._clock.now()
        from_at = now if asked.from_at is None else past_moment("from_at", asked.from_at, now)
        await self._rows.move_in(usage_point_id, asked.customer_id, from_at, taking_over=asked.taking_over)
        return (await self._stay_now(usage_point_id, asked.customer_id)) or _gone(usage_point_id)

    async def move_out(self, usage_point_id: str, *, at: datetime | None = None) -> None:
        """Staff says that whoever lives there has left. Raises: Invalid; Conflict when nobody does."""
        now = self._clock.now()
        if not await self._rows.move_out(usage_point_id, now if at is None else past_moment("at", at, now)):
            raise Conflict("usage_point.nobody_there", usage_point_id=usage_point_id)

    async def leave(self, account_id: str, meter_id: str) -> None:
        """A customer leaves the place where this meter hangs, now: no bill is escaped by an earlier date.

        Raises: NotFound, also for what is somebody else's.
        """
        customer_id = await self._rows.customer_id_of(account_id)
        place = await self._rows.place_of(meter_id)
        if (
            customer_id is None
            or place is None
            or not await self._rows.move_out(place[1], self._clock.now(), customer_id=customer_id)
        ):
            raise unknown(meter_id)

    async def _stay_now(self, usage_point_id: str, customer_id: str) -> Stay | None:
        stays = await self._rows.stays_in(usage_point_id)
        return next((one for one in reversed(stays) if one.customer_id == customer_id), None)


def _gone(usage_point_id: str) -> Stay:
    raise Conflict("usage_point.nobody_there", usage_point_id=usage_point_id)
