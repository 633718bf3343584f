"""Verbs that stay up."""

from __future__ import annotations

import inspect

import uvloop


def run_to_end(started: object) -> None:
    """Waits for what a runtime's entry point returned: a coroutine, or nothing when it has run already."""
    if inspect.iscoroutine(started):
        uvloop.run(started)
