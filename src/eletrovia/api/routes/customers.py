"""/api/v1/customers: who they are, where they live, and what is kept about them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import Body, FromPath, QueryParameter

from eletrovia.api.auth import Asked, signed_in, staff_only
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.metering.access import Access
from eletrovia.metering.customer import Customer, CustomerChanges, NewCustomer, Stay
from eletrovia.metering.customers import Customers
from eletrovia.metering.meter import Meter
from eletrovia.metering.meters import Meters
from eletrovia.metering.privacy import Erased, Privacy
from eletrovia.people.people import People


class CustomerSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A customer, and everywhere they live or lived, oldest first."""

    customer: Customer
    stays: list[Stay]


class CustomerPage(msgspec.Struct, frozen=True, kw_only=True):
    """Customers by id. ``next`` is the ``after`` of the following page; null on the last."""

    customers: list[Customer]
    next: str | None = None


class EraseMe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account's password: nobody is erased by a token that was left lying about."""

    password: Annotated[str, msgspec.Meta(max_length=512)]


NEW = {
    "name": "Padaria Exemplo Ltda.",
    "tax_id": "12.ABC.345/01DE-35",
    "email": "contas@example.org",
    "address": "Rua das Trincheiras 1\nJoão Pessoa",
    "language": "pt-BR",
}
_CHANGES = {"address": "Av. Epitácio Pessoa 1000\nJoão Pessoa", "email": ""}
_EXPORT = (
    "Who the customer is, where they lived, what was counted there in that time by day, and every other "
    "part's share (LGPD art. 18 II and V). Nothing about whoever lived there before or after."
)
_ERASE = (
    "Name, account, tax number, e-mail and address go; stays end; of readings only day values stay. Invoices "
    "stay as long as the tax law demands: the answer's `kept` says what, until when and by which law."
)


def customers(
    customers: Customers, meters: Meters, privacy: Privacy, access: Access, people: People
) -> Router:
    """One's own customer data, and everybody's for staff."""

    async def mine(request: Asked) -> Customer:
        return await customers.of_account(request.user.account_id)

    async def sheet(customer: Customer) -> CustomerSheet:
        return CustomerSheet(customer=customer, stays=await customers.stays(customer.id))

    @get("/me", responses=problems(404, signed_in=True), summary="Me as a customer", tags=["metering"])
    async def me(request: Asked) -> CustomerSheet:
        """404 until a meter was claimed."""
        return await sheet(await mine(request))

    @get("/me/meters", responses=problems(signed_in=True), summary="My meters", tags=["metering"])
    async def my_meters(request: Asked) -> list[Meter]:
        """Those that hang where you live now."""
        sights = await access.sights(request.user.account_id)
        return [await meters.meter(sight.meter_id) for sight in sights if sight.now]

    @patch(
        "/me",
        responses=problems(404, body=True, signed_in=True),
        summary="Change what is known of me",
        tags=["metering"],
    )
    async def change_me(
        request: Asked, data: Annotated[CustomerChanges, Body(examples=example("moved", _CHANGES))]
    ) -> Customer:
        """What is left out stays; "" takes it away."""
        return await customers.change((await mine(request)).id, data)

    @get(
        "/me/export",
        responses=problems(404, signed_in=True),
        summary="Everything kept about me",
        description=_EXPORT,
        tags=["metering"],
    )
    async def export_me(request: Asked) -> Response[dict[str, Any]]:
        return _document(await privacy.export((await mine(request)).id))

    @delete(
        "/me",
        status_code=200,
        responses=problems(404, 409, 429, body=True, signed_in=True),
        summary="Erase me",
        description=f"{_ERASE} The account itself stays; it is a customer's no more.",
        tags=["metering"],
    )
    async def erase_me(
        request: Asked,
        data: Annotated[EraseMe, Body(examples=example("sure", {"password": "a long sentence"}))],
    ) -> Erased:
        customer = await mine(request)
        await people.confirm(request.user.account_id, data.password)
        return await privacy.erase(customer.id)

    @get(
        "/",
        guards=[staff_only],
        responses=problems(403, 422, signed_in=True),
        summary="Customers (staff)",
        tags=["metering"],
    )
    async def listed(
        q: Annotated[
            str,
            QueryParameter(
                max_length=100, description="Words of a name; or a whole id, e-mail, CPF or CNPJ."
            ),
        ] = "",
        after: Annotated[str, QueryParameter(max_length=64, description="A customer's id.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> CustomerPage:
        """By id, a page at a time. An erased customer is found by nothing but the id."""
        found = await customers.customers(words=q, after=after, limit=limit)
        return CustomerPage(customers=found, next=found[-1].id if len(found) == limit else None)

    @post(
        "/",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Take in a customer (staff)",
        tags=["metering"],
    )
    async def add(data: Annotated[NewCustomer, Body(examples=example("a company", NEW))]) -> Customer:
        """With `account_id` that account may log in as this customer."""
        if data.account_id is not None:
            await people.account(data.account_id)
        return await customers.add(data)

    @get(
        "/{customer_id:str}",
        guards=[staff_only],
        responses=problems(403, 404, signed_in=True),
        summary="One customer (staff)",
        tags=["metering"],
    )
    async def one(customer_id: FromPath[str]) -> CustomerSheet:
        """Who they are and where they lived."""
        return await sheet(await customers.customer(customer_id))

    @patch(
        "/{customer_id:str}",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Change a customer (staff)",
        tags=["metering"],
    )
    async def change(
        customer_id: FromPath[str],
        data: Annotated[CustomerChanges, Body(examples=example("moved", _CHANGES))],
    ) -> Customer:
        """What is left out stays; "" takes it away."""
        return await customers.change(customer_id, data)

    @get(
        "/{customer_id:str}/export",
        guards=[staff_only],
        responses=problems(403, 404, signed_in=True),
        summary="Everything kept about a customer (staff)",
        description=_EXPORT,
        tags=["metering"],
    )
    async def export(customer_id: FromPath[str]) -> Response[dict[str, Any]]:
        return _document(await privacy.export(customer_id))

    @delete(
        "/{customer_id:str}",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, signed_in=True),
        summary="Erase a customer (staff)",
        description=_ERASE,
        tags=["metering"],
    )
    async def erase(customer_id: FromPath[str]) -> Erased:
        return await privacy.erase(customer_id)

    return Router(
        "/customers",
        route_handlers=[
            me, my_meters, change_me, export_me, erase_me, listed, add, one, change, export, erase,
        ],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )  # fmt: skip


def _document(told: dict[str, Any]) -> Response[dict[str, Any]]:
    headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="eletrovia.json"'}
    return Response(told, headers=headers)
