"""The pump house over seasons and years: the physics of `plant.py` in steps of minutes, driven by a plan of runs. Pure.

Strategy: between two switchings a drawdown goes exponentially towards where inflow equals flow; a step takes that
line exactly and the slow change of the flow along it as straight, and no step of a running pump is longer than a fifth
of the well's time constant. A resting well is one step. Starting takes seconds and is left out, and so is the wander of
the demand: each run has its own opening instead. Totals are whole millionths of a m³ and a kWh: the difference of two
of them is the sum of what flowed between, without exception.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simulators.plant_form import PlantForm
from simulators.plant_physics import HOUR_S, WATER_KN_M3, YEAR_S, Physics

MICRO = 1_000_000
_LONGEST_STEP_S = 300.0
_STEPS_OF_REST = 5
_MS = 1000


class Turn(NamedTuple):
    """A run of a pump, UTC ms: how far the valves are open, its speed, the head asked for behind the outlet (m).

    `is_dry`: it turns and lifts nothing (broken shaft, closed valve).
    """

    begin_ms: int
    end_ms: int
    opening: float = 1.0
    speed: float = 1.0
    delivery_m: float = 0.0
    is_dry: bool = False


class Repair(NamedTuple):
    """From `at_ms` on the set has `health` of its new efficiency, and wears from there."""

    at_ms: int
    health: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A well with its pump and pipe, the plan of its runs (in order, apart), its repairs. `form` holds constants."""

    form: PlantForm
    turns: tuple[Turn, ...]
    repairs: tuple[Repair, ...] = ()


class UnitMoment(NamedTuple):
    """A well, its pump and pipe at one time. `power_kw` is the pump set's alone; totals in millionths since begin."""

    flow_m3h: float
    power_kw: float
    depth_m: float
    pressure_kpa: float
    speed: float
    volume_micro: int
    energy_micro: int


class Moment(NamedTuple):
    """The pump house at one time, UTC ms. Power and energy are what passes the meter: all pumps and all other loads."""

    at_ms: int
    power_kw: float
    volume_micro: int
    energy_micro: int
    units: tuple[UnitMoment, ...]

    @property
    def flow_m3h(self) -> float:
        """What all pumps deliver."""
        return sum(unit.flow_m3h for unit in self.units)


class LongPlant:
    """One or several units on one energy meter, from `begin_ms` on; deterministic, chance lies in the plan."""

    def __init__(self, units: Sequence[Unit], *, begin_ms: int, epoch_ms: int) -> None:
        """`standby` and `auxiliary` of the first unit's form are those of the pump house.

        Trend and wear count from `epoch_ms` on, the beginning of a year.
        """
        self._units = tuple(units)
        self.begin_ms = begin_ms
        self._epoch_ms = epoch_ms

    def moments(self, times_ms: Iterable[int]) -> Iterator[Moment]:
        """The pump house at each of these times, which ascend from `begin_ms`."""
        courses = [_Course(unit, self.begin_ms, self._epoch_ms) for unit in self._units]
        idle_kw = Physics(self._units[0].form).idle_kw
        for at_ms in times_ms:
            found = tuple(course.at(at_ms) for course in courses)
            idle_micro = round(idle_kw * (at_ms - self.begin_ms) / (HOUR_S * _MS) * MICRO)
            yield Moment(
                at_ms=at_ms,
                power_kw=idle_kw + sum(unit.power_kw for unit in found),
                volume_micro=sum(unit.volume_micro for unit in found),
                energy_micro=idle_micro + sum(unit.energy_micro for unit in found),
                units=found,
            )


