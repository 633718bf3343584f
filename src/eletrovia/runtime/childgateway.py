"""The gateway that an operator's server runs beside itself, as a child that ends with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from eletrovia.runtime.config import Config, variable
from eletrovia.runtime.fleet import Fleet, Member

READY_FILE: Final = "gateway.json"
"""In the data folder while a child gateway is up: its ports."""


def member(config: Config) -> Member:
    """The gateway of a server with these settings."""
    data = config.data.path
    ready = data / READY_FILE
    arguments = ["gateway", "--data", str(data), "--host", config.http.host, "--ready-file", str(ready)]
    for name, port in (("--udp", config.metering.udp_port), ("--tcp", config.metering.tcp_port)):
        if port:
            arguments += [name, str(port)]
    # In the environment, not among the arguments: a database's URL may hold a password.
    settings = {
        "store.url": config.store.url,
        "metering.partition": config.metering.partition,
        "metering.keep_readings_months": config.metering.keep_readings_months,
        "metering.future_s": config.metering.future_s,
        "metering.master_key_file": config.metering.master_key_file,
        "log.format": "json",
        "log.level": config.log.level,
    }
    return Member(
        name="gateway",
        data_dir=data,
        url="",
        arguments=tuple(arguments),
        environment={variable(key): str(value) for key, value in settings.items()},
        ready_file=ready,
        log_name="gateway.log",
    )


@contextlib.asynccontextmanager
async def gateway_beside(config: Config) -> AsyncIterator[None]:
    """A gateway of its own process until the block ends, where the settings name a port for one.

    Its work then never waits for the server's, nor the server's for its own. One that dies is started again.
    Raises: Unavailable with its last words when it does not come up.
    """
    if not config.metering.udp_port and not config.metering.tcp_port:
        yield
        return
    fleet = Fleet([member(config)])
    await fleet.start()
    try:
        yield
    finally:
        await fleet.stop()
