"""The sites of the seasons: wells, pumps, meters and years drawn from stated ranges, one site per seed. Pure.

Sources of the ranges, by the sections of the conversion sheet: efficiencies §3.5, lifts §7, drift §5, level §3.4. What
a range says is the whole range: values are drawn evenly from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from agent.derive.exact import midnight_ms
from simulators.plant_form import GridForm, PipeForm, PlantForm, PumpForm, WellForm
from simulators.plant_long import LongPlant, Turn, Unit
from simulators.plant_meters import Register, drawn_ppm

ZONE = ZoneInfo("Asia/Shanghai")
EPOCH_MS = midnight_ms(date(2025, 1, 1), ZONE)  # wear and trend count from here
CLASS_PCT = Decimal(1)
CT_CLASS_PCT = Decimal("0.5")
_SIZES_KW = (4, 5.5, 7.5, 11, 15, 18.5, 22, 30, 37, 45, 55, 75, 90)
_DIRECT_UP_TO_KW = 11
_SPARE = 1.05
_OUTLET_M = Decimal(100)  # ground level, m above datum: any number would do


class Span(NamedTuple):
    """A range with its unit and what it rests on."""

    low: float
    high: float
    unit: str

    def drawn(self, chance: Random) -> float:
        """A value from it."""
        return chance.uniform(self.low, self.high)


RANGES = MappingProxyType(
    {
        "depth": Span(15, 55, "m"),  # at rest
        "flow": Span(35, 100, "m3/h"),
        "drawdown": Span(2, 8, "m"),
        "storage": Span(1, 4, "m2"),
        "loss": Span(1, 3, "m"),  # of the pipe at the pump's best flow
        "oversize": Span(0.95, 1.10, ""),  # the pump's best head over the head it works at
        "steepness": Span(1.25, 1.50, ""),  # its head without flow over its best head
        "pump_efficiency": Span(0.50, 0.78, ""),
        "motor_efficiency": Span(0.82, 0.90, ""),
        "season": Span(0.5, 2.0, "m"),  # the level's swing up and down over a year
        "trend": Span(-1.5, 0.0, "m/a"),
        "highest_day": Span(40, 90, "d"),
        "wear": Span(0.0, 0.025, "1/a"),  # of the efficiency
        "standby": Span(0.02, 0.15, "kW"),
        "auxiliary": Span(0.1, 0.5, "kW"),  # three sites in ten have one
        "level_offset": Span(-0.1, 0.1, "m"),
        "pressure_gain": Span(0.99, 1.01, ""),
        "range_known": Span(0.8, 1.2, ""),  # the level's yearly range as the tester knows it, over the true one
    }
)
STRATUM = MappingProxyType({**RANGES, "depth": Span(20, 35, "m"), "drawdown": Span(2, 5, "m")})  # lifts of 20 to 40 m
RIVER = MappingProxyType(
    {
        **RANGES,
        "depth": Span(1.5, 5, "m"),
        "flow": Span(150, 500, "m3/h"),
        "drawdown": Span(0.02, 0.05, "m"),
        "storage": Span(200, 400, "m2"),
        "loss": Span(0.8, 1.6, "m"),
        "steepness": Span(1.5, 1.9, ""),
        "season": Span(0.02, 0.10, "m"),  # a canal held at its level
        "trend": Span(-0.02, 0.02, "m/a"),
    }
)
"""A low-head station at a canal, its pump behind a frequency converter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A site: the plant, what its nameplates say, its meters and sensors, what its tester knows of the level.

    Each run has its valves open and its pump turning somewhere within `openings` and `speeds`.
    `running_kw` is the power at full speed, `head_m` the head it works at, `range_m` the level's yearly range as known;
    `discharge_m` how far the gauge lies above the ground.
    """

    form: PlantForm
    rated_kw: Decimal
    running_kw: Decimal
    aux_kw: Decimal
    head_m: Decimal
    range_m: Decimal
    discharge_m: Decimal
    register: Register
    level_offset_m: float
    pressure_gain: float
    openings: tuple[float, float]
    speeds: tuple[float, float]


def drawn_site(chance: Random, ranges: MappingProxyType[str, Span] = RANGES) -> Drawn:
    """A site out of these ranges; its pump was chosen for its lift."""
    value = {name: span.drawn(chance) for name, span in ranges.items()}
    lift_m = value["depth"] + value["drawdown"] + value["loss"] + 1
    best_m = lift_m * value["oversize"]
    aux_kw = Decimal(f"{value['auxiliary']:.2f}") if chance.random() < 0.3 else Decimal(0)  # noqa: PLR2004 - three in ten
    form = _form(value, best_m, aux_kw)
    running_kw = _running_kw(form)
    rated_kw = next(size for size in _SIZES_KW if size >= running_kw * _SPARE)
    decline_m = abs(value["trend"])
    return Drawn(
        form=form,
        rated_kw=Decimal(str(rated_kw)),
        running_kw=_number(running_kw),
        aux_kw=aux_kw,
        head_m=_number(lift_m),
        range_m=_number((2 * value["season"] + decline_m) * value["range_known"]),
        discharge_m=Decimal("0.5"),
        register=drawn_register(chance, is_direct=rated_kw <= _DIRECT_UP_TO_KW),
        level_offset_m=value["level_offset"],
        pressure_gain=value["pressure_gain"],
        openings=(0.95, 1.0) if ranges is RIVER else (0.8, 1.0),
        speeds=(0.8, 1.0) if ranges is RIVER else (1.0, 1.0),
    )


def _form(value: Mapping[str, float], best_m: float, aux_kw: Decimal) -> PlantForm:
    """The plant of the drawn values, its pump with this best head."""
    return PlantForm(
        well=WellForm(
            ground_level=_OUTLET_M,
            static_level=_number(float(_OUTLET_M) - value["depth"]),
            specific_capacity=_number(value["flow"] / value["drawdown"]),
            storage=_number(value["storage"]),
            trend=_number(value["trend"]),
            season=_number(value["season"]),
            highest_day=_number(value["highest_day"]),
        ),
        pump=PumpForm(
            shutoff_head=_number(best_m * value["steepness"]),
            best_flow=_number(value["flow"]),
            best_head=_number(best_m),
            efficiency=_number(value["pump_efficiency"]),
            motor_efficiency=_number(value["motor_efficiency"]),
            wear=_number(value["wear"]),
        ),
        pipe=PipeForm(outlet_level=_OUTLET_M + 1, loss=_number(value["loss"])),
        grid=GridForm(standby=_number(value["standby"]), auxiliary=aux_kw),
    )


def drawn_register(chance: Random, *, is_direct: bool) -> Register:
    """An energy meter of class 1, above 11 kW behind a CT of 50/5 and class 0.5."""
    error_ppm = drawn_ppm(chance, float(CLASS_PCT))
    if not is_direct:
        error_ppm += drawn_ppm(chance, float(CT_CLASS_PCT))
    ratio = Decimal(1 if is_direct else 10)
    initial = Decimal(chance.randrange(100, 900_000))
    return Register(digits=6, decimals=2, ratio=ratio, error_ppm=error_ppm, initial=initial)


def _running_kw(form: PlantForm) -> float:
    """The power after an hour at full speed."""
    hour_ms = 3_600_000
    plant = LongPlant([Unit(form=form, turns=(Turn(EPOCH_MS, EPOCH_MS + 2 * hour_ms, 0.9),))], begin_ms=EPOCH_MS,
                      epoch_ms=EPOCH_MS)  # fmt: skip
    (moment,) = plant.moments([EPOCH_MS + hour_ms])
    return moment.units[0].power_kw


def _number(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
