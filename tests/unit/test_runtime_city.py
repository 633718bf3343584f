"""A city does not start where another one would answer in its place."""

from __future__ import annotations

import asyncio
import socket

import pytest

from eletrovia.base.errors import Conflict
from eletrovia.runtime.city import check_ports


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