class _Course:
    """One unit on its way through time."""

    def __init__(self, unit: Unit, begin_ms: int, epoch_ms: int) -> None:
        self._unit = unit
        self._physics = Physics(unit.form)
        self._at_ms = begin_ms
        self._epoch_ms = epoch_ms
        self._drawdown_m = 0.0
        self._volume_micro = 0
        self._energy_micro = 0
        self._next = 0  # the turn that is on or comes next
        self._longest_ms = int(min(_LONGEST_STEP_S, self._physics.rest_s / _STEPS_OF_REST) * _MS)

    def at(self, at_ms: int) -> UnitMoment:
        """The unit at this time, not before the last one asked for; a turn's end is the first moment of rest."""
        while self._at_ms < at_ms:
            turn = self._turn()
            if turn is None or turn.begin_ms > self._at_ms:
                self._rest(at_ms if turn is None else min(at_ms, turn.begin_ms))
            else:
                self._pump(turn, min(at_ms, turn.end_ms, self._at_ms + self._longest_ms))
        return self._seen()

    def _turn(self) -> Turn | None:
        """The run that is on or comes next."""
        turns = self._unit.turns
        while self._next < len(turns) and turns[self._next].end_ms <= self._at_ms:
            self._next += 1
        return turns[self._next] if self._next < len(turns) else None

    def _rest(self, to_ms: int) -> None:
        self._drawdown_m *= math.exp(-(to_ms - self._at_ms) / _MS / self._physics.rest_s)
        self._at_ms = to_ms

    def _pump(self, turn: Turn, to_ms: int) -> None:
        physics, duration_s = self._physics, (to_ms - self._at_ms) / _MS
        share = 1 - math.exp(-duration_s / physics.rest_s)
        health, static_m = self._health(), self._static_m()
        first = self._flow(turn, static_m - self._drawdown_m)
        guess_m = self._drawdown_m + (first / physics.capacity_m2h - self._drawdown_m) * share
        mean = (first + self._flow(turn, static_m - guess_m)) / 2
        self._drawdown_m += (mean / physics.capacity_m2h - self._drawdown_m) * share
        last = self._flow(turn, static_m - self._drawdown_m)
        kw = (physics.set_kw(turn.speed, first, health) + physics.set_kw(turn.speed, last, health)) / 2
        self._volume_micro += round((first + last) / 2 * duration_s / HOUR_S * MICRO)
        self._energy_micro += round(kw * duration_s / HOUR_S * MICRO)
        self._at_ms = to_ms

    def _seen(self) -> UnitMoment:
        turn, physics, level_m = self._turn(), self._physics, self._static_m() - self._drawdown_m
        totals = self._volume_micro, self._energy_micro
        depth_m = physics.ground_m - level_m
        if turn is None or turn.begin_ms > self._at_ms:
            return UnitMoment(0.0, 0.0, depth_m, physics.pressure_kpa(0.0, 1.0), 0.0, *totals)
        flow = self._flow(turn, level_m)
        power_kw = physics.set_kw(turn.speed, flow, self._health())
        pressure_kpa = physics.pressure_kpa(flow, turn.opening, self._delivery(turn))
        return UnitMoment(flow, power_kw, depth_m, pressure_kpa, turn.speed, *totals)

    def _flow(self, turn: Turn, level_m: float) -> float:
        if turn.is_dry:
            return 0.0
        return self._physics.flow_m3h(turn.speed, level_m, turn.opening, self._delivery(turn))

    def _delivery(self, turn: Turn) -> float:
        return self._physics.delivery_m + turn.delivery_m

    def _static_m(self) -> float:
        return self._physics.static_m((self._at_ms - self._epoch_ms) / _MS / YEAR_S)

    def _health(self) -> float:
        """Wear since the epoch, or since the last repair, which sets its own beginning."""
        base, since_ms = self._physics.health(float(self._unit.form.pump.age)), self._epoch_ms
        for repair in self._unit.repairs:
            if repair.at_ms <= self._at_ms:
                base, since_ms = repair.health, repair.at_ms
        return base * self._physics.health((self._at_ms - since_ms) / _MS / YEAR_S)


def delivery_m(pressure_kpa: float) -> float:
    """The head that a pressure asked for behind the outlet costs."""
    return pressure_kpa / WATER_KN_M3
