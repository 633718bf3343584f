"""A server on somebody else's PostgreSQL and NATS, and the files that compose such a city."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from eletrovia.base.errors import Invalid
from eletrovia.bus.binary import find_binary
from eletrovia.bus.embedded import EmbeddedNats
from eletrovia.bus.layout import BusPorts
from eletrovia.runtime.config import TYPES, load
from eletrovia.runtime.operator import Operator
from eletrovia.runtime.server import opened

ROOT = Path(__file__).parents[2]
PASSWORD = "a good and long one"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A broker that this server has not started."""
    nats = await EmbeddedNats.start(tmp_path / "theirs", ports=BusPorts(websocket=None))
    yield nats
    await nats.stop()


def flags(broker: EmbeddedNats, database_url: str, folder: Path) -> dict[str, str]:
    seed = folder / "seed"
    seed.write_text(broker.callout.issuer_seed + "\n")
    return {
        "http.port": "0",
        "data.dir": str(folder / "ours"),
        "store.url": database_url,
        "bus.url": broker.url,
        "bus.callout_url": broker.callout.url,
        "bus.callout_seed_file": str(seed),
        "bus.system_url": str(broker.callout.system_url),
        "bus.mqtt_port": str(broker.ports.mqtt),
    }


async def hears(broker: EmbeddedNats, topic: str, username: str, password: str) -> bool:
    """Whether the broker lets somebody in to hear a topic."""
    assert broker.ports.mqtt is not None
    try:
        async with aiomqtt.Client(
            "127.0.0.1", broker.ports.mqtt, username=username, password=password,
            protocol=aiomqtt.ProtocolVersion.V311,
        ) as client:  # fmt: skip
            granted = await client.subscribe(topic)
            return all(getattr(code, "value", code) < 128 for code in granted)
    except aiomqtt.MqttError:
        return False


async def token_of(operator: Operator) -> tuple[str, str]:
    account = await operator.people.register(email="d@city.example", password=PASSWORD, name="D")
    tokens = await operator.people.log_in(email="d@city.example", password=PASSWORD)
    return account.id, tokens.access_token


async def test_a_nats_of_the_users_asks_us_who_may_come_in(
    broker: EmbeddedNats, database_url: str, tmp_path: Path
) -> None:
    settings = load(environ={}, flags=flags(broker, database_url, tmp_path), folder=tmp_path).config
    async with opened(settings) as (operator, _):
        account_id, token = await token_of(operator)
        assert await hears(broker, f"trips/reply/{account_id}", "driver", token)
        assert not await hears(broker, "trips/reply/somebody-else", "driver", token)
        assert not await hears(broker, f"trips/reply/{account_id}", "driver", "guessed")
    assert not (tmp_path / "ours" / "nats").exists()
    assert not (tmp_path / "ours" / "postgresql").exists()


async def test_without_its_seed_the_server_says_so_and_does_not_start(
    broker: EmbeddedNats, database_url: str, tmp_path: Path
) -> None:
    wrong = {**flags(broker, database_url, tmp_path), "bus.callout_seed_file": str(tmp_path / "nowhere")}
    settings = load(environ={}, flags=wrong, folder=tmp_path).config
    with pytest.raises(Invalid, match="bus.callout_seed_unreadable"):
        async with opened(settings):
            pass


@pytest.fixture
def secrets(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What ``make compose-secrets`` would write."""
    runpy.run_path(str(ROOT / "deploy" / "compose_secrets.py"), run_name="__main__")
    lines = (line for line in capsys.readouterr().out.splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def filled(value: Any, secrets: dict[str, str]) -> str:
    """As compose fills in its variables; a KeyError where a secret is not made."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: secrets[found[1]], str(value))


def test_compose_names_only_settings_there_are_and_secrets_that_are_made(secrets: dict[str, str]) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert len(services) == 9
    used: dict[str, str] = {}
    for name, service in services.items():
        environ = {key: filled(value, secrets) for key, value in service["environment"].items()}
        if "image" in service and service["image"] == "eletrovia":
            config = load(environ=environ, folder=ROOT / "deploy").config
            assert config.operator.id == f"BR*{name.upper()}"
            assert all(
                f"{name}-" in url for url in (config.store.url, config.bus.url, config.bus.callout_url)
            )
            assert {key for key in environ if key.startswith("ELETROVIA_")} <= {
                "ELETROVIA_" + key.replace(".", "_").upper() for key in TYPES
            }
        whose = name.split("-")[0]
        for made in secrets.values():
            if any(made in value for value in environ.values()):
                assert used.setdefault(made, whose) == whose, "two operators share a secret"
    assert used


def test_the_utilitys_gateway_listens_where_compose_publishes_it(secrets: dict[str, str]) -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["car"]
    environ = {key: filled(value, secrets) for key, value in service["environment"].items()}
    metering = load(environ=environ, folder=ROOT / "deploy").config.metering
    inside = {port.rpartition(":")[2] for port in service["ports"]}
    assert {f"{metering.udp_port}/udp", str(metering.tcp_port)} <= inside
    exposed = re.findall(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0].split()
    assert inside <= set(exposed)


async def test_the_brokers_configuration_is_one_that_nats_takes(
    secrets: dict[str, str], tmp_path: Path
) -> None:
    text = (ROOT / "deploy" / "nats.conf").read_text()
    file = tmp_path / "nats.conf"
    file.write_text(text.replace("/data/", f"{tmp_path}/"))
    environ = {
        "PATH": os.environ["PATH"],
        "SERVER_NAME": "BR-CAR",
        "CITY_PASSWORD": secrets["CAR_BUS_PASSWORD"],
        "CALLOUT_PASSWORD": secrets["CAR_CALLOUT_PASSWORD"],
        "SYSTEM_PASSWORD": secrets["CAR_SYSTEM_PASSWORD"],
        "CALLOUT_ISSUER": secrets["CAR_CALLOUT_ISSUER"],
    }

    async def tried(environ: dict[str, str]) -> tuple[int | None, str]:
        child = await asyncio.create_subprocess_exec(
            str(find_binary()), "-t", "--config", str(file), env=environ, stderr=asyncio.subprocess.PIPE
        )
        _, said = await child.communicate()
        return child.returncode, said.decode()

    code, said = await tried(environ)
    assert code == 0, said
    assert (await tried({**environ, "CALLOUT_ISSUER": "nobody"}))[0] != 0
