"""Readings over MQTT: ``meters/{id}/reading`` in, ``meters/{id}/ack`` out once PostgreSQL has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Unavailable
from eletrovia.bus.bunch import Bunches
from eletrovia.bus.bus import Bus
from eletrovia.metering.gateways import devices
from eletrovia.metering.gateways.devices import Heard
from eletrovia.metering.gateways.report import MOST_READINGS, WHY, Columns, Report, Told, power_w_of
from eletrovia.metering.intake import SETTLED, Intake
from eletrovia.metering.reading import Fate, Readings, Source, epoch_us
from eletrovia.metering.roster import Roster

_log = structlog.get_logger(__name__)

OWN_SUBJECT: Final = "meters.*.reading"
OWN_FILTER: Final = "meters/+/reading"
QUEUE: Final = "metering"
"""Gateways beside each other share the messages under this name."""

Message = tuple[str, bytes]

_HEAD, _TAIL = "meters/", "/reading"
_FURTHEST_S: Final = 10**12
_REPORT: Final = msgspec.json.Decoder(Report)
_ENCODE: Final = msgspec.json.Encoder().encode
_READ_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError)


class Sorter:
    """Turns bunches of MQTT messages into readings, has them committed, and writes the acknowledgements.

    ``counts`` tells ``reports``, ``malformed``, ``device_messages``, ``device_silent`` (they told of
    something else), ``device_malformed``, ``device_refused`` and ``stumbled``. What became of readings is
    counted by the intake's observer.
    """

    def __init__(self, intake: Intake, roster: Roster, clock: Clock, zone: ZoneInfo) -> None:
        self._intake = intake
        self._roster = roster
        self._clock = clock
        self._zone = zone
        self.counts: Counter[str] = Counter()

    async def take(self, messages: Sequence[Message]) -> list[Message]:
        """Commit what these messages tell; what is to be published in answer.

        Waits, and repeats, while PostgreSQL is gone: most of these senders never say a thing twice. One that
        we stumble over for a reason nobody foresaw is left out alone; its neighbours may be taken twice.
        Raises: Unavailable once the intake is closed.
        """
        try:
            return await self._take(messages)
        except Unavailable:
            raise
        except Exception:
            if len(messages) == 1:
                _log.exception("mqtt.stumbled", topic=messages[0][0])
                self.counts["stumbled"] += 1
                return []
        half = len(messages) // 2
        return await self.take(messages[:half]) + await self.take(messages[half:])

    async def _take(self, messages: Sequence[Message]) -> list[Message]:
        reports: list[tuple[str, Report]] = []
        refusals: list[Message] = []
        from_devices: list[Heard] = []
        for topic, payload in messages:
            if topic.startswith(_HEAD):
                sender = topic[len(_HEAD) : -len(_TAIL)]
                try:
                    reports.append((sender, _REPORT.decode(payload)))
                except _READ_ERRORS as problem:
                    told = _sequence_in(payload)
                    refusals.append(
                        self._refusal(sender, "reading.malformed", told, problem=str(problem)[:200])
                    )
            else:
                from_devices += self._heard(topic, payload)
        if from_devices:
            await self._take_heard(from_devices)
        if not reports:
            return refusals
        return refusals + await self._take_reports(reports)

    # -- our own format ---------------------------------------------------------------------------------

    async def _take_reports(self, reports: list[tuple[str, Report]]) -> list[Message]:
        self.counts["reports"] += len(reports)
        answers: list[Message] = []
        senders: list[str] | None = None
        items: list[Told]
        if all([one.alone for _, one in reports]):  # noqa: C419 - they come by the ten thousand
            # Every one a single reading of the meter that sent it: nearly always.
            items = [report for _, report in reports]
            meters = [sender for sender, _ in reports]
            starts: Sequence[int] = range(len(reports) + 1)
        else:
            reports, answers = self._sound(reports)
            items, meters, senders, starts = _spread(reports)
        columns = Columns(items)
        fates = await self._fates(columns, meters, senders)
        sender_keys = await self._resolve([sender for sender, _ in reports])
        blocked = self._roster.blocked(sender_keys)
        now = self._clock.now()
        plain = len(items) == len(reports) and not blocked.any() and not (fates > SETTLED).any()
        tail = b',"settled":1,"refused":[],"blocked":false,"now":"%s"}' % _text_of(now)
        answers += [
            (
                f"{_HEAD}{sender}/ack",
                b'{"seq":%d%b' % (report.seq, tail)
                if plain and type(report.seq) is int and starts[place + 1] - starts[place] == 1
                else self._answer(
                    report,
                    columns,
                    fates,
                    starts[place],
                    starts[place + 1],
                    blocked=bool(blocked[place]),
                    now=now,
                ),
            )
            for place, (sender, report) in enumerate(reports)
        ]
        return answers

    def _sound(self, reports: list[tuple[str, Report]]) -> tuple[list[tuple[str, Report]], list[Message]]:
        """Those that can be taken, and what is said to the others."""
        sound: list[tuple[str, Report]] = []
        refusals: list[Message] = []
        for sender, report in reports:
            if report.muddled:
                refusals.append(self._refusal(sender, "reading.muddled", report.seq))
            elif len(report.items()) > MOST_READINGS:
                refusals.append(
                    self._refusal(sender, "body.too_many_items", report.seq, allowed=MOST_READINGS)
                )
            else:
                sound.append((sender, report))
        return sound, refusals

    async def _fates(
        self, columns: Columns, meters: list[str], senders: list[str] | None
    ) -> NDArray[np.int8]:
        """Commit what may go in; what became of each."""
        keys = await self._resolve(meters)
        fates = np.zeros(len(meters), np.int8)
        if columns.wrong:
            fates[list(columns.wrong)] = Fate.IMPOSSIBLE
            self.counts["malformed"] += len(columns.wrong)
        # Whose topic it came on is what the broker has checked.
        by = None if senders is None else await self._resolve(senders)
        await self._settle(fates, Readings(
            Source.MQTT, keys, columns.at_us, columns.energy_wh,
            columns.power_w, columns.sent_kwh, columns.estimated,
        ), by)  # fmt: skip
        return fates

    async def _settle(
        self, fates: NDArray[np.int8], readings: Readings, by: NDArray[np.int32] | None
    ) -> None:
        """Commit those that are marked STORED, and mark what became of them."""
        may = fates == Fate.STORED
        if may.all():
            fates[:] = await self._intake.take_surely(readings, sender=by)
        elif may.any():
            some = None if by is None else by[may]
            fates[may] = await self._intake.take_surely(readings.pick(may), sender=some)

    def _answer(
        self,
        report: Report,
        columns: Columns,
        fates: NDArray[np.int8],
        start: int,
        end: int,
        *,
        blocked: bool,
        now: datetime,
    ) -> bytes:
        told = fates[start:end]
        refused = [
            {"place": int(place), "why": columns.wrong.get(start + int(place), WHY[told[place]])}
            for place in np.flatnonzero(told > SETTLED)
        ]
        answer: dict[str, Any] = {} if report.seq is None else {"seq": report.seq}
        return _ENCODE(
            {
                **answer,
                "settled": end - start - len(refused),
                "refused": refused,
                "blocked": blocked,
                "now": now,
            }
        )

    def _refusal(self, sender: str, code: str, seq: int | str | None, **facts: object) -> Message:
        self.counts["malformed"] += 1
        answer: dict[str, Any] = {} if seq is None else {"seq": seq}
        told = {**answer, "error": code, "facts": facts, "now": self._clock.now()}
        return (f"{_HEAD}{sender}/ack", _ENCODE(told))

    async def _resolve(self, ids: Sequence[str]) -> NDArray[np.int32]:
        return await self._intake.surely(lambda: self._roster.resolve(ids))

    # -- devices as they come ---------------------------------------------------------------------------

    def _heard(self, topic: str, payload: bytes) -> list[Heard]:
        self.counts["device_messages"] += 1
        try:
            found = devices.heard(topic, payload)
        except _READ_ERRORS:
            self.counts["device_malformed"] += 1
            return []
        if not found:
            self.counts["device_silent"] += 1
        return found

    async def _take_heard(self, heard: list[Heard]) -> None:
        """Registers beyond a device's first are meters of their own, ``{device}-1``, registered behind it."""
        now = self._clock.now()
        timed: list[tuple[Heard, int]] = []
        for one in heard:
            try:
                timed.append((one, self._moment(one.at, now)))
            except (ValueError, OverflowError):
                self.counts["device_malformed"] += 1
        if not timed:
            return
        meters = [f"{one.device}-{one.channel}" if one.channel else one.device for one, _ in timed]
        keys = await self._resolve(meters)
        by = None
        if any(one.channel for one, _ in timed):
            by = await self._resolve([one.device for one, _ in timed])
        fates = np.zeros(len(timed), np.int8)
        await self._settle(fates, Readings(
            Source.MQTT,
            keys,
            np.array([at_us for _, at_us in timed], np.int64),
            np.array([one.energy_wh for one, _ in timed], np.int64),
            np.array([power_w_of(one.power_w) for one, _ in timed], np.int32),
            np.array([one.sent_kwh for one, _ in timed], np.float64),
        ), by)  # fmt: skip
        self.counts["device_refused"] += int((fates > SETTLED).sum())

    def _moment(self, told: float | str | None, now: datetime) -> int:
        if told is None:
            return epoch_us(now) // 1000 * 1000
        if not isinstance(told, str):
            if not abs(told) <= _FURTHEST_S:
                raise ValueError("no such time")
            return round(told * 1000) * 1000
        moment = datetime.fromisoformat(told)
        if moment.tzinfo is not None:
            return epoch_us(moment)
        # The device's own local time. Where the hour comes twice, it is the one that is now.
        both = [epoch_us(moment.replace(tzinfo=self._zone, fold=fold)) for fold in (0, 1)]
        return min(both, key=lambda at_us: abs(at_us - epoch_us(now)))


