"""Logs: one line an event, for people or for machines, never with a secret in it.

Ours come from structlog, uvicorn's, NATS' and psycopg's from the standard library; all leave through
the same door on standard error.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

from eletrovia.runtime.config import LogSection

HIDDEN: Final = "***"
_SECRET_NAME = re.compile(
    r"(?i)(^|_|-)(authorization|cookie|password|passwd|secret|credentials?|api_?key|seed|nkey|jwt"
    r"|(access_|refresh_|id_)?token(_[abc])?)$"
)
_SECRET_TEXT: Final = (
    (re.compile(r"(?i)\b(bearer|token|basic)\s+[\w.~+/=-]{8,}"), r"\1 " + HIDDEN),
    (re.compile(r"(://[^:/?#@\s]*):[^/@\s]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON web token
    (
        re.compile(
            r"(?i)(\b(?:\w*token|password|\w*secret|authorization)['\"]?\s*[:=]\s*['\"]?)(?!\s)[^&\s;,)'\"]+"
        ),
        rf"\1{HIDDEN}",
    ),
)
_BRIDGED: Final = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "nats",
    "psycopg",
    "psycopg.pool",
)
_QUIET_BELOW_WARNING: Final = (
    "asyncio",
    "nats",
    "psycopg",
    "psycopg.pool",
    "uvicorn.access",
    "numba",
    "mqtt",
)

Event = MutableMapping[str, Any]


class _Door(logging.StreamHandler[TextIO]):
    """Our one way out; a second ``set_up`` replaces it and leaves other people's handlers alone."""


def set_up(section: LogSection, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (standard error when left out).

    Start uvicorn with ``log_config=None`` so that it keeps out of the way. May be called again.
    """
    stream = stream or sys.stderr
    level = getattr(logging, section.level.upper())
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_twins,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Plain text: the pretty formatters print local variables, and those hold secrets.
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if section.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        )
    )
    handler = _Door(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Door)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _BRIDGED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)  # whoever ran in this process before may have set another
        logger.propagate = True
    for name in _QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(level if section.level == "debug" else max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _without_twins(logger: Any, method: str, event: Event) -> Event:
    """Other formatters leave the event's text and time behind in the record a second time."""
    for name in ("message", "asctime", "color_message", "taskName"):
        event.pop(name, None)
    return event


def without_secrets(logger: Any, method: str, event: Event) -> Event:
    """The event with everything hidden that is named or looks like a secret, however deep it lies."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = _cleaned(name, value)
    return event


def _cleaned(name: str, value: Any) -> Any:
    if value is not None and _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, str):
        for pattern, shown in _SECRET_TEXT:
            value = pattern.sub(shown, value)
        return value
    if isinstance(value, dict):
        return {key: _cleaned(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(name, inner) for inner in value]
    if isinstance(value, bytes):
        return f"{len(value)} octets"
    if value is None or isinstance(value, (int, float)):
        return value
    return _cleaned(name, str(value))  # a struct's own text may tell its fields
