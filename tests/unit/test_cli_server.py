"""The client against servers that misbehave: silence, nonsense, redirects, ended tokens."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Conflict, Denied, EletroviaError, Invalid, NotFound, Overloaded, Unavailable
from eletrovia.base.private import write_private
from eletrovia.cli import trip as trip_verb
from eletrovia.cli.city import City, read_city, read_staff
from eletrovia.cli.main import main
from eletrovia.cli.reach import reach
from eletrovia.cli.server import TOKENS_FILE, Server, error_of
from eletrovia.cli.terminal import Options, Terminal
from eletrovia.people.account import Language
from eletrovia.runtime.cityfile import CityServer, Login

Asked = tuple[str, str, dict[str, str], bytes]
Reply = tuple[int, dict[str, str], bytes]
PAIR = {"access_token": "a1", "refresh_token": "r1", "expires_in": 900, "token_type": "Bearer"}


@contextmanager
def serving(reply: Callable[[Asked], Reply]) -> Iterator[tuple[str, list[Asked]]]:
    """A raw HTTP server that answers as told and remembers what it was asked."""
    heard: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard.append((self.command, self.path, headers, body))
            status, more, content = reply(heard[-1])
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815 - the base class looks for these names

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(url: str, data_dir: Path | None = None, login: Login | None = None) -> Server:
    return Server(url, clock=SystemClock(), language=Language.PORTUGUESE, login=login, data_dir=data_dir)


def ok(body: Any) -> Reply:
    return 200, {"content-type": "application/json"}, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflict),
        (413, Invalid),
        (422, Invalid),
        (429, Overloaded),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_problem_document_becomes_its_error(status: int, kind: type[EletroviaError]) -> None:
    problem = {"code": "x.y", "detail": "Assim não.", "facts": {"a": 1}, "trip": {"id": "t"}}
    error = error_of(status, json.dumps(problem).encode(), "http://s")
    assert type(error) is kind
    assert (error.code, error.facts["a"], error.facts["trip"]) == ("x.y", 1, {"id": "t"})
    assert error.__notes__ == ["Assim não."]
    for nonsense in (b"", b"<html>", b"[]", b'{"code": 3', b"\xff"):
        assert error_of(status, nonsense, "http://s").code in ("server.refused",)


def test_an_answer_that_is_no_json_is_the_servers_fault() -> None:
    with (
        serving(lambda _: (200, {}, b"<html>hello</html>")) as (url, _),
        pytest.raises(Unavailable) as caught,
    ):
        client(url).get("/places", dict[str, Any], q="x")
    assert caught.value.code == "server.answer_malformed"


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = client(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(Unavailable) as caught:
            server.ask("GET", "/places", signed_in=False, timeout_s=0.2)
        assert caught.value.code == "server.no_answer"
        assert not server.answers(timeout_s=0.2)


def test_a_redirect_is_not_followed_for_it_would_carry_the_token_away(tmp_path: Path) -> None:
    with serving(lambda _: ok({})) as (elsewhere, stolen):

        def reply(asked: Asked) -> Reply:
            return ok(PAIR) if asked[1].endswith("/tokens") else (302, {"location": f"{elsewhere}/take"}, b"")

        with serving(reply) as (url, _), pytest.raises(EletroviaError):
            client(url, tmp_path, Login("ana@x.org", "pw")).ask("GET", "/trips")
        assert stolen == []


def test_tokens_are_kept_in_a_private_file_used_again_and_renewed_when_they_end(tmp_path: Path) -> None:
    ended = {"a1"}
    given = iter([PAIR, PAIR | {"access_token": "a2", "refresh_token": "r2"}])

    def reply(asked: Asked) -> Reply:
        if asked[1].endswith("/tokens"):
            return ok(next(given))
        if asked[2]["authorization"].removeprefix("Bearer ") in ended:
            return 401, {}, json.dumps({"code": "token.expired", "detail": "over"}).encode()
        return ok({"who": asked[2]["authorization"]})

    login = Login("ana@x.org", "s3cret-pw")
    with serving(reply) as (url, heard):
        assert client(url, tmp_path, login).get("/trips", dict[str, str], signed_in=True) == {
            "who": "Bearer a2"
        }
        # Another run: no log-in any more, and none needed.
        assert client(url, tmp_path, login).get("/trips", dict[str, str], signed_in=True) == {
            "who": "Bearer a2"
        }
        bodies = [json.loads(body) for _, path, _, body in heard if path.endswith("/tokens")]
    assert bodies == [{"email": "ana@x.org", "password": "s3cret-pw"}, {"refresh_token": "r1"}]
    file = tmp_path / TOKENS_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "s3cret-pw" not in file.read_text()
    assert all(headers["accept-language"] == "pt-BR" for _, _, headers, _ in heard)


def test_a_refused_refresh_token_falls_back_to_the_password_once(tmp_path: Path) -> None:
    def reply(asked: Asked) -> Reply:
        if asked[1].endswith("/tokens"):
            if "refresh_token" in json.loads(asked[3]):
                return 401, {}, b'{"code": "token.refresh_unknown"}'
            return ok(PAIR)
        if len(heard) < 4:
            return 401, {}, b'{"code": "token.unknown"}'
        return ok({})

    with serving(reply) as (url, heard):
        client(url, tmp_path, Login("ana@x.org", "pw")).ask("GET", "/trips")
    assert [path.rpartition("/")[2] for _, path, _, _ in heard] == [
        "tokens",
        "trips",
        "tokens",
        "tokens",
        "trips",
    ]


def test_without_a_login_a_server_that_is_up_says_so_and_one_that_is_down_too(tmp_path: Path) -> None:
    with serving(lambda _: ok({})) as (url, heard):
        with pytest.raises(Denied, match=r"login\.needed"):
            client(url, tmp_path).ask("GET", "/trips")
        assert [path for _, path, _, _ in heard] == ["/healthz"]
    with pytest.raises(Unavailable, match=r"server\.no_answer"):
        client(url, tmp_path).ask("GET", "/trips")


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1", "file:///etc/passwd", "http://"])
def test_only_http_addresses_are_spoken_to(url: str) -> None:
    with pytest.raises(Invalid, match=r"server\.url_malformed"):
        client(url)


def test_a_proxy_in_the_environment_is_not_asked_about_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(lambda _: ok({"here": 1})) as (url, _):
        assert client(url).get("/x", dict[str, int]) == {"here": 1}


# -- which server, and as whom ----------------------------------------------------------------------------


def city(data: Path, *urls: str) -> None:
    servers = [
        {"operator_id": operator_id, "name": name, "url": url}
        for (operator_id, name), url in zip(
            [("BR*CAR", "Carcará"), ("BR*MAN", "Mandacaru")], urls, strict=False
        )
    ]
    told = {
        "servers": servers,
        "driver": {"email": "d@x.org", "password": "drive"},
        "staff": {"BR*MAN": {"email": "s@x.org", "password": "work"}},
    }
    write_private(data / "city.json", json.dumps(told).encode())


def terminal(data: Path, **options: Any) -> Terminal:
    return Terminal(Options(data=data, **options))


def test_the_first_server_of_the_city_that_answers_is_spoken_to(tmp_path: Path) -> None:
    with socket.socket() as held, serving(lambda _: ok({})) as (url, _):
        held.bind(("127.0.0.1", 0))  # taken, and nobody listens
        down = f"http://127.0.0.1:{held.getsockname()[1]}"
        city(tmp_path, down, url)
        assert reach(terminal(tmp_path)).url == url
        city(tmp_path, down, down)
        with pytest.raises(Unavailable, match=r"server\.none_answers"):
            reach(terminal(tmp_path))


@pytest.mark.parametrize("name", ["BR*MAN", "br-man", "mandacaru", "http://b/", "http://b"])
def test_a_server_can_be_named_by_id_name_or_address(tmp_path: Path, name: str) -> None:
    city(tmp_path, "http://a", "http://b")
    server = reach(terminal(tmp_path, server=name))
    assert server.url == "http://b"
    assert server._login == Login("d@x.org", "drive")
    assert reach(terminal(tmp_path, server=name), role="staff")._login == Login("s@x.org", "work")


def test_a_stranger_never_gets_the_citys_passwords(tmp_path: Path) -> None:
    city(tmp_path, "http://a", "http://b")
    assert reach(terminal(tmp_path, server="http://evil.example"))._login is None
    assert reach(terminal(tmp_path, server="http://evil.example"), role="staff")._login is None
    with pytest.raises(NotFound, match=r"server\.unknown"):
        reach(terminal(tmp_path, server="BR*XXX"))


def test_another_account_needs_its_password_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city(tmp_path, "http://a")
    monkeypatch.setenv("ELETROVIA_PASSWORD", "mine")
    assert reach(terminal(tmp_path, email="me@x.org"))._login == Login("me@x.org", "mine")
    assert reach(terminal(tmp_path, email="D@x.org"))._login == Login("d@x.org", "drive")
    monkeypatch.delenv("ELETROVIA_PASSWORD")
    with pytest.raises(Denied, match=r"login\.no_password"):
        reach(terminal(tmp_path, email="me@x.org", as_json=True))


def test_a_single_servers_staff_file_is_for_that_server_only(tmp_path: Path) -> None:
    write_private(tmp_path / "staff.json", b'{"email": "s@x.org", "password": "work"}')
    assert read_staff(tmp_path) == Login("s@x.org", "work")
    assert reach(terminal(tmp_path, values=["http.port=1"]), role="staff")._login == Login("s@x.org", "work")
    assert reach(terminal(tmp_path, values=["http.port=1"]))._login is None
    assert reach(terminal(tmp_path, server="http://x:1"), role="staff")._login is None


def test_a_broken_city_file_is_named(tmp_path: Path) -> None:
    assert read_city(tmp_path) is None
    (tmp_path / "city.json").write_text('{"servers": [{"operator_id": 3}]}')
    with pytest.raises(Invalid, match=r"city\.malformed"):
        read_city(tmp_path)
    assert repr(City((CityServer("a", "b", "c"),), Login("e", "s3cret"))).count("s3cret") == 0


# -- booking through trouble ------------------------------------------------------------------------------


def told_trip(state: str, **more: Any) -> dict[str, Any]:
    trip = {
        "id": "trip_1",
        "driver_id": "acct_1",
        "home": "BR*CAR",
        "attempt": 1,
        "asked_at": "2026-12-01T11:00:00Z",
    }
    return trip | {"state": state} | more


def booked(
    capsys: pytest.CaptureFixture[str], data: Path, reply: Callable[[Asked, int], Reply], *more: str
) -> tuple[int, str, str, list[Asked]]:
    """``trip --book`` against a server that answers /trips with ``reply(asked, how often asked before)``."""
    times = iter(range(100))

    def answer(asked: Asked) -> Reply:
        if asked[1] == "/healthz":
            return ok({})
        return ok(PAIR) if asked[1].endswith("/tokens") else reply(asked, next(times))

    with serving(answer) as (url, heard):
        city(data, url)
        with pytest.raises(SystemExit) as ended:
            main(["trip", "recife", "aracaju", "-b", "60", "--book", "--data", str(data), *more])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err, [one for one in heard if "/trips" in one[1]]


def test_a_trip_that_stays_undecided_ends_with_8_and_says_how_to_ask_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pending = json.dumps(told_trip("pending")).encode()
    code, out, _, heard = booked(capsys, tmp_path, lambda *_: (202, {}, pending), "--wait", "0")
    assert code == 8
    assert "eletrovia trips trip_1" in out
    assert len(heard) == 1
    code, out, _, heard = booked(capsys, tmp_path, lambda *_: (202, {}, pending), "--wait", "1", "--json")
    assert (code, json.loads(out)["state"]) == (8, "pending")
    assert {path.partition("?")[0] for method, path, _, _ in heard if method == "GET"} == {
        "/api/v1/trips/trip_1"
    }


def test_a_decision_that_comes_later_is_waited_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def reply(_: Asked, times: int) -> Reply:
        if times == 1:
            return 503, {}, b"{}"  # away for a moment: that decides nothing
        return (
            (202, {}, json.dumps(told_trip("pending")).encode()) if times < 3 else ok(told_trip("confirmed"))
        )

    code, out, _, heard = booked(capsys, tmp_path, reply)
    assert code == 0
    assert "Confirmed" in out
    assert [method for method, *_ in heard] == ["POST", "GET", "GET", "GET"]


def test_an_unheard_booking_is_repeated_word_for_word_with_its_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trip_verb, "_rest", lambda: None)

    def reply(_: Asked, times: int) -> Reply:
        return (503, {}, b"{}") if times < 2 else (201, {}, json.dumps(told_trip("confirmed")).encode())

    code, _, _, heard = booked(capsys, tmp_path, reply)
    assert code == 0
    assert len(heard) == 3
    assert len({(headers["idempotency-key"], body) for _, _, headers, body in heard}) == 1


def test_giving_up_tells_the_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trip_verb, "_rest", lambda: None)
    code, _, err, heard = booked(capsys, tmp_path, lambda *_: (503, {}, b"{}"), "--key", "mine-1")
    assert code == 7
    assert "--key mine-1" in err
    assert 1 < len(heard) <= 10
    assert {headers["idempotency-key"] for _, _, headers, _ in heard} == {"mine-1"}


def test_a_refused_booking_ends_with_5_and_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failed = told_trip("failed", setback={"code": "trip.taken", "facts": {"attempts": 3}}, alternatives=[])
    problem = {"code": "trip.taken", "detail": "…", "facts": {"attempts": 3}, "trip": failed}
    reply = (409, {}, json.dumps(problem).encode())
    code, out, err, _ = booked(capsys, tmp_path, lambda *_: reply)
    assert (code, out) == (5, "")
    assert "3 times in a row; nothing is booked" in err
    code, out, _, _ = booked(capsys, tmp_path, lambda *_: reply, "--json")
    assert code == 5
    assert json.loads(out)["facts"]["trip"]["state"] == "failed"


def test_ctrl_c_while_booking_tells_the_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trip_verb, "_rest", interrupted)
    code, _, err, _ = booked(capsys, tmp_path, lambda *_: (503, {}, b"{}"), "--key", "mine-2")
    assert code == 130
    assert "--key mine-2" in err
