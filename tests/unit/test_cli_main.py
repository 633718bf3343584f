"""The command itself: options, languages, exit codes, errors, settings."""

from __future__ import annotations

import ast
import json
import re
import socket
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eletrovia.base.errors import (
    Conflict,
    Denied,
    EletroviaError,
    Invalid,
    NotFound,
    Overloaded,
    Unavailable,
)
from eletrovia.cli.complaints import ADVICE, DID_YOU_MEAN, ERRORS, GAPS, REPEAT
from eletrovia.cli.main import app, main
from eletrovia.cli.sentences import advice_for, language_from, sentence_for
from eletrovia.cli.terminal import EXIT_CODES, Options, Terminal
from eletrovia.cli.words import WORDS
from eletrovia.people.account import Language
from eletrovia.runtime.config import load

CLI = Path(__file__).parents[2] / "src" / "eletrovia" / "cli"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine's user, English, an empty folder, wide enough not to wrap."""
    for name in ("ELETROVIA_SERVER", "ELETROVIA_LANG", "ELETROVIA_CONFIG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is ours and that nobody listens on: a connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def every_verb() -> list[tuple[str, ...]]:
    verbs = [
        (command.name or command.callback.__name__,)
        for command in app.registered_commands
        if command.callback
    ]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            verbs.append((str(group.typer_instance.info.name), str(command.name)))
    return verbs


@pytest.mark.parametrize("verb", every_verb(), ids=" ".join)
def test_every_verb_has_help_with_examples_and_the_common_options(
    capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    code, out, _ = run(capsys, *verb, "--help")
    assert code == 0
    assert f"eletrovia {' '.join(verb)}" in out.partition("Examples")[2]
    for option in ("--data", "--config", "--set", "--lang", "--json", "--debug"):
        assert option in out


def test_the_verbs_of_the_plan_are_there() -> None:
    verbs = {verb[0] for verb in every_verb()}
    assert verbs == {
        *("serve", "demo", "classroom", "trip", "trips", "stations"),
        *("operators", "places", "vehicles", "roads", "config", "doctor"),
        *("gateway", "meter", "simulate", "meters", "customer", "tariffs"),
        *("alerts", "invoices", "readings", "usage", "marks"),
    }


def test_help_imports_nothing_heavy() -> None:
    heavy = {
        "numpy",
        "numba",
        "scipy",
        "litestar",
        "psycopg",
        "nats",
        "aiohttp",
        "asyncio",
        "ssl",
        "urllib.request",
    }
    program = f"import sys, eletrovia.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EletroviaError("internal", reason="x"), 1),
        (Invalid("trip.soc_out_of_range", soc=2, allowed="0 to 1"), 2),
        (Denied("login.wrong"), 3),
        (NotFound("trip.unknown"), 4),
        (Conflict("hold.taken"), 5),
        (Overloaded("lane.full"), 6),
        (Unavailable("server.no_answer", url="http://x", reason="refused"), 7),
        (OSError(28, "No space left on device", "/data"), 7),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_errors_end_with_their_kinds_exit_code_and_no_traceback(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    for as_json in (False, True):
        terminal = Terminal(Options(as_json=as_json))
        with pytest.raises(BaseException) as ended, terminal.told_errors():  # noqa: PT011
            raise error
        assert getattr(ended.value, "exit_code", None) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        if as_json:
            problem = json.loads(said.out)
            assert problem["exit_code"] == code
            assert EXIT_CODES[problem["kind"]] == code
            assert problem["detail"]
            assert said.err == ""
        else:
            assert said.out == ""
            assert said.err.startswith("Error: ")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "config", "show", "--set", "http.prot=1", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_no_server_says_how_to_start_one(capsys: pytest.CaptureFixture[str], unused_port: int) -> None:
    code, out, err = run(capsys, "trip", "a", "b", "-b", "60", "--server", f"127.0.0.1:{unused_port}")
    assert (code, out) == (7, "")
    assert "make demo" in err
    code, _, err = run(capsys, "places", "x", "--set", f"http.port={unused_port}", "--lang", "pt-BR")
    assert code == 7
    assert err.startswith("Erro: Sem resposta")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "here", "config", "show", "data", "--json"),
        ("config", "--data", "here", "show", "data", "--json"),
        ("config", "show", "data", "--json", "--data", "here"),
        ("--data", "there", "config", "show", "--data", "here", "data", "--json"),
        ("--json", "config", "show", "data", "--set", "data.dir=there", "--data", "here"),
    ],
)
def test_common_options_may_stand_anywhere_and_the_later_one_counts(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert json.loads(out) == [{"key": "data.dir", "value": "here", "layer": "flag", "where": "--data"}]


def test_config_show_says_where_values_are_from_and_masks_passwords(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "eletrovia.toml").write_text("[http]\nport = 9\n")
    monkeypatch.setenv("ELETROVIA_STORE_URL", "postgresql://ana:s3cret@db/x")
    code, out, _ = run(capsys, "config")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert re.search(r"\b9 +file eletrovia\.toml:2$", lines["http.port"].rstrip())
    assert '"postgresql://ana:***@db/x"' in lines["store.url"]
    assert lines["store.url"].rstrip().endswith("variable ELETROVIA_STORE_URL")
    assert lines["http.host"].rstrip().endswith("default")
    assert "s3cret" not in out
    assert run(capsys, "config", "show", "htp")[0] == 4


def test_config_init_writes_a_file_that_changes_nothing_and_never_over_another(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "config", "init")[0] == 0
    written = tmp_path / "eletrovia.toml"
    layered = load(environ={}, folder=tmp_path)
    assert layered.file == Path("eletrovia.toml") or layered.file == written
    assert {origin.layer for origin in layered.origins.values()} == {"default"}
    written.write_text("[http]\nport = 9\n")
    code, _, err = run(capsys, "config", "init")
    assert code == 5
    assert "--force" in err
    assert written.read_text() == "[http]\nport = 9\n"
    assert run(capsys, "config", "init", "--force")[0] == 0
    assert "#port = 8001" in written.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("trip", "a", "b"), 2, "--battery"),
        (("trip", "a", "b", "-b", "101"), 2, "less than or equal to 100"),
        (("tripz",), 2, "trip"),
        (("config", "show", "--set", "http.port"), 2, "KEY=VALUE"),
        (("config", "show", "--set", "http.port=x"), 2, "http.port"),
        (("config", "--lang", "fr", "show", "--set", "x=1"), 2, "setting x"),
        (("places", "x", "--lang", "fr"), 2, "fr"),
        (("trips", "--cancel"), 2, "Which trip"),
        (("stations", "show", "recife"), 2, "BR-CAR/recife-1"),
        (("stations", "import", "none.csv", "--dry-run", "--of", "BR*CAR"), 4, "none.csv"),
        (("trip", "a", "b", "-b", "50", "--depart", "soon"), 2, "soon"),
        (("trip", " ", "b", "-b", "50"), 2, "name"),
    ],
)
def test_wrong_words_are_told_with_exit_code_2_or_4(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = run(capsys, *arguments)
    assert ended == code
    assert said in err
    assert out == ""


def test_a_dry_run_reports_what_is_skipped_and_sends_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        "location_id,latitude,longitude,connector,power_kw",
        "a,-7.1,-34.9,ccs2,60",
        "b,,-34.9,ccs2,60",
        "c,-7,-35,none,1",
    ]
    (tmp_path / "s.csv").write_text("\n".join(rows))
    arguments = ("stations", "import", "s.csv", "--dry-run", "--of", "BR-CAR")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "1 of 3 stations could be kept for BR*CAR" in out
    assert "no coordinates" in out
    assert "line 3" in out
    code, out, _ = run(capsys, *arguments, "--json")
    report = json.loads(out)
    assert (report["kept"], report["report"]["read"], report["dry_run"]) == (1, 3, True)
    assert set(report["report"]["skipped"]) == {"station.no_coordinates", "connector.unknown"}


