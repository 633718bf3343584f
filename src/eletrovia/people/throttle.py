"""How often one account may be tried."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from eletrovia.base.clock import Clock
from eletrovia.base.errors import Overloaded

_KEYS_MAX: Final = 20_000


class Throttle:
    """At most ``tries`` within ``span_s`` for each key; kept in memory, for a bounded number of keys."""

    def __init__(self, clock: Clock, *, tries: int = 10, span_s: float = 60.0) -> None:
        self._clock = clock
        self._tries = tries
        self._span_s = span_s
        self._at: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: str) -> None:
        """Counts one try. Raises: Overloaded when there were too many; that one is not counted."""
        now = self._clock.monotonic()
        tried_at = self._at.setdefault(key, deque())
        self._at.move_to_end(key)
        while tried_at and tried_at[0] <= now - self._span_s:
            tried_at.popleft()
        if len(tried_at) >= self._tries:
            wait_s = int(tried_at[0] + self._span_s - now) + 1
            raise Overloaded(
                "login.too_many_tries", tries=self._tries, span_s=self._span_s, retry_after_s=wait_s
            )
        tried_at.append(now)
        if len(self._at) > _KEYS_MAX:
            self._at.popitem(last=False)

    def forget(self, key: str) -> None:
        """The right password was given: earlier tries no longer count."""
        self._at.pop(key, None)
