"""Every decoder that bytes from outside reach."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.metering import frame
from eletrovia.metering.gateways import devices, report
from eletrovia.metering.reading import Reading
from tests.fuzz.run import Target

_KEY = b"k" * 32
_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def frames() -> Target:
    """Our compact format; most inputs carry a right tag, so that what lies behind it is reached."""
    records = frame.records_of(
        [Reading(meter=1, at=_AT, energy_wh=10), Reading(meter=2, at=_AT, energy_wh=7, power_w=3)]
    )
    examples = [
        frame.readings_frame(_KEY, sender=1, sequence=9, backlog=3, records=records),
        frame.readings_frame(_KEY, sender=1, sequence=1, backlog=0, records=records[:1]),
        frame.acknowledgement(_KEY, sender=1, sequence=9, refused=2, cut_off=True, now_s=1_800_000_000),
        frame.refusal(_KEY, sender=1, sequence=9, items=[(0, 3), (1, 5)]),
    ]

    def feed(data: bytes) -> bool:
        if sum(data[-3:]) % 4:  # signed anew: a flipped bit behind a wrong tag teaches nothing
            data = data[: -frame.TAG_OCTETS]
            data += frame._signed(_KEY, data)[-frame.TAG_OCTETS :]
        frame.opened(data, lambda sender: _KEY if sender < 100 else None)
        return True

    return Target(examples=examples, feed=feed, answers=(Invalid,))


def streams() -> Target:
    """Where the next frame of a stream ends."""
    examples = frames().examples[:2]

    def feed(data: bytes) -> bool:
        wanted = frame.octets_wanted(data)
        assert wanted is None or 0 < wanted < 10_000_000
        return True

    return Target(examples=examples, feed=feed, answers=(Invalid,))


def reports() -> Target:
    """JSON over HTTP and MQTT."""
    decoder = msgspec.json.Decoder(report.Report)
    examples = [
        b'{"meter":"M1","at":"2026-03-01T08:00:00-03:00","energy_wh":123456,"power_w":-12.5,"estimated":true}',
        b'{"seq":7,"readings":[{"meter":"M1","at":1772366400,"energy_kwh":12.3456},{"at":"2026-03-01T11:00:00Z","energy_wh":1}]}',
        b'{"rows":[["M1",1772366400,5],["M2","2026-03-01T11:00:00.25Z",6,700,false]],"seq":"a"}',
    ]

    def feed(data: bytes) -> bool:
        told = decoder.decode(data)
        columns = report.Columns(told.items())
        return len(columns.wrong) == 0

    return Target(examples=examples, feed=feed, answers=(msgspec.MsgspecError, ValueError))


def home_devices() -> Target:
    """Tasmota and Shelly, by topic."""
    examples = [
        b'tele/plug/SENSOR\n{"Time":"2026-01-02T03:04:05","ENERGY":{"Total":12.345,"Power":56}}',
        b"shellies/shelly1pm-1/relay/0/energy\n12345",
        b"shellies/shellyem-1/emeter/1/total\n1234.5",
        b'shellyplus1pm-1/events/rpc\n{"src":"shellyplus1pm-1","method":"NotifyStatus","params":{"ts":1772366400.5,'
        b'"switch:0":{"id":0,"aenergy":{"total":1234.567},"apower":8.1}}}',
        b'shellyplus1pm-1/status/switch:0\n{"id":0,"apower":8.1,"aenergy":{"total":1234.567}}',
    ]

    def feed(data: bytes) -> bool:
        topic, _, payload = data.partition(b"\n")
        return bool(devices.heard(topic.decode("utf-8", "replace"), payload))

    return Target(examples=examples, feed=feed, answers=(ValueError,))
