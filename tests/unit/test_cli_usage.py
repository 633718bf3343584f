"""Usage drawn in a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from eletrovia.base.errors import EletroviaError
from eletrovia.cli.main import main
from eletrovia.cli.terminal import Options, Terminal
from eletrovia.cli.usage_chart import draw_usage


def told(resolution: str, slots: list[tuple[str, int, int]]) -> dict[str, Any]:
    return {
        "time_zone": "America/Recife",
        "resolution": resolution,
        "energy_wh": sum(energy_wh for _, energy_wh, _ in slots),
        "estimated_wh": sum(estimated_wh for *_, estimated_wh in slots),
        "slots": [
            {"starts_at": at, "energy_wh": energy_wh, "estimated_wh": estimated_wh}
            for at, energy_wh, estimated_wh in slots
        ],
    }


def drawn(usage: dict[str, Any], *, lang: str, encoding: str = "utf-8") -> list[str]:
    terminal = Terminal(Options(lang=lang))
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    terminal.__dict__["out"] = Console(file=file, width=80, highlight=False)
    draw_usage(terminal, usage, "m1")
    file.seek(0)
    return file.read().splitlines()


HOURS = [
    ("2026-03-02T02:00:00Z", 0, 0),
    ("2026-03-02T03:00:00Z", 1_000, 0),
    ("2026-03-02T04:00:00Z", 2_000, 1_000),
]


def test_bars_are_as_long_as_usage_and_a_day_is_said_once() -> None:
    lines = drawn(told("hour", HOURS), lang="pt-BR")
    assert lines[0].split() == ["m1,", "America/Recife"]
    assert lines[2].split() == ["2026-03-01", "23:00", "0,00"]
    assert lines[3].split() == ["2026-03-02", "00:00", "█" * 24, "1,00"]
    assert lines[4].split() == ["01:00", "█" * 24 + "░" * 24, "2,00"]
    assert lines[5] == "Ao todo 3,00 kWh"
    assert "1,00 kWh estimados" in lines[6]


def test_without_unicode_it_stays_readable() -> None:
    lines = drawn(told("month", [("2026-03-01T03:00:00Z", 1_500_000, 0)]), lang="en", encoding="ascii")
    assert lines[2].split() == ["2026-03", "#" * 48, "1,500.00"]


@pytest.mark.parametrize("arguments", [["--staff"], ["m1", "--city"], ["--area", "Bessa", "--city"]])
def test_one_thing_is_asked_about(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["usage", *arguments, "--lang", "en"])
    assert ended.value.code == 2
    assert "--area NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--accept", "2026-03-02T03:00:00Z"], ["m1", "--accept", "x", "--exclude", "x"]]
)
def test_a_verdict_is_one_on_one_meters_reading(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["marks", *arguments, "--lang", "pt-BR"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Erro:")


def test_a_zone_that_this_machine_does_not_know_is_no_error() -> None:
    usage = told("day", [("2026-03-01T03:00:00Z", 10, 0)]) | {"time_zone": "Mars/Olympus"}
    try:
        assert "0.01" in drawn(usage, lang="en")[2]
    except EletroviaError as error:  # pragma: no cover
        pytest.fail(str(error))
