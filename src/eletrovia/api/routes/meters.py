"""/api/v1/meters: registering, claiming, cutting off, swapping."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from eletrovia.api.auth import Asked, signed_in, staff_only
from eletrovia.api.body import decode_strictly
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.base.errors import Conflict, EletroviaError, Invalid
from eletrovia.metering.access import Access
from eletrovia.metering.customer import Claimant, MoveIn, Stay
from eletrovia.metering.customers import Customers
from eletrovia.metering.meter import Changes, Meter, MeterState, NewMeter, Registered, Swap, Swapped
from eletrovia.metering.meters import MOST_AT_ONCE, Meters
from eletrovia.people.people import People

MeterId = FromPath[str]
_NEW: Final = msgspec.json.Decoder(NewMeter)
_NO_STORE: Final = {"cache-control": "no-store"}


class MetersSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Meters to register; each is answered for itself."""

    meters: list[msgspec.Raw]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one item was not taken."""

    code: str
    facts: dict[str, Any] = {}


class MeterAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the item at ``index``: either ``registered``, with its secrets, or ``problem``."""

    index: int
    registered: Registered | None = None
    problem: Refusal | None = None


class RegisterAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each item, in their order. Keys and codes are shown this once."""

    kept: int
    refused: int
    items: list[MeterAnswer]


class MeterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Meters in order of their ids. ``next`` is the ``after`` of the following page; null on the last."""

    meters: list[Meter]
    next: str | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter's id, and the code that the utility gave with it; dashes and small letters do not matter."""

    meter_id: str
    code: Annotated[str, msgspec.Meta(max_length=64)]


class DeviceKey(msgspec.Struct, frozen=True, kw_only=True):
    """A device's number in our compact frames, and its key in hexadecimal, shown this once."""

    id: str
    number: int
    device_key: str


class ClaimCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code for whoever moves in, shown this once."""

    id: str
    claim_code: str


METERS = {
    "meters": [
        {"id": "JPA-000123", "area": "Manaíra", "max_power_w": 15000, "digits": 6, "interval_s": 900},
        {"id": "JPA-C7", "kind": "concentrator"},
        {"id": "JPA-000124", "area": "Manaíra", "via": "JPA-C7"},
    ]
}
_SWAP = {"new_id": "JPA-000987", "end_wh": 8421337, "start_wh": 0, "at": "2026-03-01T08:00:00-03:00"}
_MOVE_IN = {"customer_id": "cust_06f1r3v0x8c2m4q9t7n5", "from_at": "2026-03-01T08:00:00-03:00"}


def meters(meters: Meters, customers: Customers, access: Access, people: People) -> Router:
    """The utility's meters; a customer sees those where they live, and others are not found."""

    @post(
        "/",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, body=True, signed_in=True),
        summary="Register meters (staff)",
        description=(
            f"One or many, {MOST_AT_ONCE:,} at most. A meter hangs at a usage point of its own name unless "
            "another is told. The answer holds each device's key and the household's claim code, once."
        ),
        tags=["metering"],
    )
    async def register(
        data: Annotated[MetersSent, Body(examples=example("three meters", METERS))],
    ) -> Response[RegisterAnswer]:
        return Response(await _each(meters, data.meters), headers=_NO_STORE)

    @get(
        "/",
        guards=[staff_only],
        responses=problems(403, 422, signed_in=True),
        summary="Meters (staff)",
        tags=["metering"],
    )
    async def listed(
        area: Annotated[str | None, QueryParameter(max_length=100)] = None,
        standing: Annotated[MeterState | None, QueryParameter(name="state")] = None,
        unclaimed: Annotated[
            bool, QueryParameter(description="Only those that hang where nobody is known to live.")
        ] = False,
        after: Annotated[str, QueryParameter(max_length=64, description="A meter's id.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> MeterPage:
        """All meters in order of their ids, a page at a time."""
        found = await meters.meters(area=area, state=standing, unclaimed=unclaimed, after=after, limit=limit)
        return MeterPage(meters=found, next=found[-1].id if len(found) == limit else None)

    @post(
        "/claim",
        status_code=200,
        responses=problems(404, 409, 429, body=True, signed_in=True),
        summary="Claim a meter",
        description=(
            "With the code that the utility gave, the meter's usage point is yours from now on. 404 says "
            "neither whether the meter nor whether the code was wrong; 409: somebody lives there."
        ),
        tags=["metering"],
    )
    async def claim(
        request: Asked,
        data: Annotated[
            Claim, Body(examples=example("a code", {"meter_id": "JPA-000123", "code": "7K3M-0QXW-N8T2"}))
        ],
    ) -> Stay:
        account = await people.account(request.user.account_id)
        claimant = Claimant(
            account_id=account.id, name=account.name, email=account.email, language=account.language.value
        )
        return await customers.claim(claimant, data.meter_id, data.code)

    @get("/{meter_id:str}", responses=problems(404, signed_in=True), summary="One meter", tags=["metering"])
    async def one(request: Asked, meter_id: MeterId) -> Meter:
        """A meter as it stands now: any for staff, else one where you live."""
        who = request.user
        await access.may_see(who.account_id, meter_id, is_staff=who.is_staff)
        return await meters.meter(meter_id)

    @patch(
        "/{meter_id:str}",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Change a meter (staff)",
        tags=["metering"],
    )
    async def change(
        meter_id: MeterId, data: Annotated[Changes, Body(examples=example("an area", {"area": "Tambaú"}))]
    ) -> Meter:
        """What is left out stays as it is."""
        return await meters.change(meter_id, data)

    @delete(
        "/{meter_id:str}",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 422, signed_in=True),
        summary="Remove a meter (staff)",
        tags=["metering"],
    )
    async def remove(
        meter_id: MeterId,
        end_wh: Annotated[
            int | None, QueryParameter(description="Its last value; else that of its latest reading.")
        ] = None,
    ) -> Meter:
        """Out of service for good. Its readings and bills stay."""
        return await meters.remove(meter_id, end_wh=end_wh)

    @post(
        "/{meter_id:str}/block",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, signed_in=True),
        summary="Cut off (staff)",
        tags=["metering"],
    )
    async def block(meter_id: MeterId) -> Meter:
        """The meter is told on `meters/{id}/command`, and again in each acknowledgement."""
        return await meters.block(meter_id, cut_off=True)

    @post(
        "/{meter_id:str}/unblock",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, signed_in=True),
        summary="Connect again (staff)",
        tags=["metering"],
    )
    async def unblock(meter_id: MeterId) -> Meter:
        """Undoes a block; on a meter that is connected it changes nothing."""
        return await meters.block(meter_id, cut_off=False)

    @post(
        "/{meter_id:str}/swap",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Swap for another meter (staff)",
        description=(
            "The old register's last value and the new one's first become readings, so nothing is lost or "
            "counted twice. A new meter that is not registered yet is registered, like the old one."
        ),
        tags=["metering"],
    )
    async def swap(
        meter_id: MeterId, data: Annotated[Swap, Body(examples=example("a new meter", _SWAP))]
    ) -> Response[Swapped]:
        return Response(await meters.swap(meter_id, data), headers=_NO_STORE)

    @post(
        "/{meter_id:str}/key",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, signed_in=True),
        summary="A new device key (staff)",
        tags=["metering"],
    )
    async def key(meter_id: MeterId) -> Response[DeviceKey]:
        """The key before is worthless from now on."""
        number, device_key = await meters.new_key(meter_id)
        made = DeviceKey(id=meter_id, number=number, device_key=device_key)
        return Response(made, headers=_NO_STORE)

    @post(
        "/{meter_id:str}/code",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, signed_in=True),
        summary="A new claim code (staff)",
        tags=["metering"],
    )
    async def code(meter_id: MeterId) -> Response[ClaimCode]:
        """For whoever moves in; any code before is worthless from now on."""
        made = ClaimCode(id=meter_id, claim_code=await meters.new_claim_code(meter_id))
        return Response(made, headers=_NO_STORE)

    @put(
        "/{meter_id:str}/customer",
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Say who lives there (staff)",
        tags=["metering"],
    )
    async def move_in(
        meter_id: MeterId, data: Annotated[MoveIn, Body(examples=example("moved in", _MOVE_IN))]
    ) -> Stay:
        """Without a code. With `taking_over` whoever lives there has left at that moment."""
        return await customers.move_in(await place(meter_id), data)

    @delete(
        "/{meter_id:str}/customer",
        guards=[staff_only],
        responses=problems(403, 404, 409, 422, signed_in=True),
        summary="Say that they have left (staff)",
        tags=["metering"],
    )
    async def move_out(meter_id: MeterId, at: FromQuery[datetime | None] = None) -> None:
        """Now, or at a moment that has passed."""
        await customers.move_out(await place(meter_id), at=at)

    @get(
        "/{meter_id:str}/customers",
        guards=[staff_only],
        responses=problems(403, 404, 409, signed_in=True),
        summary="Who lived there (staff)",
        tags=["metering"],
    )
    async def lived_there(meter_id: MeterId) -> list[Stay]:
        """Oldest first."""
        return await customers.stays_in(await place(meter_id))

    @post(
        "/{meter_id:str}/leave",
        status_code=204,
        responses=problems(404, signed_in=True),
        summary="I move out",
        tags=["metering"],
    )
    async def leave(request: Asked, meter_id: MeterId) -> None:
        """You live there no more, from now on. What was counted until now stays yours to see."""
        await customers.leave(request.user.account_id, meter_id)

    async def place(meter_id: str) -> str:
        """The usage point that it counts for, or counted for last."""
        usage_point_id = (await access.sight("", meter_id, is_staff=True)).usage_point_id
        if not usage_point_id:
            raise Conflict("meter.not_fitted", meter_id=meter_id)
        return usage_point_id

    return Router(
        "/meters",
        route_handlers=[
            register, listed, claim, one, change, remove, block, unblock, swap, key, code, move_in, move_out,
            lived_there, leave,
        ],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )  # fmt: skip


async def _each(meters: Meters, raws: list[msgspec.Raw]) -> RegisterAnswer:
    if len(raws) > MOST_AT_ONCE:
        raise Invalid("body.too_many_items", items=len(raws), allowed=MOST_AT_ONCE)
    answers: dict[int, MeterAnswer] = {}
    read: list[tuple[int, NewMeter]] = []
    for index, raw in enumerate(raws):
        try:
            read.append((index, decode_strictly(_NEW, raw)))
        except EletroviaError as error:
            answers[index] = MeterAnswer(index=index, problem=Refusal(code=error.code, facts=error.facts))
    became = await meters.register([meter for _, meter in read])
    for (index, _), one in zip(read, became, strict=True):
        answers[index] = (
            MeterAnswer(index=index, registered=one)
            if isinstance(one, Registered)
            else MeterAnswer(index=index, problem=Refusal(code=one.code, facts=one.facts))
        )
    refused = sum(answer.problem is not None for answer in answers.values())
    items = [answers[index] for index in range(len(raws))]
    return RegisterAnswer(kept=len(raws) - refused, refused=refused, items=items)
