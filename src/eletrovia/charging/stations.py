"""All stations that this operator knows, its own and its partners', in memory over the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from eletrovia.base.clock import Clock
from eletrovia.base.errors import EletroviaError, Invalid, Unavailable
from eletrovia.base.geo import Point
from eletrovia.charging.change import Changes, keeping_removed, removed, without_time
from eletrovia.charging.draft import Owner, Skipped
from eletrovia.charging.intake import Admission, Report, StationFile
from eletrovia.charging.location import (
    ConnectorStandard,
    EvseStatus,
    Location,
    split_operator_id,
)
from eletrovia.charging.picture import Picture, Wanted
from eletrovia.charging.store import LocationStore
from eletrovia.charging.tariff import Tariff
from eletrovia.store.pool import Store

_BATCH = 500


class Stations(Picture):
    """The stations known here. Reading is immediate; changes go to the database first, one at a time.

    Without a store everything lives in memory only, for worlds that are made up.
    """

    def __init__(self, operator_id: str, clock: Clock, store: Store | None = None) -> None:
        super().__init__()
        self.operator_id = operator_id
        self._clock = clock
        self._store = LocationStore(store) if store is not None else None
        self._lock = asyncio.Lock()
        self._doubtful = False

    @classmethod
    async def open(cls, operator_id: str, clock: Clock, store: Store) -> Stations:
        """The stations as the database has them."""
        stations = cls(operator_id, clock, store)
        await stations.load()
        return stations

    async def load(self) -> None:
        """Reads everything from the database."""
        async with self._lock:
            await self._load()

    async def evse_keys(self) -> dict[str, int]:
        """A small integer for every own EVSE by uid, the same for ever."""
        if self._store is not None:
            return await self._store.evse_keys(self.operator_id)
        uids = [uid for operator_id, uid in self._location_of if operator_id == self.operator_id]
        return {uid: number for number, uid in enumerate(uids, start=1)}

    async def put_own(self, locations: Iterable[Location], tariffs: Iterable[Tariff] = ()) -> Changes:
        """Takes own locations and tariffs in, all or none; those not named stay.

        Raises: Invalid for what could not stand or is not ours; Conflict for an EVSE that stands elsewhere.
        """
        taken = self._admitted(self.operator_id, locations)
        for item in taken:
            if isinstance(item, Skipped):
                raise Invalid(item.code, location_id=item.reference, **item.facts)
        return await self._put(self.operator_id, [one for one in taken if isinstance(one, Location)], tariffs)

    async def put_partner(
        self,
        operator_id: str,
        locations: Iterable[Location],
        tariffs: Iterable[Tariff] = (),
        *,
        whole: bool = True,
    ) -> tuple[Changes, list[Skipped]]:
        """Takes in what a partner tells of its stations; what of it could not stand is left out and told.

        ``whole``: it told all it has, so what it does not name is gone.

        Raises: Invalid when the partner would be this operator itself.
        """
        if operator_id == self.operator_id:
            raise Invalid("partner.is_self", operator_id=operator_id)
        taken = self._admitted(operator_id, locations)
        good = [item for item in taken if isinstance(item, Location)]
        changes = await self._put(operator_id, good, tariffs)
        if whole:
            # One that was refused is not gone: the partner still has it, only unreadable to us.
            named = {item.id if isinstance(item, Location) else item.reference for item in taken}
            gone = [one.id for one in self.all(operator_id) if one.id not in named]
            await self._remove(operator_id, gone)
        return changes, [item for item in taken if isinstance(item, Skipped)]

    async def remove(self, location_id: str) -> None:
        """Marks an own location as gone; its EVSEs stay known as REMOVED. Raises: NotFound."""
        self.get(self.operator_id, location_id)
        await self._remove(self.operator_id, [location_id])

    async def set_status(self, operator_id: str, uid: str, status: EvseStatus) -> bool:
        """How an EVSE stands now; whether that is news.

        A partner's status stays in memory: after a restart it is asked anew.

        Raises: NotFound.
        """
        async with self._changing():
            location, evse = self.evse(operator_id, uid)
            if evse.status is status:
                return False
            now = max(self._clock.now(), location.last_updated)
            if self._store is not None and operator_id == self.operator_id:
                await self._store.set_statuses(operator_id, [(uid, status)], now)
            evses = tuple(
                msgspec.structs.replace(one, status=status) if one.uid == uid else one
                for one in location.evses
            )
            self._remember(msgspec.structs.replace(location, evses=evses, last_updated=now))
            return True

    def hear_statuses(self, operator_id: str, location_id: str, statuses: Mapping[str, EvseStatus]) -> None:
        """How a partner says its EVSEs stand now; kept in memory only. An unknown station is no news."""
        location = self._locations.get(operator_id, {}).get(location_id)
        if location is None or operator_id == self.operator_id:
            return
        evses = tuple(
            one
            if one.status is EvseStatus.REMOVED or statuses.get(one.uid, one.status) is one.status
            else msgspec.structs.replace(one, status=statuses[one.uid])
            for one in location.evses
        )
        if evses != location.evses:
            self._remember(msgspec.structs.replace(location, evses=evses))

    async def take_in(
        self, file: StationFile, on_progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Report:
        """Imports a file of own stations in batches; one that cannot be kept is reported, the others stay.

        ``on_progress`` hears how many records of how many are done.
        """
        report = Report(format=file.format)
        waiting: list[Location] = []
        for done, item in file.numbered():
            if isinstance(item, Location):
                waiting.append(item)
            else:
                report.note(item)
            if len(waiting) == _BATCH:
                await self._take_in(waiting, report)
                waiting = []
                on_progress(done, file.total)
        await self._take_in(waiting, report)
        on_progress(file.total, file.total)
        return report

    async def search(
        self,
        *,
        near: Point | None,
        radius_km: float,
        connector: ConnectorStandard | None,
        min_power_w: int,
        operator_id: str | None,
        text: str,
        limit: int,
    ) -> Sequence[tuple[Location, float | None]]:
        """Locations with their distance in km where ``near`` is given, nearest first."""
        wanted = Wanted(connector=connector, min_power_w=min_power_w, operator_id=operator_id, text=text)
        if near is not None:
            return self.near(near, radius_km, limit, wanted)
        return [(location, None) for location in self.find(wanted, limit)]

    async def location(self, operator_id: str, location_id: str) -> Location:
        """Raises: NotFound."""
        return self.get(operator_id, location_id)

    async def tariffs(self, operator_id: str) -> Mapping[str, Tariff]:
        return self.tariffs_of(operator_id)

    async def put_location(self, location: Location) -> None:
        """One own location. Raises: as ``put_own``."""
        await self.put_own([location])

    async def put_tariff(self, tariff: Tariff) -> None:
        """One own tariff."""
        await self.put_own([], [tariff])

    async def own_locations(self) -> Sequence[Location]:
        """Every own location, those that are gone included, so that partners learn of it."""
        return self.page(self.operator_id, limit=len(self._locations.get(self.operator_id, {})))[0]

    async def own_tariffs(self) -> Sequence[Tariff]:
        return list(self.tariffs_of(self.operator_id).values())

    async def _load(self) -> None:
        if self._store is not None:
            self._tariffs = await self._store.tariffs()
            async for location in self._store.everything():
                self._remember(location)
        self._doubtful = False

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """One change at a time. After one whose outcome nobody knows, the next begins by reading anew."""
        async with self._lock:
            if self._doubtful:
                await self._load()
            try:
                yield
            except Unavailable:
                self._doubtful = True
                raise

    def _admitted(self, operator_id: str, locations: Iterable[Location]) -> list[Location | Skipped]:
        country_code, party_id = split_operator_id(operator_id)
        owner = Owner(country_code=country_code, party_id=party_id, now=self._clock.now())
        admission = Admission(owner)
        return [admission.checked(location) for location in locations]

    async def _put(
        self, operator_id: str, locations: Sequence[Location], tariffs: Iterable[Tariff]
    ) -> Changes:
        own = operator_id == self.operator_id
        tariffs = list(tariffs)
        async with self._changing():
            at = self._clock.now() if own else None
            if self._store is None:
                changes = self._compare(locations, at)
            else:
                changes = await self._store.put_locations(locations, own=own, at=at)
            for location in changes.stored:
                self._remember(location)
            if not own:
                # The database keeps no live status of theirs, so "unchanged" there may be news here.
                for location in locations:
                    old = self._locations[operator_id][location.id]
                    self._remember(keeping_removed(location, old))
            if tariffs:
                if self._store is not None:
                    await self._store.put_tariffs(operator_id, tariffs)
                known = self._tariffs.get(operator_id, {})
                now = known | {tariff.id: tariff for tariff in tariffs}
                if now != known:
                    self._tariffs[operator_id] = now
                    self.offers += 1
            return changes

    def _compare(self, locations: Sequence[Location], at: datetime | None) -> Changes:
        """What the database would say, where there is none."""
        inserted, unchanged = 0, 0
        stored: list[Location] = []
        for location in {one.id: one for one in locations}.values():
            old = self._locations.get(location.operator_id, {}).get(location.id)
            if old is not None:
                location = keeping_removed(location, old)
                if without_time(location, old) == old:
                    unchanged += 1
                    continue
            inserted += old is None
            if at is not None and location.last_updated < at:
                location = msgspec.structs.replace(location, last_updated=at)
            stored.append(location)
        updated = len(stored) - inserted
        return Changes(inserted=inserted, updated=updated, unchanged=unchanged, stored=tuple(stored))

    async def _remove(self, operator_id: str, location_ids: Sequence[str]) -> None:
        if not location_ids:
            return
        async with self._changing():
            now = self._clock.now()
            if self._store is not None:
                gone = await self._store.remove(operator_id, location_ids, now)
            else:
                gone = [removed(self.get(operator_id, location_id), now) for location_id in location_ids]
            for location in gone:
                self._remember(location)

    async def _take_in(self, locations: Sequence[Location], report: Report) -> None:
        try:
            changes = await self.put_own(locations)
        except EletroviaError as error:
            if len(locations) == 1:
                report.note(Skipped(reference=locations[0].id, code=error.code, facts=error.facts))
                return
            for location in locations:  # one of them is at fault: the others are taken without it
                await self._take_in([location], report)
            return
        for location in locations:
            report.note(location)
        report.inserted += changes.inserted
        report.updated += changes.updated
        report.unchanged += changes.unchanged
