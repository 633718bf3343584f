"""Readings by every way, from a process of their own; frames, messages and bodies are made beforehand."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
from collections.abc import Sequence
from time import perf_counter, process_time, sleep
from typing import Any, Final, Literal

import msgspec
import numpy as np

from bench.child import perform
from eletrovia.metering import frame
from eletrovia.metering.devicekey import DeviceKeys

SLOT_S: Final = 900


class Job(msgspec.Struct, kw_only=True):
    """Send ``slots`` readings of each meter, from ``starts_s`` on, one slot after the other.

    Shape: ``meters`` are keys and ``ids`` their ids, in the same order; ``boxes`` are concentrators that
           speak for them, each for its share in turn. ``batch`` readings travel together.
    Units: ``per_s`` paces datagrams; 0 does not.
    """

    way: Literal["tcp", "udp", "http", "mqtt"]
    host: str
    port: int
    master: str
    meters: list[int]
    ids: list[str]
    boxes: list[tuple[int, str]]
    starts_s: int
    slots: int
    batch: int
    window: int = 16
    per_s: float = 0.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent and what was answered as settled, from the first octet to the last answer."""

    sent: int
    settled: int
    took_s: float
    cpu_s: float


def energy_wh(meters: Any, slot: int) -> Any:
    """A register that grows: about 6 kWh a day."""
    return 1_000_000 + meters * 1_000 + slot * 60 + (meters * 31 + slot * 17) % 50


def shares(job: Job) -> list[list[tuple[int, int, int]]]:
    """For each concentrator its batches: slot, and the first and last place of its meters."""
    size = len(job.meters) // len(job.boxes)
    return [
        [
            (slot, first, min(first + job.batch, (box + 1) * size))
            for slot in range(job.slots)
            for first in range(box * size, (box + 1) * size, job.batch)
        ]
        for box in range(len(job.boxes))
    ]


def _records(job: Job, slot: int, first: int, last: int) -> Any:
    meters = np.array(job.meters[first:last], np.int64)
    records = np.zeros(len(meters), frame.RECORD)
    records["meter"] = meters
    records["at"] = job.starts_s + slot * SLOT_S
    records["energy_wh"] = energy_wh(meters, slot)
    records["power_w"] = -(2**31)
    return records


def _rows(job: Job, slot: int, first: int, last: int) -> bytes:
    at_s = job.starts_s + slot * SLOT_S
    told = energy_wh(np.array(job.meters[first:last], np.int64), slot).tolist()
    return msgspec.json.encode([[id_, at_s, wh] for id_, wh in zip(job.ids[first:last], told, strict=True)])


def _first(job: Job) -> int:
    """Frames of a later job have higher numbers."""
    return job.starts_s // SLOT_S * 100_000


# -- TCP -----------------------------------------------------------------------------------------------------


async def _tcp(job: Job) -> Done:
    keys = DeviceKeys(job.master.encode())
    lines = []
    for (box, _), batches in zip(job.boxes, shares(job), strict=True):
        key = keys.of(box, 0)
        lines.append(
            [
                frame.readings_frame(
                    key,
                    sender=box,
                    sequence=_first(job) + number,
                    backlog=min(number - 1, job.window),
                    records=_records(job, *batch),
                )
                for number, batch in enumerate(batches, 1)
            ]
        )
    began_s, cpu_s = perf_counter(), process_time()
    await asyncio.gather(*(_tcp_line(job, frames) for frames in lines))
    sent = len(job.meters) // len(job.boxes) * len(job.boxes) * job.slots
    return Done(sent=sent, settled=sent, took_s=perf_counter() - began_s, cpu_s=process_time() - cpu_s)


