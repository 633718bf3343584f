"""``eletrovia tariffs``: the list, a day drawn, a file checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eletrovia.cli.main import main

OWN = """
[[distributor]]
id = "us"
name = "Nós"
source = "ours"

[[tariff]]
id = "ours"
name = "Ours"
distributor = "us"
kind = "tiers"
source = "ours"
[[tariff.price]]
from = 2026-01-01
tiers = [{ up_to_kwh = 100, kwh = 0.5 }, { kwh = 0.75 }]
source = "ours"
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["tariffs", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--lang", "en")
    assert code == 0
    assert "cariri-b1-branca" in out
    assert "(invented)" in out
    code, out, _ = run(capsys, "--json")
    assert {"classroom-3", "cariri-b1-branca"} <= {one["id"] for one in json.loads(out)["tariffs"]}


def test_a_working_day_is_drawn_and_carnival_is_flat(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", "cariri-b1-branca", "--on", "2026-02-18", "--lang", "pt-BR")
    assert code == 0
    strip = out.splitlines()[2]
    assert len(strip.rstrip()) == 48
    assert strip[0] < strip[33] < strip[35] > strip[41] > strip[43]
    assert "17:30–20:30" in out
    assert "dia útil" in out
    assert "Fora de ponta" in out
    _, out, _ = run(capsys, "show", "cariri-b1-branca", "--on", "2026-02-17", "--lang", "pt-BR")
    assert "não é dia útil" in out
    assert "17:30" not in out


def test_a_day_as_json_has_exact_prices(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "classroom-0-4", "--json", "--on", "2026-02-17")
    day = json.loads(out)
    assert day["windows"][0]["prices"] == [
        {"above_kwh": "0", "up_to_kwh": None, "before_taxes": "0.4", "with_taxes": "0.40000"}
    ]
    assert day["sources"]


def test_our_own_file_is_laid_over(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN, "utf-8")
    setting = ("--set", f"metering.tariff_file={own}", "--lang", "en")
    code, _, err = run(capsys, "check", str(own), "--lang", "en")
    assert code == 0
    assert "is right" in err
    _, out, _ = run(capsys, *setting)
    assert "ours" in out
    assert "cariri-b1-branca" in out
    _, out, _ = run(capsys, "show", "ours", "--on", "2026-02-17", *setting)
    assert "All day ≤ 100 kWh" in out
    assert "All day > 100 kWh" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nothing"), 4, "no tariff nothing"),
        (("show", "cariri-b1-branca", "--on", "17/02/2026"), 2, "no date"),
        (("show", "cariri-b1-branca", "--on", "1999-12-31"), 4, "1999-12-31"),
        (("check", "/nowhere/at/all.toml"), 4, "no tariff file"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, out, err = run(capsys, *arguments, "--lang", "en")
    assert (ended, out) == (code, "")
    assert words in err


def test_a_wrong_file_is_told_by_record_and_field(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace("0.75", "-0.75"), "utf-8")
    code, _, err = run(capsys, "check", str(own), "--lang", "pt-BR")
    told = " ".join(err.split())
    assert code == 2
    assert "own.toml" in told.replace(" ", "")
    assert 'tariff "ours", price[0].tiers[1].kwh' in told
