"""The models of a coefficient: from energy, and what the sensors say, to volume (§9.1).

A model that needs a sensor is usable only while the sensor speaks. Depths and heads in m, energies in kWh, volumes in
m³, pressures in MPa. `spread` is what a model adds to the uncertainty by itself (u_model, relative, k = 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import IntEnum
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

from agent.derive.exact import ONE, SQRT3, ZERO, OutOfDomain, exact, not_negative, positive
from agent.derive.flags import Flag
from agent.derive.physics import efficiency, total_dynamic_head_m, volume_from_head

EXTRAPOLATION_LIMIT = Decimal("0.1")  # §9.3-6, of the calibrated span
UNMONITORED_LEVEL = Decimal("0.02")  # §9.4: u_model of a coefficient whose level nobody watches
TABLES = frozenset({"flow_by_power", "tc_by_power", "tc_by_frequency", "volume_by_energy"})
_SAME_LENGTH = Decimal("0.01")  # of the interval a table V(E) was fitted on
_HALF = Decimal(2)


class Tier(IntEnum):
    """Which models are preferred, the lowest first (§9.1)."""

    HEAD = 0
    WELL = 1
    REGION = 2


class Sensed(NamedTuple):
    """What the sensors said about an interval; None: they did not. `is_partial`: the pump ran in a part of it.

    `depth_change_m` is not None when the level of a gap is not known better than by its two ends, this far apart.
    """

    depth_m: Decimal | None = None
    pressure_mpa: Decimal | None = None
    frequency_hz: Decimal | None = None
    depth_change_m: Decimal | None = None
    is_partial: bool = False


class Slice(NamedTuple):
    """Energy to be converted with one coefficient: over how long, on which local day, `run_kwh` into the run."""

    energy_kwh: Decimal
    duration_h: Decimal
    day: date
    run_kwh: Decimal
    sensed: Sensed


class Converted(NamedTuple):
    """The volume, the depth and head it rests on, the words for it, and u_model."""

    volume_m3: Decimal
    flags: tuple[Flag, ...] = ()
    spread: Decimal = UNMONITORED_LEVEL
    depth_m: Decimal | None = None
    head_m: Decimal | None = None


class Model(Protocol):
    """How one kind of coefficient converts."""

    name: ClassVar[str]
    tier: ClassVar[Tier]

    def is_usable(self, part: Slice) -> bool:
        """Whether it can convert this: its sensors spoke, its table fits."""

    def convert(self, part: Slice) -> Converted:
        """The volume of a slice that it can convert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """V = Tc·E."""

    name: ClassVar[str] = "fixed"
    tier: ClassVar[Tier] = Tier.WELL
    tc: Decimal

    def __post_init__(self) -> None:
        positive("tc", self.tc)

    def is_usable(self, part: Slice) -> bool:  # noqa: ARG002 - the contract's
        """Always."""
        return True

    def convert(self, part: Slice) -> Converted:
        """V = Tc·E."""
        return Converted(self.tc * part.energy_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regional:
    """V = Tc·E with the stratum's Tc. Its uncertainty lies in the record's u_rel, wholly."""

    name: ClassVar[str] = "regional"
    tier: ClassVar[Tier] = Tier.REGION
    tc: Decimal

    def __post_init__(self) -> None:
        positive("tc", self.tc)

    def is_usable(self, part: Slice) -> bool:  # noqa: ARG002 - the contract's
        """Always."""
        return True

    def convert(self, part: Slice) -> Converted:
        """V = Tc·E."""
        return Converted(self.tc * part.energy_kwh, spread=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """Tc by season: each of `steps` is (month, day) from which, every year, its Tc holds; the last one into January."""

    name: ClassVar[str] = "dated"
    tier: ClassVar[Tier] = Tier.WELL
    steps: tuple[tuple[tuple[int, int], Decimal], ...]

    def __post_init__(self) -> None:
        begins = [begin for begin, _ in self.steps]
        if not begins or begins != sorted(set(begins)):
            raise OutOfDomain("steps", begins, "a list of rising days of the year")
        for _, tc in self.steps:
            positive("tc", tc)

    def tc_on(self, day: date) -> Decimal:
        """The coefficient in force on that local day, m³/kWh."""
        past = [tc for begin, tc in self.steps if begin <= (day.month, day.day)]
        return past[-1] if past else self.steps[-1][1]

    def begins_in(self, year: int) -> tuple[date, ...]:
        """The days of that year on which the coefficient changes; 29 February is 1 March in other years."""
        days = []
        for (month, day), _ in self.steps:
            try:
                days.append(date(year, month, day))
            except ValueError:
                days.append(date(year, month + 1, 1))
        return tuple(days)

    def is_usable(self, part: Slice) -> bool:  # noqa: ARG002 - the contract's
        """Always."""
        return True

    def convert(self, part: Slice) -> Converted:
        """V = Tc(day)·E; the slice lies within one season."""
        return Converted(self.tc_on(part.day) * part.energy_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPhase:
    """Each run has a phase of falling level (`drop_…` per start) and then a stable one.

    Per run V = V_drop + Tc_s·(E − E_drop), before that (V_drop/E_drop)·E; so it can be added up interval by interval.
    """

    name: ClassVar[str] = "two_phase"
    tier: ClassVar[Tier] = Tier.WELL
    drop_volume_m3: Decimal
    drop_energy_kwh: Decimal
    tc_stable: Decimal

    def __post_init__(self) -> None:
        positive("drop_volume_m3", self.drop_volume_m3)
        positive("tc_stable", self.tc_stable)
        if self.tc_drop < self.tc_stable:
            raise OutOfDomain("drop_volume_m3 / drop_energy_kwh", self.tc_drop, f"at least tc_stable {self.tc_stable}")

    @property
    @exact
    def tc_drop(self) -> Decimal:
        """The mean coefficient while the level falls, m³/kWh."""
        return self.drop_volume_m3 / positive("drop_energy_kwh", self.drop_energy_kwh)

    def is_usable(self, part: Slice) -> bool:  # noqa: ARG002 - the contract's
        """Always."""
        return True

    def convert(self, part: Slice) -> Converted:
        """The volume between two points of a run."""
        falling = max(ZERO, min(part.energy_kwh, self.drop_energy_kwh - part.run_kwh))
        return Converted(self.tc_drop * falling + self.tc_stable * (part.energy_kwh - falling))


@exact
def two_phase_total(
    starts: int, drop_volume_m3: Decimal, drop_energy_kwh: Decimal, tc_stable: Decimal, energy_kwh: Decimal
) -> tuple[Decimal, tuple[Flag, ...]]:
    """The volume of a period with that many starts, only right if the runs are alike (§9.1)."""
    dropped_kwh = starts * drop_energy_kwh
    if energy_kwh < dropped_kwh:
        return drop_volume_m3 / positive("drop_energy_kwh", drop_energy_kwh) * energy_kwh, (Flag.SHORT_RUNS,)
    return starts * drop_volume_m3 + tc_stable * (energy_kwh - dropped_kwh), ()


@exact
def is_extrapolated(depth_m: Decimal, low_m: Decimal, high_m: Decimal, limit: Decimal = EXTRAPOLATION_LIMIT) -> bool:
    """Whether a level lies outside the calibrated range widened by `limit` of its span (§9.3-6)."""
    margin = limit * (high_m - low_m)
    return depth_m < low_m - margin or depth_m > high_m + margin


def _leveled(sensed: Sensed, depths: tuple[Decimal, Decimal] | None) -> tuple[Decimal, tuple[Flag, ...], Decimal]:
    """The depth to convert with, its words, and how far it may be wrong (m, k = 1)."""
    assert sensed.depth_m is not None
    if sensed.depth_change_m is None:
        outside = depths is not None and is_extrapolated(sensed.depth_m, *depths)
        return sensed.depth_m, (Flag.HEAD_EXTRAPOLATED,) if outside else (), ZERO
    depth_m = sensed.depth_m if depths is None else (depths[0] + depths[1]) / 2
    return depth_m, (Flag.HEAD_ESTIMATED,), sensed.depth_change_m / (_HALF * SQRT3)


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineLevel:
    """e = a + b·depth, V = E/e; `a` in kWh/m³, `b` in kWh/m³ per m, `depths` the calibrated range."""

    name: ClassVar[str] = "affine_level"
    tier: ClassVar[Tier] = Tier.HEAD
    a: Decimal
    b: Decimal
    depths: tuple[Decimal, Decimal] | None = None

    def specific_energy(self, depth_m: Decimal) -> Decimal:
        """Specific energy at that depth, kWh/m³; the line is also used outside the range."""
        return self.a + self.b * depth_m

    def is_usable(self, part: Slice) -> bool:
        """While the level is known, and the line has not run below zero there."""
        depth_m = part.sensed.depth_m
        return depth_m is not None and self.specific_energy(depth_m) > 0

    def convert(self, part: Slice) -> Converted:
        """V = E/e."""
        depth_m, flags, doubt_m = _leveled(part.sensed, self.depths)
        energy = positive("specific energy", self.specific_energy(depth_m))
        spread = UNMONITORED_LEVEL if Flag.HEAD_EXTRAPOLATED in flags else abs(self.b) * doubt_m / energy
        return Converted(part.energy_kwh / energy, flags, spread, depth_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Physical:
    """V = K·η·E/H; H from the level or `static_level_m` + `drawdown_m`, a gauge's pressure, and constants."""

    name: ClassVar[str] = "physical"
    tier: ClassVar[Tier] = Tier.HEAD
    eta: Decimal
    discharge_height_m: Decimal = ZERO
    friction_m: Decimal = ZERO
    static_level_m: Decimal | None = None
    drawdown_m: Decimal = ZERO
    has_gauge: bool = False
    depths: tuple[Decimal, Decimal] | None = None

    def __post_init__(self) -> None:
        efficiency("eta", self.eta)
        not_negative("friction_m", self.friction_m)

    def head_m(self, depth_m: Decimal | None, pressure_mpa: Decimal | None) -> Decimal | None:
        """Total dynamic head, None while something is missing. A pumping level has its drawdown in it."""
        level_m = depth_m if self.static_level_m is None else self.static_level_m + self.drawdown_m
        if level_m is None or (self.has_gauge and pressure_mpa is None):
            return None
        return total_dynamic_head_m(
            level_depth_m=level_m,
            discharge_height_m=self.discharge_height_m,
            pressure_mpa=(pressure_mpa or ZERO) if self.has_gauge else ZERO,
            friction_m=self.friction_m,
        )

    def is_usable(self, part: Slice) -> bool:
        """While the sensors it needs speak and make a head above zero."""
        head_m = self.head_m(part.sensed.depth_m, part.sensed.pressure_mpa)
        return head_m is not None and head_m > 0

    def convert(self, part: Slice) -> Converted:
        """V = K·η·E/H."""
        depth_m: Decimal | None = None
        flags: tuple[Flag, ...] = ()
        doubt_m = ZERO
        if self.static_level_m is None:
            depth_m, flags, doubt_m = _leveled(part.sensed, self.depths)
        head_m = self.head_m(depth_m, part.sensed.pressure_mpa)
        assert head_m is not None
        spread = UNMONITORED_LEVEL if Flag.HEAD_EXTRAPOLATED in flags else doubt_m / head_m
        return Converted(volume_from_head(part.energy_kwh, self.eta, head_m), flags, spread, depth_m, head_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A monotone table. `table` says which: `flow_by_power` (m³/h by kW), `tc_by_power`, `tc_by_frequency` (m³/kWh by
    kW or Hz) or `volume_by_energy` (m³ by kWh, for intervals of `interval_h` only: it does not add up otherwise).
    """

    name: ClassVar[str] = "curve"
    tier: ClassVar[Tier] = Tier.WELL
    table: str
    points: tuple[tuple[Decimal, Decimal], ...]
    interval_h: Decimal | None = None

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise OutOfDomain("table", self.table, f"one of {sorted(TABLES)}")
        steps = list(pairwise(self.points))
        rises = {after[1] >= before[1] for before, after in steps if after[1] != before[1]}
        if not steps or len(rises) > 1 or any(after[0] <= before[0] for before, after in steps):
            raise OutOfDomain("points", self.points, "a monotone table of two or more points")
        if (self.table == "volume_by_energy") != (self.interval_h is not None):
            raise OutOfDomain("interval_h", self.interval_h, "given for volume_by_energy, and only there")

    @exact
    def at(self, argument: Decimal) -> tuple[Decimal, tuple[Flag, ...]]:
        """The table's value, straight between its points; beyond its ends the last line goes on, never below 0."""
        points = self.points
        index = next((i for i, (x, _) in enumerate(points[1:-1], 1) if argument < x), len(points) - 1)
        (x0, y0), (x1, y1) = points[index - 1], points[index]
        value = y0 + (y1 - y0) * (argument - x0) / (x1 - x0)
        outside = not points[0][0] <= argument <= points[-1][0]
        return max(ZERO, value), (Flag.CURVE_EXTRAPOLATED,) if outside else ()

    def is_usable(self, part: Slice) -> bool:
        """While its argument is known: the frequency spoke, the pump ran throughout, the interval has its length."""
        match self.table:
            case "tc_by_frequency":
                return part.sensed.frequency_hz is not None
            case "volume_by_energy":
                assert self.interval_h is not None
                return abs(part.duration_h / self.interval_h - ONE) <= _SAME_LENGTH
            case _:
                return not part.sensed.is_partial and part.duration_h > 0

    def convert(self, part: Slice) -> Converted:
        """The volume of a slice by the table."""
        if part.energy_kwh == 0:
            return Converted(ZERO)
        if self.table == "volume_by_energy":
            volume, flags = self.at(part.energy_kwh)
            return Converted(volume, flags)
        argument = part.sensed.frequency_hz if self.table == "tc_by_frequency" else part.energy_kwh / part.duration_h
        assert argument is not None
        value, flags = self.at(argument)
        return Converted(value * (part.duration_h if self.table == "flow_by_power" else part.energy_kwh), flags)
