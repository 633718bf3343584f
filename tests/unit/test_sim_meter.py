"""A simulated meter's dial, a street's rounds, and the book of keys."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eletrovia.base.clock import SystemClock
from eletrovia.base.errors import Invalid
from eletrovia.sim.device import Device, DeviceBook
from eletrovia.sim.household import Households
from eletrovia.sim.meter import Dial
from eletrovia.sim.street import Rows, SimulatedClock, Street, Told

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class SetClock(SystemClock):
    """Both clocks go when they are told to."""

    def __init__(self) -> None:
        self.gone_s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.gone_s)

    def monotonic(self) -> float:
        return self.gone_s


def test_a_dial_is_turned_faster_slower_and_never_backwards() -> None:
    dial = Dial(1.0, seconds=1)
    dial.turn(1)
    dial.increase(1.5)
    dial.turn(2)
    assert (dial.rate, dial.kwh) == (2.5, 6.0)
    dial.decrease(7)
    dial.turn(60)
    assert (dial.rate, dial.kwh, dial.power_w) == (0.0, 6.0, 0)
    dial.set_rate(0.25)
    dial.turn(4)
    assert dial.kwh == 7.0
    for wrong in (-1.0, float("nan"), float("inf"), 1e9):
        for change in (dial.set_rate, dial.increase, dial.decrease):
            with pytest.raises(Invalid):
                change(wrong)
    assert dial.rate == 0.25
    dial.cut_off = True
    dial.turn(100)
    assert (dial.kwh, dial.power_w) == (7.0, 0)


def test_kilowatts_make_kilowatt_hours_in_an_hour() -> None:
    dial = Dial(2.0, seconds=3600, kwh=5.0)
    dial.turn(1800)
    assert (dial.kwh, dial.power_w) == (6.0, 2000)


def test_simulated_time_runs_until_it_has_caught_up() -> None:
    real = SetClock()
    clock = SimulatedClock(real, NOW - timedelta(seconds=600), 61.0)
    assert clock.now_s() == NOW.timestamp() - 600
    assert clock.real_s(NOW.timestamp() - 600 + 61) == 1.0
    real.gone_s = 5.0
    assert clock.now_s() == NOW.timestamp() - 600 + 305
    real.gone_s = 10.0
    assert clock.now_s() == real.now().timestamp()
    real.gone_s = 1000.0
    assert clock.now_s() == real.now().timestamp()
    assert clock.real_s(real.now().timestamp() + 30) == pytest.approx(30)


class Book:
    """Writes down what it is told, and cuts off whom it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int, int]] = []
        self.cut_off: dict[int, set[str]] = {}

    async def tell(self, speaker: Device, rows: Rows) -> Told:
        await asyncio.sleep(0)
        for device, wh in zip(rows.meters, rows.energy_wh.tolist(), strict=True):
            self.heard.append((speaker.id, device.id, rows.at_s, wh))
        return Told(0, speaker.id in self.cut_off.get(rows.at_s, set()))


def street(line: Book, count: int, behind: int, start: datetime) -> Street:
    meters = [Device(f"M{n}", n + 1, b"") for n in range(count)]
    stretches = [slice(n, min(n + behind, count)) for n in range(0, count, behind)]
    speakers = [(Device(f"M{one.start}", 0, b""), one) for one in stretches]
    clock = SimulatedClock(SystemClock(), start, 1e6)
    return Street(Households(1, count), meters, speakers, line, clock, interval_s=900)


@pytest.mark.parametrize("behind", [1, 3, 10])
async def test_every_meter_is_told_about_at_every_full_interval(behind: int) -> None:
    start, line = datetime(2026, 3, 1, 10, 1, tzinfo=UTC), Book()
    await street(line, 10, behind, start).run(rounds=4)
    first = int(datetime(2026, 3, 1, 10, 15, tzinfo=UTC).timestamp())
    households = Households(1, 10)
    expected = {
        (f"M{n}", first + 900 * turn): int(
            households.registers_wh(datetime.fromtimestamp(first + 900 * turn, UTC))[n]
        )
        for turn in range(4)
        for n in range(10)
    }
    assert {(meter, at_s): wh for _, meter, at_s, wh in line.heard} == expected
    assert len(line.heard) == 40


async def test_who_is_cut_off_stands_still_and_goes_on_from_there() -> None:
    line, start = Book(), datetime(2026, 3, 1, 10, tzinfo=UTC)
    at = [int(start.timestamp()) + 900 * turn for turn in range(6)]
    line.cut_off = {at[1]: {"M1"}, at[2]: {"M1"}, at[3]: {"M1"}}
    made = street(line, 2, 1, start)
    await made.run(rounds=6)
    shown = {(meter, at_s): wh for _, meter, at_s, wh in line.heard}
    one = [shown["M1", at_s] for at_s in at]
    assert one[0] < one[1] == one[2] == one[3] == one[4] < one[5]
    by_seed = [int(Households(1, 2).registers_wh(datetime.fromtimestamp(at_s, UTC))[1]) for at_s in at]
    assert one[5] - one[4] == by_seed[5] - by_seed[4]
    other = [shown["M0", at_s] for at_s in at]
    assert other == sorted(set(other))


def test_keys_are_kept_privately_for_each_utility(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    here, there = DeviceBook(file, "http://here"), DeviceBook(file, "http://there")
    assert here.missing(["a", "b"]) == ["a", "b"]
    here.keep([Device("a", 1, b"\x01\xff")])
    again = DeviceBook(file, "http://here")
    assert again.missing(["a", "b"]) == ["b"]
    assert again.of(["a"]) == [Device("a", 1, b"\x01\xff")]
    assert there.missing(["a"]) == ["a"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("{")
    with pytest.raises(Invalid):
        DeviceBook(file, "http://here")
