"""What the demo leaves in the data folder for the command line: its servers, and who may log in."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.runtime.cityfile import CITY_FILE, STAFF_FILE, CityServer, GatewayPorts, Login

T = TypeVar("T")


class City(msgspec.Struct, frozen=True):
    """A running city. ``staff`` is one login for all servers, or one by operator id."""

    servers: tuple[CityServer, ...] = ()
    driver: Login | None = None
    staff: dict[str, Any] | None = None
    gateway: GatewayPorts | None = None

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
    path = data_dir / CITY_FILE
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


def _plain(written: str) -> str:
    """``Carcará`` as ``carcara``, ``BR*CAR`` as ``brcar``."""
    folded = unicodedata.normalize("NFKD", written).casefold()
    return re.sub(r"[^a-z0-9]", "", folded)