class MqttGateway:
    """Meters on the bus: NATS is the MQTT broker."""

    def __init__(self, bus: Bus, sorter: Sorter) -> None:
        self._bus = bus
        self._sorter = sorter
        self._bunches: Bunches | None = None

    async def start(self) -> MqttGateway:
        self._bunches = await self._bus.gather(
            (OWN_SUBJECT, *devices.SUBJECTS), self._came, queue=QUEUE, at_once=3
        )
        return self

    async def close(self) -> None:
        """Takes no more; what came is committed and answered."""
        if self._bunches is not None:
            await self._bunches.close()

    async def _came(self, messages: list[Message]) -> None:
        await self._bus.publish_all(await self._sorter.take(messages))


def _spread(reports: list[tuple[str, Report]]) -> tuple[list[Told], list[str], list[str] | None, list[int]]:
    """All readings of all reports, of which meter and by whom each is told, and where each report begins.

    Shape: by whom only where somebody speaks for another.
    """
    items: list[Told] = []
    meters: list[str] = []
    senders: list[str] = []
    starts = [0]
    for sender, report in reports:
        told = report.items()
        items += told
        meters += [item.meter or sender for item in told]
        senders += [sender] * len(told)
        starts.append(len(items))
    return items, meters, senders if meters != senders else None, starts


class _Sequence(msgspec.Struct):
    seq: int | Annotated[str, msgspec.Meta(max_length=64)] | None = None


def _sequence_in(payload: bytes) -> int | str | None:
    """The number of a report that is otherwise unreadable, where that can be read."""
    try:
        return msgspec.json.decode(payload, type=_Sequence).seq
    except _READ_ERRORS:
        return None


def _text_of(moment: datetime) -> bytes:
    return moment.isoformat().replace("+00:00", "Z").encode()
