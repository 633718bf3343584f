"""What a person reads about meters, customers and readings coming in: English, then Portuguese."""

from __future__ import annotations

from typing import Final

METER: Final[dict[str, tuple[str, str]]] = {
    "intake.closed": ("The server is stopping.", "O servidor está parando."),
    "intake.full": (
        "Too many readings wait already ({waiting}); send these again soon.",
        "Já há leituras demais esperando ({waiting}); envie estas de novo daqui a pouco.",
    ),
    "reading.time_zone_missing": (
        "“{at}” names no time zone; write e.g. 2026-03-01T08:00:00-03:00.",
        "“{at}” não diz o fuso horário; escreva por exemplo 2026-03-01T08:00:00-03:00.",
    ),
}
