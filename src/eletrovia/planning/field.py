"""Sites, and the legs between them, made ready for one car: what the search needs again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from eletrovia.base.errors import Invalid
from eletrovia.planning import charge
from eletrovia.planning.plan import Legs, Objective, Problem, Site, Span
from eletrovia.planning.vehicle import LEVELS, Vehicle

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

NANO = 1_000_000_000
"""Costs are counted in billionths of the currency, so that they are whole and add up exactly."""


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """Driving from an origin to all sites, and from them to a destination; ``inf`` where there is no way."""

    start_km: Reals
    start_s: Reals
    end_km: Reals
    end_s: Reals
    direct_km: float
    direct_s: float


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a field: all of a Problem that changes from one driver to the next."""

    departs_at: int
    soc: float
    ends: Ends
    busy: Mapping[tuple[int, int], Sequence[Span]] | None = None
    """Taken spans by (site, bay), sorted and disjoint; bays left out are free. None: as the sites say."""
    objective: Objective = Objective.EARLIEST
    margin_before_s: int = 0
    margin_after_s: int = 300
    horizon_s: int = 48 * 3600

    def __post_init__(self) -> None:
        if not 0 <= self.soc <= 1:
            raise Invalid("plan.soc_out_of_range", soc=self.soc)
        if min(self.margin_before_s, self.margin_after_s, self.horizon_s) < 0:
            raise Invalid("plan.negative_margin")


def whole_seconds(drive_s: Reals) -> Ints:
    """Rounded up; -1 where there is no way. A hair over a whole second is float noise, not a second."""
    finite = np.isfinite(drive_s)
    made = np.full(drive_s.shape, -1, np.int64)
    made[finite] = np.ceil(drive_s[finite] - 1e-6)
    return made


