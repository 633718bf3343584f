from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from eletrovia.runtime import logs
from eletrovia.runtime.config import LogSection


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream to log to; the root logger is put back afterwards."""
    root = logging.getLogger()
    level = root.level
    yield io.StringIO()
    for handler in list(root.handlers):
        if isinstance(handler, logs._Door):
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_from_structlog_and_from_the_standard_library(stream: io.StringIO) -> None:
    logs.set_up(LogSection(format="json", level="info"), stream=stream)
    structlog.get_logger("booking").info("hold.taken", evse_id="BR*CAR*E0001", place="João Pessoa")
    structlog.get_logger("booking").debug("unheard")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 17)
    logging.getLogger("psycopg.pool").warning("slow")
    logging.getLogger("nats").info("unheard too")
    ours, uvicorn, psycopg = lines(stream)
    assert (ours["event"], ours["evse_id"], ours["level"], ours["logger"]) == (
        "hold.taken",
        "BR*CAR*E0001",
        "info",
        "booking",
    )
    assert "João Pessoa" in stream.getvalue()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", ours["timestamp"])
    assert uvicorn["event"] == "Started server process [17]"
    assert psycopg["level"] == "warning"


class Credentials(msgspec.Struct):
    name: str
    access_token: str


@pytest.mark.parametrize(
    "facts",
    [
        {"token": "s3cret-value"},
        {"refresh_token": "s3cret-value"},
        {"headers": {"Authorization": "Token s3cret-value", "host": "x"}},
        {"url": "postgresql://ana:s3cret-value@db/x"},
        {"path": "/api/v1/events?access_token=s3cret-value&x=1"},
        {"line": "GET / authorization: Bearer s3cret-value.abc"},
        {"jwt_seen": "got eyJhbGciOi.s3cret-value.sig"},
        {"who": Credentials("ana", "s3cret-value")},
        {"list": [{"password": "s3cret-value"}]},
        {"error": ValueError("postgresql://ana:s3cret-value@db refused")},
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_never_reach_the_stream(stream: io.StringIO, facts: dict[str, Any], form: Any) -> None:
    logs.set_up(LogSection(format=form, level="info"), stream=stream)
    structlog.get_logger("people").warning("told", **facts)
    logging.getLogger("other").warning("told %s", facts, extra=facts)
    assert stream.getvalue().count("told") == 2
    assert "s3cret-value" not in stream.getvalue()


def test_octets_are_counted_not_shown(stream: io.StringIO) -> None:
    logs.set_up(LogSection(format="json", level="info"), stream=stream)
    structlog.get_logger().info("datagram", body=b"s3cret-value")
    assert lines(stream)[0]["body"] == "12 octets"


def test_ordinary_facts_are_left_alone(stream: io.StringIO) -> None:
    logs.set_up(LogSection(format="json", level="info"), stream=stream)
    facts = {"key": "trip_1/1/2", "ticket": 5, "tokens_left": 3, "url": "http://h:8001/a?near=x", "soc": 0.5}
    structlog.get_logger().info("plain", **facts)
    assert {name: lines(stream)[0][name] for name in facts} == facts


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(stream: io.StringIO, form: Any) -> None:
    logs.set_up(LogSection(format=form, level="info"), stream=stream)
    hidden = "local" + "-s3cret"
    try:
        raise ValueError(len(hidden))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: 12" in stream.getvalue()
    assert hidden not in stream.getvalue()


def test_set_up_twice_writes_each_line_once(stream: io.StringIO) -> None:
    for _ in range(2):
        logs.set_up(LogSection(format="json", level="info"), stream=stream)
    structlog.get_logger().info("once")
    assert len(lines(stream)) == 1
