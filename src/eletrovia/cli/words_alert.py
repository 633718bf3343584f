"""Words for the screen about alerts: (English, Português)."""

from __future__ import annotations

from typing import Final

ALERT_WORDS: Final[dict[str, tuple[str, str]]] = {
    "alerts.none": ("Nothing to worry about.", "Nada com que se preocupar."),
    "alerts.following": (
        "Following; Ctrl-C ends it.",
        "Acompanhando; Ctrl-C encerra.",
    ),
}
