"""Which server a verb speaks to, and as whom."""

from __future__ import annotations

import os
import sys

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Denied, Unavailable
from eletrovia.cli.city import City, read_city, read_staff
from eletrovia.cli.server import Server
from eletrovia.cli.terminal import Terminal
from eletrovia.runtime.cityfile import CityServer, Login


def reach(terminal: Terminal, *, role: str = "driver") -> Server:
    """The server that was asked for, else the first of the running city that answers.

    Raises: Unavailable when none does; NotFound for an operator that the city has not.
    """
    city = read_city(terminal.data_dir) or City()
    candidates = _candidates(terminal, city)
    servers = [_server(terminal, city, candidate, role) for candidate in candidates]
    for server in servers:
        # With one candidate its own first call tells best what is wrong.
        if len(servers) == 1 or server.answers():
            return server
    raise Unavailable("server.none_answers", tried=", ".join(server.url for server in servers))


def _candidates(terminal: Terminal, city: City) -> list[CityServer]:
    asked = terminal.options.server
    if asked and ("://" in asked or ":" in asked):
        url = (asked if "://" in asked else f"http://{asked}").rstrip("/")
        known = next((server for server in city.servers if server.url.rstrip("/") == url), None)
        return [known or CityServer("", "", url)]
    if asked:
        return [city.named(asked)]
    return list(city.servers) or [CityServer("", "", terminal.config.public_url)]


def _server(terminal: Terminal, city: City, at: CityServer, role: str) -> Server:
    return Server(
        at.url,
        clock=SystemClock(),
        language=terminal.language,
        login=_login(terminal, city, at, role),
        data_dir=terminal.data_dir,
    )


def _login(terminal: Terminal, city: City, at: CityServer, role: str) -> Login | None:
    email = terminal.options.email
    # The city's own accounts are for the city's own servers: no other is told their passwords.
    known = city.login(role, at.operator_id) if at in city.servers else None
    if known is None and role == "staff" and at.url == terminal.config.public_url:
        known = read_staff(terminal.data_dir)
    if not email:
        return known
    if known is not None and known.email == email.strip().lower():
        return known
    password = os.environ.get("ELETROVIA_PASSWORD")
    if password is None and sys.stdin.isatty() and not terminal.json:
        import getpass

        password = getpass.getpass(terminal.text("ask.password", email=email))
    if not password:
        raise Denied("login.no_password", email=email)
    return Login(email, password)
