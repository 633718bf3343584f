"""The demo's meters: a gateway beside the first operator's server, and simulated homes that speak to it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import msgspec

from eletrovia.runtime import childgateway
from eletrovia.runtime.cityfile import CITY_FILE, GatewayPorts
from eletrovia.runtime.config import Config, with_values
from eletrovia.runtime.doors import Transport, why_taken
from eletrovia.runtime.fleet import Member

HOMES: Final = 120
HOMES_NAME: Final = "CASA"
HOME: Final = f"{HOMES_NAME}-0"
"""The demo driver's own."""
AREA: Final = "Vila Cariri"
SEED: Final = 7
INTERVAL_S: Final = 120
READY_FILE: Final = "simulated-meters.ready"

_LOOPBACK: Final = "127.0.0.1"
_KINDS: Final = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}


class _Kept(msgspec.Struct):
    gateway: GatewayPorts | None = None


def gateway_ports(data: Path) -> GatewayPorts:
    """The city's own, from its file; others that are free now where it has none or somebody took them."""
    try:
        kept = msgspec.json.decode((data / CITY_FILE).read_bytes(), type=_Kept).gateway
    except (OSError, msgspec.DecodeError):
        kept = None
    if kept is not None and not (
        why_taken(_LOOPBACK, kept.udp, "udp") or why_taken(_LOOPBACK, kept.tcp, "tcp")
    ):
        return kept
    return GatewayPorts(udp=_free("udp"), tcp=_free("tcp"))


def gateway(config: Config, utility: Member, ports: GatewayPorts) -> Member:
    """The gateway of a server of the city.

    Beside the city's servers, not started by one of them: nobody's trip waits for it to come up.
    """
    settings = {
        "data.dir": str(utility.data_dir),
        "metering.udp_port": ports.udp,
        "metering.tcp_port": ports.tcp,
    }
    return childgateway.member(with_values(config, settings))


def homes(data: Path, utility_id: str, ports: GatewayPorts) -> Member:
    """The simulated homes, each with a meter of its own, over TCP."""
    ready = data / READY_FILE
    told = {
        "--count": HOMES, "--name": HOMES_NAME, "--area": AREA, "--seed": SEED, "--interval": INTERVAL_S,
        "--protocol": "compact", "--to": f"{_LOOPBACK}:{ports.tcp}",
        "--server": utility_id, "--data": data, "--ready-file": ready,
    }  # fmt: skip
    return Member(
        name="homes",
        data_dir=data,
        url="",
        arguments=("simulate", "meters", *(str(word) for pair in told.items() for word in pair)),
        ready_file=ready,
        log_name="simulated-meters.log",
    )


def _free(transport: Transport) -> int:
    with socket.socket(socket.AF_INET, _KINDS[transport]) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
