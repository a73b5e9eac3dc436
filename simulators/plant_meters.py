"""What meters make of the plant's truth: registers that end, cut their last place, wear a ratio and an error. Pure.

Errors are drawn once per meter from its seed: a class is a limit, and a meter lies anywhere within it. Arithmetic of
totals is in whole numbers, so a register never falls back by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Protocol

from simulators.plant_long import MICRO, Moment

PPM = 1_000_000
_MICRO_PLACES = 6
_PER_CENT_PPM = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A total: `digits` before the point, `decimals` behind it, at `ratio` true units a unit (CT × PT), from `initial`.

    `error_ppm`: how much too much it counts.
    """

    digits: int = 6
    decimals: int = 2
    ratio: Decimal = Decimal(1)
    error_ppm: int = 0
    initial: Decimal = Decimal(0)

    def shown(self, grown_micro: int) -> Decimal:
        """What it shows after so many true millionths, cut to its last place, begun again after its last number."""
        above, below = self.ratio.as_integer_ratio()
        steps = grown_micro * (PPM + self.error_ppm) * below * 10**self.decimals // (PPM * MICRO * above)
        first = int(self.initial.scaleb(self.decimals))
        return Decimal((first + steps) % 10 ** (self.digits + self.decimals)).scaleb(-self.decimals)

    @property
    def step(self) -> Decimal:
        """Its last place."""
        return Decimal(1).scaleb(-self.decimals)


def drawn_ppm(chance: Random, class_pct: float) -> int:
    """An error anywhere within a class's limit."""
    return round(chance.uniform(-class_pct, class_pct) * _PER_CENT_PPM)


class Dial:
    """A place where one register after another counts the same total. Fittings are (UTC ms, register), ascending."""

    def __init__(self, register: Register, *later: tuple[int, Register]) -> None:
        self._register = register
        self._later = list(later)
        self._fitted_micro = 0

    @property
    def times_ms(self) -> tuple[int, ...]:
        """When registers are still to be fitted: the plant must be asked for these moments."""
        return tuple(at_ms for at_ms, _ in self._later)

    def show(self, at_ms: int, total_micro: int) -> Decimal:
        """What it shows at this time; a register that is due is fitted first."""
        while self._later and self._later[0][0] <= at_ms:
            _, self._register = self._later.pop(0)
            self._fitted_micro = total_micro
        return self._register.shown(total_micro - self._fitted_micro)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A level, pressure or flow sensor: `gain` and `offset` are its own, `noise` each reading's, `decimals` shown."""

    gain: float = 1.0
    offset: float = 0.0
    noise: float = 0.0
    decimals: int = 2

    def shown(self, value: float, chance: Random) -> Decimal:
        """What it shows of a true value; exactly zero stays zero."""
        read = value * self.gain + self.offset + (chance.gauss(0, self.noise) if self.noise else 0.0)
        return Decimal(round(read * 10**self.decimals)).scaleb(-self.decimals)


class EnergyMeter:
    """Energy and power of the whole pump house; behind a CT both are what flows on the meter's side."""

    def __init__(self, register: Register, *later: tuple[int, Register], power: Sensor | None) -> None:
        self._dial = Dial(register, *later)
        self._power = power
        self.times_ms = self._dial.times_ms

    def read(self, moment: Moment, chance: Random) -> Mapping[str, Decimal]:
        """Its values by quantity."""
        values = {"energy_import": self._dial.show(moment.at_ms, moment.energy_micro)}
        if self._power is not None:
            values["power"] = self._power.shown(moment.power_kw, chance)
        return values


class FlowMeter:
    """Volume and flow in the pipe of all units, or of one."""

    def __init__(
        self, register: Register, *later: tuple[int, Register], flow: Sensor | None, unit: int | None = None
    ) -> None:
        self._dial = Dial(register, *later)
        self._flow = flow
        self._unit = unit
        self.times_ms = self._dial.times_ms

    def read(self, moment: Moment, chance: Random) -> Mapping[str, Decimal]:
        """Its values by quantity; a pipe at rest shows no flow."""
        seen = moment if self._unit is None else moment.units[self._unit]
        values = {"volume_forward": self._dial.show(moment.at_ms, seen.volume_micro)}
        if self._flow is not None:
            flow_m3h = seen.flow_m3h
            values["flow_rate"] = self._flow.shown(flow_m3h, chance) if flow_m3h else Decimal("0.000")
        return values


class HeadSensors:
    """Depth to water, pressure at the wellhead and the converter's frequency of one unit, as far as there are any."""

    times_ms: tuple[int, ...] = ()

    def __init__(
        self,
        *,
        depth: Sensor | None = None,
        pressure: Sensor | None = None,
        frequency_hz: float | None = None,
        unit: int = 0,
    ) -> None:
        self._depth = depth
        self._pressure = pressure
        self._frequency_hz = frequency_hz
        self._unit = unit

    def read(self, moment: Moment, chance: Random) -> Mapping[str, Decimal]:
        """Their values by quantity."""
        seen = moment.units[self._unit]
        values: dict[str, Decimal] = {}
        if self._depth is not None:
            values["depth_to_water"] = self._depth.shown(seen.depth_m, chance)
        if self._pressure is not None:
            values["pressure"] = self._pressure.shown(seen.pressure_kpa, chance)
        if self._frequency_hz is not None:
            values["frequency"] = Decimal(round(seen.speed * self._frequency_hz * 100)).scaleb(-2)
        return values


class Instrument(Protocol):
    """What a meter shows of the plant; it may remember, so each simulation has its own."""

    times_ms: tuple[int, ...]

    def read(self, moment: Moment, chance: Random) -> Mapping[str, Decimal]:
        """Its values by quantity."""


class Together:
    """Several instruments that are read as one meter."""

    def __init__(self, *parts: Instrument) -> None:
        self._parts = parts
        self.times_ms = tuple(at_ms for part in parts for at_ms in part.times_ms)

    def read(self, moment: Moment, chance: Random) -> Mapping[str, Decimal]:
        """All their values."""
        return {name: value for part in self._parts for name, value in part.read(moment, chance).items()}
