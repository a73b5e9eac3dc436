"""A calibration in the field, on the simulated plant (§6 of the conversion sheet): what the tester's sheet would hold.

The reference meter has an error of its own, the same in all runs, and each run reads a little differently; energy comes
off the site's own register, the level off a sounder. What the product makes of the runs is the product's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import NamedTuple

from agent.derive.fit import CalibrationRun
from simulators.plant_form import PlantForm
from simulators.plant_long import MICRO, LongPlant, Moment, Repair, Turn, Unit
from simulators.plant_meters import PPM, Register

_MINUTE_MS = 60_000
_LEVEL_NOISE_M = 0.02
_PLACES = Decimal("0.001")
_FALLING = slice(1, 7)  # minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tester:
    """Who tests: the reference meter's error, its u (relative, k = 1) and each run's own scatter, the sounder's offset.

    `register` is the site's energy register.
    """

    reference_ppm: int
    u_reference: Decimal
    repeat: float
    sounder_m: float
    register: Register


class Trial(NamedTuple):
    """A run as written down: measured once it was stable, and `falling`, minutes 1 to 6, by flow and power noted.

    `drop_…` are volume and energy until then (m³, kWh; §6-2), `power_kw` and `pressure_kpa` means of the measured time.
    """

    run: CalibrationRun
    falling: CalibrationRun
    drop_volume_m3: Decimal
    drop_energy_kwh: Decimal
    power_kw: Decimal
    pressure_kpa: Decimal


def drawn_tester(chance: Random, register: Register, *, u_reference: float = 0.01) -> Tester:
    """A tester whose meter lies within its certificate: an expanded uncertainty of 2 u, k = 2."""
    return Tester(
        reference_ppm=round(chance.gauss(0, u_reference) * PPM),
        u_reference=Decimal(str(u_reference)),
        repeat=0.002,
        sounder_m=chance.gauss(0, 0.03),
        register=register,
    )


def trial(
    form: PlantForm,
    turn: Turn,
    tester: Tester,
    chance: Random,
    *,
    epoch_ms: int,
    settle_min: int = 60,
    repairs: Sequence[Repair] = (),
) -> Trial:
    """One run, other loads off: `settle_min` minutes for the transient, then measured to its end, minute by minute."""
    alone = form.model_copy(update={"grid": form.grid.model_copy(update={"auxiliary": Decimal(0)})})
    unit = Unit(form=alone, turns=(turn,), repairs=tuple(repairs))
    plant = LongPlant([unit], begin_ms=turn.begin_ms, epoch_ms=epoch_ms)
    moments = list(plant.moments(range(turn.begin_ms, turn.end_ms, _MINUTE_MS)))
    gain = 1 + tester.reference_ppm / PPM + chance.gauss(0, tester.repeat)

    def volume(first: Moment, last: Moment) -> Decimal:
        return _cut((last.volume_micro - first.volume_micro) / MICRO * gain)

    def energy(first: Moment, last: Moment) -> Decimal:
        register = replace(tester.register, initial=Decimal(1000))
        return (register.shown(last.energy_micro) - register.shown(first.energy_micro)) * register.ratio

    def depth(seen: Sequence[Moment]) -> Decimal:
        mean = sum(each.units[0].depth_m for each in seen) / len(seen)
        return _cut(mean + tester.sounder_m + chance.gauss(0, _LEVEL_NOISE_M))

    settled, last = moments[settle_min], moments[-1]
    measured, falling = moments[settle_min:], moments[_FALLING]
    metered = 1 + tester.register.error_ppm / PPM
    return Trial(
        run=CalibrationRun(
            energy_kwh=energy(settled, last),
            volume_m3=volume(settled, last),
            minutes=Decimal(len(measured) - 1),
            depth_m=depth(measured),
        ),
        falling=CalibrationRun(
            energy_kwh=_cut((falling[-1].energy_micro - falling[0].energy_micro) / MICRO * metered),
            volume_m3=volume(falling[0], falling[-1]),
            minutes=Decimal(len(falling) - 1),
            depth_m=depth(falling),
        ),
        drop_volume_m3=volume(moments[0], settled),
        drop_energy_kwh=energy(moments[0], settled),
        power_kw=_cut(sum(each.power_kw for each in measured) / len(measured) * metered),
        pressure_kpa=_cut(sum(each.units[0].pressure_kpa for each in measured) / len(measured)),
    )


def _cut(value: float) -> Decimal:
    return Decimal(str(value)).quantize(_PLACES)
