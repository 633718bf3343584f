"""A load process: apart from us, so that what makes the load is not what is measured.

It is told jobs and tells results, one JSON line each; ``python -m bench.MODULE`` runs its ``perform``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop

Job = TypeVar("Job")
Result = TypeVar("Result")

_LINE_OCTETS = 256 << 20


class Child:
    """A running load process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, module: str) -> Child:
        """Run ``module``; it ends when we do."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_OCTETS,
            cwd=Path(__file__).parent.parent,
        )
        return cls(process)

    async def ask(self, job: msgspec.Struct, kind: type[Result], *, timeout_s: float = 120.0) -> Result:
        """What came of the job. Raises: RuntimeError when the process is gone, TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load process ended; it has said why on standard error")
        return msgspec.json.decode(line, type=kind)

    async def stop(self) -> None:
        """Let it end, or make it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def __aenter__(self) -> Child:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def perform(job: type[Job], work: Callable[[Job], Awaitable[Any]]) -> None:
    """Be a load process: do one job a line until there are no more."""

    async def all_of_them() -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            result = await work(msgspec.json.decode(line, type=job))
            sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
            sys.stdout.buffer.flush()

    uvloop.run(all_of_them())
