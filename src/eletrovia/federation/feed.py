"""What our partners' stations are and how they stand, followed for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import aiomqtt
import structlog

from eletrovia.base.errors import EletroviaError, Invalid, Unavailable
from eletrovia.base.ids import new_secret
from eletrovia.charging.live import StationState, decode_state
from eletrovia.charging.location import Location, plain
from eletrovia.charging.tariff import Tariff
from eletrovia.federation.client import FederationClient
from eletrovia.federation.continuity import Continuity
from eletrovia.federation.doors import Doors
from eletrovia.federation.handshake import broker_at
from eletrovia.federation.store import Peer

_log = structlog.get_logger(__name__)

_PAUSE_FIRST_S = 0.2
_PAUSE_LONGEST_S = 5.0
_PULL_GAP_S = 0.05  # a partner whose numbers never fit must not keep us pulling without a breath

OnOffer = Callable[[str, Sequence[Location], Sequence[Tariff]], Awaitable[None]]
OnState = Callable[[str, StationState], None]
OnStatus = Callable[[str, bool], None]


class PartnerFeed:
    """Follows every partner in the directory: stations and tariffs by pulling, live states from its broker.

    A missed message is noticed by its number and repaired by pulling the whole picture; so is a broken line.
    ``on_status(operator_id, live)`` tells whether a partner's live states come in; whether it answers at
    all is the client's ``reach``.

    Units: ``refresh_s`` between pulls of locations and tariffs, ``check_s`` between looks whether the last
           message of all was missed; with the broker's line down that pull is the live picture.
    """

    def __init__(
        self,
        doors: Doors,
        client: FederationClient,
        own_operator_id: str,
        *,
        on_offer: OnOffer,
        on_state: OnState,
        on_status: OnStatus = lambda operator_id, live: None,
        refresh_s: float = 300.0,
        check_s: float = 5.0,
    ) -> None:
        self._doors = doors
        self._client = client
        self._own = plain(own_operator_id)
        self._on_offer = on_offer
        self._on_state = on_state
        self._on_status = on_status
        self._refresh_s = refresh_s
        self._check_s = check_s
        self._lines: dict[str, _Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        doors.watch(self._credentials_changed)

    def refresh(self, operator_id: str) -> None:
        """Pull the partner's locations and tariffs now."""
        line = self._lines.get(operator_id)
        if line is not None:
            line.offer_due.set()
            line.pull_due.set()

    def pulls(self, operator_id: str) -> int:
        """How many whole pictures were pulled from the partner since it is followed."""
        line = self._lines.get(operator_id)
        return line.pulls if line is not None else 0

    def whole(self, operator_id: str) -> bool:
        """Whether all that the partner published is known here, as far as can be told."""
        line = self._lines.get(operator_id)
        return line is not None and line.whole

    def _credentials_changed(self, operator_id: str) -> None:
        line = self._lines.get(operator_id)
        if line is not None:
            line.stale = True
        self._changed.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._align({peer.operator_id: peer for peer in self._doors.active()})
                await self._changed.wait()
        finally:
            await self._align({})

    async def _align(self, active: dict[str, Peer]) -> None:
        """One task per partner: none for those that are none any more, a new one for new credentials."""
        ended = [
            operator_id
            for operator_id, line in self._lines.items()
            if operator_id not in active or line.stale
        ]
        for operator_id in ended:
            task = self._tasks.pop(operator_id)
            self._lines.pop(operator_id)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for operator_id, peer in active.items():
            if operator_id not in self._lines:
                line = self._lines[operator_id] = _Line(self, peer)
                self._tasks[operator_id] = asyncio.create_task(line.follow())


