"""What the demo leaves in the data folder for the command line: its servers, and who may log in."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from eletrovia.base.errors import Invalid, NotFound

T = TypeVar("T")

FILE_NAME: Final = "city.json"
STAFF_FILE: Final = "staff.json"
"""What a single server leaves for its own staff."""


class CityServer(msgspec.Struct, frozen=True):
    """One operator's server."""

    operator_id: str
    name: str
    url: str


class Login(msgspec.Struct, frozen=True):
    """One account. Never printed."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.email!r}, ***)"


class City(msgspec.Struct, frozen=True):
    """A running city. ``staff`` is one login for all servers, or one by operator id."""

    servers: tuple[CityServer, ...] = ()
    driver: Login | None = None
    staff: dict[str, Any] | None = None

    def named(self, written: str) -> CityServer:
        """The server of an operator by its id or name. Raises: NotFound."""
        for server in self.servers:
            if _plain(written) in (_plain(server.operator_id), _plain(server.name)):
                return server
        raise NotFound(
            "server.unknown", server=written, known=", ".join(server.operator_id for server in self.servers)
        )

    def login(self, role: str, operator_id: str | None) -> Login | None:
        """Who to be at an operator's server: ``driver`` or ``staff``."""
        if role == "driver" or self.staff is None:
            return self.driver if role == "driver" else None
        found = self.staff if "email" in self.staff else self.staff.get(operator_id or "")
        return msgspec.convert(found, Login) if found else None


def read_city(data_dir: Path) -> City | None:
    """The city of a data folder; None where no demo has run. Raises: Invalid."""
    path = data_dir / FILE_NAME
    return _read(path, City)


def read_staff(data_dir: Path) -> Login | None:
    """The staff login that a single server made at its first start. Raises: Invalid."""
    return _read(data_dir / STAFF_FILE, Login)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("city.malformed", file=str(path), reason=str(error)) from None


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _plain(written: str) -> str:
    """``Carcará`` as ``carcara``, ``BR*CAR`` as ``brcar``."""
    folded = unicodedata.normalize("NFKD", written).casefold()
    return re.sub(r"[^a-z0-9]", "", folded)
