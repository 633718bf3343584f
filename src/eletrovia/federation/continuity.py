"""Whether anything of a partner's live states was missed."""

from __future__ import annotations

_MOST_AHEAD = 10_000


class Continuity:
    """Follows one partner's running number.

    Messages may be lost, and a pulled picture of all stations may arrive after messages that are younger
    than it: so what was heard for each station since the last picture is remembered by its number.
    """

    def __init__(self) -> None:
        self.sequence = -1
        """Everything up to this number has been heard or pulled."""
        self._ahead: dict[int, str] = {}

    @property
    def broken(self) -> bool:
        """Whether something is missing that only a pull can bring."""
        return self.sequence < 0 or bool(self._ahead)

    def heard(self, sequence: int, location_id: str) -> bool:
        """Whether a message brings something new. A gap before it is seen in ``broken``."""
        if sequence <= self.sequence:
            return False
        self._ahead[sequence] = location_id
        if len(self._ahead) > _MOST_AHEAD:
            self._ahead.pop(next(iter(self._ahead)))  # another hole; a pull is due anyhow
        self._advance()
        return True

    def pulled(self, sequence: int) -> frozenset[str]:
        """The stations of which something younger than the picture was heard already.

        A picture older than what we knew is of a partner that counts anew: it is believed, and what was
        heard before is not.
        """
        if sequence < self.sequence:
            self._ahead.clear()
        self.sequence = sequence
        self._ahead = {number: station for number, station in self._ahead.items() if number > sequence}
        younger = frozenset(self._ahead.values())
        self._advance()
        return younger

    def forget(self) -> None:
        """The line was broken: nothing is known to be whole any more."""
        self.sequence = -1
        self._ahead.clear()

    def _advance(self) -> None:
        if self.sequence < 0:
            return
        while self._ahead.pop(self.sequence + 1, None) is not None:
            self.sequence += 1