class _Line:
    """One partner, from its becoming one to its end."""

    def __init__(self, feed: PartnerFeed, peer: Peer) -> None:
        self._feed = feed
        self._peer = peer
        self._continuity = Continuity()
        self._live = False
        self._whole_due = True
        self._pulling = False
        self.stale = False
        self.pulls = 0
        self.pull_due = asyncio.Event()
        self.offer_due = asyncio.Event()

    @property
    def whole(self) -> bool:
        due = self._whole_due or self._pulling or self.pull_due.is_set()
        return not due and not self._continuity.broken

    async def follow(self) -> None:
        self.offer_due.set()
        self.pull_due.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._pull())
                group.create_task(self._refresh())
        finally:
            self._turn(False)

    def _turn(self, live: bool) -> None:
        if live != self._live:
            self._live = live
            self._feed._on_status(self._peer.operator_id, live)

    # -- the broker -------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                async with self._connection() as client:
                    await client.subscribe(f"operators/{plain(self._peer.operator_id)}/stations/+")
                    pause_s = _PAUSE_FIRST_S
                    self._turn(True)
                    self._continuity.forget()  # what was said while we were away is lost
                    self.pull_due.set()
                    async for message in client.messages:
                        self._heard(str(message.topic), message.payload)
            except (aiomqtt.MqttError, OSError, EletroviaError) as error:
                _log.info("feed.line_down", operator_id=self._peer.operator_id, error=str(error))
            except Exception:
                _log.exception("feed.line_broken", operator_id=self._peer.operator_id)
            self._turn(False)
            self.pull_due.set()
            await asyncio.sleep(pause_s)
            pause_s = min(_PAUSE_LONGEST_S, pause_s * 1.7)

    def _connection(self) -> aiomqtt.Client:
        host, port, secure = broker_at(self._peer.mqtt_url)
        return aiomqtt.Client(
            host,
            port,
            username=self._feed._own,
            password=self._peer.outbound_mqtt_password,
            # A fixed id would let anybody who guesses it push us out.
            identifier=f"{self._feed._own}-{new_secret(9)}",
            clean_session=True,
            tls_params=aiomqtt.TLSParameters() if secure else None,
            timeout=5.0,
            keepalive=15,
        )

    def _heard(self, topic: str, payload: object) -> None:
        try:
            state = decode_state(payload if isinstance(payload, bytes) else b"", topic)
        except (Invalid, RecursionError) as error:
            _log.warning("feed.malformed", operator_id=self._peer.operator_id, error=str(error))
            return
        if self._continuity.heard(state.sequence, state.location_id):
            self._feed._on_state(self._peer.operator_id, state)
        if self._continuity.broken:
            self.pull_due.set()

    # -- REST -------------------------------------------------------------------------------------------

    async def _pull(self) -> None:
        """The whole picture: when something is missing, and now and then to see whether it is."""
        pause_s = _PAUSE_FIRST_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._feed._check_s):
                    await self.pull_due.wait()
            self.pull_due.clear()
            self._pulling = True
            try:
                await self._pull_once()
                self._pulling = False
                pause_s = _PAUSE_FIRST_S
                await asyncio.sleep(_PULL_GAP_S)
            except Exception as error:  # whatever it is, the next try may find it gone
                self._failed(error)
                self._whole_due = True
                self.pull_due.set()
                await asyncio.sleep(pause_s)
                pause_s = min(_PAUSE_LONGEST_S, pause_s * 1.7)

    async def _pull_once(self) -> None:
        known = -1 if self._whole_due or self._continuity.broken else self._continuity.sequence
        self._whole_due = False
        picture = await self._feed._client.availability(self._peer.operator_id, known)
        if picture is None:
            return
        self.pulls += 1
        younger = self._continuity.pulled(picture.sequence)
        for state in picture.states:
            if state.location_id not in younger and state.operator_id == self._peer.operator_id:
                self._feed._on_state(self._peer.operator_id, state)
        if self._continuity.broken:
            self.pull_due.set()

    async def _refresh(self) -> None:
        """Locations and tariffs, and the picture of their stations again, now that they are known."""
        pause_s = _PAUSE_FIRST_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._feed._refresh_s):
                    await self.offer_due.wait()
            self.offer_due.clear()
            operator_id = self._peer.operator_id
            try:
                tariffs = await self._feed._client.tariffs(operator_id)
                locations = await self._feed._client.locations(operator_id)
                await self._feed._on_offer(operator_id, locations, tariffs)
                self._whole_due = True
                self.pull_due.set()
                pause_s = _PAUSE_FIRST_S
            except Exception as error:  # whatever it is, the next try may find it gone
                self._failed(error)
                self.offer_due.set()
                await asyncio.sleep(pause_s)
                pause_s = min(_PAUSE_LONGEST_S, pause_s * 1.7)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Unavailable):
            return  # the client's reach tells that already
        if isinstance(error, EletroviaError):
            _log.warning("feed.refused", operator_id=self._peer.operator_id, error=str(error))
        else:
            _log.error("feed.failed", operator_id=self._peer.operator_id, exc_info=error)
