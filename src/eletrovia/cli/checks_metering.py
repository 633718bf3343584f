"""What the doctor looks at for metering, one function a check."""

from __future__ import annotations

import socket
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eletrovia.base.errors import EletroviaError
from eletrovia.cli.checks import Finding, Outcome
from eletrovia.cli.numbers import number
from eletrovia.cli.sentences import reason_of
from eletrovia.people.account import Language


def check_meters_zone(name: str) -> Finding:
    """Where days, months and tariff windows begin."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return Finding(check="meters_zone", outcome=Outcome.FAIL, found=name, advice="meters_zone_unknown")
    return Finding(check="meters_zone", outcome=Outcome.OK, found=name)


def check_tariffs(own: Path | None, language: Language) -> Finding:
    """Whether homes can be billed: the tariffs carried along, and the utility's own."""
    from eletrovia.metering.tariffbook import read_book

    try:
        book = read_book(own)
    except EletroviaError as wrong:
        return Finding(
            check="tariffs",
            outcome=Outcome.FAIL,
            found=reason_of(wrong.code, wrong.facts, language),
            advice="tariffs_wrong",
            facts={"file": "" if own is None else str(own)},
        )
    found = f"{len(book.tariffs)}" if own is None else f"{len(book.tariffs)}, {own}"
    return Finding(check="tariffs", outcome=Outcome.OK, found=found)


def check_udp_buffer(wanted_octets: int) -> Finding:
    """How much the kernel keeps for meters whose readings come over UDP."""
    from eletrovia.metering.gateways.mailbox import widened

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        got_octets = widened(probe, wanted_octets)
    enough = got_octets >= wanted_octets
    return Finding(
        check="udp_buffer",
        outcome=Outcome.OK if enough else Outcome.WARN,
        found=f"{number(got_octets / (1 << 20), Language.ENGLISH, 1)} MiB",
        advice="udp_buffer_small",
        facts={"octets": wanted_octets},
    )
