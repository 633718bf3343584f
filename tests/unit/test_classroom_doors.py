"""Ports: named, checked before anything starts, and a second door to one of them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from eletrovia.base.errors import Conflict
from eletrovia.runtime.central import central_config, reached_at
from eletrovia.runtime.classroom import doors, members
from eletrovia.runtime.config import defaults, with_values
from eletrovia.runtime.doors import Door, check_doors, check_unique, listener_on
from eletrovia.runtime.relay import Relay


def door(port: int, key: str = "classroom.central1_http") -> Door:
    return Door(key=key, port=port, who="Central 1", spoken="REST")


def test_the_ports_are_the_courses() -> None:
    by_kind: dict[str, list[int]] = {}
    for one in doors(defaults(), ["trips"]):
        by_kind.setdefault(one.key.partition("_")[2], []).append(one.port)
    assert by_kind["http"] == [5000, 5001, 5002]
    assert by_kind["mqtt"] == [1886, 1884, 1885, 1883]
    assert by_kind["websocket"] == [9001, 9002, 9003]
    meters = {one.key: (one.transport, one.port) for one in doors(defaults(), ["meters"])}
    assert meters == {
        "classroom.meter_udp": ("udp", 60000),
        "classroom.meter_http": ("tcp", 50000),
        "classroom.meter_tcp": ("tcp", 4005),
    }
    assert len(doors(defaults())) == len(doors(defaults(), ["trips"])) + 3


def test_a_taken_port_is_named_with_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with pytest.raises(Conflict) as refused:
            check_doors([door(port)], "127.0.0.1")
        facts = refused.value.facts
        assert (refused.value.code, facts["port"]) == ("classroom.port_taken", port)
        assert facts["key"] == "classroom.central1_http"
        if sys.platform == "linux":
            assert f"(pid {os.getpid()})" in facts["by"]
    check_doors([door(port)], "127.0.0.1")
    assert listener_on(port) == ""


def test_a_taken_udp_port_is_named_and_a_tcp_port_of_its_number_is_another() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", 0))
        port = squatter.getsockname()[1]
        udp = Door(key="classroom.meter_udp", port=port, who="Meters", spoken="JSON", transport="udp")
        check_unique([udp, door(port)])
        with pytest.raises(Conflict) as refused:
            check_doors([udp], "127.0.0.1")
        if sys.platform == "linux":
            assert f"(pid {os.getpid()})" in refused.value.facts["by"]
    check_doors([udp], "127.0.0.1")


def test_two_doors_on_one_port_are_refused() -> None:
    with pytest.raises(Conflict) as refused:
        check_unique([door(5000), door(5000, "classroom.central2_http")])
    assert refused.value.facts == {
        "port": 5000,
        "key": "classroom.central2_http",
        "other": "classroom.central1_http",
    }


def test_a_central_is_told_whatever_is_not_usual() -> None:
    config = with_values(defaults(), {"classroom.central2_mqtt": 2884, "booking.ask_timeout_s": 3.0})
    everybody = members(config, bind="0.0.0.0")  # noqa: S104 - nothing is opened
    for member in everybody:
        assert "classroom.central2_mqtt=2884" in member.arguments
        assert "booking.ask_timeout_s=3.0" in member.arguments
    assert [one.url.rpartition(":")[2] for one in everybody] == ["5100", "5101", "5102", "50000"]
    assert all(one.url.startswith("http://127.0.0.1:") for one in everybody)
    assert [one.name for one in members(config, bind="::1", parts=["meters"])] == ["Meters"]
    own = central_config(config, 2, bind="0.0.0.0")  # noqa: S104
    assert (own.operator.id, own.bus.mqtt_port, own.http.port) == ("BR*CE2", 2884, 5101)
    assert own.operator.public_url == "http://127.0.0.1:5101"
    assert own.data.path == config.data.path / "central2"


@pytest.mark.parametrize(
    ("bind", "host"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.1.2.3", "10.1.2.3")],  # noqa: S104
)
def test_what_is_bound_everywhere_is_reached_on_loopback(bind: str, host: str) -> None:
    assert reached_at(bind) == host


async def test_the_relay_passes_every_byte_on_and_ends_with_either_side() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(1 << 16):
            writer.write(octets.upper())
            await writer.drain()
        writer.close()

    far = await asyncio.start_server(shout, "127.0.0.1", 0)
    far_port = far.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    relay = await Relay.start("127.0.0.1", port, to_host="127.0.0.1", to_port=far_port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = b"abc" * 100_000
    writer.write(sent)
    async with asyncio.timeout(10):
        assert await reader.readexactly(len(sent)) == sent.upper()
        writer.close()
        still, _ = await asyncio.open_connection("127.0.0.1", port)
        await relay.close()
        assert await still.read() == b""
    far.close()


async def test_a_relay_to_nowhere_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe, socket.create_server(("127.0.0.1", 0)) as other:
        port, nowhere = probe.getsockname()[1], other.getsockname()[1]
    relay = await Relay.start("127.0.0.1", port, to_host="127.0.0.1", to_port=nowhere)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await relay.close()
