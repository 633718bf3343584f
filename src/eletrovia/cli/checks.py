"""What the doctor looks at, one function a check. Each is bounded in time and changes nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from eletrovia.base.errors import EletroviaError
from eletrovia.cli.zone import HOME
from eletrovia.people.account import Language
from eletrovia.runtime.config import Config, masked

MIN_PYTHON: Final = (3, 11)
WARN_FREE_MB: Final = 2000
MIN_FREE_MB: Final = 500
WARN_MEMORY_MB: Final = 1500
MIN_MEMORY_MB: Final = 500
WARN_FILES: Final = 4096
MIN_FILES: Final = 1024
_TIMEOUT_S: Final = 5


class Outcome(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found; ``advice`` names the sentence about what to do."""

    check: str
    outcome: Outcome
    found: str
    advice: str = ""
    facts: dict[str, Any] = {}


def run_checks(config: Config, language: Language = Language.ENGLISH) -> list[Finding]:
    """All checks, in the order in which their failures would show."""
    from eletrovia.cli import checks_metering
    from eletrovia.metering.gateways.udp import UdpLimits

    data, metering = config.data.path, config.metering
    own = Path(metering.tariff_file).expanduser() if metering.tariff_file else None
    checks: list[Callable[[], Finding]] = [
        check_python,
        lambda: check_user(os.geteuid()),
        lambda: check_data_dir(data),
        lambda: check_disk(_free_mb(data)),
        lambda: check_memory(_available_mb()),
        lambda: check_files(_open_files()),
        check_zone,
        (lambda: check_store_url(config.store.url)) if config.store.url else check_postgresql,
        (lambda: check_bus_url(config.bus.url)) if config.bus.url else check_nats,
        lambda: check_ports(config),
        lambda: checks_metering.check_meters_zone(metering.time_zone),
        lambda: checks_metering.check_tariffs(own, language),
    ]
    if metering.udp_port:
        checks.append(lambda: checks_metering.check_udp_buffer(UdpLimits().buffer_octets))
    return [check() for check in checks]


def check_python() -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] < MIN_PYTHON:
        return Finding(check="python", outcome=Outcome.FAIL, found=version, advice="python_old")
    return Finding(
        check="python", outcome=Outcome.OK, found=f"{version} ({platform.machine()}, {sys.platform})"
    )


def check_user(uid: int) -> Finding:
    """The embedded PostgreSQL refuses to run as root, so it is run as another user then."""
    if uid == 0:
        return Finding(check="user", outcome=Outcome.WARN, found="root", advice="user_root")
    return Finding(check="user", outcome=Outcome.OK, found=f"uid {uid}")


def check_data_dir(data: Path) -> Finding:
    """Whether the folder, or where it will be made, takes a file, and only its owner's."""
    place = data
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".eletrovia-doctor-"):
            pass
    except OSError as error:
        return Finding(
            check="data_dir",
            outcome=Outcome.FAIL,
            found=f"{place}: {error.strerror}",
            advice="data_dir_unwritable",
            facts={"dir": str(place)},
        )
    if place == data and data.stat().st_mode & 0o022:
        return Finding(
            check="data_dir",
            outcome=Outcome.WARN,
            found=str(data),
            advice="data_dir_open",
            facts={"dir": str(data)},
        )
    return Finding(check="data_dir", outcome=Outcome.OK, found=str(data))


def check_disk(free_mb: int) -> Finding:
    outcome = (
        Outcome.FAIL if free_mb < MIN_FREE_MB else Outcome.WARN if free_mb < WARN_FREE_MB else Outcome.OK
    )
    return Finding(
        check="disk",
        outcome=outcome,
        found=f"{free_mb:,} MB",
        advice="disk_full",
        facts={"need": WARN_FREE_MB},
    )


def check_memory(available_mb: int | None) -> Finding:
    """None where the system does not tell."""
    if available_mb is None:
        return Finding(check="memory", outcome=Outcome.OK, found="?")
    low = Outcome.FAIL if available_mb < MIN_MEMORY_MB else Outcome.WARN
    return Finding(
        check="memory",
        outcome=Outcome.OK if available_mb >= WARN_MEMORY_MB else low,
        found=f"{available_mb:,} MB",
        advice="memory_low",
        facts={"need": WARN_MEMORY_MB},
    )


def check_files(limit: int) -> Finding:
    outcome = Outcome.FAIL if limit < MIN_FILES else Outcome.WARN if limit < WARN_FILES else Outcome.OK
    return Finding(
        check="files", outcome=outcome, found=f"{limit:,}", advice="files_few", facts={"need": WARN_FILES}
    )


