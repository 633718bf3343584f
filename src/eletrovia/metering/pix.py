"""Pix: the code a bill is paid by, as text to copy and as what its QR code says.

Source: Manual de Padrões para Iniciação do Pix, Banco Central do Brasil (BR Code, static); EMV QRCPS-MPM 1.1.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from decimal import Decimal
from typing import Final

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.base.money import cents

GUI: Final = "br.gov.bcb.pix"
NO_TXID: Final = "***"
"""Where whoever takes the money names no transaction."""

KEY_MAX: Final = 77
NAME_MAX: Final = 25
CITY_MAX: Final = 15
NOTE_MAX: Final = 72
TEMPLATE_MAX: Final = 99
"""The longest value a field can have: its length is written with two digits."""

_TXID: Final = re.compile(r"[A-Za-z0-9]{1,25}")
_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,9})\.[0-9]{2}")
_KEY: Final = re.compile(
    r"[0-9]{11}|[0-9]{14}"  # CPF, CNPJ
    r"|\+[1-9][0-9]{7,14}"  # a telephone
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a random key
    r"|[a-z0-9.!#$&'*+/=?^_`{|}~-]+@[a-z0-9.-]+"
)
_PRINTABLE: Final = re.compile(r"[ -~]*")


class PixCode(msgspec.Struct, frozen=True, kw_only=True):
    """A static BR Code: who gets how much, for what.

    Shape:  ``name`` and ``city`` in plain letters (see ``plain``); ``amount`` None leaves it to the payer.
    Raises: Invalid for what no bank's app would take.
    """

    key: str
    name: str
    city: str
    amount: Decimal | None = None
    txid: str = NO_TXID
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.key) > KEY_MAX or not _KEY.fullmatch(self.key):
            raise Invalid("pix.key_malformed", key=self.key)
        for field, value, most in (("name", self.name, NAME_MAX), ("city", self.city, CITY_MAX)):
            if not value.strip() or len(value) > most or not _PRINTABLE.fullmatch(value):
                raise Invalid("pix.text_malformed", field=field, value=value, max_length=most)
        room = min(NOTE_MAX, TEMPLATE_MAX - len(_field("00", GUI)) - len(_field("01", self.key)) - 4)
        if self.note and (len(self.note) > room or not _PRINTABLE.fullmatch(self.note)):
            raise Invalid("pix.text_malformed", field="note", value=self.note, max_length=max(room, 0))
        if self.txid != NO_TXID and not _TXID.fullmatch(self.txid):
            raise Invalid("pix.txid_malformed", txid=self.txid)
        amount = self.amount
        if amount is not None and (amount <= 0 or amount != cents(amount) or amount >= 10**10):
            raise Invalid("pix.amount_out_of_range", amount=str(amount))

    def encode(self) -> str:
        """The code as it is copied and pasted."""
        account = _field("00", GUI) + _field("01", self.key) + (_field("02", self.note) if self.note else "")
        body = (
            _field("00", "01")
            + _field("26", account)
            + _field("52", "0000")
            + _field("53", "986")
            + (_field("54", f"{self.amount:.2f}") if self.amount is not None else "")
            + _field("58", "BR")
            + _field("59", self.name)
            + _field("60", self.city)
            + _field("62", _field("05", self.txid))
            + "6304"
        )
        return body + _crc(body)


def parse(code: str) -> PixCode:
    """The static code in a text. Raises: Invalid ``pix.code_malformed``, whatever is wrong with it."""
    try:
        return _parsed(code)
    except (KeyError, ValueError) as error:
        raise Invalid("pix.code_malformed", reason=str(error)) from None


def plain(text: str, most: int) -> str:
    """``text`` in letters that every bank's app reads: accents removed, cut to ``most``."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    kept = "".join(letter for letter in letters if " " <= letter <= "~")
    return " ".join(kept.split())[:most].strip()


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}"


def _crc(body: str) -> str:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, begun with 0xFFFF. binascii's is the same polynomial."""
    return f"{binascii.crc_hqx(body.encode('ascii'), 0xFFFF):04X}"


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not re.fullmatch(r"[0-9]{4}", head, re.ASCII):
            raise ValueError(f"no field at {at}")
        value = text[at + 4 : at + 4 + int(head[2:])]
        if len(value) != int(head[2:]) or head[:2] in found:
            raise ValueError(f"field {head[:2]} is cut off or there twice")
        found[head[:2]] = value
        at += 4 + len(value)
    return found


def _parsed(code: str) -> PixCode:
    if not code.isascii() or len(code) < 8 or code[-8:-4] != "6304" or _crc(code[:-4]) != code[-4:].upper():
        raise ValueError("its checksum does not hold")
    fields = _fields(code)
    account = _fields(fields["26"])
    amount = fields.get("54")
    fixed = (fields["00"], account["00"].lower(), fields["53"], fields["58"])
    if fixed != ("01", GUI, "986", "BR"):
        raise ValueError("it is no Pix in reais")
    if amount is not None and not _AMOUNT.fullmatch(amount):
        raise ValueError("its amount is none")
    return PixCode(
        key=account["01"],
        name=fields["59"],
        city=fields["60"],
        amount=None if amount is None else Decimal(amount),
        txid=_fields(fields["62"])["05"],
        note=account.get("02", ""),
    )
