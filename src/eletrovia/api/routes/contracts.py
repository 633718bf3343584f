"""/api/v1/usage-points/{id}/contract: on which terms a usage point is billed."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from litestar import Router, get, put
from litestar.params import Body, FromPath

from eletrovia.api.auth import Asked, signed_in, staff_only
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.metering.access import Access
from eletrovia.metering.bill import Terms
from eletrovia.metering.contract import Contract
from eletrovia.metering.invoices import Invoices
from eletrovia.people.people import People

Word = Annotated[str, msgspec.Meta(max_length=64)]


class ContractWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms from a day on that is not billed yet.

    Units:  ``reading_day`` is the day of the month on which periods begin; a bill is due ``due_days`` after
            it was issued.
    """

    valid_from: date
    tariff_id: Word
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    municipality: Word = ""
    low_income: bool = False
    reading_day: Annotated[int, msgspec.Meta(ge=1, le=28)] = 1
    due_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 10


class Contracts(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed on, oldest first; each holds until the next begins."""

    contracts: list[Contract]


EXAMPLE = {"valid_from": "2026-09-01", "tariff_id": "cariri-b1-convencional", "phases": 2}


def contracts(bills: Invoices, access: Access, people: People) -> Router:
    """Contracts of usage points."""

    @put(
        "/{usage_point_id:str}/contract",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Agree on terms (staff)",
        tags=["billing"],
    )
    async def agree(
        request: Asked,
        usage_point_id: FromPath[str],
        data: Annotated[ContractWanted, Body(examples=example("two phases", EXAMPLE))],
    ) -> Contract:
        """What holds from `valid_from` on. Days that are billed stay as they were."""
        contract = Contract(
            usage_point_id=usage_point_id,
            valid_from=data.valid_from,
            terms=Terms(
                tariff_id=data.tariff_id,
                phases=data.phases,
                municipality=data.municipality,
                low_income=data.low_income,
            ),
            reading_day=data.reading_day,
            due_days=data.due_days,
        )
        return await bills.set_contract(contract, by=request.user.account_id)

    @get(
        "/{usage_point_id:str}/contracts",
        responses=problems(404, signed_in=True),
        summary="Contracts",
        tags=["billing"],
    )
    async def listed(request: Asked, usage_point_id: FromPath[str]) -> Contracts:
        """Staff sees all of a usage point's; whoever lives or lived there those of their time."""
        who = request.user
        windows = await access.usage_point(who.account_id, usage_point_id, is_staff=who.is_staff)
        found = await bills.contracts(usage_point_id)
        if who.is_staff:
            return Contracts(contracts=found)
        seen = []
        for place, contract in enumerate(found):
            until = found[place + 1].valid_from if place + 1 < len(found) else date.max
            if any(
                bills.day_of(window.starts_at) < until and contract.valid_from < bills.day_of(window.ends_at)
                for window in windows
            ):
                seen.append(contract)
        return Contracts(contracts=seen)

    return Router(
        "/usage-points",
        route_handlers=[agree, listed],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )
