"""Verbs that stay up."""

from __future__ import annotations

import inspect


def run_to_end(started: object) -> None:
    """Waits for what a runtime's entry point returned: a coroutine, or nothing when it has run already."""
    if inspect.iscoroutine(started):
        import uvloop  # here, so that help and errors need not wait for it

        uvloop.run(started)
