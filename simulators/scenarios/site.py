"""The sites that scenarios happen at: a well with a flow meter, one without, one with both, over one spring of 2026."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from agent.calibration.result import Site
from agent.derive.coefficient import Coefficient
from agent.derive.exact import midnight_ms
from agent.derive.records import record_of
from agent.intakes.outcome import Declared
from agent.intakes.settings import (
    Certificate,
    Channel,
    EnergySource,
    IntakeSettings,
    Permit,
    Pipe,
    PumpSource,
    Range,
    WaterSource,
)
from simulators.irrigation import Irrigation
from simulators.plant_form import GridForm, PipeForm, PlantForm, PumpForm, WellForm
from simulators.plant_long import LongPlant, Unit
from simulators.plant_meters import PPM, EnergyMeter, FlowMeter, HeadSensors, Register, Sensor, drawn_ppm
from simulators.scenarios.scenario import Fixture, Scenario
from simulators.trial import Row, Well, calibrated, drawn_tester, reference_of, runs_from, table_text

ZONE = ZoneInfo("Asia/Shanghai")
EPOCH_MS = midnight_ms(date(2025, 1, 1), ZONE)
FIRST_DAY = date(2026, 3, 1)
LAST_DAY = date(2026, 7, 1)  # not in it
BEGIN_MS = midnight_ms(FIRST_DAY, ZONE)
END_MS = midnight_ms(LAST_DAY, ZONE)
_MIDDLE_MS = midnight_ms(date(2026, 5, 1), ZONE)
PERIOD_MS = 300_000
CT_RATIO = Decimal(20)
FORM = PlantForm(
    well=WellForm(static_level=Decimal(15), trend=Decimal("-0.6"), season=Decimal("1.2"), highest_day=Decimal(75)),
    pump=PumpForm(intake_level=Decimal(0), wear=Decimal("0.01")),
    pipe=PipeForm(outlet_level=Decimal(51), loss=Decimal(3)),
    grid=GridForm(standby=Decimal("0.06")),
)
_TESTED = date(2026, 3, 1)  # the first day
_TESTS_AT_MOST = 4
_TRIAL_DAYS = (date(2025, 4, 10), date(2025, 8, 20), date(2026, 2, 10))
_CERTIFIED = date(2026, 12, 31)
_BOUGHT = date(2025, 6, 1)
_CLASS_PCT = 1.0
_WATER_CLASS_PCT = 2.0


def flow_register(seed: int) -> Register:
    """The flow meter's: within class 2."""
    return Register(
        digits=9,
        decimals=3,
        error_ppm=drawn_ppm(Random(seed << 8 | 2), _WATER_CLASS_PCT),
        initial=Decimal("12345.678"),
    )


def energy_register(seed: int) -> Register:
    """The energy meter's behind its CT: within class 1, CT within 0.5."""
    chance = Random(seed << 8 | 3)
    return Register(
        digits=6,
        decimals=2,
        ratio=CT_RATIO,
        error_ppm=drawn_ppm(chance, _CLASS_PCT) + drawn_ppm(chance, 0.5),
        initial=Decimal("4321.50"),
    )


def flow_meter(seed: int) -> Fixture:
    """`main-flow`: volume and flow."""
    register = flow_register(seed)
    sensor = Sensor(gain=1 + register.error_ppm / PPM, noise=0.25, decimals=3)
    return Fixture("main-flow", lambda: FlowMeter(register, flow=sensor))


def energy_meter(seed: int) -> Fixture:
    """`pump-kwh`: energy and power."""
    register = energy_register(seed)
    gain = (1 + register.error_ppm / PPM) / float(CT_RATIO)  # it shows what flows on the CT's side
    sensor = Sensor(gain=gain, noise=0.0003, decimals=4)
    return Fixture("pump-kwh", lambda: EnergyMeter(register, power=sensor))


def level_sensor(seed: int) -> Fixture:
    """`well-level`: depth to water."""
    offset = Random(seed << 8 | 4).uniform(-0.05, 0.05)
    return Fixture("well-level", lambda: HeadSensors(depth=Sensor(offset=offset, noise=0.01)))


def plant(seed: int) -> LongPlant:
    """A well of 90 m³/h at 44 m, watering from March to June."""
    turns = tuple(Irrigation(Random(seed << 8 | 5)).turns(BEGIN_MS, END_MS))
    return LongPlant([Unit(form=FORM, turns=turns)], begin_ms=BEGIN_MS, epoch_ms=EPOCH_MS)


