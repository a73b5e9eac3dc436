"""A pump house that behaves physically: a well, a pump, a pipe to the field, and the electricity for it. Pure.

Time goes in steps of one second; `step` gives the next state from the last one and nothing else, so a seed and a number
of steps say what the meters show. Flow follows from the pump's curve meeting the pipe's, power from flow, head and
efficiency, drawdown from what is pumped and what flows in. Each counter adds the step's mean, rounded once to its own
unit, in exact decimals: the difference of two totals is the sum of what flowed between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from random import Random

from simulators.plant_form import PlantForm

STEP_S = 1.0

_HOUR_S = 3600.0
_WATER_KN_M3 = 9.80665  # weight of a cubic metre of water: kPa per m of head
_RAMP_UP_S = 4.0
_RAMP_DOWN_S = 3.0
_RESTART_S = 60.0  # a pump that ran dry waits at least this long
_FULL_POWER_FACTOR = 0.86
_STANDBY_POWER_FACTOR = 0.62
_NO_LOAD_SHARE = 0.35  # of the power at best efficiency, that the motor takes at full speed without flow
_LOWEST_EFFICIENCY = 0.12
_WANDER = 0.02  # per step: how fast demand, voltage and frequency wander back to their mean
_VOLUME_UNIT = Decimal("0.000001")  # m3
_ENERGY_UNIT = Decimal("0.000001")  # kWh

_DIGITS: Mapping[str, int] = {
    "flow_rate": 3, "velocity": 4, "volume_forward": 3, "volume_reverse": 3, "volume_net": 3,
    "energy_import": 3, "energy_export": 3, "power": 3, "power_factor": 3, "frequency": 2,
    "voltage_a": 1, "voltage_b": 1, "voltage_c": 1, "current_a": 2, "current_b": 2, "current_c": 2,
    "pressure": 2, "level": 3, "depth_to_water": 3, "temperature": 1,
}  # fmt: skip
_COUNTERS: Mapping[str, str] = {"volume_forward": "volume_m3", "volume_net": "volume_m3", "energy_import": "energy_kwh"}

QUANTITIES = frozenset(_DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The plant after `steps` seconds. `wander` are the slow deviations of demand, voltage and frequency, about ±1."""

    steps: int = 0
    is_on: bool = True
    until: int = 0  # the step at which the pump is switched next
    speed: float = 0.0  # of the pump, share of its rated speed
    flow_m3h: float = 0.0
    power_kw: float = 0.0
    drawdown_m: float = 0.0
    wander: tuple[float, float, float] = (0.0, 0.0, 0.0)
    volume_m3: Decimal = Decimal(0)
    energy_kwh: Decimal = Decimal(0)


