"""Where a pump's curve meets a pipe's, what power that takes, what the years do to both. Pure; shared by both views.

Heads and levels in m, flows in m3/h, powers in kW; `speed` is a share of the pump's rated speed (P ∝ n³, H ∝ n², Q ∝ n
join similar points of the pump, its duty point follows from the pipe), `opening` a share of fully open valves, `health`
a share of the efficiency that the set had when it was new.
"""

from __future__ import annotations

import math

from simulators.plant_form import PlantForm

HOUR_S = 3600.0
YEAR_S = 365.25 * 86_400
WATER_KN_M3 = 9.80665  # weight of a cubic metre of water: kPa per m of head

_NO_LOAD_SHARE = 0.35  # of the power at best efficiency, that the motor takes at full speed without flow
_LOWEST_EFFICIENCY = 0.12
_LEAST_OPENING = 0.02
_LEAST_HEALTH = 0.2


class Physics:
    """The constants of a pump house and what follows from them."""

    def __init__(self, form: PlantForm) -> None:
        well, pump, pipe, grid = form.well, form.pump, form.pipe, form.grid
        self.ground_m = float(well.ground_level)
        self.capacity_m2h = float(well.specific_capacity)
        self.storage_m2 = float(well.storage)
        self.outlet_m = float(pipe.outlet_level)
        self.area_m2 = math.pi / 4 * (float(pipe.bore) / 1000) ** 2
        self.delivery_m = float(pipe.pressure) / WATER_KN_M3
        self.idle_kw = float(grid.standby) + float(grid.auxiliary)
        self._static_m = float(well.static_level)
        self._trend_m = float(well.trend)
        self._season_m = float(well.season)
        self._highest_year = float(well.highest_day) / 365.25
        self._shutoff_m = float(pump.shutoff_head)
        self._best_m3h = float(pump.best_flow)
        self._curve = float(pump.shutoff_head - pump.best_head) / self._best_m3h**2
        self._efficiency = float(pump.efficiency)
        self._motor = float(pump.motor_efficiency)
        self._wear = float(pump.wear)
        self._loss = float(pipe.loss) / self._best_m3h**2
        best_kw = self._best_m3h / HOUR_S * float(pump.best_head) * WATER_KN_M3
        self._no_load_kw = _NO_LOAD_SHARE * best_kw / self._efficiency

    @property
    def rest_s(self) -> float:
        """In how many seconds a drawdown that is left alone falls to 37 %."""
        return self.storage_m2 / self.capacity_m2h * HOUR_S

    def static_m(self, years: float) -> float:
        """The level after a long rest, m above datum, so many years after 1 January of the year it began in."""
        wave = math.cos(2 * math.pi * (years - self._highest_year))
        return self._static_m + self._trend_m * years + self._season_m * wave

    def health(self, years: float) -> float:
        """What so many years of wear left of the efficiency."""
        return max(_LEAST_HEALTH, 1 - self._wear * years)

    def flow_m3h(self, speed: float, level_m: float, opening: float, delivery_m: float = 0.0) -> float:
        """Where the pump's curve at this speed meets the pipe's; a check valve lets nothing back."""
        head_m = speed**2 * self._shutoff_m - (self.outlet_m - level_m) - delivery_m
        if head_m <= 0:
            return 0.0
        return math.sqrt(head_m / (self._curve + self._loss / max(_LEAST_OPENING, opening) ** 2))

    def set_kw(self, speed: float, flow_m3h: float, health: float = 1.0) -> float:
        """Electric power of pump, motor and cable; kPa times m3/s is kW."""
        if speed <= 0:
            return 0.0
        head_m = speed**2 * self._shutoff_m - self._curve * flow_m3h**2
        off_best = (flow_m3h / (self._best_m3h * speed) - 1) if flow_m3h > 0 else 1.0
        efficiency = max(_LOWEST_EFFICIENCY, self._efficiency * (1 - off_best**2)) * health
        shaft_kw = max(self._no_load_kw * speed**3, flow_m3h / HOUR_S * head_m * WATER_KN_M3 / efficiency)
        return shaft_kw / self._motor

    def pressure_kpa(self, flow_m3h: float, opening: float, delivery_m: float = 0.0) -> float:
        """At the wellhead, above the air: what the column to the outlet weighs, and the losses on the way."""
        loss_m = self._loss / max(_LEAST_OPENING, opening) ** 2 * flow_m3h**2
        return (self.outlet_m - self.ground_m + loss_m + delivery_m) * WATER_KN_M3
