"""The decoders that are more than one function: posted bodies, gateways, the classroom's doors, files."""

from __future__ import annotations

import contextlib
import gzip
import random
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np

from eletrovia.api.posted import Posted, unpacked
from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import EletroviaError, Invalid
from eletrovia.classroom import meter_words
from eletrovia.classroom.meter_http import Requests
from eletrovia.classroom.meter_json import Objects
from eletrovia.classroom.meter_udp import Datagrams
from eletrovia.metering import frame, pix
from eletrovia.metering.devicekey import DeviceKeys
from eletrovia.metering.files.shape import Unit, Values, Wishes
from eletrovia.metering.files.sheet import Sheet
from eletrovia.metering.files.table import open_table
from eletrovia.metering.gateways import batch
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.reading import Reading, Source
from eletrovia.metering.roster import Roster
from tests.fuzz.run import Target
from tests.fuzz.targets import reports

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bodies() -> Target:
    """HTTP bodies, up to the point where they would go to the intake; some of them packed."""

    def feed(data: bytes) -> bool:
        if data[:1] == b"g":
            data = gzip.compress(data[1:], 1)
            data = data[: len(data) - len(data) % 7]
            Posted(unpacked(data, "gzip"))
        else:
            Posted(data)
        return True

    return Target(examples=reports().examples, feed=feed, answers=(Invalid,))


def gateway() -> Target:
    """Many frames in one stretch of memory, as the gateways look at them: the vectorised way in."""
    keys = DeviceKeys(b"m" * 32)
    roster = Roster(cast(Any, None), SystemClock())
    for key in range(1, 9):
        roster._rows[key] = (key, 1, 0, 0)
    seals = Seals(keys)
    records = frame.records_of([Reading(meter=1, at=_AT, energy_wh=9), Reading(meter=2, at=_AT, energy_wh=8)])
    examples = [
        frame.readings_frame(keys.of(1, 0), sender=1, sequence=9, backlog=2, records=records[:count])
        for count in (0, 1, 2)
    ]
    wait = random.Random(1)

    def feed(data: bytes) -> bool:
        sender = int.from_bytes(data[4:8], "big")
        if sum(data[-3:]) % 4 and 0 < sender < 9:  # signed anew, so that what lies behind the tag is reached
            data = frame._signed(keys.of(sender, 0), data[: -frame.TAG_OCTETS])
        whole = examples[wait.randrange(3)] + data + examples[wait.randrange(3)]
        octets = np.frombuffer(whole, np.uint8)
        starts = np.array([0, len(whole) - len(data) - len(examples[0]), 0], np.int64).clip(0)
        lengths = np.array([len(data), len(data), len(whole)], np.int64)
        lengths = np.minimum(lengths, len(whole) - starts)
        octets = np.concatenate([octets, np.frombuffer(data, np.uint8)])
        starts = np.append(starts, len(whole))
        lengths = np.append(lengths, len(data))
        found, verdicts = batch.unpacked(
            octets, starts, lengths, source=Source.UDP, roster=roster, seals=seals
        )
        assert len(verdicts) == 4
        assert len(found.readings) <= 3 * frame.MOST_READINGS
        return bool(verdicts[-1] == batch.Verdict.GOOD)

    return Target(examples=examples, feed=feed, answers=())


def datagrams() -> Target:
    """The classroom's meters over UDP."""
    examples = [
        b'{"matricula": 13456789, "consumo_atual": 805, "data_hora": "01-03-2026 12:00:00"}',
        b'{"matricula": 3241897, "consumo_atual": 0, "data_hora": "28-02-2025 23:59:59"}',
    ]

    def feed(data: bytes) -> bool:
        return len(Datagrams([data, data]).numbers) == 2

    return Target(examples=examples, feed=feed, answers=())


def words() -> Target:
    """The classroom's meters over TCP: objects out of a stream, cut anywhere, and what they say."""
    examples = [
        b'{"id": 0}{"id": "1", "consumption": 12.5, "datetime": "2026-03-01 12:00:00", "type": "/spent"}',
        b'{"id": "7", "consumption": 0.1, "datetime": "2026-03-01 12:00:01", "type": "/spent"} {"id": "0"}',
        b'{"id": "1", "datetime": "2026-03-01 12:00:00", "type": "/historic/upper"}',
    ]

    def feed(data: bytes) -> bool:
        objects, taken = Objects(), 0
        cut = len(data) // 2
        for part in (data[:cut], data[cut:]):
            for octets in objects.feed(part):
                with contextlib.suppress(Invalid):
                    meter_words.read(octets)
                    taken += 1
        return taken > 0

    return Target(examples=examples, feed=feed, answers=())


def course_http() -> Target:
    """The HTTP that shares the meters' port in the classroom."""
    examples = [
        b"GET /historic/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /invoice/1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /historic HTTP/1.1\r\nHost: a\r\nContent-Length: 48\r\n\r\n"
        b'{"id": "1", "datetime": "2026-03-01 12:00:00"}  ',
        b"POST /spent HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    ]

    def feed(data: bytes) -> bool:
        requests = Requests()
        cut = len(data) // 3
        found = [one for part in (data[:cut], data[cut:]) for one in requests.feed(part)]
        for one in found:
            with contextlib.suppress(Invalid):
                meter_words.read(one.body, one.path)
        return bool(found)

    return Target(examples=examples, feed=feed, answers=(Invalid,))


def files() -> Target:
    """CSV files of readings: recognised, read, cumulated."""
    examples = [
        b"customer_id,reading_datetime,supply_kwh\n1,2012-02-10 08:00:00,0.14\n1,2012-02-10 08:30:00,0.08\n",
        b"medidor;data;valor\nM1;10/02/2025 08:00;1,5\nM1;10/02/2025 09:00;2,25\nM2;10/02/2025 08:00;3,0\n",
        b"meter,date,"
        + b",".join(b"%02d:00" % hour for hour in range(24))
        + b"\nM1,2025-02-10"
        + b",0.5" * 24
        + b"\n",
        gzip.compress(b"meter,at,energy_wh\nM1,2025-02-10T08:00:00Z,5\nM1,2025-02-10T09:00:00Z,9\n"),
    ]
    folder = tempfile.TemporaryDirectory(prefix="eletrovia-fuzz-")
    path = Path(folder.name) / "file.csv"
    wishes = Wishes(zone="America/Fortaleza", values=Values.DIFFERENCES, unit=Unit.KWH, interval_s=1800)

    def starts(moments: Mapping[str, int]) -> Mapping[str, Decimal]:
        return {name: Decimal(0) for name in moments}

    def feed(data: bytes) -> bool:
        assert folder is not None
        path.write_bytes(data)
        sheet = Sheet(path)
        try:
            return sum(len(piece) for piece in open_table(sheet, wishes, starts).pieces()) > 0
        finally:
            sheet.close()

    return Target(examples=examples, feed=feed, answers=(EletroviaError,))


def codes() -> Target:
    """Pix's BR Code, read back."""
    examples = [
        b"00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR"
        b"5913Fulano de Tal6008BRASILIA62070503***63041D3D"
    ]

    def feed(data: bytes) -> bool:
        body = data[:-4].decode("utf-8", "replace")
        pix.parse(body + pix._crc(body) if len(data) % 3 else data.decode("utf-8", "replace"))
        return True

    return Target(examples=examples, feed=feed, answers=(Invalid, ValueError))
