from __future__ import annotations

import re
from pathlib import Path

import pytest

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.runtime.config import (
    DEFAULTS,
    TYPES,
    Origin,
    commented_out,
    defaults,
    load,
    masked,
    variable,
    with_values,
)


def test_default_toml_gives_every_key_and_a_comment_for_every_section() -> None:
    config = defaults()
    assert config.operator.id == "BR*CAR"
    assert config.booking.hold_ttl_s == 15
    text = DEFAULTS.read_text("utf-8")
    assert set(re.findall(r"(?m)^(\w+) =", text)) == {key.split(".")[1] for key in TYPES}
    # Every value follows a comment that explains it, or shares its neighbour's.
    assert text.count("\n# ") > len(TYPES) / 2


def test_each_layer_beats_the_one_below_and_says_where_it_is_from(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[http]\nport = 8100\nhost = "0.0.0.0"\n\n[booking]\n# mine\nattempts = 7\n')
    loaded = load(
        file=file,
        environ={"ELETROVIA_HTTP_PORT": "8200", "ELETROVIA_BOOKING_ATTEMPTS": "8", "HOME": "/"},
        flags={"booking.attempts": "9", "data.dir": "there"},
        flag_names={"data.dir": "--data"},
    )
    assert (loaded.config.http.host, loaded.config.http.port) == ("0.0.0.0", 8200)  # noqa: S104
    assert loaded.config.booking.attempts == 9
    assert loaded.origins["http.host"] == Origin("file", f"{file}:3")
    assert loaded.origins["http.port"] == Origin("env", "ELETROVIA_HTTP_PORT")
    assert loaded.origins["booking.attempts"] == Origin("flag", "--set booking.attempts")
    assert loaded.origins["data.dir"] == Origin("flag", "--data")
    assert loaded.origins["log.level"].layer == "default"
    assert set(loaded.origins) == set(TYPES)


def test_the_file_is_the_one_asked_for_else_the_data_folders_else_the_current_folders(tmp_path: Path) -> None:
    here, data, asked = tmp_path / "here", tmp_path / "data", tmp_path / "asked.toml"
    for folder, port in ((here, 1), (data, 2)):
        folder.mkdir()
        (folder / "eletrovia.toml").write_text(f"[http]\nport = {port}\n")
    asked.write_text("[http]\nport = 3\n")

    def port(**given: object) -> int:
        return load(environ={}, folder=here, **given).config.http.port  # type: ignore[arg-type]

    assert port() == 1
    assert port(flags={"data.dir": str(data)}) == 2
    assert port(flags={"data.dir": str(data)}, file=asked) == 3
    assert load(environ={"ELETROVIA_DATA_DIR": str(data)}, folder=here).config.http.port == 2
    with pytest.raises(NotFound, match=r"config\.file_missing"):
        port(file=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "where", "nearest"),
    [
        ("[http]\nprot = 1\n", ":2", "http.port"),
        ("[boking]\nattempts = 1\n", ":2", "booking.attempts"),
        ("[htpp]\n", ":1", "http."),
        ("\nhttp.poort = 1\n", ":2", "http.port"),
        ("port = 1\n", ":1", "http.port"),
    ],
)
def test_an_unknown_key_in_a_file_is_named_with_its_line_and_nearest(
    tmp_path: Path, text: str, where: str, nearest: str
) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(Invalid) as caught:
        load(environ={}, file=file)
    assert caught.value.code == "config.unknown_key"
    assert caught.value.facts["where"] == f"{file}{where}"
    assert caught.value.facts["nearest"].startswith(nearest)


def test_an_unknown_variable_or_flag_is_named_with_its_nearest() -> None:
    with pytest.raises(Invalid) as caught:
        load(environ={"ELETROVIA_HTPP_PORT": "1"})
    assert caught.value.facts == {
        "key": "ELETROVIA_HTPP_PORT",
        "where": "environment",
        "nearest": "ELETROVIA_HTTP_PORT",
    }
    with pytest.raises(Invalid) as caught:
        load(environ={}, flags={"log.levle": "info"})
    assert caught.value.facts["nearest"] == "log.level"


