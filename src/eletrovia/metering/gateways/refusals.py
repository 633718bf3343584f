"""Telling senders which readings were refused, and why."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from eletrovia.metering.frame import DATAGRAM_REFUSED, refusal
from eletrovia.metering.gateways.batch import Batch
from eletrovia.metering.gateways.seal import Seals
from eletrovia.metering.intake import SETTLED

_MOST: Final = 1_000
"""Frames of one batch that are explained; the count of the refused is told for all."""


def explained(batch: Batch, fates: NDArray[np.int8], seals: Seals) -> list[tuple[int, bytes]]:
    """For each frame with refused readings its place in the batch, and a signed frame that says which."""
    told = []
    starts = np.searchsorted(batch.frame, np.arange(len(batch) + 1))
    for place in np.flatnonzero(batch.refused(fates))[:_MOST].tolist():
        start, end = starts[place : place + 2]
        which = start + np.flatnonzero(fates[start:end] > SETTLED)[:DATAGRAM_REFUSED]
        items = list(zip(batch.order[which].tolist(), fates[which].tolist(), strict=True))
        sender, epoch = int(batch.rows["key"][place]), int(batch.rows["epoch"][place])
        sequence = int(batch.sequence[place])
        told.append((place, refusal(seals.key(sender, epoch), sender=sender, sequence=sequence, items=items)))
    return told
