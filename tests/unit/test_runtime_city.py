"""A city does not start where another one would answer in its place; its meters' gateway keeps its ports."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from eletrovia.base.errors import Conflict
from eletrovia.runtime.city import check_ports, members
from eletrovia.runtime.cityfile import CITY_FILE, GatewayPorts
from eletrovia.runtime.citymeters import gateway, gateway_ports, homes
from eletrovia.runtime.config import defaults


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def test_a_taken_port_is_named_with_who_holds_it() -> None:
    with listening() as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict) as caught:
            await check_ports([port], patience_s=0.0)
    assert caught.value.code == "city.port_taken"
    assert caught.value.facts["port"] == port
    assert "pid" in caught.value.facts["by"]


async def test_ports_of_a_city_that_is_just_ending_are_waited_for() -> None:
    other = listening()
    asyncio.get_running_loop().call_later(0.3, other.close)
    began_s = asyncio.get_running_loop().time()
    await check_ports([other.getsockname()[1]], patience_s=10.0)
    assert asyncio.get_running_loop().time() - began_s >= 0.25


def kept(data: Path, ports: GatewayPorts) -> None:
    (data / CITY_FILE).write_bytes(msgspec.json.encode({"servers": [], "gateway": ports}))


def test_a_citys_meters_find_its_gateway_where_it_was(tmp_path: Path) -> None:
    first = gateway_ports(tmp_path)
    assert first.udp != 0 != first.tcp
    kept(tmp_path, first)
    assert gateway_ports(tmp_path) == first


@pytest.mark.parametrize("content", [b"", b"{", b'{"gateway": null}', b'{"gateway": {"udp": 1}}'])
def test_a_city_without_ports_of_its_own_gets_some(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CITY_FILE).write_bytes(content)
    ports = gateway_ports(tmp_path)
    for number in (ports.udp, ports.tcp):
        assert 0 < number < 65536


def test_ports_that_somebody_took_are_given_up(tmp_path: Path) -> None:
    with listening() as other:
        kept(tmp_path, GatewayPorts(udp=gateway_ports(tmp_path).udp, tcp=other.getsockname()[1]))
        assert gateway_ports(tmp_path).tcp != other.getsockname()[1]


def test_the_gateway_is_the_first_operators_and_the_homes_know_its_port(tmp_path: Path) -> None:
    utility = members(tmp_path, 8001)[0]
    ports = GatewayPorts(udp=47808, tcp=47809)
    beside = gateway(defaults(), utility, ports)
    assert beside.arguments[:3] == ("gateway", "--data", str(utility.data_dir))
    assert set(beside.arguments) >= {"--udp", "47808", "--tcp", "47809"}
    told = homes(tmp_path, "BR*CAR", ports).arguments
    assert told[told.index("--to") + 1] == "127.0.0.1:47809"
    assert told[told.index("--server") + 1] == "BR*CAR"
