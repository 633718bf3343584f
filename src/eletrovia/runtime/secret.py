"""Secrets of one server, made at its first start and kept where only its owner reads."""

from __future__ import annotations

import os
from pathlib import Path

from eletrovia.base.ids import new_secret


def kept_secret(path: Path) -> str:
    """The secret in ``path``; made now where there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_private(path, new_secret(48))
        return path.read_text(encoding="ascii").strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