def check_zone() -> Finding:
    try:
        ZoneInfo(HOME)
    except (ZoneInfoNotFoundError, OSError):
        return Finding(check="zone", outcome=Outcome.WARN, found=HOME, advice="zone_missing")
    return Finding(check="zone", outcome=Outcome.OK, found=HOME)


def check_postgresql() -> Finding:
    """The wheel's server: is it there, and does it run on this machine?"""
    from eletrovia.store.binaries import find_binaries

    try:
        binary = find_binaries().postgres
    except EletroviaError as error:
        return _broken("postgresql", str(error))
    return _version("postgresql", binary)


def check_nats() -> Finding:
    from eletrovia.bus.binary import check_version, find_binary

    try:
        version = asyncio.run(check_version(find_binary(), timeout_s=_TIMEOUT_S))
    except EletroviaError as error:
        return _broken("nats", str(error))
    return Finding(check="nats", outcome=Outcome.OK, found=f"nats-server {version}")


def check_store_url(url: str) -> Finding:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        return Finding(
            check="store_url",
            outcome=Outcome.FAIL,
            found=f"{masked(url)}: {str(masked(str(error))).splitlines()[0]}",
            advice="store_url_down",
        )
    if version < 140000:
        return Finding(
            check="store_url",
            outcome=Outcome.FAIL,
            found=f"PostgreSQL {version // 10000}",
            advice="store_old",
        )
    return Finding(
        check="store_url", outcome=Outcome.OK, found=f"PostgreSQL {version // 10000}, {masked(url)}"
    )


def check_bus_url(url: str) -> Finding:
    async def version() -> str:
        import nats

        at = urlsplit(url if "://" in url else f"nats://{url}")
        # The client only says "timeout" where nobody listens; the socket says why.
        socket.create_connection((at.hostname or "127.0.0.1", at.port or 4222), timeout=_TIMEOUT_S).close()

        async with asyncio.timeout(_TIMEOUT_S):
            client = await nats.connect(
                url,
                allow_reconnect=False,
                connect_timeout=_TIMEOUT_S,
                error_cb=_unheard,
                name="eletrovia doctor",
            )
        try:
            return str(client.connected_server_version)
        finally:
            await client.close()

    try:
        found = asyncio.run(version())
    except Exception as error:
        told = getattr(error, "strerror", None) or masked(f"{type(error).__name__} {error}").strip()
        return Finding(
            check="bus_url", outcome=Outcome.FAIL, found=f"{masked(url)}: {told}", advice="bus_url_down"
        )
    return Finding(check="bus_url", outcome=Outcome.OK, found=f"NATS {found}, {masked(url)}")


def check_ports(config: Config) -> Finding:
    """Whether the ports that a server would open are free. 0 is always free."""
    wanted = {"http.port": (config.http.host, config.http.port)}
    if not config.bus.url:
        wanted |= {
            "bus.nats_port": ("127.0.0.1", config.bus.nats_port),
            "bus.mqtt_port": (config.http.host, config.bus.mqtt_port),
            "bus.websocket_port": (config.http.host, config.bus.websocket_port),
        }
    if config.metering.tcp_port:
        wanted["metering.tcp_port"] = (config.http.host, config.metering.tcp_port)
    taken = [f"{key} {port}" for key, (host, port) in wanted.items() if port and not port_is_free(host, port)]
    if taken:
        told = ", ".join(taken)
        return Finding(
            check="ports", outcome=Outcome.WARN, found=told, advice="ports_taken", facts={"taken": told}
        )
    return Finding(
        check="ports", outcome=Outcome.OK, found=", ".join(str(port) for _, port in wanted.values())
    )


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True


async def _unheard(_: Exception) -> None:
    """The client's own complaints would be printed otherwise; the failure itself is reported."""


def _version(check: str, binary: Path) -> Finding:
    try:
        told = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return _broken(check, str(error))
    return Finding(check=check, outcome=Outcome.OK, found=told.strip())


def _broken(check: str, found: str) -> Finding:
    return Finding(check=check, outcome=Outcome.FAIL, found=found, advice="binary_broken")


def _free_mb(data: Path) -> int:
    place = data
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free // 1_000_000


def _available_mb() -> int | None:
    """Memory to be had without swapping, within the control group's limit where there is one."""
    found: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) // 1000)
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text("ascii"))
            found.append((int(limit) - used) // 1_000_000)
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def _open_files() -> int:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What a server can raise its own limit to is what counts.
    return max(soft, hard) if hard != resource.RLIM_INFINITY else 1 << 20