def test_variables_of_orchestrators_and_of_the_command_line_are_no_settings() -> None:
    environ = {
        "ELETROVIA_PORT": "tcp://10.0.0.1:8001",
        "ELETROVIA_PORT_8001_TCP_ADDR": "10.0.0.1",
        "ELETROVIA_SERVICE_HOST": "10.0.0.1",
        "ELETROVIA_SERVER": "http://x",
    }
    assert load(environ=environ).config == defaults()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[http]\nport = "8001"\n', "http.port"),
        ("[http]\nport = 70000\n", "http.port"),
        ("[http]\nport = true\n", "http.port"),
        ("[booking]\nhold_ttl_s = 0\n", "booking.hold_ttl_s"),
        ("[booking]\ndeadline_s = inf\n", "booking.deadline_s"),
        ("[booking]\ndeadline_s = nan\n", "booking.deadline_s"),
        ("[booking]\ncancel_fee_share = 1.5\n", "booking.cancel_fee_share"),
        ('[operator]\nid = "BRCAR"\n', "operator.id"),
        ('[log]\nlevel = "loud"\n', "log.level"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, text: str, key: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(Invalid) as caught:
        load(environ={}, file=file)
    assert caught.value.code == "config.wrong_value"
    assert caught.value.facts["key"] == key
    assert caught.value.facts["where"] == f"{file}:2"


def test_a_file_that_is_no_toml_is_said_so_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[http]\nport = \n")
    with pytest.raises(Invalid, match="line 2") as caught:
        load(environ={}, file=file)
    assert caught.value.code == "config.file_malformed"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match=r"config\.file_malformed"):
        load(environ={}, file=file)


def test_the_commented_out_file_changes_nothing_until_a_value_is_uncommented(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(commented_out())
    assert all(origin.layer == "default" for origin in load(environ={}, file=file).origins.values())
    file.write_text(commented_out().replace("#port = 8001", "port = 9"))
    loaded = load(environ={}, file=file)
    assert [key for key, origin in loaded.origins.items() if origin.layer == "file"] == ["http.port"]
    assert re.sub(r"(?m)^#(?=\w)", "", commented_out()) == DEFAULTS.read_text("utf-8")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://ana:s3cret@db:5432/x", "postgresql://ana:***@db:5432/x"),
        ("nats://:s3cret@bus:4222", "nats://:***@bus:4222"),
        ("postgresql://db/x?user=a&password=s3cret&sslmode=require", None),
        ("host=db password='s3 cret' user=a", None),
        ("nats://SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFD@bus", "nats://***@bus"),
        ("postgresql://ana@db/x", "postgresql://ana@db/x"),
        ("var", "var"),
    ],
)
def test_passwords_inside_urls_are_masked(value: str, shown: str | None) -> None:
    told = masked(value)
    assert "s3" not in told
    assert shown is None or told == shown


def test_a_wrong_url_value_is_told_without_its_password() -> None:
    with pytest.raises(Invalid) as caught:
        load(environ={"ELETROVIA_OPERATOR_PUBLIC_URL": "ftp://a:s3cret@h"})
    assert "s3cret" not in str(caught.value)


def test_with_values_and_public_url() -> None:
    config = with_values(defaults(), {"http.port": 0, "operator.public_url": "https://car.example/"})
    assert config.http.port == 0
    assert config.public_url == "https://car.example"
    assert defaults().public_url == "http://127.0.0.1:8001"
    assert with_values(defaults(), {"http.host": "::1"}).public_url == "http://[::1]:8001"
    with pytest.raises(Invalid, match=r"config\.unknown_key"):
        with_values(config, {"http.prot": 1})
    assert variable("booking.hold_ttl_s") == "ELETROVIA_BOOKING_HOLD_TTL_S"
