"""A season at a site: what its meters show, what the product makes of that, and what was really withdrawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import NamedTuple

from agent.derive.exact import midnight_ms
from agent.derive.records import record_of
from agent.intakes.outcome import Declared
from agent.intakes.settings import Channel, EnergySource, IntakeSettings, PumpSource
from simulators.irrigation import MINUTE_MS, Irrigation
from simulators.plant_long import LongPlant, Unit
from simulators.plant_meters import PPM, EnergyMeter, HeadSensors, Register, Sensor, Together
from simulators.scenarios.scenario import Fixture, Scenario
from simulators.seasons.drawn import CLASS_PCT, CT_CLASS_PCT, EPOCH_MS, ZONE, Drawn, drawn_register
from simulators.seasons.tested import Prepared, prepared

BEGIN_MS = midnight_ms(date(2026, 3, 1), ZONE)
END_MS = midnight_ms(date(2026, 6, 1), ZONE)
_LONG_POLL_MS = 15 * MINUTE_MS
_SHORT_POLL_MS = 5 * MINUTE_MS
_MIDDLE_MS = (BEGIN_MS + END_MS) // 2 // _LONG_POLL_MS * _LONG_POLL_MS + 4321
_METER = "pump-box"  # one device with the energy meter and the sensors


class Season(NamedTuple):
    """A season ready to be heard, and what happens to its energy meter: `swap`, `rollover`, or nothing."""

    prepared: Prepared
    happened: str
    scenario: Scenario


def season(model: str, seed: int) -> Season | None:
    """The season of that seed, site, test and all; None where the product refuses the test's runs to the end."""
    site = prepared(model, seed)
    if site.coefficient is None:
        return None
    chance = Random(f"season {model} {seed}")
    drawn = site.drawn
    turns = tuple(Irrigation(chance, openings=drawn.openings, speeds=drawn.speeds).turns(BEGIN_MS, END_MS))
    plant = LongPlant([Unit(form=drawn.form, turns=turns)], begin_ms=BEGIN_MS, epoch_ms=EPOCH_MS)
    happened = chance.choice(("swap", "rollover", "", ""))
    first, second = _registers(drawn, happened, chance)
    record = site.coefficient
    declarations = [Declared(id=1, kind="coefficient", subject=record.id, at_ms=BEGIN_MS - 1, body=record_of(record),
                             who="tester")]  # fmt: skip
    if second is not None:
        declarations.append(_replacement(plant, first, second))
    period_ms = _SHORT_POLL_MS if model == "curve" else _LONG_POLL_MS
    scenario = Scenario(
        name=f"season-{model}",
        seed=seed,
        settings=_settings(drawn, record.id, period_ms),
        declarations=tuple(declarations),
        plant=plant,
        fixtures=_fixtures(drawn, first, second),
        begin_ms=BEGIN_MS,
        end_ms=END_MS,
        period_ms=period_ms,
    )
    return Season(site, happened, scenario)


def _registers(drawn: Drawn, happened: str, chance: Random) -> tuple[Register, Register | None]:
    """The energy meter's register, and that of the one that takes its place."""
    register = drawn.register
    if happened == "rollover":
        register = replace(register, initial=Decimal(10) ** register.digits - 50)
    if happened == "swap":
        new = drawn_register(chance, is_direct=register.ratio == 1)
        return register, replace(new, initial=Decimal(0))
    return register, None


def _replacement(plant: LongPlant, first: Register, second: Register) -> Declared:
    """What whoever swapped the meter wrote down."""
    (moment,) = plant.moments([_MIDDLE_MS])
    body = {
        "quantity": "energy_import",
        "old_final": str(first.shown(moment.energy_micro)),
        "new_initial": str(second.initial),
        "multiplier": None,
        "reset": False,
        "reason": "worn",
    }
    return Declared(id=2, kind="replacement", subject=_METER, at_ms=_MIDDLE_MS, body=body, who="technician")


def _fixtures(drawn: Drawn, first: Register, second: Register | None) -> tuple[Fixture, ...]:
    later = () if second is None else ((_MIDDLE_MS, second),)
    power = Sensor(gain=(1 + first.error_ppm / PPM) / float(first.ratio), decimals=4)
    depth = Sensor(offset=drawn.level_offset_m, noise=0.02)
    pressure = Sensor(gain=drawn.pressure_gain, noise=0.5, decimals=1)
    return (
        Fixture(
            _METER,
            lambda: Together(HeadSensors(depth=depth, pressure=pressure), EnergyMeter(first, *later, power=power)),
        ),
    )


def _settings(drawn: Drawn, coefficient: str, period_ms: int) -> IntakeSettings:
    ratio = drawn.register.ratio
    energy = EnergySource(
        meter=_METER,
        pumps=(PumpSource(id="pump", coefficients=(coefficient,), running_kw=drawn.running_kw),),
        rated_kw=drawn.rated_kw,
        ct_ratio=ratio,
        class_pct=CLASS_PCT,
        ct_class_pct=Decimal(0) if ratio == 1 else CT_CLASS_PCT,
        aux_kw=drawn.aux_kw,
        power=Channel(meter=_METER, quantity="power"),
        depth=Channel(meter=_METER, quantity="depth_to_water"),
        pressure=Channel(meter=_METER, quantity="pressure"),
    )
    return IntakeSettings(
        name="season",
        code="season",
        title="season",
        zone=ZONE,
        energy=energy,
        periods_ms={_METER: period_ms},
    )
