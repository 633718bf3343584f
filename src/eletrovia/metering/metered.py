"""What a usage point's meters counted together between moments, whichever of them hung there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

import msgspec

from eletrovia.base.window import Window
from eletrovia.metering.bill import Measured
from eletrovia.metering.usage import Mark, MarkKind, RegisterAt, UsageBook

_GUESSED: Final = (MarkKind.GAP, MarkKind.ESTIMATED)


Span = tuple[datetime, datetime]


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that counted for a usage point in a span of time; ``until_at`` None is still there.

    Units: ``interval_s`` is how often it is expected to be heard.
    """

    meter: int
    meter_id: str
    from_at: datetime
    until_at: datetime | None = None
    interval_s: int = 900

    def within(self, starts_at: datetime, ends_at: datetime) -> Span | None:
        """From when until when it counted inside a span; None when it did not."""
        begins = max(self.from_at, starts_at)
        ends = ends_at if self.until_at is None else min(self.until_at, ends_at)
        return (begins, ends) if begins < ends else None


class MeterShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one meter counted of a period: its register at both ends.

    Shape:  ``opening_read`` and ``closing_read``: a reading stands there, or one on each side with no silence
            between them.
    """

    meter_id: str
    from_at: datetime
    until_at: datetime
    opening: RegisterAt
    closing: RegisterAt
    opening_read: bool
    closing_read: bool

    @property
    def energy_wh(self) -> int:
        return self.closing.energy_wh - self.opening.energy_wh


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """A usage point's use between edges, with what it was added up from and what is doubtful about it.

    Shape:  ``unopened`` tells of each meter whose first reading is younger than its part since when it hung.
    """

    stretches: tuple[Measured, ...]
    meters: tuple[MeterShare, ...]
    marks: tuple[Mark, ...]
    unopened: tuple[datetime, ...] = ()

    @property
    def energy_wh(self) -> int:
        return sum(stretch.energy_wh for stretch in self.stretches)

    @property
    def estimated_wh(self) -> int:
        return sum(stretch.estimated_wh for stretch in self.stretches)

    @property
    def doubtful(self) -> list[Mark]:
        """Marks that a bill has to wait for."""
        return [mark for mark in self.marks if mark.needs_a_look]


async def metered(usage: UsageBook, fittings: Sequence[Fitted], edges: Sequence[datetime]) -> Metered:
    """Use in each stretch between ``edges``, which go up.

    Energy is a difference of registers, so that stretches add up to the whole, to the Wh. Of a stretch, that
    part is estimated which lies in a silence that goes on beyond it: what no two readings bound.
    """
    return (await metered_all(usage, fittings, [edges]))[0]


async def metered_all(
    usage: UsageBook, fittings: Sequence[Fitted], periods: Sequence[Sequence[datetime]]
) -> list[Metered]:
    """As ``metered``, for several periods; each meter is asked once for all of them."""
    sums = [_Sum(edges) for edges in periods]
    for fitted in fittings:
        spans = [fitted.within(edges[0], edges[-1]) for edges in periods]
        inside = [span for span in spans if span is not None]
        if not inside:
            continue
        whole = (min(begins for begins, _ in inside), max(ends for _, ends in inside))
        marks = [one for one in await usage.marks(fitted.meter, Window(*whole)) if one.cleared_at is None]
        silent = _joined([(mark.starts_at, mark.ends_at) for mark in marks if mark.kind in _GUESSED])
        moments = {_clip(at, whole) for one in silent for at in one}
        for edges, span in zip(periods, spans, strict=True):
            if span is not None:
                moments |= {_clip(at, span) for at in edges}
        registers = {one.at: one for one in await usage.registers_at(fitted.meter, sorted(moments))}
        if not registers:  # it has not told anything yet
            continue
        for total, span in zip(sums, spans, strict=True):
            if span is not None:
                total.add(fitted, span, marks, silent, registers)
    return [total.metered() for total in sums]


class _Sum:
    """One period's use, added up meter by meter."""

    def __init__(self, edges: Sequence[datetime]) -> None:
        self._edges = edges
        self._energy = [0] * (len(edges) - 1)
        self._guessed = [0] * (len(edges) - 1)
        self._shares: list[MeterShare] = []
        self._marks: list[Mark] = []
        self._unopened: list[datetime] = []

    def add(
        self,
        fitted: Fitted,
        span: Span,
        marks: Sequence[Mark],
        silent: Sequence[Span],
        registers: dict[datetime, RegisterAt],
    ) -> None:
        """What one meter counted in ``span``."""
        if registers[span[0]].before_first:
            self._unopened.append(fitted.from_at)
        self._marks += [one for one in marks if one.starts_at < span[1] and span[0] <= one.ends_at]
        for place, (a, b) in enumerate(pairwise(self._edges)):
            begins, ends = _clip(a, span), _clip(b, span)
            self._energy[place] += registers[ends].energy_wh - registers[begins].energy_wh
            for since, until in silent:
                if since < begins < until or since < ends < until:
                    first, last = _clip(since, (begins, ends)), _clip(until, (begins, ends))
                    self._guessed[place] += registers[last].energy_wh - registers[first].energy_wh
        self._shares.append(
            MeterShare(
                meter_id=fitted.meter_id,
                from_at=span[0],
                until_at=span[1],
                opening=registers[span[0]],
                closing=registers[span[1]],
                opening_read=_is_read(registers[span[0]], silent),
                closing_read=_is_read(registers[span[1]], silent),
            )
        )

    def metered(self) -> Metered:
        """The sum."""
        stretches = tuple(
            Measured(starts_at=a, ends_at=b, energy_wh=energy_wh, estimated_wh=estimated_wh)
            for (a, b), energy_wh, estimated_wh in zip(
                pairwise(self._edges), self._energy, self._guessed, strict=True
            )
        )
        return Metered(
            stretches=stretches,
            meters=tuple(self._shares),
            marks=tuple(self._marks),
            unopened=tuple(self._unopened),
        )


def _is_read(register: RegisterAt, silent: Sequence[Span]) -> bool:
    return register.measured or not any(since < register.at < until for since, until in silent)


def packed(stretches: Sequence[Measured]) -> bytes:
    """Stretches in few octets, to be kept beside what was made from them."""
    return msgspec.msgpack.encode(
        [(int(s.starts_at.timestamp()), int(s.ends_at.timestamp()), s.energy_wh) for s in stretches]
    )


def unpacked(octets: bytes) -> list[tuple[int, int, int]]:
    """What ``packed`` packed: start and end in seconds since 1970, and Wh."""
    return msgspec.msgpack.decode(octets, type=list[tuple[int, int, int]])


def _clip(at: datetime, span: Span) -> datetime:
    return min(max(at, span[0]), span[1])


def _joined(spans: list[Span]) -> list[Span]:
    """The same spans without overlaps, in order."""
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        elif since < until:
            joined.append((since, until))
    return joined
