"""All decoders that octets from outside reach, by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import more_targets as more
from tests.fuzz import targets
from tests.fuzz.run import Target

DECODERS: dict[str, Callable[[], Target]] = {
    "frames": targets.frames,
    "streams": targets.streams,
    "gateway": more.gateway,
    "reports": targets.reports,
    "bodies": more.bodies,
    "home devices": targets.home_devices,
    "classroom datagrams": more.datagrams,
    "classroom words": more.words,
    "classroom http": more.course_http,
    "files": more.files,
    "pix": more.codes,
}
SLOW = {"files": 100, "gateway": 5, "classroom words": 2}
"""They get so much less of the inputs: one of these costs as much as that many others."""