class Plant:
    """The pump house `form` describes. All physical quantities in the unit that their name ends in."""

    def __init__(self, form: PlantForm) -> None:
        well, pump, pipe, grid = form.well, form.pump, form.pipe, form.grid
        self._form = form
        self._ground_m = float(well.ground_level)
        self._static_m = float(well.static_level)
        self._capacity_m2h = float(well.specific_capacity)
        self._storage_m2 = float(well.storage)
        self._shutoff_m = float(pump.shutoff_head)
        self._best_m3h = float(pump.best_flow)
        self._curve = float(pump.shutoff_head - pump.best_head) / self._best_m3h**2
        self._efficiency = float(pump.efficiency)
        self._motor = float(pump.motor_efficiency)
        self._intake_m = float(pump.intake_level)
        self._outlet_m = float(pipe.outlet_level)
        self._loss = float(pipe.loss) / self._best_m3h**2
        self._demand = float(pipe.demand)
        self._area_m2 = math.pi / 4 * (float(pipe.bore) / 1000) ** 2
        self._voltage_v = float(grid.voltage)
        self._sag_v_a = float(grid.sag)
        self._frequency_hz = float(grid.frequency)
        self._standby_kw = float(grid.standby)

    def start(self) -> State:
        """The plant at rest, about to switch the pump on."""
        return State(power_kw=self._standby_kw, until=self._duration(0, is_on=True))

    def step(self, before: State) -> State:
        """The state one second later."""
        steps = before.steps + 1
        chance = Random((self._form.seed << 40) ^ steps)
        wander = tuple(value * (1 - _WANDER) + chance.gauss(0, 0.2) * _WANDER**0.5 for value in before.wander)
        is_on, until = self._switched(before, steps)
        speed = (
            min(1.0, before.speed + STEP_S / _RAMP_UP_S) if is_on else max(0.0, before.speed - STEP_S / _RAMP_DOWN_S)
        )
        flow_m3h = self._flow(speed, before.drawdown_m, wander[0])
        power_kw = self._power(speed, flow_m3h)
        inflow_m3h = self._capacity_m2h * before.drawdown_m
        mean_m3h = (before.flow_m3h + flow_m3h) / 2
        mean_kw = (before.power_kw + power_kw) / 2
        return replace(
            before,
            steps=steps,
            is_on=is_on,
            until=until,
            speed=speed,
            flow_m3h=flow_m3h,
            power_kw=power_kw,
            drawdown_m=before.drawdown_m + (mean_m3h - inflow_m3h) * STEP_S / _HOUR_S / self._storage_m2,
            wander=(wander[0], wander[1], wander[2]),
            volume_m3=before.volume_m3 + Decimal(mean_m3h * STEP_S / _HOUR_S).quantize(_VOLUME_UNIT),
            energy_kwh=before.energy_kwh + Decimal(mean_kw * STEP_S / _HOUR_S).quantize(_ENERGY_UNIT),
        )

    def readings(self, state: State) -> dict[str, Decimal]:
        """What sound meters show, counters from 0: decimals as many as a display has, counters cut."""
        level_m = self._static_m - state.drawdown_m
        voltages_v, currents_a, power_factor = self._electricity(state)
        exact = {
            "flow_rate": state.flow_m3h,
            "velocity": state.flow_m3h / _HOUR_S / self._area_m2,
            "volume_reverse": 0.0,
            "energy_export": 0.0,
            "power": state.power_kw,
            "power_factor": power_factor,
            "frequency": self._frequency_hz + 0.05 * state.wander[2],
            "pressure": self._pressure(state),
            "level": level_m,
            "depth_to_water": self._ground_m - level_m,
            "temperature": 16.2,
            **{f"voltage_{phase}": value for phase, value in zip("abc", voltages_v, strict=True)},
            **{f"current_{phase}": value for phase, value in zip("abc", currents_a, strict=True)},
        }
        shown = {name: _rounded(value, _DIGITS[name]) for name, value in exact.items()}
        for name, field in _COUNTERS.items():
            total: Decimal = getattr(state, field)
            shown[name] = total.quantize(Decimal(1).scaleb(-_DIGITS[name]), rounding=ROUND_DOWN)
        return shown

    def _switched(self, before: State, steps: int) -> tuple[bool, int]:
        """Whether the pump is on now, and when it is switched next: by its hours, or because it runs dry."""
        if before.is_on and self._static_m - before.drawdown_m < self._intake_m:
            return False, steps + max(int(_RESTART_S), self._duration(steps, is_on=False))
        if steps < before.until:
            return before.is_on, before.until
        return not before.is_on, steps + self._duration(steps, is_on=not before.is_on)

    def _duration(self, steps: int, *, is_on: bool) -> int:
        """Seconds until the next switching: what the file says, give or take a fifth."""
        chance = Random((self._form.seed << 41) ^ steps)
        pump = self._form.pump
        return max(1, round((pump.on if is_on else pump.off) / 1000 * chance.uniform(0.8, 1.2)))

    def _flow(self, speed: float, drawdown_m: float, wander: float) -> float:
        """Where the pump's curve at this speed meets the pipe's; a check valve lets nothing back."""
        lift_m = self._outlet_m - (self._static_m - drawdown_m)
        head_m = speed**2 * self._shutoff_m - lift_m
        opening = min(1.0, max(0.2, self._demand * (1 + 0.3 * wander)))
        return math.sqrt(head_m / (self._curve + self._loss / opening**2)) if head_m > 0 else 0.0

    def _power(self, speed: float, flow_m3h: float) -> float:
        """Electric power of the whole pump house; kPa times m3/s is kW."""
        if speed <= 0:
            return self._standby_kw
        best_kw = self._best_m3h / _HOUR_S * (self._shutoff_m - self._curve * self._best_m3h**2) * _WATER_KN_M3
        no_load_kw = _NO_LOAD_SHARE * best_kw / self._efficiency * speed**3
        head_m = speed**2 * self._shutoff_m - self._curve * flow_m3h**2
        off_best = (flow_m3h / (self._best_m3h * speed) - 1) if flow_m3h > 0 else 1.0
        efficiency = max(_LOWEST_EFFICIENCY, self._efficiency * (1 - off_best**2))
        shaft_kw = max(no_load_kw, flow_m3h / _HOUR_S * head_m * _WATER_KN_M3 / efficiency)
        return self._standby_kw + shaft_kw / self._motor

    def _electricity(self, state: State) -> tuple[list[float], list[float], float]:
        """Voltages and currents of the three phases and the power factor; each phase carries a third of the power."""
        power_factor = _FULL_POWER_FACTOR if state.speed > 0 else _STANDBY_POWER_FACTOR
        third_va = state.power_kw * 1000 / 3 / power_factor
        voltages_v, currents_a = [], []
        for offset_v in (0.4, -0.9, 0.5):
            open_v = self._voltage_v + offset_v + 1.5 * state.wander[1]
            # loaded voltage v solves v = open - sag * third / v
            loaded_v = open_v / 2 + math.sqrt(max(0.0, open_v**2 / 4 - self._sag_v_a * third_va))
            voltages_v.append(loaded_v)
            currents_a.append(third_va / loaded_v)
        return voltages_v, currents_a, power_factor

    def _pressure(self, state: State) -> float:
        """At the wellhead, kPa above the air: what the column to the outlet weighs, and the losses on the way."""
        opening = min(1.0, max(0.2, self._demand * (1 + 0.3 * state.wander[0])))
        return (self._outlet_m - self._ground_m + self._loss / opening**2 * state.flow_m3h**2) * _WATER_KN_M3


def _rounded(value: float, digits: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-digits))
