"""/api/v1/meters/{id}/usage, /live and /marks: what one meter counted, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.params import Body, FromPath, QueryParameter
from litestar.response import ServerSentEvent

from eletrovia.api.auth import Asked, signed_in, staff_only
from eletrovia.api.documented import SIGNED_IN, example, problems
from eletrovia.api.span import From, Until, moment, span
from eletrovia.api.streams import Put, Stop, Streams
from eletrovia.base.clock import Clock
from eletrovia.base.window import Window
from eletrovia.metering.access import Sight, unknown
from eletrovia.metering.hours import Hours, moment_of
from eletrovia.metering.live import Live
from eletrovia.metering.reading import NO_POWER
from eletrovia.metering.usage import Mark, MarkKind, Resolution, Slot
from eletrovia.metering.usagebook import StoredUsage
from eletrovia.metering.verdicts import Noticed, Verdict, Verdicts
from eletrovia.people.account import Who
from eletrovia.people.people import People

MaySee = Callable[[Who, str], Awaitable[Sight]]
By = Annotated[Resolution, QueryParameter(description="How fine: reading, hour, day or month.")]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's usage in slots, oldest first; slots nothing is known of are left out.

    Units: Wh. ``estimated_wh`` lies on a straight line through a gap, or beside a reading that its sender had
    estimated; it is part of ``energy_wh``.
    """

    meter_id: str
    resolution: Resolution
    time_zone: str
    energy_wh: int
    estimated_wh: int
    slots: list[Slot]