async def _tcp_line(job: Job, frames: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(job.host, job.port)
    settled, sent = 0, 0
    while settled < len(frames):
        while sent < len(frames) and sent - settled < job.window:
            writer.write(frames[sent])
            sent += 1
        head = await reader.readexactly(frame.ANSWER_OCTETS)
        magic, _, kind, _, sequence, refused = struct.unpack_from(">2sBBIQI", head)
        if magic != frame.MAGIC or kind != frame.ACKNOWLEDGEMENT or refused:
            raise RuntimeError(f"not the answer that was hoped for: {head!r}")
        settled = sequence - _first(job)
    writer.close()


# -- UDP -----------------------------------------------------------------------------------------------------


async def _udp(job: Job) -> Done:
    """One reading a datagram, each meter its own sender, at the pace of ``per_s``."""
    keys = DeviceKeys(job.master.encode())
    datagrams = []
    for slot in range(job.slots):
        for place, meter in enumerate(job.meters):
            datagrams.append(
                frame.readings_frame(
                    keys.of(meter, 0),
                    sender=meter,
                    sequence=_first(job) + slot,
                    backlog=0,
                    records=_records(job, slot, place, place + 1),
                )
            )
    return await asyncio.to_thread(_udp_send, job, datagrams)


def _udp_send(job: Job, datagrams: Sequence[bytes]) -> Done:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        # Answers are for whoever repeats; nobody reads them here, and a full buffer of them loses nothing.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((job.host, job.port))
        send = sock.send
        began_s, cpu_s = perf_counter(), process_time()
        step = 50
        for start in range(0, len(datagrams), step):
            for datagram in datagrams[start : start + step]:
                send(datagram)
            ahead_s = start / job.per_s - (perf_counter() - began_s) if job.per_s else 0
            if ahead_s > 0.001:
                sleep(ahead_s)
        took_s = perf_counter() - began_s
    return Done(sent=len(datagrams), settled=0, took_s=took_s, cpu_s=process_time() - cpu_s)


# -- HTTP ----------------------------------------------------------------------------------------------------


async def _http(job: Job) -> Done:
    keys = DeviceKeys(job.master.encode())
    lines = []
    for (box, box_id), batches in zip(job.boxes, shares(job), strict=True):
        login = base64.b64encode(f"{box_id}:{keys.of(box, 0).hex()}".encode()).decode()
        requests = []
        for batch in batches:
            body = b'{"rows":' + _rows(job, *batch) + b"}"
            head = (
                f"POST /api/v1/readings HTTP/1.1\r\nHost: {job.host}\r\nAuthorization: Basic {login}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            requests.append(head.encode() + body)
        lines.append(requests)
    began_s, cpu_s = perf_counter(), process_time()
    await asyncio.gather(*(_http_line(job, requests) for requests in lines))
    sent = len(job.meters) // len(job.boxes) * len(job.boxes) * job.slots
    return Done(sent=sent, settled=sent, took_s=perf_counter() - began_s, cpu_s=process_time() - cpu_s)


async def _http_line(job: Job, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(job.host, job.port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200") or b'"refused":0,' not in body[:200]:
            raise RuntimeError(f"not the answer that was hoped for: {(head + body)[:400]!r}")
    writer.close()


# -- MQTT 3.1.1, as much of it as a meter needs --------------------------------------------------------------


def _packet(kind: int, content: bytes) -> bytes:
    left, size = len(content), bytearray()
    while True:
        left, digit = left >> 7, left & 127
        size.append(digit | (128 if left else 0))
        if not left:
            return bytes([kind]) + size + content


def _text(text: str) -> bytes:
    octets = text.encode()
    return struct.pack(">H", len(octets)) + octets


async def _mqtt(job: Job) -> Done:
    keys = DeviceKeys(job.master.encode())
    lines = []
    for (box, box_id), batches in zip(job.boxes, shares(job), strict=True):
        topic = _text(f"meters/{box_id}/reading")
        messages = [
            _packet(0x30, topic + b'{"seq":%d,"rows":' % number + _rows(job, *batch) + b"}")
            for number, batch in enumerate(batches, 1)
        ]
        lines.append((box_id, keys.of(box, 0).hex(), messages))
    began_s, cpu_s = perf_counter(), process_time()
    await asyncio.gather(*(_mqtt_line(job, *line) for line in lines))
    sent = len(job.meters) // len(job.boxes) * len(job.boxes) * job.slots
    return Done(sent=sent, settled=sent, took_s=perf_counter() - began_s, cpu_s=process_time() - cpu_s)


async def _mqtt_line(job: Job, box_id: str, secret: str, messages: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection(job.host, job.port)
    login = _text("MQTT") + b"\x04\xc2" + struct.pack(">H", 0)
    writer.write(_packet(0x10, login + _text(f"bench-{box_id}") + _text(box_id) + _text(secret)))
    kind, answer = await _heard(reader)
    if kind >> 4 != 2 or answer[1]:
        raise RuntimeError(f"the broker does not let {box_id} in: {answer!r}")
    writer.write(_packet(0x82, b"\0\1" + _text(f"meters/{box_id}/ack") + b"\0"))
    await _heard(reader)
    settled, sent = 0, 0
    while settled < len(messages):
        while sent < len(messages) and sent - settled < job.window:
            writer.write(messages[sent])
            sent += 1
        kind, content = await _heard(reader)
        if kind >> 4 != 3:
            continue
        if b'"settled":' not in content or b'"why"' in content:
            raise RuntimeError(f"not the answer that was hoped for: {content[:300]!r}")
        settled += 1
    writer.close()


async def _heard(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        size |= (digit & 127) << shift
        shift += 7
        if not digit & 128:
            return kind, await reader.readexactly(size)


WAYS: Final = {"tcp": _tcp, "udp": _udp, "http": _http, "mqtt": _mqtt}


async def work(job: Job) -> Done:
    """Do one job."""
    return await WAYS[job.way](job)


if __name__ == "__main__":
    perform(Job, work)
