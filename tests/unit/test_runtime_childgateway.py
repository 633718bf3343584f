"""The gateway beside a server is set up like the server itself."""

from __future__ import annotations

from pathlib import Path

from eletrovia.runtime.childgateway import member
from eletrovia.runtime.config import defaults, load, with_values

TOLD = {
    "metering.partition": "day",
    "metering.keep_readings_months": 24,
    "metering.future_s": 60.0,
    "metering.master_key_file": "/somewhere/meter.key",
    "store.url": "postgresql://db.example/utility",
}


def test_what_decides_over_readings_is_the_same_in_both(tmp_path: Path) -> None:
    """Else a gateway would take in, and acknowledge, what the server has dropped for its age."""
    ours = with_values(defaults(), {**TOLD, "data.dir": str(tmp_path)})
    theirs = load(environ=member(ours).environment, folder=tmp_path).config
    for key in TOLD:
        section, name = key.split(".")
        told = getattr(getattr(theirs, section), name)
        assert told == getattr(getattr(ours, section), name) == TOLD[key], key
