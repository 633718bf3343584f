"""The account that a new server is given, so that somebody can get in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from eletrovia.base.errors import Conflict
from eletrovia.base.ids import new_secret
from eletrovia.base.private import write_private
from eletrovia.charging.location import plain
from eletrovia.people.people import People
from eletrovia.runtime.cityfile import STAFF_FILE, Login


async def first_staff(people: People, operator_id: str, data: Path) -> None:
    """Give a new server one staff account, whose password only its data folder knows.

    The password is on disk before the account is made, so a start that is cut short can be finished.
    """
    path = data / STAFF_FILE
    if path.exists():
        return
    begun = path.with_suffix(".begun")
    if not begun.exists():
        made = Login(f"staff@{plain(operator_id).lower()}.example", new_secret(18))
        write_private(begun, msgspec.json.encode(made).decode())
    login = msgspec.json.decode(begun.read_bytes(), type=Login)
    with contextlib.suppress(Conflict):
        await people.register(email=login.email, password=login.password, name="Staff")
    await people.make_staff(login.email)
    begun.rename(path)