def coefficient(seed: int) -> Coefficient:
    """`W3`, a line over the level, tested at three levels over the year before, again while the runs are refused."""
    chance = Random(seed << 8 | 6)
    tester = drawn_tester(chance, u_reference=0.005)
    register = energy_register(seed)
    well = Well(form=FORM, register=register, epoch_ms=EPOCH_MS, openings=(0.8, 1.0), name="W3")
    site = Site(reference=reference_of(tester, until=_CERTIFIED), step_kwh=register.step * CT_RATIO)
    rows: list[Row] = []
    found = None
    for again in range(_TESTS_AT_MOST):
        for day in _TRIAL_DAYS:
            day_ms = midnight_ms(day + timedelta(days=4 * again), ZONE)
            rows += runs_from(well, tester, chance, midnight_ms=day_ms, speeds=(1.0,) * 4, zone=ZONE)
        found = calibrated("affine_level", table_text(rows), site, name="W3", valid_from=_TESTED).coefficient
        if found is not None:
            return found
    raise AssertionError(f"seed {seed}: the product refuses {len(rows)} runs")


def declared(record: Coefficient, number: int = 1) -> Declared:
    """A coefficient as the ledger has it."""
    assert record.valid_from is not None
    at_ms = midnight_ms(record.valid_from, ZONE)
    return Declared(id=number, kind="coefficient", subject=record.id, at_ms=at_ms, body=record_of(record), who="tester")


def _settings(name: str) -> IntakeSettings:
    return IntakeSettings(
        name=name,
        code="4302810001",
        title="三号井",
        zone=ZONE,
        aquifer="shallow",
        permit=Permit(
            number="D430281G2021-0001",
            annual_m3=Decimal(250_000),
            plan_m3=(Decimal(40_000), Decimal(80_000), Decimal(20_000), Decimal(10_000)),
            valid_from=date(2022, 1, 1),
            valid_until=date(2027, 12, 31),
        ),
        range=Range(q1_m3h=Decimal("2.5"), q3_m3h=Decimal(100), q4_m3h=Decimal(125), start_m3h=Decimal("0.5")),
        pipe=Pipe(dn_mm=Decimal(150), material="steel", up_cm=Decimal(200), down_cm=Decimal(100)),
        season=((3, 1), (6, 30)),
    )


def _water() -> WaterSource:
    certificate = Certificate(number="LL-2025-118", issued=_BOUGHT, valid_until=date(2027, 5, 31))
    return WaterSource(meter="main-flow", class_pct=Decimal(2), serial="F-118", certificate=certificate)


def _energy() -> EnergySource:
    pump = PumpSource(id="pump-1", coefficients=("W3",), running_kw=Decimal("16.5"), rated_m3h=Decimal(90))
    return EnergySource(
        meter="pump-kwh",
        pumps=(pump,),
        rated_kw=Decimal("18.5"),
        ct_ratio=CT_RATIO,
        ct_class_pct=Decimal("0.5"),
        power=Channel(meter="pump-kwh", quantity="power"),
        depth=Channel(meter="well-level", quantity="depth_to_water"),
        serial="E-77",
        certificate=Certificate(number="DN-2025-31", issued=_BOUGHT, valid_until=date(2031, 5, 31)),
    )


def metered(name: str, seed: int) -> Scenario:
    """A flow meter alone."""
    return Scenario(
        name=name,
        seed=seed,
        settings=replace(_settings("well-3"), water=(_water(),), periods_ms={"main-flow": PERIOD_MS}),
        declarations=(),
        plant=plant(seed),
        fixtures=(flow_meter(seed),),
        begin_ms=BEGIN_MS,
        end_ms=END_MS,
        period_ms=PERIOD_MS,
    )


def converted(name: str, seed: int) -> Scenario:
    """Electricity and a level sensor, no flow meter."""
    periods = {"pump-kwh": PERIOD_MS, "well-level": PERIOD_MS}
    return replace(
        metered(name, seed),
        settings=replace(_settings("well-3"), energy=_energy(), periods_ms=periods),
        declarations=(declared(coefficient(seed)),),
        fixtures=(level_sensor(seed), energy_meter(seed)),
    )


def checked(name: str, seed: int) -> Scenario:
    """A flow meter that counts, electricity and level beside it; the first two months."""
    without = converted(name, seed)
    periods = {**without.settings.periods_ms, "main-flow": PERIOD_MS}
    return replace(
        without,
        settings=replace(without.settings, water=(_water(),), periods_ms=periods),
        fixtures=(*without.fixtures, flow_meter(seed)),
        end_ms=_MIDDLE_MS,
    )