class Field:
    """One set of sites with the legs between them, for one car and one reserve.

    Prepare it once and ask it often: only origin, destination and taken spans change. It is never written
    to after it was made, so threads may share it.

    Shape:  distance_km and drive_s (n, n), between the sites only.
    Raises: Invalid when shapes do not match or the reserve is none.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        sites: Sequence[Site],
        distance_km: Reals,
        drive_s: Reals,
        reserve_soc: float = 0.2,
    ) -> None:
        n = len(sites)
        if distance_km.shape != (n, n) or drive_s.shape != (n, n):
            raise Invalid("plan.legs_malformed", sites=n, shape=list(distance_km.shape))
        if not 0 <= reserve_soc < 1:
            raise Invalid("plan.reserve_out_of_range", reserve_soc=reserve_soc)
        self.vehicle = vehicle
        self.sites = tuple(sites)
        self.distance_km = distance_km
        self.units_per_km = vehicle.consumption_wh_per_km * charge.UNITS / vehicle.battery_wh
        self.reserve = int(np.ceil(reserve_soc * charge.UNITS - 1e-6))
        fixed = vehicle.fixed_charge_s
        # A car that always fills up knows two levels only: empty and full.
        self.step = charge.PERCENT if fixed is None else charge.UNITS
        self.base_s = vehicle.handling_s + (0 if fixed is None else fixed)
        self.lowest = max(1, -(-self.reserve // self.step))
        self._read_bays()
        self._read_legs(distance_km, drive_s)

    @classmethod
    def of(cls, problem: Problem) -> Field:
        """The field of a whole problem; see ``ask_of`` for the rest of it."""
        n, legs = len(problem.sites), problem.legs
        if legs.distance_km.shape != (n + 2, n + 2) or legs.drive_s.shape != (n + 2, n + 2):
            raise Invalid("plan.legs_malformed", sites=n, shape=list(legs.distance_km.shape))
        inner = slice(1, n + 1)
        return cls(
            problem.vehicle,
            problem.sites,
            legs.distance_km[inner, inner],
            legs.drive_s[inner, inner],
            problem.reserve_soc,
        )

    def units(self, distance_km: Reals) -> Ints:
        """What driving takes from the battery, rounded up; -1 where there is no way."""
        finite = np.isfinite(distance_km)
        made = np.full(distance_km.shape, -1, np.int64)
        made[finite] = np.ceil(distance_km[finite] * self.units_per_km - 1e-6)
        return made

    def _read_bays(self) -> None:
        vehicle, fixed = self.vehicle, self.vehicle.fixed_charge_s
        rows: dict[tuple[float, str], int] = {}
        tables: list[Reals] = []
        pointers, table, flat, per_unit, per_s, keys = [0], [], [], [], [], []
        for s, site in enumerate(self.sites):
            for b, bay in enumerate(site.bays):
                kind = (0.0, "") if fixed is not None else (bay.power_w, bay.power_type)
                row = rows.get(kind)
                if row is None:
                    made = (
                        np.zeros(2) if fixed is not None else charge.table(vehicle, kind[0], bay.power_type)
                    )
                    row = rows[kind] = -1 if made is None else len(tables)
                    if made is not None:
                        tables.append(made)
                if row < 0:
                    continue  # this car cannot charge here
                table.append(row)
                flat.append(round(max(0.0, bay.price_flat) * NANO))
                kwh_per_unit = vehicle.battery_wh / 1000 / charge.UNITS
                per_unit.append(round(max(0.0, bay.price_per_kwh) * kwh_per_unit * NANO))
                per_s.append(round(max(0.0, bay.price_per_hour) / 3600 * NANO))
                keys.append((s, b))
            pointers.append(len(table))
        width = 2 if fixed is not None else LEVELS
        self.tables = np.array(tables) if tables else np.zeros((1, width))
        self.bay_ptr = np.array(pointers, np.int64)
        self.bay_table = np.array(table, np.int64)
        self.bay_flat = np.array(flat, np.int64)
        self.bay_per_unit = np.array(per_unit, np.int64)
        self.bay_per_s = np.array(per_s, np.int64)
        self.bay_keys = keys
        self.bay_row = {key: row for row, key in enumerate(keys)}
        self.usable = np.diff(self.bay_ptr) > 0

    def _read_legs(self, distance_km: Reals, drive_s: Reals) -> None:
        """Legs that a full battery can drive, by site and then by energy."""
        n = len(self.sites)
        units, seconds = self.units(distance_km), whole_seconds(drive_s)
        fits = (units >= 0) & (units <= charge.UNITS - self.reserve) & (seconds >= 0) & self.usable[None, :]
        np.fill_diagonal(fits, False)
        rows, columns = np.nonzero(fits)
        e = units[rows, columns]
        order = np.argsort(rows * (2 * charge.UNITS) + e, kind="stable")
        self.out_to = columns[order].astype(np.int64)
        self.out_e = e[order]
        self.out_s = seconds[rows, columns][order]
        self.out_ptr = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=n), out=self.out_ptr[1:])

    def calendar(self, busy: Mapping[tuple[int, int], Sequence[Span]] | None) -> tuple[Ints, Ints, Ints]:
        """Taken spans as flat rows: where each bay's begin, from, to."""
        counts = np.zeros(len(self.bay_keys) + 1, np.int64)
        spans: list[Span] = []
        if busy is None:
            for row, (s, b) in enumerate(self.bay_keys):
                taken = self.sites[s].bays[b].busy
                if taken:
                    spans.extend(taken)
                    counts[row + 1] = len(taken)
        else:
            rows = self.bay_row
            for row, taken_here in sorted((rows[key], spans) for key, spans in busy.items() if key in rows):
                spans.extend(taken_here)
                counts[row + 1] = len(taken_here)
        flat = np.array(spans, np.int64).reshape(-1, 2)
        return np.cumsum(counts), np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1])


def ends_of(legs: Legs) -> Ends:
    """Origin's row and destination's column of a problem's legs."""
    last = legs.distance_km.shape[0] - 1
    return Ends(
        start_km=legs.distance_km[0, 1:last],
        start_s=legs.drive_s[0, 1:last],
        end_km=legs.distance_km[1:last, last],
        end_s=legs.drive_s[1:last, last],
        direct_km=float(legs.distance_km[0, last]),
        direct_s=float(legs.drive_s[0, last]),
    )


def ask_of(problem: Problem) -> Ask:
    """What of a problem is one driver's; the rest is ``Field.of``."""
    return Ask(
        departs_at=problem.departs_at,
        soc=problem.soc,
        ends=ends_of(problem.legs),
        objective=problem.objective,
        margin_before_s=problem.margin_before_s,
        margin_after_s=problem.margin_after_s,
        horizon_s=problem.horizon_s,
    )