class MeterNow(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's last reading that counts. ``power_w`` is told, or the mean since the reading before."""

    meter_id: str
    at: datetime
    energy_wh: int
    power_w: int | None


class MarkSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Something doubtful about a meter's readings; ``needs_a_look`` holds bills up.

    Shape: the stretch between the two readings concerned. A verdict is on the reading at ``ends_at``.
    """

    meter_id: str
    kind: MarkKind
    starts_at: datetime
    ends_at: datetime
    energy_wh: int
    needs_a_look: bool
    verdict: str | None = None
    cleared_at: datetime | None = None
    noticed_at: datetime | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the reading: it counts, or it is left out as if it had never come; and why."""

    verdict: Verdict
    note: str


def usage(
    book: StoredUsage,
    live: Live,
    verdicts: Verdicts,
    hours: Hours,
    may_see: MaySee,
    people: People,
    clock: Clock,
) -> Router:
    """Usage of single meters, for staff and for who lives with them."""
    streams = Streams("usage", "usage.too_many_streams")

    @get(
        "/meters/{meter_id:str}/usage",
        responses=problems(404, 422, signed_in=True),
        summary="A meter's usage",
        description="By hour for the last day where nothing else is said. Days and months are the utility's.",
        tags=["metering"],
    )
    async def series(
        request: Asked,
        meter_id: FromPath[str],
        since: From = None,
        until: Until = None,
        resolution: By = Resolution.HOUR,
    ) -> Usage:
        sight = await may_see(request.user, meter_id)
        during = span(since, until, now=clock.now(), zone=hours.zone, lasts=timedelta(days=1))
        slots: list[Slot] = []
        for part in sight.within(during):
            found = await book.series(sight.meter, part, resolution)
            # A slot that began with somebody else is not theirs to see, not even in part.
            slots += [slot for slot in found if sight.covers(Window(slot.starts_at, slot.ends_at))]
        return Usage(
            meter_id=meter_id,
            resolution=resolution,
            time_zone=hours.zone.key,
            energy_wh=sum(slot.energy_wh for slot in slots),
            estimated_wh=sum(slot.estimated_wh for slot in slots),
            slots=slots,
        )

    @get(
        "/meters/{meter_id:str}/live",
        responses=problems(404, 429, signed_in=True),
        summary="A meter's usage, live",
        tags=["metering"],
    )
    async def follow(request: Asked, meter_id: FromPath[str]) -> ServerSentEvent:
        """An event `usage` with the latest reading, now and whenever a new one counts."""

        async def sight() -> Sight:
            seen = await may_see(request.user, meter_id)
            if not seen.now:
                raise unknown(meter_id)
            return seen

        seen = await sight()
        meter = seen.meter

        async def begin(put: Put) -> Stop:
            stop = live.follow_meter(meter, lambda change: put(_now(meter_id, change)))
            try:
                latest = await book.latest(meter)
            except BaseException:
                stop()
                raise
            # The last word of whoever lived there before is not theirs to hear.
            if latest is not None and any(one.starts_at <= latest.at < one.ends_at for one in seen.windows):
                put(
                    MeterNow(
                        meter_id=meter_id, at=latest.at, energy_wh=latest.energy_wh, power_w=latest.power_w
                    )
                )
            return stop

        return streams.answer(request.user.account_id, begin, still=sight)

    @get(
        "/meters/{meter_id:str}/marks",
        responses=problems(404, 422, signed_in=True),
        summary="What is doubtful about a meter's readings",
        tags=["metering"],
    )
    async def marks(
        request: Asked, meter_id: FromPath[str], since: From = None, until: Until = None
    ) -> list[MarkSeen]:
        """Oldest first; of the last 31 days where nothing else is said."""
        sight = await may_see(request.user, meter_id)
        during = span(since, until, now=clock.now(), zone=hours.zone, lasts=timedelta(days=31))
        found = [mark for part in sight.within(during) for mark in await book.marks(sight.meter, part)]
        return [
            _seen(meter_id, mark)
            for mark in found
            if any(one.starts_at <= mark.starts_at and mark.ends_at <= one.ends_at for one in sight.windows)
        ]

    @post(
        "/meters/{meter_id:str}/marks/{at:str}/verdict",
        status_code=200,
        guards=[staff_only],
        responses=problems(403, 404, 409, body=True, signed_in=True),
        summary="Decide about a doubtful reading (staff)",
        description=(
            "`at` is the moment of the reading, a mark's `ends_at`. Usage is worked out again at once; the "
            "decision can be changed by another one, and all are kept."
        ),
        tags=["metering"],
    )
    async def decide(
        request: Asked,
        meter_id: FromPath[str],
        at: FromPath[str],
        data: Annotated[
            Decision,
            Body(examples=example("a slip", {"verdict": "exclude", "note": "read wrongly, photo 17"})),
        ],
    ) -> list[MarkSeen]:
        sight = await may_see(request.user, meter_id)
        reading_at = moment("at", at, hours.zone)
        assert reading_at is not None  # noqa: S101 - a path always has it
        await verdicts.decide(
            sight.meter, reading_at, data.verdict, account_id=request.user.account_id, note=data.note
        )
        around = Window(reading_at, reading_at + timedelta(seconds=1))
        found = await book.marks(sight.meter, around)
        return [_seen(meter_id, mark) for mark in found if mark.ends_at == reading_at]

    @get(
        "/marks",
        guards=[staff_only],
        responses=problems(403, 422, signed_in=True),
        summary="What is doubtful about all meters' readings (staff)",
        tags=["metering"],
    )
    async def all_marks(
        waiting: Annotated[
            bool, QueryParameter(name="open", description="Only those that wait for a person.")
        ] = True,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> list[MarkSeen]:
        """Newest first."""
        return [_noticed(one) for one in await verdicts.marks(waiting=waiting, limit=limit)]

    return Router(
        "/",
        route_handlers=[series, follow, marks, decide, all_marks],
        guards=[signed_in(people)],
        security=SIGNED_IN,
    )


def _now(meter_id: str, change: Any) -> MeterNow:
    power_w = int(change["power_w"])
    return MeterNow(
        meter_id=meter_id,
        at=moment_of(int(change["at_us"])),
        energy_wh=int(change["energy_wh"]),
        power_w=None if power_w == NO_POWER else power_w,
    )


def _seen(meter_id: str, mark: Mark, noticed_at: datetime | None = None) -> MarkSeen:
    return MarkSeen(
        meter_id=meter_id,
        kind=mark.kind,
        starts_at=mark.starts_at,
        ends_at=mark.ends_at,
        energy_wh=mark.energy_wh,
        needs_a_look=mark.needs_a_look,
        verdict=mark.verdict,
        cleared_at=mark.cleared_at,
        noticed_at=noticed_at,
    )


def _noticed(one: Noticed) -> MarkSeen:
    return _seen(one.meter_id, one.mark, one.noticed_at)
