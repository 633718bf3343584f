"""What the utility does with its meters: take in, change, cut off, swap, remove."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog
from psycopg.errors import ExclusionViolation, UniqueViolation

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Conflict, EletroviaError, Invalid, NotFound, Overloaded, Unavailable
from eletrovia.base.window import Window
from eletrovia.metering.access import unknown
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.fittingstore import Birth, FittingStore
from eletrovia.metering.intake import PASSES, Intake
from eletrovia.metering.meter import (
    Changes,
    Meter,
    MeterState,
    NewMeter,
    Registered,
    Stretch,
    Swap,
    Swapped,
    claim_code_sha256,
    new_claim_code,
    register,
)
from eletrovia.metering.reading import Reading, Readings, Source
from eletrovia.store.pool import Store

MOST_AT_ONCE: Final = 10_000
Tell = Callable[[str, bytes], Awaitable[None]]
"""Publishes on the devices' bus: a topic, and what to say there."""

_log = structlog.get_logger(__name__)
_SETTLE_S: Final = 10.0


class Meters:
    """One utility's meters."""

    def __init__(
        self,
        store: Store,
        keys: DeviceKeys,
        intake: Intake,
        *,
        clock: Clock,
        tell: Tell,
        draw: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._rows = FittingStore(store)
        self._keys = keys
        self._intake = intake
        self._clock = clock
        self._tell = tell
        self._draw = draw

    # -- taking in -----------------------------------------------------------------------------------------

    async def register(self, asked: Sequence[NewMeter]) -> list[Registered | EletroviaError]:
        """Take meters in, each answered for itself: one that cannot be does not stop the others.

        Raises: Invalid for too many at once; Unavailable, Overloaded for the whole batch.
        """
        if len(asked) > MOST_AT_ONCE:
            raise Invalid("body.too_many_items", items=len(asked), allowed=MOST_AT_ONCE)
        refused: dict[int, EletroviaError] = {}
        births: dict[int, Birth] = {}
        codes: dict[str, str] = {}
        async for index, meter in self._sane(asked, refused):
            code = None
            if meter.hangs:
                code = codes[meter.id] = new_claim_code(self._draw)
            births[index] = Birth(
                meter=meter,
                code_sha256=None if code is None else claim_code_sha256(code),
                from_at=meter.from_at or self._clock.now(),
            )
        kept = await self._bear(births, refused)
        if any(meter.start_wh is not None for meter in asked):
            await self._settle_soon()
        return [
            refused[index]
            if index in refused
            else Registered(
                id=meter.id,
                number=kept[meter.id],
                usage_point_id=meter.place if meter.hangs else None,
                device_key=self._keys.of(kept[meter.id], 0).hex(),
                claim_code=codes.get(meter.id),
            )
            for index, meter in enumerate(asked)
        ]

    async def _sane(
        self, asked: Sequence[NewMeter], refused: dict[int, EletroviaError]
    ) -> AsyncIterator[tuple[int, NewMeter]]:
        """Those that nothing speaks against; the others are put among the refused."""
        now = self._clock.now()
        there = await self._rows.ids_taken([meter.id for meter in asked])
        full = await self._rows.places_taken([meter.place for meter in asked if meter.hangs])
        for index, meter in enumerate(asked):
            try:
                meter.check(now)
                if meter.id in there:
                    raise Conflict("meter.taken", meter_id=meter.id)
                if meter.hangs and meter.place in full:
                    raise Conflict("meter.place_taken", usage_point_id=meter.place)
            except EletroviaError as error:
                refused[index] = error
                continue
            there.add(meter.id)
            if meter.hangs:
                full.add(meter.place)
            yield index, meter

    async def _bear(self, births: dict[int, Birth], refused: dict[int, EletroviaError]) -> dict[str, int]:
        """The keys of those that were born; the others are put among the refused."""
        now = self._clock.now()
        try:
            kept = await self._rows.bear(list(births.values()), now)
        except (UniqueViolation, ExclusionViolation):
            # Somebody was faster at one of the places, or a meter hung there at the moment asked for.
            kept = {}
            for index, birth in births.items():
                try:
                    kept |= await self._rows.bear([birth], now)
                except (UniqueViolation, ExclusionViolation):
                    refused[index] = Conflict("meter.place_taken", usage_point_id=birth.meter.place)
        left = [birth.meter.id for index, birth in births.items() if index not in refused]
        there = await self._rows.ids_taken([id_ for id_ in left if id_ not in kept])
        for index, birth in births.items():
            meter = birth.meter
            if index not in refused and meter.id not in kept:
                refused[index] = (
                    Conflict("meter.taken", meter_id=meter.id)
                    if meter.id in there
                    else NotFound("meter.concentrator_unknown", meter_id=meter.via)
                )
        return kept

    # -- changing ------------------------------------------------------------------------------------------

    async def change(self, meter_id: str, changes: Changes) -> Meter:
        """Raises: Invalid; NotFound; Conflict for an area of a meter that hangs nowhere."""
        changes.check()
        meter = await self.meter(meter_id)
        if changes.area is not None and meter.usage_point_id is None:
            raise Conflict("meter.not_fitted", meter_id=meter_id)
        if changes.via == meter_id or (changes.via and not await self._rows.is_concentrator(changes.via)):
            raise NotFound("meter.concentrator_unknown", meter_id=changes.via)
        await self._rows.change(meter_id, changes, self._clock.now())
        return await self.meter(meter_id)

    async def block(self, meter_id: str, *, cut_off: bool) -> Meter:
        """Cut the meter's customer off, or connect them again; the meter is told, again too if it was before.

        What stands is in the database: a meter that misses the message hears it in its next acknowledgement.
        Raises: NotFound; Conflict ``meter.removed``.
        """
        state = MeterState.BLOCKED if cut_off else MeterState.IN_SERVICE
        if not await self._rows.set_state(meter_id, state):
            await self.meter(meter_id)  # or there is none
            raise Conflict("meter.removed", meter_id=meter_id)
        await self._command(meter_id, cut_off=cut_off)
        return await self.meter(meter_id)

    async def new_key(self, meter_id: str) -> tuple[int, str]:
        """The meter's number, and a new device key in hexadecimal; the one before is worthless from now on.

        Raises: NotFound.
        """
        found = await self._rows.next_epoch(meter_id)
        if found is None:
            raise unknown(meter_id)
        await self._intake.roster.refresh()
        return found[0], self._keys.of(*found).hex()

    async def new_claim_code(self, meter_id: str) -> str:
        """A new code for whoever moves in; any before is worthless.

        Raises: NotFound; Conflict for a meter that hangs nowhere: nobody could claim it.
        """
        code = new_claim_code(self._draw)
        if not await self._rows.set_claim_code(meter_id, claim_code_sha256(code)):
            await self.meter(meter_id)
            raise Conflict("meter.not_fitted", meter_id=meter_id)
        return code

    async def swap(self, meter_id: str, swap: Swap) -> Swapped:
        """Take a meter out with its last value and put another in with its first.

        The new one is cut off where the old one was. Repeated with the same ``at`` it answers the same.
        Raises: Invalid; NotFound; Conflict ``meter.not_fitted``, ``meter.fitted_elsewhere``.
        """
        now = self._clock.now()
        swap.check(now)
        if swap.new_id == meter_id:
            raise Invalid("meter.swap_with_itself", meter_id=meter_id)
        at = swap.at or now
        code = new_claim_code(self._draw)
        done = await self._rows.swap(meter_id, swap, at, claim_code_sha256(code), now)
        await self._settle_soon()
        if done.blocked:
            await self._command(swap.new_id, cut_off=True)
        return Swapped(
            usage_point_id=done.usage_point_id,
            removed_id=meter_id,
            at=at,
            new=Registered(
                id=swap.new_id,
                number=done.key,
                usage_point_id=done.usage_point_id,
                device_key=self._keys.of(done.key, done.epoch).hex(),
                claim_code=code if done.claimable else None,
            ),
        )

    async def remove(self, meter_id: str, *, end_wh: int | None = None) -> Meter:
        """Take a meter out of service for good; ``end_wh``, or else its latest reading, is its last value.

        Its readings stay, and whoever lives there stays. Doing it again changes nothing.
        Raises: Invalid; NotFound.
        """
        if end_wh is not None:
            register("end_wh", end_wh)
        if not await self._rows.remove(meter_id, end_wh, self._clock.now()):
            raise unknown(meter_id)
        await self._settle_soon()
        return await self.meter(meter_id)

    async def _command(self, meter_id: str, *, cut_off: bool) -> None:
        try:
            await self._tell(f"meters/{meter_id}/command", msgspec.json.encode({"cut_off": cut_off}))
        except (Unavailable, Overloaded) as silent:
            _log.warning("meter.not_told", meter_id=meter_id, cut_off=cut_off, reason=str(silent))

    # -- values that a person read -------------------------------------------------------------------------

    async def run(self) -> None:
        """Take in what ``settle_readings`` could not, until cancelled."""
        while True:
            await asyncio.sleep(_SETTLE_S)
            await self._settle_soon()

    async def settle_readings(self) -> int:
        """Take the registers of swaps in as readings, through the one path; how many.

        Raises: Unavailable, Overloaded: what is left is taken the next time.
        """
        settled = 0
        while due := await self._rows.readings_due():
            await self._intake.roster.refresh()
            values = [
                Reading(meter=one.meter, at=at, energy_wh=energy_wh)
                for one in due
                for at, energy_wh in ((one.from_at, one.start_wh), (one.until_at, one.end_wh))
                if at is not None and energy_wh is not None
            ]
            await self._intake.take(Readings.of(Source.STAFF, values))
            await self._rows.readings_taken(due)
            settled += len(values)
        return settled

    async def _settle_soon(self) -> None:
        try:
            await self.settle_readings()
        except (Unavailable, Overloaded, *PASSES) as gone:  # or it would have been the last time
            _log.warning("meter.readings_wait", reason=str(gone))

    # -- looking -------------------------------------------------------------------------------------------

    async def meter(self, meter_id: str) -> Meter:
        """Raises: NotFound."""
        meter = await self._rows.meter(meter_id)
        if meter is None:
            raise unknown(meter_id)
        return meter

    async def meters(
        self,
        *,
        area: str | None = None,
        state: MeterState | None = None,
        unclaimed: bool = False,
        after: str = "",
        limit: int = 100,
    ) -> list[Meter]:
        """A page of meters in order of their ids; ``unclaimed`` are those that hang where nobody is known."""
        return await self._rows.meters(area=area, state=state, unclaimed=unclaimed, after=after, limit=limit)

    async def stretches(self, usage_point_id: str, during: Window) -> list[Stretch]:
        """Which meter counted for a place when, oldest first: its usage is the sum over them."""
        found = []
        for one in await self._rows.fittings(usage_point_id, during):
            starts_here = one.from_at >= during.starts_at
            ends_here = one.until_at is not None and one.until_at <= during.ends_at
            starts_at = one.from_at if starts_here else during.starts_at
            ends_at = one.until_at if ends_here and one.until_at is not None else during.ends_at
            found.append(
                Stretch(
                    meter=one.meter,
                    meter_id=one.meter_id,
                    during=Window(starts_at, ends_at),
                    start_wh=one.start_wh if starts_here else None,
                    end_wh=one.end_wh if ends_here else None,
                )
            )
        return found
