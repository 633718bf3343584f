"""Customers: who they are to the utility, and the numbers Brazil knows them by."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Final, Literal

import msgspec

from eletrovia.base.errors import Invalid

NAME_MAX: Final = 100
ADDRESS_MAX: Final = 300
EMAIL_MAX: Final = 254
NOBODY: Final = "—"
"""The name of a customer who was erased."""

Language = Literal["en", "pt-BR"]

_SIGNS: Final = str.maketrans("", "", ".-/ ")
_CPF: Final = re.compile(r"[0-9]{11}")
_CNPJ: Final = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_EMAIL: Final = re.compile(r"[^\s@,;<>\"()]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{1,62}")


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever lives at usage points and pays for them.

    Shape:  ``account_id`` is null for a customer who never logs in; ``tax_id`` a CPF or CNPJ without signs;
            ``erased_at`` set: nothing personal is left.
    """

    id: str
    account_id: str | None
    name: str
    tax_id: str | None
    email: str | None
    address: str
    language: Language
    created_at: datetime
    erased_at: datetime | None = None


class NewCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer to take in. Shape: ``account_id`` names the account that may log in as this customer."""

    name: str
    account_id: str | None = None
    tax_id: str | None = None
    email: str | None = None
    address: str = ""
    language: Language = "pt-BR"


class CustomerChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed; what is left out stays, and "" takes it away (a name cannot be)."""

    name: str | None = None
    tax_id: str | None = None
    email: str | None = None
    address: str | None = None
    language: Language | None = None


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in person who says that a meter is theirs, as their account knows them."""

    account_id: str
    name: str
    email: str
    language: Language


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """A customer at a usage point in ``[from_at, until_at)``; null while they live there.

    Shape: ``meter_ids`` are the meters that hung there in that time, in order.
    """

    usage_point_id: str
    area: str
    customer_id: str
    from_at: datetime
    until_at: datetime | None
    meter_ids: tuple[str, ...] = ()


class MoveIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer who lives at a usage point from a moment on (now, if left out).

    Shape: with ``taking_over`` whoever lives there has left at that moment.
    """

    customer_id: str
    from_at: datetime | None = None
    taking_over: bool = False


def tidy_name(written: str) -> str:
    """A name in one line. Raises: Invalid."""
    name = " ".join(unicodedata.normalize("NFC", written).split())
    if not name or len(name) > NAME_MAX or not name.isprintable() or name == NOBODY:
        raise Invalid("customer.name_malformed", max_length=NAME_MAX)
    return name


def tidy_address(written: str) -> str:
    """A postal address, lines allowed. Raises: Invalid."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", written).splitlines()]
    address = "\n".join(line for line in lines if line)
    if len(address) > ADDRESS_MAX or not address.replace("\n", "").isprintable():
        raise Invalid("customer.address_malformed", max_length=ADDRESS_MAX)
    return address


def tidy_email(written: str) -> str | None:
    """The address in small letters, or None for nothing. Raises: Invalid."""
    email = written.strip().lower()
    if not email:
        return None
    if len(email) > EMAIL_MAX or not _EMAIL.fullmatch(email):
        raise Invalid("customer.email_malformed", expected="name@example.org")
    return email


def tidy_tax_id(written: str) -> str | None:
    """A CPF (11) or CNPJ (14) without its signs, or None for nothing.

    Raises: Invalid when it is neither, or its check digits are wrong.
    """
    number = written.upper().translate(_SIGNS)
    if not number:
        return None
    if _CPF.fullmatch(number):
        # 000.000.000-00 and its like pass the sum and are nobody's.
        right = len(set(number)) > 1 and number[9:] == _check_digits(number[:9], most=11)
    elif _CNPJ.fullmatch(number):
        right = len(set(number)) > 1 and number[12:] == _check_digits(number[:12], most=9)
    else:
        raise Invalid("customer.tax_id_malformed")
    if not right:
        raise Invalid("customer.tax_id_wrong")
    return number


def _check_digits(body: str, *, most: int) -> str:
    """Two digits modulo 11; weights grow from 2 at the right end to ``most``, then begin again.

    Source: Receita Federal; letters of a CNPJ count as ASCII less 48 (IN RFB 2.229/2024).
    """
    for _ in range(2):
        values = [ord(sign) - 48 for sign in reversed(body)]
        total = sum(value * (2 + place % (most - 1)) for place, value in enumerate(values))
        body += str(0 if total % 11 < 2 else 11 - total % 11)
    return body[-2:]
