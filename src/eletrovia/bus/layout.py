"""How the embedded broker is set up: its ports, its accounts, its configuration file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from eletrovia.bus.secret import BusSecrets, public_key

# Devices, browsers and our own server meet in CITY. The callout has an account of its own, so that no
# client, whatever it is granted, ever hears another's password being checked.
CITY_ACCOUNT = "CITY"
CALLOUT_ACCOUNT = "CALLOUT"
SYSTEM_ACCOUNT = "SYS"
CITY_USER = "eletrovia"
CALLOUT_USER = "eletrovia-callout"
SYSTEM_USER = "eletrovia-system"
INTERNAL_USERS = (CITY_USER, CALLOUT_USER, SYSTEM_USER)
GUEST_USER = "eletrovia-guest"

# A slow password hash under load is still an answer; but whoever knocks while nobody answers waits this long.
AUTH_TIMEOUT_S = 6


class BusPorts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker listens: 0 lets the machine choose, None leaves it off (``nats`` is never off)."""

    nats: int = 0
    mqtt: int | None = 0
    websocket: int | None = 0
    monitor: int | None = None


class Guests(msgspec.Struct, frozen=True, kw_only=True):
    """What MQTT clients without credentials may do, in NATS subjects; the broker lets them in by itself.

    Unlike anybody whom the callout checks they come in also while our server is down.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """All that the configuration file depends on; equal layouts give equal files.

    Units: ``max_store_bytes`` bounds JetStream on disk.
    """

    data_dir: Path
    host: str
    ports: BusPorts
    server_name: str
    sync_always: bool
    max_store_bytes: int
    guests: Guests | None = None

    def render(self, secrets: BusSecrets) -> str:
        """The text of nats-server's configuration file."""
        q = json.dumps
        ports = self.ports
        lines = [
            f"server_name: {q(self.server_name)}",
            f"listen: {q(f'127.0.0.1:{ports.nats}')}",
            f"log_file: {q(str(self.data_dir / 'nats.log'))}",
            "logfile_size_limit: 16MB",
            "logfile_max_num: 3",
            'ping_interval: "20s"',
            'lame_duck_duration: "30s"',
            "jetstream {",
            f"  store_dir: {q(str(self.data_dir / 'jetstream'))}",
            "  max_memory_store: 256MB",
            f"  max_file_store: {self.max_store_bytes}",
            # Otherwise a machine that loses power forgets up to two minutes of acknowledged messages.
            f"  sync_interval: {'always' if self.sync_always else q('2m')}",
            "}",
        ]
        if ports.monitor is not None:
            lines.append(f"http: {q(f'127.0.0.1:{ports.monitor}')}")
        if ports.mqtt is not None:
            welcome = "" if self.guests is None else f", no_auth_user: {q(GUEST_USER)}"
            lines.append(f"mqtt {{ listen: {q(f'{self.host}:{ports.mqtt}')}{welcome} }}")
        if ports.websocket is not None:
            lines.append(f"websocket {{ listen: {q(f'{self.host}:{ports.websocket}')}, no_tls: true }}")

        def user(name: str, password: str, rights: str = "") -> str:
            return f"{{ user: {q(name)}, password: {q(password)}{rights} }}"

        city = [user(CITY_USER, secrets.city_password)]
        unchecked = list(INTERNAL_USERS)
        if self.guests is not None:
            allowed = [
                f"{{ allow: {q(list(which))} }}" for which in (self.guests.publish, self.guests.subscribe)
            ]
            rights = f", permissions: {{ publish: {allowed[0]}, subscribe: {allowed[1]} }}"
            # Whoever gives no credentials becomes this user, so its password keeps nobody out.
            city.append(user(GUEST_USER, "guest", rights))
            unchecked.append(GUEST_USER)
        lines += [
            "accounts {",
            f"  {CITY_ACCOUNT} {{ jetstream: enabled, users: [{', '.join(city)}] }}",
            f"  {CALLOUT_ACCOUNT} {{ users: [{user(CALLOUT_USER, secrets.callout_password)}] }}",
            f"  {SYSTEM_ACCOUNT} {{ users: [{user(SYSTEM_USER, secrets.system_password)}] }}",
            "}",
            f"system_account: {SYSTEM_ACCOUNT}",
            "authorization {",
            f"  timeout: {AUTH_TIMEOUT_S}",
            "  auth_callout {",
            f"    issuer: {public_key(secrets.issuer_seed)}",
            f"    account: {CALLOUT_ACCOUNT}",
            f"    auth_users: {q(unchecked)}",
            "  }",
            "}",
        ]
        return "\n".join(lines) + "\n"