# -- the words --------------------------------------------------------------------------------------------


def fields(template: str) -> set[str]:
    return {name.partition("!")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_languages_tell_the_same_facts() -> None:
    for catalogue in (WORDS, ERRORS, ADVICE, GAPS, {"repeat": REPEAT, "meant": DID_YOU_MEAN}):
        for key, (english, portuguese) in catalogue.items():
            assert fields(english) == fields(portuguese), key
            assert english.strip()
            assert portuguese.strip(), key


def test_every_word_that_the_verbs_ask_for_is_in_the_catalogue() -> None:
    asked: set[str] = set()
    open_ended: set[str] = set()
    for file in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first: Any = node.args[0]
            if name not in {"text", "say", "_say", "busy", "sentence"}:
                continue
            if isinstance(first, ast.Constant):
                asked.add(first.value)
            elif isinstance(first, ast.JoinedStr):
                open_ended.add(str(getattr(first.values[0], "value", "")))
    assert len(asked) > 40
    assert asked <= set(WORDS)
    for beginning in open_ended:
        assert any(key.startswith(beginning) for key in WORDS), beginning


def test_an_error_without_words_here_takes_the_servers_then_the_apis_then_its_code() -> None:
    told = NotFound("trip.unknown")
    told.add_note("Essa viagem sumiu.")
    assert sentence_for(told, Language.PORTUGUESE) == "Essa viagem sumiu."
    assert sentence_for(NotFound("trip.unknown"), Language.PORTUGUESE) == "Essa viagem não existe."
    assert sentence_for(Invalid("brand.new", odd=3), Language.ENGLISH) == "brand.new (odd 3)"
    assert "--key k1" in advice_for(Unavailable("server.no_answer", key="k1"), Language.ENGLISH)


def test_the_gap_in_the_way_is_told_with_its_places_in_local_numbers() -> None:
    error = Conflict(
        "trip.no_way", reason="battery", after="Recife, PE", before="Porto Alegre, RS", short_km=3446.93
    )
    assert "3,447 km" in sentence_for(error, Language.ENGLISH)
    assert "3.447 km aquém entre Recife, PE e Porto Alegre, RS" in sentence_for(error, Language.PORTUGUESE)


@pytest.mark.parametrize(
    ("asked", "environ", "language"),
    [
        (None, {}, "en"),
        (None, {"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        (None, {"LANG": "pt_BR.UTF-8", "LC_ALL": "C"}, "en"),
        (None, {"LANG": "C", "LC_MESSAGES": "pt_PT"}, "pt-BR"),
        ("en", {"LANG": "pt_BR.UTF-8"}, "en"),
        ("pt", {}, "pt-BR"),
        ("pt_br", {}, "pt-BR"),
        ("PT-BR", {}, "pt-BR"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_locales(
    asked: str | None, environ: dict[str, str], language: str
) -> None:
    assert language_from(asked, environ) == language


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(Invalid, match=r"lang\.unknown"):
        language_from("fr", {})


def helps(command: Any, path: str = "eletrovia") -> Iterator[tuple[str, str]]:
    """Every help text of a command and those below it, with where it stands."""
    for parameter in command.params:
        yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
    yield path, command.help or ""
    for name, below in getattr(command, "commands", {}).items():
        yield from helps(below, f"{path} {name}")


def test_no_help_says_what_rich_takes_for_markup() -> None:
    import typer
    from rich.text import Text

    told = list(helps(typer.main.get_command(app)))
    assert len(told) > 300
    lost = [
        (place, text)
        for place, text in told
        if Text.from_markup(text).plain != re.sub(r"\[/?(bold|dim)?\]", "", text)
    ]
    assert not lost
