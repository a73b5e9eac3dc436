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
from simulators.plant_physics import HOUR_S, YEAR_S, Physics

STEP_S = 1.0

_RAMP_UP_S = 4.0
_RAMP_DOWN_S = 3.0
_RESTART_S = 60.0  # a pump that ran dry waits at least this long
_FULL_POWER_FACTOR = 0.86
_STANDBY_POWER_FACTOR = 0.62
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
        self._form = form
        self._physics = Physics(form)
        self._speed = float(form.pump.speed)
        self._age = float(form.pump.age)
        self._first_year = float(form.first_day) / 365.25
        self._intake_m = float(form.pump.intake_level)
        self._demand = float(form.pipe.demand)
        self._voltage_v = float(form.grid.voltage)
        self._sag_v_a = float(form.grid.sag)
        self._frequency_hz = float(form.grid.frequency)

    def start(self) -> State:
        """The plant at rest, about to switch the pump on."""
        return State(power_kw=self._physics.idle_kw + self._second(0), until=self._duration(0, is_on=True))

    def step(self, before: State) -> State:
        """The state one second later."""
        steps = before.steps + 1
        chance = Random((self._form.seed << 40) ^ steps)
        wander = tuple(value * (1 - _WANDER) + chance.gauss(0, 0.2) * _WANDER**0.5 for value in before.wander)
        is_on, until = self._switched(before, steps)
        speed = (
            min(1.0, before.speed + STEP_S / _RAMP_UP_S) if is_on else max(0.0, before.speed - STEP_S / _RAMP_DOWN_S)
        )
        physics, years, turning = self._physics, steps * STEP_S / YEAR_S, speed * self._speed
        flow_m3h = physics.flow_m3h(turning, self._level(before), self._opening(wander[0]), physics.delivery_m)
        power_kw = (
            physics.idle_kw + self._second(steps) + physics.set_kw(turning, flow_m3h, physics.health(self._age + years))
        )
        inflow_m3h = physics.capacity_m2h * before.drawdown_m
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
            drawdown_m=before.drawdown_m + (mean_m3h - inflow_m3h) * STEP_S / HOUR_S / physics.storage_m2,
            wander=(wander[0], wander[1], wander[2]),
            volume_m3=before.volume_m3 + Decimal(mean_m3h * STEP_S / HOUR_S).quantize(_VOLUME_UNIT),
            energy_kwh=before.energy_kwh + Decimal(mean_kw * STEP_S / HOUR_S).quantize(_ENERGY_UNIT),
        )

    def readings(self, state: State) -> dict[str, Decimal]:
        """What sound meters show, counters from 0: decimals as many as a display has, counters cut."""
        level_m, physics = self._level(state), self._physics
        voltages_v, currents_a, power_factor = self._electricity(state)
        exact = {
            "flow_rate": state.flow_m3h,
            "velocity": state.flow_m3h / HOUR_S / physics.area_m2,
            "volume_reverse": 0.0,
            "energy_export": 0.0,
            "power": state.power_kw,
            "power_factor": power_factor,
            "frequency": self._frequency_hz * self._speed + 0.05 * state.wander[2],
            "pressure": physics.pressure_kpa(state.flow_m3h, self._opening(state.wander[0]), physics.delivery_m),
            "level": level_m,
            "depth_to_water": physics.ground_m - level_m,
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
        if before.is_on and self._level(before) < self._intake_m:
            return False, steps + max(int(_RESTART_S), self._duration(steps, is_on=False))
        if steps < before.until:
            return before.is_on, before.until
        return not before.is_on, steps + self._duration(steps, is_on=not before.is_on)

    def _duration(self, steps: int, *, is_on: bool) -> int:
        """Seconds until the next switching: what the file says, give or take a fifth."""
        chance = Random((self._form.seed << 41) ^ steps)
        pump = self._form.pump
        return max(1, round((pump.on if is_on else pump.off) / 1000 * chance.uniform(0.8, 1.2)))

    def _second(self, steps: int) -> float:
        """Power of the second pump, kW."""
        second = self._form.second
        on_s, off_s = second.on / 1000, second.off / 1000
        return float(second.power) if steps * STEP_S % (on_s + off_s) < on_s else 0.0

    def _level(self, state: State) -> float:
        """The water level in the well, m above datum."""
        years = self._first_year + state.steps * STEP_S / YEAR_S
        return self._physics.static_m(years) - state.drawdown_m

    def _opening(self, wander: float) -> float:
        """How far the field's valves are open."""
        return min(1.0, max(0.2, self._demand * (1 + 0.3 * wander)))

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


def _rounded(value: float, digits: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-digits))
