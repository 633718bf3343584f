"""POST /api/v1/stations and PUT /api/v1/tariffs: what staff says its operator owns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Router, post, put
from litestar.params import Body

from eletrovia.api.auth import signed_in, staff_only
from eletrovia.api.body import decode_strictly
from eletrovia.api.desks import Stations
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.base.errors import Denied, EletroviaError, Invalid
from eletrovia.charging.location import Location
from eletrovia.charging.tariff import Tariff
from eletrovia.people.people import People

ITEMS_MAX: Final = 1000


class LocationsSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stations of this operator, whole: what is there under the same id is replaced."""

    locations: list[msgspec.Raw]


class TariffsSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tariffs of this operator, whole: what is there under the same id is replaced."""

    tariffs: list[msgspec.Raw]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one item was not kept."""

    code: str
    facts: dict[str, Any] = {}


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the item at ``index``; without ``problem`` it was kept."""

    index: int
    id: str = ""
    problem: Refusal | None = None


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each item, in their order."""

    kept: int
    refused: int
    items: list[ItemAnswer]


LOCATION = {
    "country_code": "BR",
    "party_id": "CAR",
    "id": "recife-1",
    "name": "Recife 1",
    "city": "Recife",
    "coordinates": {"lat": -8.05, "lon": -34.9},
    "evses": [
        {
            "uid": "recife-1-1",
            "evse_id": "BR*CAR*E0001",
            "connectors": [
                {
                    "id": "1",
                    "standard": "IEC_62196_T2_COMBO",
                    "power_type": "DC",
                    "max_electric_power_w": 60000,
                    "tariff_ids": ["normal"],
                }
            ],
        }
    ],
    "last_updated": "2026-03-01T08:00:00Z",
}
TARIFF = {"id": "normal", "components": [{"type": "ENERGY", "price": "1.95"}]}

_LOCATION: Final = msgspec.json.Decoder(Location)
_TARIFF: Final = msgspec.json.Decoder(Tariff)


async def _each(
    raws: list[msgspec.Raw], decoder: msgspec.json.Decoder[Any], keep: Callable[[Any], Awaitable[None]]
) -> BatchAnswer:
    if len(raws) > ITEMS_MAX:
        raise Invalid("body.too_many_items", items=len(raws), allowed=ITEMS_MAX)
    answers = []
    for index, raw in enumerate(raws):
        item_id = ""
        try:
            item = decode_strictly(decoder, raw)
            item_id = item.id
            await keep(item)
            answers.append(ItemAnswer(index=index, id=item_id))
        except EletroviaError as error:
            if error.kind in ("overloaded", "unavailable"):
                raise  # not the item's fault; the whole batch may be sent again
            answers.append(
                ItemAnswer(index=index, id=item_id, problem=Refusal(code=error.code, facts=error.facts))
            )
    refused = sum(answer.problem is not None for answer in answers)
    return BatchAnswer(kept=len(answers) - refused, refused=refused, items=answers)


def inventory(stations: Stations, people: People, operator_id: str) -> Router:
    """Staff's own stations and prices."""

    async def keep_location(location: Location) -> None:
        if location.operator_id != operator_id:
            raise Denied("location.not_ours", operator_id=location.operator_id, ours=operator_id)
        await stations.put_location(location)

    @post(
        "/stations",
        status_code=200,
        responses=problems(403, body=True, signed_in=True),
        summary="Add or replace stations (staff)",
        tags=["stations"],
    )
    async def put_locations(
        data: Annotated[LocationsSent, Body(examples=example("one station", {"locations": [LOCATION]}))],
    ) -> BatchAnswer:
        """Each item is answered for itself: a bad one does not stop the others."""
        return await _each(data.locations, _LOCATION, keep_location)

    @put(
        "/tariffs",
        responses=problems(403, body=True, signed_in=True),
        summary="Add or replace tariffs (staff)",
        tags=["stations"],
    )
    async def put_tariffs(
        data: Annotated[TariffsSent, Body(examples=example("one tariff", {"tariffs": [TARIFF]}))],
    ) -> BatchAnswer:
        """Prices for stops that are booked from now on; what is booked keeps its price."""
        return await _each(data.tariffs, _TARIFF, stations.put_tariff)

    return Router(
        "/",
        route_handlers=[put_locations, put_tariffs],
        guards=[signed_in(people), staff_only],
        security=SIGNED_IN,
    )
