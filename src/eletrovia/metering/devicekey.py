"""Each device's own key, derived from one secret of the utility: nothing to store, nothing to look up."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import Final

_MOST: Final = 200_000


class DeviceKeys:
    """Keys by meter and epoch; a new epoch makes the old key worthless.

    Shape: 32 octets, HMAC-SHA256 over ``eletrovia/meter/{key}/{epoch}``.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) < 32:
            raise ValueError("a master secret has at least 32 octets")
        self._master = master
        self._known: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def of(self, meter: int, epoch: int) -> bytes:
        """The key of one device."""
        known = self._known.get((meter, epoch))
        if known is None:
            known = hmac.digest(self._master, b"eletrovia/meter/%d/%d" % (meter, epoch), "sha256")
            self._known[meter, epoch] = known
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return known

    def matches(self, meter: int, epoch: int, shown: str) -> bool:
        """Whether ``shown`` is the device's key in hexadecimal, in time that tells nothing."""
        return hmac.compare_digest(self.of(meter, epoch).hex().encode(), shown.strip().lower().encode())
