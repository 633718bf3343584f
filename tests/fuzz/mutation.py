"""Inputs for decoders: valid ones, bent, cut, glued and stuffed, from one seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

# What decoders have stumbled over since there are decoders.
TOKENS: Final = (
    *(b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f" + b"\xff" * 7, b"\x80\x00\x00\x00"),
    *(b"\xc3\x28", b"\xef\xbb\xbf", b"\xed\xa0\x80", "٣".encode(), "Ⅷ".encode(), "é".encode()),
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1e-999", b"-0", b"-0.0", b"0.1e1", b"1" * 400),
    *(b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"),
    *(b"[" * 300, b'{"a":' * 200, b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]"),
    *(b",", b":", b";", b"\r\n", b"\n", b"\t", b" "),
    *(b"2026-02-30T25:61:61Z", b"31-02-2026 24:00:00", b"0000-00-00 00:00:00"),
    *(b"9999-12-31T23:59:59.999999999Z", b"1969-12-31T23:59:59-23:59"),
    *(b"GET / HTTP/1.1\r\n", b"Content-Length: -1\r\n"),
)


class Mutator:
    """Makes inputs from examples; the same seed makes the same ones."""

    def __init__(self, examples: Sequence[bytes], seed: int) -> None:
        self._examples = list(examples)
        self._draw = random.Random(seed)

    def input(self) -> bytes:
        """The next one: an example bent one to four times, or, seldom, plain noise."""
        draw = self._draw
        if draw.random() < 0.02:
            return draw.randbytes(draw.randrange(200))
        data = bytearray(draw.choice(self._examples))
        for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
            self._bend(data)
        return bytes(data)

    def _bend(self, data: bytearray) -> None:
        draw = self._draw
        size = len(data)
        at = draw.randrange(size + 1)
        match draw.randrange(12):
            case 0 if size:
                data[at % size] ^= 1 << draw.randrange(8)
            case 1 if size:
                data[at % size] = draw.randrange(256)
            case 9 | 10 | 11 if size:  # a digit for a digit, mostly: it stays what it is, with another value
                if (old := data[at % size]) in b"0123456789":
                    data[at % size] = draw.choice(b"0123456789")
                else:
                    data[at % size] = old ^ 1
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw.randrange(1, 20)]
            case 4:
                data[at:at] = draw.choice(TOKENS)
            case 5:
                token = draw.choice(TOKENS)
                data[at : at + len(token)] = token
            case 6:
                data[at:at] = data[at : at + draw.randrange(1, 40)]
            case 7:
                other = draw.choice(self._examples)
                data[at:] = other[draw.randrange(len(other) + 1) :]
            case _:
                data[at:at] = draw.randbytes(draw.randrange(1, 9))
