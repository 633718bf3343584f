"""A short run of what `make fuzz` does for minutes."""

from __future__ import annotations

import pytest

from tests.fuzz.decoders import DECODERS, SLOW
from tests.fuzz.run import Crash, Target, fuzz


@pytest.mark.parametrize("name", DECODERS)
def test_no_input_crashes_a_decoder(name: str) -> None:
    told = fuzz(DECODERS[name](), 4_000 // SLOW.get(name, 1), seed=1)
    assert told.taken > told.inputs // 100, "next to nothing was taken: the fuzzer knocks and never comes in"


def test_canary_a_decoder_that_stumbles_is_found() -> None:
    def feed(data: bytes) -> bool:
        return data[10] != 0

    with pytest.raises(Crash):
        fuzz(Target(examples=[b"a" * 20], feed=feed, answers=(ValueError,)), 4_000)
