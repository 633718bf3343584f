"""Secrets of one server, made at its first start and kept where only its owner reads."""

from __future__ import annotations

from pathlib import Path

from eletrovia.base.ids import new_secret
from eletrovia.base.private import write_private


def kept_secret(path: Path) -> str:
    """The secret in ``path``; made now where there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_private(path, new_secret(48))
        return path.read_text(encoding="ascii").strip()
