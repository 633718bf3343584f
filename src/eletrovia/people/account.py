"""A person with an account: who they are, and what they may be called."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from eletrovia.base.errors import Invalid

PASSWORD_MIN: Final = 8
PASSWORD_MAX: Final = 512
NAME_MAX: Final = 100
EMAIL_MAX: Final = 254  # RFC 5321, the longest address a mail can go to

# What HTML's own e-mail field takes, and a domain of at least two parts.
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)


class Role(StrEnum):
    DRIVER = "driver"
    STAFF = "staff"


class Language(StrEnum):
    ENGLISH = "en"
    PORTUGUESE = "pt-BR"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person's account at one operator. The password is not part of it."""

    id: str
    email: str
    name: str
    role: Role
    language: Language
    created_at: datetime


class Who(msgspec.Struct, frozen=True):
    """Who asks, as an access token says it."""

    account_id: str
    role: Role

    @property
    def is_staff(self) -> bool:
        return self.role is Role.STAFF


def tidy_email(written: str) -> str:
    """The address as it is stored and compared: trimmed, lower case. Raises: Invalid."""
    email = written.strip().lower()
    local = email.partition("@")[0]
    if len(email) > EMAIL_MAX or not _EMAIL.fullmatch(email) or local != local.strip(".") or ".." in local:
        raise Invalid("account.email_malformed", expected="name@example.org")
    return email


def tidy_name(written: str) -> str:
    """A name in one line, as its owner writes it. Raises: Invalid."""
    name = " ".join(unicodedata.normalize("NFC", written).split())
    if (
        not name
        or len(name) > NAME_MAX
        or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    ):
        raise Invalid("account.name_malformed", max_length=NAME_MAX)
    return name


def check_password(password: str, email: str) -> None:
    """Raises: Invalid for a password too short, too long to hash, or one that is the address itself."""
    if len(password) < PASSWORD_MIN:
        raise Invalid("account.password_too_short", length=len(password), min_length=PASSWORD_MIN)
    if len(password) > PASSWORD_MAX:
        raise Invalid("account.password_too_long", length=len(password), max_length=PASSWORD_MAX)
    if password.strip().lower() in {email, email.partition("@")[0]}:
        raise Invalid("account.password_is_email")
